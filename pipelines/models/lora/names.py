"""Where each part of a LoRA belongs: every spelling of a module's name, and the weight of the model it means.

Spellings cannot be taken apart (`to_out_0` may be `to_out.0` or `to.out.0`), so the table is built from the model: all
of its weights, each by all the names that trainers give it. kohya's names are diffusers' or the original's with
underscores; PEFT's have dots; SDXL's two text encoders are `te1` and `te2`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipelines.core.model import Family
from pipelines.models.architecture import architectures
from pipelines.models.names import Names, View, open_clip_names, unet_names

UNET_ROOT = "model.diffusion_model."
TEXT_MODEL = "text_model."
PROJECTION = "text_projection"
"""Beside the text model, not below it."""
LAYERS = 2
"""Resnets of a level on the way down, in every Stable Diffusion."""


class Part(StrEnum):
    """What a strength is given for."""

    UNET = "unet"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Target:
    """A module of the model that may be changed."""

    part: Part
    tower: int
    """Which text encoder, from 0; 0 for the UNet."""
    module: str
    """diffusers' or transformers' name, below the network."""
    weight: str
    """The original's name of its weight."""
    bias: str | None
    """... and of its bias, if it has one."""
    view: View
    """How its weight lies in the original's."""


def targets(names: Collection[str], family: Family) -> Mapping[str, Target]:
    """Spelled name -> module, for a model whose tensors the original calls `names`."""
    found: dict[str, Target] = {}
    for target in (*_of_unet(names), *_of_towers(names, family)):
        for spelling in _spellings(target, family):
            found.setdefault(spelling, target)
    return found


def _of_unet(names: Collection[str]) -> Iterator[Target]:
    inner = {name.removeprefix(UNET_ROOT) for name in names if name.startswith(UNET_ROOT)}
    yield from _modules(inner, _unet_table(inner), UNET_ROOT, Part.UNET, 0)


def _unet_table(inner: Collection[str]) -> Names:
    blocks = 0
    while any(name.startswith(f"input_blocks.{blocks}.") for name in inner):
        blocks += 1
    levels = blocks // (LAYERS + 1)
    attends = [
        any(name.startswith(f"input_blocks.{level * (LAYERS + 1) + 1}.1.") for name in inner) for level in range(levels)
    ]
    return unet_names(attends, LAYERS)


def _of_towers(names: Collection[str], family: Family) -> Iterator[Target]:
    known = architectures().get(family)
    for number, text in enumerate(known.text_encoders if known else ()):
        inner = {name.removeprefix(text.root) for name in names if name.startswith(text.root)}
        if text.root.endswith(TEXT_MODEL):
            yield from _modules(inner, None, text.root, Part.TEXT, number)
            continue
        layers = 0
        while any(name.startswith(f"transformer.resblocks.{layers}.") for name in inner):
            layers += 1
        yield from _modules(inner, open_clip_names(layers), text.root, Part.TEXT, number)


def _modules(inner: Collection[str], table: Names | None, root: str, part: Part, tower: int) -> Iterator[Target]:
    """The modules whose weights are among `inner`, the names below `root`."""
    for module, weight, bias, view in _pairs(inner, table):
        if weight in inner:
            below = f"{TEXT_MODEL}{module}" if part is Part.TEXT and module != PROJECTION else module
            yield Target(part, tower, below, root + weight, root + bias if bias in inner else None, view)


def _pairs(inner: Collection[str], table: Names | None) -> Iterator[tuple[str, str, str, View]]:
    """(module, original weight, original bias, view)"""
    if table is None:
        for name in sorted(inner):
            if name.endswith(".weight"):
                module = name.removesuffix(".weight")
                yield module, name, f"{module}.bias", View.WHOLE
        return
    spelled = {origin.name: module for module, origin in table.modules.items() if not module.endswith(ENDS)}
    for name in sorted(inner):
        if name.endswith(".weight") and (own := _respelled(name.removesuffix(".weight"), spelled)):
            yield own, name, f"{name.removesuffix('.weight')}.bias", View.WHOLE
    for module, origin in table.modules.items():
        if module.endswith(".weight") and origin.view is not View.WHOLE:
            beside = table.modules.get(f"{module.removesuffix('.weight')}.bias")
            yield module.removesuffix(".weight"), origin.name, beside.name if beside else "", origin.view


ENDS = (".weight", ".bias")


def _respelled(original: str, spelled: Mapping[str, str]) -> str | None:
    """diffusers' name of a module that the original calls so."""
    at = len(original)
    while at > 0:
        if (module := spelled.get(original[:at])) is not None:
            return module + original[at:]
        at = original.rfind(".", 0, at)
    return None


def _spellings(target: Target, family: Family) -> Iterator[str]:
    """Everything that trainers call it, without what follows the module's name."""
    flat = target.module.replace(".", "_")
    if target.part is Part.UNET:
        original = target.weight.removeprefix(UNET_ROOT).removesuffix(".weight")
        for name in (target.module, original):
            under = name.replace(".", "_")
            yield from (f"lora_unet_{under}", f"lycoris_unet_{under}", f"lycoris_{under}")
            yield from (f"unet.{name}", f"base_model.model.unet.{name}", f"diffusion_model.{name}")
            yield from (f"base_model.model.{name}", f"{UNET_ROOT}{name}", name)
        return
    two = family is Family.SDXL
    number = target.tower + 1
    peft = "text_encoder_2" if target.tower or family is Family.SDXL_REFINER else "text_encoder"
    prefixes = [f"lora_te{number}_", f"lycoris_te{number}_"] if two else ["lora_te_", "lora_te1_", "lycoris_te_"]
    if family is Family.SDXL_REFINER:
        prefixes.append("lora_te2_")
    yield from (f"{prefix}{flat}" for prefix in prefixes)
    yield from (f"{peft}.{target.module}", f"base_model.model.{peft}.{target.module}")
    if not two:
        yield f"lycoris_text_encoder_{flat}"


ATTENTION = ("norm", "proj_in", "proj_out")
TRANSFORMER = (
    *(f"attn{n}.{side}" for n in (1, 2) for side in ("to_q", "to_k", "to_v", "to_out.0")), "ff.net.0.proj", "ff.net.2",
    "norm1", "norm2", "norm3",
)  # fmt: skip
CLIP_LAYER = (
    *(f"self_attn.{side}_proj" for side in ("q", "k", "v", "out")), "mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2",
)  # fmt: skip
DEEPEST, MOST_LAYERS = 10, 32
"""Transformer blocks of SDXL's lowest level, and layers of the largest text encoder."""
ATTENDS: Mapping[Family, tuple[bool, ...]] = {
    Family.SD1: (True, True, True, False),
    Family.SD2: (True, True, True, False),
    Family.SDXL: (False, True, True),
    Family.SDXL_REFINER: (False, True, True, False),
}


def every_name(family: Family) -> Iterator[str]:
    """Weights that a model of `family` has, or could have, where there is no model to ask."""
    for module, origin in unet_names(ATTENDS[family], LAYERS).modules.items():
        at = UNET_ROOT + origin.name
        if "attentions" not in module:
            yield f"{at}.weight"
            yield f"{at}.bias"
            continue
        inner = (*ATTENTION, *(f"transformer_blocks.{n}.{part}" for n in range(DEEPEST) for part in TRANSFORMER))
        yield from (f"{at}.{part}.{end}" for part in inner for end in ("weight", "bias"))
    for text in architectures()[family].text_encoders:
        yield from (text.root + name for name in _tower_names(of_openai=text.root.endswith(TEXT_MODEL)))


def _tower_names(*, of_openai: bool) -> Iterator[str]:
    if of_openai:
        layers = (f"encoder.layers.{n}.{part}" for n in range(MOST_LAYERS) for part in CLIP_LAYER)
        yield from (f"{part}.{end}" for part in (*layers, "final_layer_norm") for end in ("weight", "bias"))
        return
    for module, origin in open_clip_names(MOST_LAYERS).modules.items():
        if origin.view is View.WHOLE and not module.endswith(ENDS):
            yield f"{origin.name}.weight"
            yield f"{origin.name}.bias"
        else:
            yield origin.name


def written(target: Target, family: Family) -> str:
    """What kohya's trainer calls it: the original's names for SDXL, diffusers' for the others."""
    if target.part is Part.UNET:
        original = target.weight.removeprefix(UNET_ROOT).removesuffix(".weight")
        module = original if family in {Family.SDXL, Family.SDXL_REFINER} else target.module
        return f"lora_unet_{module.replace('.', '_')}"
    prefix = "lora_te" if family in {Family.SD1, Family.SD2} else f"lora_te{target.tower + 1}"
    if family is Family.SDXL_REFINER:
        prefix = "lora_te2"
    return f"{prefix}_{target.module.replace('.', '_')}"
