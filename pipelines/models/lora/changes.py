"""LoRAs on a model: what becomes of each of its weights, the weights themselves staying as they are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from pipelines.core.blocks import Blocks
from pipelines.core.error import ModelUnusable
from pipelines.models.lora.adapters import Misfit, changed, lora_factors
from pipelines.models.lora.file import LoraFile, Module
from pipelines.models.lora.fit import READ, Fit
from pipelines.models.lora.names import Target
from pipelines.models.lora.strength import Strength
from pipelines.models.names import View
from pipelines.models.tensors import OpenTensors

BIASES = ("diff_bias", "norm_bias")
NOT_PLAIN = {"mid", "dora", "magnitude", *READ}
"""Parts beside up and down that make a LoRA more than their product."""
THIRDS = {View.QUERY: 0, View.KEY: 1, View.VALUE: 2}


@dataclass(frozen=True, slots=True)
class Change:
    """One module of one LoRA, at its strength."""

    lora: LoraFile
    tensors: OpenTensors
    module: Module
    target: Target
    strength: float

    def of(self, weight: Tensor) -> Tensor:
        """`weight`, in fp32 and as the module has it, changed. Raises ModelUnusable."""
        parts = {part: one for part, one in self._parts(weight.device).items() if part not in BIASES}
        return self._tried(lambda: changed(weight, parts, self.strength)) if set(parts) - {"alpha"} else weight

    def of_bias(self, bias: Tensor) -> Tensor:
        """The same of the bias."""
        for part in BIASES:
            if part in self.module.parts:
                own = self._parts(bias.device)[part]
                bias = self._tried(partial(_added, bias, own, self.strength))
        return bias

    def factors(self) -> tuple[Tensor, Tensor] | None:
        """(up, down) as matrices, scale and strength within up, where that is all it is."""
        if not {"up", "down"} <= self.module.parts.keys() or self.module.parts.keys() & NOT_PLAIN:
            return None
        up, down = lora_factors(self._parts(torch.device("cpu")))
        return up * self.strength, down

    @property
    def has_bias(self) -> bool:
        return any(part in self.module.parts for part in BIASES)

    def _parts(self, device: torch.device) -> dict[str, Tensor]:
        return parts_of(self.lora, self.tensors, self.module, device)

    def _tried(self, work: Callable[[], Tensor]) -> Tensor:
        try:
            return work()
        except (Misfit, RuntimeError) as error:  # torch says with a RuntimeError that shapes do not go together
            said = str(error) if isinstance(error, Misfit) else "has parts that do not fit each other"
            raise ModelUnusable(
                f"The LoRA {self.lora.name!r} {said}, at {self.module.name}", fix="use a LoRA for this kind of model",
                field="lora", detail=str(error),
            ) from error  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """Of several LoRAs, in the order given."""

    every: tuple[Change, ...]

    @cached_property
    def by_weight(self) -> dict[str, list[Change]]:
        """Original name of a weight or bias -> what changes it."""
        found: dict[str, list[Change]] = {}
        for change in self.every:
            found.setdefault(change.target.weight, []).append(change)
            if change.has_bias and change.target.bias:
                found.setdefault(change.target.bias, []).append(change)
        return found

    @cached_property
    def by_module(self) -> dict[tuple[str, int, str], list[Change]]:
        """(part, text encoder, module) -> what changes it."""
        found: dict[tuple[str, int, str], list[Change]] = {}
        for change in self.every:
            target = change.target
            found.setdefault((target.part, target.tower, target.module), []).append(change)
        return found

    def on_original(self, name: str, whole: Tensor) -> Tensor:
        """The tensor that the original calls `name`, in fp32, changed."""
        for change in self.by_weight.get(name, ()):
            is_bias = name == change.target.bias
            whole = _in_view(whole, change.target.view, change.of_bias if is_bias else change.of)
        return whole

    def on_rows(self, name: str, shape: tuple[int, ...]) -> "OnRows | None":
        """The same for some rows at a time, where plain products are all that is added; None where they are not."""
        rows, columns = shape[0], math.prod(shape[1:])
        found = []
        for change in self.by_weight.get(name, ()):
            factors = change.factors() if name == change.target.weight else None
            third = THIRDS.get(change.target.view)
            tall, first = (rows, 0) if third is None else (rows // 3, third * (rows // 3))
            if factors is None or change.target.view is View.TURNED:
                return None
            up, down = factors
            if (up.shape[0], up.shape[1], down.shape[1]) != (tall, down.shape[0], columns):
                return None
            found.append((first, up, down))
        return OnRows(tuple(found))


@dataclass(frozen=True, slots=True)
class OnRows:
    """Products that are added to a matrix, some rows at a time."""

    products: tuple[tuple[int, Tensor, Tensor], ...]
    """(the first row they are for, up, down)"""

    def add(self, numbers: Tensor, start: int) -> None:
        """Add what is for the rows from `start` on to `numbers`, (rows, columns) in fp32, in place."""
        stop = start + numbers.shape[0]
        for first, up, down in self.products:
            low, high = max(start, first), min(stop, first + up.shape[0])
            if low < high:
                numbers[low - start : high - start].addmm_(up[low - first : high - first], down)


def _added(bias: Tensor, own: Tensor, strength: float) -> Tensor:
    return bias + strength * own.reshape(bias.shape)


def _in_view(whole: Tensor, view: View, work: Callable[[Tensor], Tensor]) -> Tensor:
    if view in THIRDS:
        thirds = list(whole.chunk(3))
        thirds[THIRDS[view]] = work(thirds[THIRDS[view]])
        return torch.cat(thirds)
    return work(whole.T).T if view is View.TURNED else work(whole)


def changes_of(fits: Sequence[tuple[Fit, Strength]], blocks: Blocks) -> Changes:
    """What all of `fits` change, at their strengths; a strength of 0 changes nothing."""
    made = []
    for fitted, strength in fits:
        tensors = OpenTensors(fitted.lora.path, fitted.lora.header)
        for module, target in fitted.matched:
            amount = strength.at(target, blocks)
            if amount:
                made.append(Change(fitted.lora, tensors, module, target, amount))
    return Changes(tuple(made))


def parts_of(
    lora: LoraFile, tensors: OpenTensors, module: Module, device: torch.device | None = None
) -> dict[str, torch.Tensor]:
    """The parts of a module in fp32. Raises ModelUnusable for numbers that are none."""
    found = {part: tensors[name].to(device, torch.float32) for part, name in module.parts.items()}
    for part, tensor in found.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelUnusable(
                f"The LoRA {lora.name!r} holds numbers that are none, in {module.parts[part]}",
                fix="do not use it; download another", field="lora",
            )  # fmt: skip
    return found
