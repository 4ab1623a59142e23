"""How a network must be built so that a file's tensors fit: sizes from the shapes, all else from its family's numbers.

The numbers stand in `presets/architectures/`, taken from the configs their authors published. No torch here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from pipelines.core.model import Family
from pipelines.core.presets import PRESETS
from pipelines.models.headers import TensorEntry
from pipelines.models.names import Names, Origin, View, open_clip_names, unet_names, vae_names
from pipelines.models.recognise import Found

ARCHITECTURES = PRESETS / "architectures"
TOKENS = 77
"""A chunk of CLIP: the beginning, 75 of the text, the end."""
CLIP_HEAD = 64
"""Width of a head in every CLIP that Stable Diffusion uses."""

Tensors = Mapping[str, TensorEntry]


class Shapeless(ValueError):
    """A network lacks a tensor that tells its size; the text names it."""


class TextNumbers(BaseModel):
    """What shapes do not tell of a text encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: str
    pad: str
    """The token that fills a chunk."""
    root: str
    """Where it stands in a single file."""
    layers_left_out: int = 0
    """Of the last ones: SD 2.x was trained on the last but one."""
    projects: bool = False
    """Whether its summary of the whole text is used too."""


class Architecture(BaseModel):
    """What shapes do not tell of a family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family
    native_size: int
    heads: int | None = None
    """Attention heads at every level; or else ..."""
    head_width: int | None = None
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoders: tuple[TextNumbers, ...]
    scheduler: Mapping[str, Any]
    low_res_scheduler: Mapping[str, Any] = {}
    """Of a model that enlarges: by it noise is added to the picture the network is shown."""

    @model_validator(mode="after")
    def _heads_are_known(self) -> Self:
        if (self.heads is None) == (self.head_width is None):
            raise ValueError("give either heads or head_width")
        return self


@cache
def architectures() -> Mapping[Family, Architecture]:
    """The families whose numbers are known."""
    found = (Architecture.model_validate_json(file.read_bytes()) for file in sorted(ARCHITECTURES.glob("*.json")))
    return {architecture.family: architecture for architecture in found}


@dataclass(frozen=True, slots=True)
class Part:
    """A network in a file: how to build it, and where each of its tensors is."""

    config: Mapping[str, Any]
    """As diffusers or transformers spell it."""
    origin: Callable[[str], Origin | None]
    """Of diffusers' name for a tensor: where it is in the file."""
    root: str = ""
    """How the names of its tensors begin there."""

    def but(self, config: Mapping[str, Any]) -> "Part":
        """The same, with `config` instead of what its own says there."""
        return replace(self, config={**self.config, **config})


@dataclass(frozen=True, slots=True)
class _Reader:
    """Shapes by diffusers' names, whatever the file calls them."""

    tensors: Tensors
    root: str
    names: Names | None
    """None: the file uses diffusers' names."""

    def origin(self, name: str) -> Origin | None:
        found = Origin(name) if self.names is None else self.names.origin(name)
        return Origin(self.root + found.name, found.view) if found else None

    def has(self, name: str) -> bool:
        origin = self.origin(name)
        return origin is not None and origin.name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        origin = self.origin(name)
        entry = self.tensors.get(origin.name) if origin else None
        if entry is None:
            raise Shapeless(origin.name if origin else name)
        return entry.shape[::-1] if origin and origin.view is View.TURNED else entry.shape

    def count(self, name: Callable[[int], str]) -> int:
        """How many of `name(0)`, `name(1)`, ... there are."""
        number = 0
        while self.has(name(number)):
            number += 1
        return number


def unet_part(tensors: Tensors, found: Found, numbers: Architecture) -> Part:
    """The UNet that `found` names. Raises Shapeless."""
    reader = _Reader(tensors, found.root, _unet_names(tensors, found.root))
    levels = reader.count(lambda level: f"down_blocks.{level}.resnets.0.conv1.weight")
    widths = [reader.shape(f"down_blocks.{level}.resnets.0.conv2.weight")[0] for level in range(levels)]
    layers = reader.count(lambda layer: f"down_blocks.0.resnets.{layer}.conv1.weight")
    attends = [reader.has(f"down_blocks.{level}.attentions.0.proj_in.weight") for level in range(levels)]
    middle = "mid_block.attentions.0"
    deepest = reader.count(lambda n: f"{middle}.transformer_blocks.{n}.norm1.weight")
    depths = [
        reader.count(lambda n, at=level: f"down_blocks.{at}.attentions.0.transformer_blocks.{n}.norm1.weight")  # type: ignore[misc]
        if attending
        else deepest  # of the last level: as deep as the middle, which diffusers builds like it
        for level, attending in enumerate(attends)
    ]
    first = reader.shape("conv_in.weight")
    config = {
        "in_channels": first[1],
        "out_channels": reader.shape("conv_out.weight")[0],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["CrossAttnDownBlock2D" if attending else "DownBlock2D" for attending in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if attending else "UpBlock2D" for attending in reversed(attends)],
        "cross_attention_dim": reader.shape(f"{middle}.transformer_blocks.0.attn2.to_k.weight")[1],
        "transformer_layers_per_block": depths,
        "use_linear_projection": len(reader.shape(f"{middle}.proj_in.weight")) == 2,
        # diffusers' name for the number of heads, kept for its first models' sake
        "attention_head_dim": [width // numbers.head_width for width in widths]
        if numbers.head_width
        else numbers.heads,
        "sample_size": numbers.native_size // 8,
        **numbers.unet,
    }
    if reader.has("class_embedding.weight"):
        config["num_class_embeds"] = reader.shape("class_embedding.weight")[0]
    if reader.has("add_embedding.linear_1.weight"):
        config["projection_class_embeddings_input_dim"] = reader.shape("add_embedding.linear_1.weight")[1]
    return Part(config, reader.origin, found.root)


def _unet_names(tensors: Tensors, root: str) -> Names | None:
    if f"{root}conv_in.weight" in tensors:
        return None
    blocks = 1
    while f"{root}input_blocks.{blocks}.0.in_layers.0.weight" in tensors:
        blocks += 1  # at the first that is no resnet: the downsampler, or the end
    layers, levels = blocks - 1, 1
    while f"{root}input_blocks.{levels * (layers + 1)}.0.op.weight" in tensors:
        levels += 1
    attends = [f"{root}input_blocks.{n * (layers + 1) + 1}.1.proj_in.weight" in tensors for n in range(levels)]
    return unet_names(attends, layers)


def vae_part(tensors: Tensors, found: Found, numbers: Architecture) -> Part:
    """The autoencoder that `found` names. Raises Shapeless."""
    original = f"{found.root}decoder.mid.block_1.norm1.weight" in tensors
    levels = layers = 0
    while f"{found.root}encoder.down.{levels}.block.0.conv1.weight" in tensors:
        levels += 1
    while f"{found.root}encoder.down.0.block.{layers}.conv1.weight" in tensors:
        layers += 1
    reader = _Reader(tensors, found.root, vae_names(levels, layers) if original else None)
    levels = reader.count(lambda level: f"encoder.down_blocks.{level}.resnets.0.conv1.weight")
    config = {
        "block_out_channels": [
            reader.shape(f"encoder.down_blocks.{level}.resnets.0.conv2.weight")[0] for level in range(levels)
        ],
        "layers_per_block": reader.count(lambda layer: f"encoder.down_blocks.0.resnets.{layer}.conv1.weight"),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "latent_channels": reader.shape("decoder.conv_in.weight")[1],
        "sample_size": numbers.native_size,
        **numbers.vae,
    }
    return Part(config, reader.origin, found.root)


def text_part(tensors: Tensors, found: Found, numbers: TextNumbers) -> Part:
    """The CLIP text tower that `found` names. Raises Shapeless."""
    root = found.root
    if f"{root}token_embedding.weight" in tensors:
        blocks = 0
        while f"{root}transformer.resblocks.{blocks}.ln_1.weight" in tensors:
            blocks += 1
        reader = _Reader(tensors, root, open_clip_names(blocks))
    else:
        root += "text_model." if f"{root}text_model.embeddings.token_embedding.weight" in tensors else ""
        reader = _Reader(tensors, root, None)
    words, width = reader.shape("embeddings.token_embedding.weight")
    layers = reader.count(lambda layer: f"encoder.layers.{layer}.layer_norm1.weight")
    config = {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": reader.shape("encoder.layers.0.mlp.fc1.weight")[0],
        "num_hidden_layers": layers - numbers.layers_left_out,
        "num_attention_heads": max(width // CLIP_HEAD, 1),
        "max_position_embeddings": TOKENS,
        "hidden_act": numbers.activation,
        "projection_dim": reader.shape("text_projection.weight")[0] if numbers.projects else width,
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
    }
    return Part(config, reader.origin, root)
