"""LoRAs on a loaded model for the time of one job. The model's own weights are never touched: they step aside."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.core.blocks import blocks_of
from pipelines.core.placement import Phase
from pipelines.models.loading import LoadedModel
from pipelines.models.lora.changes import Change, changes_of
from pipelines.models.lora.file import LoraFile
from pipelines.models.lora.fit import Fit, Model, fit
from pipelines.models.lora.names import Part, Target, every_name, targets
from pipelines.models.lora.strength import Strength
from pipelines.models.memory import watched
from pipelines.models.recall import Recall

Chosen = Sequence[tuple[LoraFile, Strength]]


def fitted(model: LoadedModel, loras: Chosen) -> list[tuple[Fit, Strength]]:
    """How each fits the model. Raises ModelUnusable for one that does not."""
    if not loras:
        return []
    family = model.info.family
    table = targets(set(every_name(family)), family) if family else {}
    there = {target: module for target in dict.fromkeys(table.values()) if (module := _module(model, target))}
    known = Model(
        model.info.name, family, {name: target for name, target in table.items() if target in there},
        {target: tuple(module.weight.shape) for target, module in there.items()},
    )  # fmt: skip
    return [(fit(lora, known), strength) for lora, strength in loras]


@contextmanager
def applied(model: LoadedModel, fits: Sequence[tuple[Fit, Strength]]) -> Iterator[None]:
    """`model` with the LoRAs added, in their order; afterwards it is, bit for bit, what it was.

    Each changed weight is computed in fp32 from the file's own and kept in the format that the model computes in.
    Raises ModelUnusable, RanOut.
    """
    if not fits:
        yield
        return
    aside: list[tuple[nn.Module, str, nn.Parameter]] = []
    recall = model.recall
    try:
        with watched(Phase.LOADING), torch.inference_mode(mode=False), torch.no_grad():
            for (part, tower, name), several in changes_of(fits, blocks_of(model.info.family)).by_module.items():
                module = _inside(model, Part(part), tower).get_submodule(name)
                aside += _step_aside(module, several, model)
        model.recall = Recall()  # texts are read otherwise now
        yield
    finally:
        model.recall = recall
        for module, name, weight in reversed(aside):
            setattr(module, name, weight)


def _step_aside(
    module: nn.Module, several: Sequence[Change], model: LoadedModel
) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Put changed weights into `module`, telling of those that were there."""
    work = {"weight": _all(several, Change.of)}
    if any(change.has_bias for change in several) and getattr(module, "bias", None) is not None:
        work["bias"] = _all(several, Change.of_bias)
    for name, change in work.items():
        own: nn.Parameter = getattr(module, name)
        changed = change(own.detach().to(torch.float32)).to(model.device, model.dtype)
        setattr(module, name, nn.Parameter(changed, requires_grad=False))
        yield module, name, own


def _all(several: Sequence[Change], change: Any) -> Any:
    def one_after_the_other(weight: Tensor) -> Tensor:
        for one in several:
            weight = change(one, weight)
        return weight

    return one_after_the_other


def _module(model: LoadedModel, target: Target) -> Any:
    """The module that is meant, if the model has it."""
    network = _inside(model, target.part, target.tower)
    if network is None:
        return None
    module: Any = network
    for step in target.module.split("."):
        module = getattr(module, step, None)
        if module is None:
            return None
    return module if getattr(module, "weight", None) is not None else None


def _inside(model: LoadedModel, part: Part, tower: int) -> Any:
    """The network that names begin below."""
    if part is Part.UNET:
        return model.unet
    if tower >= len(model.towers):
        return None
    encoder = model.towers[tower].encoder
    return encoder if hasattr(encoder, "text_model") else _AsTextModel(encoder)


class _AsTextModel:
    """transformers 5 names the layers of a text encoder without `text_model`, which every LoRA has."""

    def __init__(self, encoder: nn.Module) -> None:
        self.text_model = encoder

    def get_submodule(self, name: str) -> nn.Module:
        return self.text_model.get_submodule(name.removeprefix("text_model."))
