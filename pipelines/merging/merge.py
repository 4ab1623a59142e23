"""The mixing itself, tensor by tensor and slice by slice: memory stays where it is, however large the models are.

Everything is computed in fp32 and rounded once.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipelines.core.blocks import VAE
from pipelines.core.error import ModelUnusable
from pipelines.core.recipe import Mix
from pipelines.merging.methods.cosines import LIKENESS, Scale, mixed_by, scale_of
from pipelines.merging.methods.described import GENERATOR
from pipelines.merging.methods.formulas import FORMULAS
from pipelines.merging.methods.sums import weighted_sum
from pipelines.merging.plan import Plan, Step, fits
from pipelines.merging.rebasin import Member, Unit, moves_of, order_of, units_of
from pipelines.merging.sources import Weight
from pipelines.models.lora.changes import Changes, OnRows
from pipelines.models.rounding import Rounding
from pipelines.models.writing import Planned

REBASIN = "rebasin"
SLICE = 1 << 18
"""Numbers at once: a slice of each model and of the result stay in a core's own cache."""


@dataclass
class Merge:
    """A plan that can be carried out."""

    mix: Mix
    plan: Plan
    rounding: Rounding
    changes: Changes | None = None
    """LoRAs, added to what was mixed."""
    _orders: dict[str, list[tuple[Member, Tensor]]] = field(default_factory=dict, repr=False)
    """Of re-basin: the order that each tensor of B is brought into."""
    _scale: Scale | None = field(default=None, repr=False)
    """Of the cosine merges, once the models were looked at."""

    @property
    def bytes_to_look_at(self) -> int:
        """Of methods that read the models twice: once to compare them."""
        if self.mix.method == REBASIN:
            return sum(sum(step.nbytes for step in steps) for _, steps in self._units())
        return sum(step.nbytes for step in self._compared()) if self.mix.method in LIKENESS else 0

    def look(self) -> Iterator[int]:
        """Read what must be known of the whole before any part is mixed, telling the bytes read."""
        if self.mix.method == REBASIN:
            yield from self._find_orders()
        elif self.mix.method in LIKENESS:
            yield from self._find_scale()

    def look_as(self, other: "Merge") -> bool:
        """Know what `other` found by looking at the same models; whether that is all there is to know."""
        if other.mix.method != self.mix.method:
            return self.bytes_to_look_at == 0
        self._orders, self._scale = other._orders, other._scale
        return True

    def made_of(self, step: Step) -> tuple[object, ...]:
        """What a tensor follows from, for models that stay the same: equal answers, equal tensors."""
        changes = self.changes.by_weight.get(step.name, ()) if self.changes else ()
        return (
            self.mix.method, tuple(sorted(step.values.items())), tuple(map(id, step.weights)), self._format(step),
            tuple((change.lora.path, change.module.name, change.strength) for change in changes),
        )  # fmt: skip

    def _find_orders(self) -> Iterator[int]:
        for unit, steps in self._units():
            a, b = ({step.name: _whole(step.weights[n], step) for step in steps} for n in (0, 1))
            for name, member, order in moves_of(unit, order_of(unit, a, b)):
                self._orders.setdefault(name, []).append((member, order))
            yield sum(step.nbytes for step in steps)

    def _units(self) -> Iterator[tuple[Unit, list[Step]]]:
        """What may be reordered, where both models have all of it."""
        mixed = {step.name: step for step in self.plan.steps if step.is_mixed}
        for unit in units_of(self.plan.first) if mixed else ():
            names = list(dict.fromkeys(member.name for track in unit.tracks for member in track))
            if all(name in mixed for name in names):
                yield unit, [mixed[name] for name in names]

    def _find_scale(self) -> Iterator[int]:
        likeness, found = LIKENESS[self.mix.method], []
        for step in self._compared():
            a, b = (_whole(weight, step) for weight in step.weights)
            found.append(likeness(a, b))
            yield step.nbytes
        self._scale = scale_of(found)

    def _compared(self) -> Iterable[Step]:
        """Not the VAE's, nor the one tensor that may have other channels in each."""
        mixed = (step for step in self.plan.steps if step.is_mixed and not step.name.startswith(VAE))
        return (step for step in mixed if len({weight.numel for weight in step.weights}) == 1)

    def planned(self) -> list[Planned]:
        """The tensors of the result, made when they are written. `look` comes first."""
        return [
            Planned(step.name, self._format(step), step.shape, partial(self._parts, step)) for step in self.plan.steps
        ]

    def _format(self, step: Step) -> torch.dtype:
        return self.rounding.of(step.name, step.weights[0].dtype, len(step.shape))

    def tensor(self, step: Step) -> Tensor:
        """One tensor of the result, rounded."""
        parts = [part.reshape(-1) for part in self._parts(step)]
        return torch.cat([*parts, torch.empty(0, dtype=self._format(step))]).reshape(step.shape)

    def _parts(self, step: Step) -> Iterator[Tensor]:
        """The numbers of the result in their order. Raises ModelUnusable for one that its format cannot hold."""
        dtype = self._format(step)
        in_slices = not step.is_mixed or (
            self.mix.described.pointwise and len({weight.numel for weight in step.weights}) == 1
        )
        if self.changes and step.name in self.changes.by_weight:
            rows = self.changes.on_rows(step.name, step.shape) if in_slices else None
            yield from self._changed_in_slices(step, rows, dtype) if rows else self._changed_whole(step, dtype)
        elif in_slices:
            for parts in zip(*(slices(weight) for weight in step.weights), strict=True):
                as_it_is = not step.is_mixed and parts[0].dtype == dtype
                yield parts[0] if as_it_is else _rounded(self._mixed_slice(parts, step), dtype, step.name)
        else:
            yield _rounded(self._mixed_whole(step), dtype, step.name)

    def _changed_whole(self, step: Step, dtype: torch.dtype) -> Iterator[Tensor]:
        assert self.changes
        whole = self._mixed_whole(step) if step.is_mixed else step.weights[0].whole().float()
        yield _rounded(self.changes.on_original(step.name, whole), dtype, step.name)

    def _changed_in_slices(self, step: Step, rows: OnRows, dtype: torch.dtype) -> Iterator[Tensor]:
        """Of some rows each: whole matrices of fp32 would leave the core's cache, several times over."""
        row = math.prod(step.shape[1:])
        at_once = max(1, SLICE // row)
        by_rows = (slices(weight, at_once * row) for weight in step.weights)
        for number, parts in enumerate(zip(*by_rows, strict=True)):
            numbers = self._mixed_slice(parts, step)
            rows.add(numbers.view(-1, row), number * at_once)
            yield _rounded(numbers, dtype, step.name)

    def _mixed_slice(self, parts: tuple[Tensor, ...], step: Step) -> Tensor:
        """In fp32, in memory of its own unless it is one part that already is in fp32."""
        wide = [part.float() for part in parts]
        return self._mixed(wide, step) if step.is_mixed else wide[0]

    def _mixed_whole(self, step: Step) -> Tensor:
        tensors = [_whole(weight, step) for weight in step.weights]
        shared = [fits(step.name, step.shape, weight.shape) for weight in step.weights]
        channels = min((number for number in shared if number is not None and number >= 0), default=None)
        if channels is None:
            return self._mixed([one.reshape(step.shape) for one in tensors], step)
        mixed = tensors[0].clone()
        mixed[:, :channels] = self._mixed([one[:, :channels] for one in tensors], step)
        return mixed

    def _mixed(self, tensors: list[Tensor], step: Step) -> Tensor:
        if self._scale is not None:
            likeness = LIKENESS[self.mix.method](*tensors)
            return mixed_by(likeness, tensors[0], tensors[1], self._scale, _number(step.values["alpha"]))
        if self.mix.method == REBASIN:
            for member, order in self._orders.get(step.name, ()):
                tensors[1] = member.put(tensors[1], order)
            return weighted_sum(*tensors, alpha=_number(step.values["alpha"]))
        return FORMULAS[self.mix.method](*tensors, **self._arguments(step))

    def _arguments(self, step: Step) -> Mapping[str, Any]:
        """What the formula is called with."""
        method, values = self.mix.described, dict(step.values)
        models = len(step.weights) - method.needs_base
        for parameter in method.parameters:
            value = values[parameter.key]
            if parameter.per_model and not isinstance(value, tuple):
                values[parameter.key] = (value,) * models
        if not method.random:
            return values
        generator = _generator(_number(values.pop("seed")), step.name)
        return {**values, GENERATOR: generator}


def _generator(seed: float, name: str) -> torch.Generator:
    """Each tensor draws lots of its own: what comes out does not depend on which was mixed before."""
    digest = hashlib.sha256(f"{seed:.0f}\0{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def slices(weight: Weight, size: int = SLICE) -> Iterator[Tensor]:
    """Its numbers, so many at once."""
    for start in range(0, weight.numel, size):
        yield weight.read(start, min(start + size, weight.numel))


def _whole(weight: Weight, step: Step) -> Tensor:
    """In fp32; a 1x1 convolution in the shape that the result has."""
    whole = weight.whole().float()
    return whole.reshape(step.shape) if whole.numel() == torch.Size(step.shape).numel() else whole


def _number(value: float | tuple[float, ...]) -> float:
    assert not isinstance(value, tuple)
    return value


def _rounded(numbers: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    """Raises ModelUnusable for a number that the format cannot hold, and for one that is none already."""
    rounded = numbers.to(dtype)
    wide = rounded.float() if dtype.itemsize == 1 else rounded
    if not math.isfinite(wide.sum(dtype=torch.float32)) and not wide.isfinite().all():
        raise ModelUnusable(
            f"The result is not finite at {name}", fix="use smaller weights, or write it as bf16 or fp32",
            field="dtype",
        )  # fmt: skip
    return rounded
