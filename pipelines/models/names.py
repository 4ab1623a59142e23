"""Two spellings of one tensor: the original of CompVis, in which single files are published, and that of diffusers.

The original counts blocks in one row (`input_blocks.4.1`), diffusers by level (`down_blocks.1.attentions.0`). These
tables are built from the shape of a network; they tell where in the original a tensor of diffusers' is. Sources:
CompVis/stable-diffusion and Stability-AI/generative-models (`openaimodel.py`, `model.py`), mlfoundations/open_clip
(`transformer.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}  # fmt: skip
UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2",
    "label_emb": "class_embedding", "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
}  # fmt: skip
VAE_RESNET = {name: name for name in ("norm1", "conv1", "norm2", "conv2")} | {"nin_shortcut": "conv_shortcut"}
VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OPEN_CLIP_LAYER = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}  # fmt: skip


class View(Enum):
    """How a tensor lies in the original's: always a view, nothing is copied."""

    WHOLE = auto()
    MATRIX = auto()
    """A 1x1 convolution (o, i, 1, 1) as (o, i)."""
    TURNED = auto()
    """(i, o) as (o, i)."""
    QUERY = auto()
    """The first third of the rows."""
    KEY = auto()
    VALUE = auto()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a tensor of diffusers' spelling is found in the original's."""

    name: str
    view: View = View.WHOLE


@dataclass(frozen=True)
class Names:
    """Modules, diffusers' name to the original's; whatever lies below a module keeps its own name.

    In transformers' text encoders the names begin below `text_model.`.
    """

    modules: Mapping[str, Origin]

    def origin(self, diffusers: str) -> Origin | None:
        """Where the tensor called `diffusers` there is in the original; None when the table has none."""
        found = _longest(diffusers, self.modules)
        return Origin(found[0].name + found[1], found[0].view) if found else None


T = TypeVar("T")


def _longest(name: str, modules: Mapping[str, T]) -> tuple[T, str] | None:
    """What the innermost module known says of `name`, and what is left of it."""
    at = len(name)
    while at > 0:
        if (found := modules.get(name[:at])) is not None:
            return found, name[at:]
        at = name.rfind(".", 0, at)
    return None


def _plain(modules: Mapping[str, str]) -> Names:
    """From original name -> diffusers' name."""
    return Names({diffusers: Origin(original) for original, diffusers in modules.items()})


def unet_names(attends: Sequence[bool], layers: int) -> Names:
    """Of a UNet with `layers` resnets a level on the way down; `attends`: which levels have attention, the first first.

    A level of the original is `layers` blocks down, and `layers` + 1 up; the down- or upsampler is one more block down,
    and the last part of the last block up.
    """
    levels = len(attends)
    modules = dict(UNET_ENDS)
    for level, attending in enumerate(attends):
        for layer in range(layers):
            block = f"input_blocks.{level * (layers + 1) + layer + 1}"
            modules |= _resnet(f"{block}.0", f"down_blocks.{level}.resnets.{layer}")
            if attending:
                modules[f"{block}.1"] = f"down_blocks.{level}.attentions.{layer}"
        if level < levels - 1:
            modules[f"input_blocks.{(level + 1) * (layers + 1)}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    modules |= _resnet("middle_block.0", "mid_block.resnets.0")
    modules["middle_block.1"] = "mid_block.attentions.0"
    modules |= _resnet("middle_block.2", "mid_block.resnets.1")
    for level, attending in enumerate(reversed(attends)):
        for layer in range(layers + 1):
            block = f"output_blocks.{level * (layers + 1) + layer}"
            modules |= _resnet(f"{block}.0", f"up_blocks.{level}.resnets.{layer}")
            if attending:
                modules[f"{block}.1"] = f"up_blocks.{level}.attentions.{layer}"
        if level < levels - 1:
            modules[f"{block}.{2 if attending else 1}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
    return _plain(modules)


def _resnet(original: str, diffusers: str) -> dict[str, str]:
    return {f"{original}.{a}": f"{diffusers}.{b}" for a, b in RESNET.items()}


def vae_names(levels: int, layers: int) -> Names:
    """Of an autoencoder: `levels` levels of `layers` resnets down, one more up; the original counts downwards."""
    modules = {name: name for name in ("quant_conv", "post_quant_conv")}
    for side in ("encoder", "decoder"):
        modules |= {f"{side}.{name}": f"{side}.{name}" for name in ("conv_in", "conv_out")}
        modules |= {f"{side}.norm_out": f"{side}.conv_norm_out"}
        modules |= dict(_vae_middle(f"{side}.mid", f"{side}.mid_block"))
    for level in range(levels):
        for layer in range(layers):
            modules |= _vae_resnet(
                f"encoder.down.{level}.block.{layer}", f"encoder.down_blocks.{level}.resnets.{layer}"
            )
        up = levels - 1 - level
        for layer in range(layers + 1):
            modules |= _vae_resnet(f"decoder.up.{up}.block.{layer}", f"decoder.up_blocks.{level}.resnets.{layer}")
        if level < levels - 1:
            modules[f"encoder.down.{level}.downsample.conv"] = f"encoder.down_blocks.{level}.downsamplers.0.conv"
            modules[f"decoder.up.{up}.upsample.conv"] = f"decoder.up_blocks.{level}.upsamplers.0.conv"
    names = dict(_plain(modules).modules)
    for side in ("encoder", "decoder"):
        for a, b in VAE_ATTENTION.items():
            origin = f"{side}.mid.attn_1.{a}"
            if a != "norm":  # 1x1 convolutions, their weights only
                names[f"{side}.mid_block.attentions.0.{b}.weight"] = Origin(f"{origin}.weight", View.MATRIX)
    return Names(names)


def _vae_resnet(original: str, diffusers: str) -> dict[str, str]:
    return {f"{original}.{a}": f"{diffusers}.{b}" for a, b in VAE_RESNET.items()}


def _vae_middle(original: str, diffusers: str) -> Iterator[tuple[str, str]]:
    yield from _vae_resnet(f"{original}.block_1", f"{diffusers}.resnets.0").items()
    yield from _vae_resnet(f"{original}.block_2", f"{diffusers}.resnets.1").items()
    for a, b in VAE_ATTENTION.items():
        yield f"{original}.attn_1.{a}", f"{diffusers}.attentions.0.{b}"


def open_clip_names(layers: int) -> Names:
    """Of OpenCLIP's text tower: query, key and value in one tensor, the projection on its side."""
    names = {
        "embeddings.token_embedding": Origin("token_embedding"),
        "embeddings.position_embedding.weight": Origin("positional_embedding"),
        "final_layer_norm": Origin("ln_final"),
        "text_projection.weight": Origin("text_projection", View.TURNED),
    }
    for layer in range(layers):
        at, block = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        names |= {f"{at}.{b}": Origin(f"{block}.{a}") for a, b in OPEN_CLIP_LAYER.items()}
        for third, view in (("q", View.QUERY), ("k", View.KEY), ("v", View.VALUE)):
            for kind in ("weight", "bias"):
                names[f"{at}.self_attn.{third}_proj.{kind}"] = Origin(f"{block}.attn.in_proj_{kind}", view)
    return Names(names)
