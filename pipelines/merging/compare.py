"""How far two models lie apart, block by block, from one pass over both."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch

from pipelines.core.blocks import VAE
from pipelines.core.recipe import Mix
from pipelines.merging.merge import slices
from pipelines.merging.plan import Step, plan
from pipelines.merging.sources import Source

Distances = Mapping[str, tuple[float, float]]


@dataclass
class _Sums:
    """Of a block, in fp64 over slices of fp32."""

    a: float = 0.0
    b: float = 0.0
    product: float = 0.0
    apart: float = 0.0

    def add(self, one: torch.Tensor, other: torch.Tensor) -> None:
        self.a += float(torch.dot(one, one))
        self.b += float(torch.dot(other, other))
        self.product += float(torch.dot(one, other))
        apart = other - one
        self.apart += float(torch.dot(apart, apart))

    @property
    def told(self) -> tuple[float, float]:
        """(|B - A| / |A|, cosine)"""
        length, both = math.sqrt(self.a), math.sqrt(self.a) * math.sqrt(self.b)
        return (math.sqrt(self.apart) / length if length else 0.0, self.product / both if both else 1.0)


@dataclass
class Comparison:
    """Of A and B. `run` it, then ask what was `found`."""

    a: Source
    b: Source
    _sums: dict[str, _Sums] = field(default_factory=dict)

    def run(self) -> Iterator[tuple[int, int]]:
        """(bytes read, bytes in all). Raises InvalidRequest for models of two families."""
        planned = plan(Mix(), (self.a, self.b))
        steps = [step for step in planned.steps if _is_compared(step)]
        self._sums = {name: _Sums() for name in planned.blocks.names}
        total, done = sum(step.nbytes for step in steps), 0
        for step in steps:
            if block := planned.blocks.of(step.name):
                for parts in zip(*(slices(weight) for weight in step.weights), strict=True):
                    self._sums[block].add(parts[0].float(), parts[1].float())
            done += step.nbytes
            yield done, total

    @property
    def found(self) -> Distances:
        """By block."""
        return {name: sums.told for name, sums in self._sums.items()}


def _is_compared(step: Step) -> bool:
    """Not the VAE's, nor a tensor that has other channels in each."""
    return step.is_mixed and not step.name.startswith(VAE) and len({weight.numel for weight in step.weights}) == 1
