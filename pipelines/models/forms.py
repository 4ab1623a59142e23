"""A model in another form: a diffusers folder as one file, and the other way."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from torch import Tensor, nn

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family, Task
from pipelines.models.architecture import Architecture, TextNumbers, architectures
from pipelines.models.assemble import text_encoder_of, unet_of, vae_of
from pipelines.models.blueprint import Blueprint, Network
from pipelines.models.enlargers import EnlargerPlan
from pipelines.models.names import Names, View, open_clip_names, unet_names, vae_names
from pipelines.models.rounding import UNET_ROOT, VAE_ROOT, Rounding
from pipelines.models.tensors import OpenTensors
from pipelines.models.vocabulary import clip_tokenizer
from pipelines.models.writing import Planned

THIRDS = (View.QUERY, View.KEY, View.VALUE)


def folder_as_file(blueprint: Blueprint, rounding: Rounding) -> list[Planned]:
    """The tensors of a diffusers folder by their original names. Raises ModelUnusable for a model that enlarges."""
    _must_paint(blueprint)
    known = architectures()[blueprint.family]
    parts = [*_unet_parts(blueprint.unet), *_vae_parts(blueprint.vae)]
    for tower, text in zip(blueprint.towers, known.text_encoders, strict=True):
        encoder = text_encoder_of(
            tower.network.part, OpenTensors(tower.network.file, tower.network.header), projects=tower.projects
        )
        parts += _original(encoder, _text_names(text, encoder.config.num_hidden_layers), text.root)
    return [_planned(name, tensors, rounding) for name, tensors in parts]


def unet_as_original(unet: Network, rounding: Rounding) -> list[Planned]:
    """The tensors of a UNet by their original names, however its file spells them."""
    return [_planned(name, tensors, rounding) for name, tensors in _unet_parts(unet)]


def vae_as_original(vae: Network, rounding: Rounding) -> list[Planned]:
    """The tensors of a VAE by their original names."""
    return [_planned(name, tensors, rounding) for name, tensors in _vae_parts(vae)]


def _vae_parts(network: Network) -> Iterator[tuple[str, list[tuple[View, Tensor]]]]:
    vae = vae_of(network.part, OpenTensors(network.file, network.header))
    return _original(vae, vae_names(len(vae.config.block_out_channels), vae.config.layers_per_block), VAE_ROOT)


def _unet_parts(network: Network) -> Iterator[tuple[str, list[tuple[View, Tensor]]]]:
    unet = unet_of(network.part, OpenTensors(network.file, network.header))
    attends = ["CrossAttn" in kind for kind in unet.config.down_block_types]
    return _original(unet, unet_names(attends, unet.config.layers_per_block), UNET_ROOT)


def _text_names(text: TextNumbers, layers: int) -> Names | None:
    return None if text.root.endswith("text_model.") else open_clip_names(layers)


def _original(network: nn.Module, names: Names | None, root: str) -> Iterator[tuple[str, list[tuple[View, Tensor]]]]:
    """(original name, what it is made of)."""
    made: dict[str, list[tuple[View, Tensor]]] = {}
    for full, tensor in network.state_dict().items():
        name = full.removeprefix("text_model.")
        origin = names.origin(name) if names else None
        made.setdefault(root + (origin.name if origin else name), []).append(
            (origin.view if origin else View.WHOLE, tensor)
        )
    yield from made.items()


def _planned(name: str, parts: list[tuple[View, Tensor]], rounding: Rounding) -> Planned:
    in_order = [tensor for _, tensor in sorted(parts, key=lambda part: part[0].value)]
    view, first = parts[0][0], in_order[0]
    match view:
        case View.MATRIX:
            shape = (*first.shape, 1, 1)
        case View.TURNED:
            shape = tuple(reversed(first.shape))
        case _:
            shape = (first.shape[0] * len(in_order), *first.shape[1:])
    return Planned(name, rounding.of(name, first.dtype, len(shape)), shape, partial(_made, view, in_order))


def _made(view: View, parts: Sequence[Tensor]) -> Sequence[Tensor]:
    if view in THIRDS:
        return parts  # one below the other
    return (parts[0].T,) if view is View.TURNED else (parts[0],)


def write_as_folder(blueprint: Blueprint, rounding: Rounding, folder: Path) -> None:
    """Write `blueprint` as stock diffusers opens it; `folder` must be there and empty.

    Raises ModelUnusable for a model that enlarges: it has other parts.
    """
    _must_paint(blueprint)
    known = architectures()[blueprint.family]
    parts: dict[str, Any] = {
        "unet": unet_of(blueprint.unet.part, OpenTensors(blueprint.unet.file, blueprint.unet.header)),
        "vae": vae_of(blueprint.vae.part, OpenTensors(blueprint.vae.file, blueprint.vae.header)),
        "scheduler": EulerDiscreteScheduler.from_config(dict(blueprint.scheduler)),
        **_towers(blueprint, known),
    }
    if rounding.dtype is not None:
        for part in parts.values():
            if isinstance(part, nn.Module):
                nn.Module.to(part, rounding.dtype)
    _pipeline(blueprint)(**parts, **_silent(blueprint)).save_pretrained(folder)


def _towers(blueprint: Blueprint, known: Architecture) -> Mapping[str, Any]:
    """The text encoders and tokenizers under the names that the pipelines give them."""
    built = [
        text_encoder_of(
            tower.network.part, OpenTensors(tower.network.file, tower.network.header), projects=tower.projects
        )
        for tower in blueprint.towers
    ]
    tokenizers = [clip_tokenizer(pad=text.pad) for text in known.text_encoders]
    if blueprint.family is Family.SDXL_REFINER:
        built, tokenizers = [None, *built], [None, *tokenizers]
    names = ("text_encoder", "text_encoder_2"), ("tokenizer", "tokenizer_2")
    return dict(zip(names[0], built, strict=False)) | dict(zip(names[1], tokenizers, strict=False))


def _must_paint(blueprint: Blueprint) -> None:
    if isinstance(blueprint, EnlargerPlan):
        raise ModelUnusable(
            f"A model of the kind {blueprint.family} keeps its form", fix="use it as it is", field="model"
        )


def _pipeline(blueprint: Blueprint) -> Any:
    inpaints = blueprint.task is Task.INPAINTING
    match blueprint.family:
        case Family.SDXL:
            return StableDiffusionXLInpaintPipeline if inpaints else StableDiffusionXLPipeline
        case Family.SDXL_REFINER:
            return StableDiffusionXLImg2ImgPipeline
        case _:
            return StableDiffusionInpaintPipeline if inpaints else StableDiffusionPipeline


def _silent(blueprint: Blueprint) -> Mapping[str, Any]:
    """What the pipelines want to be told about parts that are not there."""
    if blueprint.family in (Family.SDXL, Family.SDXL_REFINER):
        return {"requires_aesthetics_score": True} if blueprint.family is Family.SDXL_REFINER else {}
    return {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
