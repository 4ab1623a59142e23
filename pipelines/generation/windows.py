"""Windows over a picture that is larger than the network can see: MultiDiffusion (Bar-Tal et al. 2023).

At every look of the solver the network sees one window after another, and what it sees is averaged where they overlap
(algorithm 1 there, for x0). Solver, noise and levels are those of the whole picture: only looking is done in parts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window lies, in latents; the right and lower edges are outside."""

    top: int
    left: int
    bottom: int
    right: int

    def part(self, scale: int = 1) -> tuple[slice, slice]:
        """Its rows and columns of (h * scale, w * scale)."""
        return slice(self.top * scale, self.bottom * scale), slice(self.left * scale, self.right * scale)

    def cut(self, whole: Tensor, scale: int = 1) -> Tensor:
        """What lies in it of `whole` (..., h * scale, w * scale)."""
        return whole[..., *self.part(scale)]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one size, evenly spread; the first and the last ones lie flush with the picture's edges."""

    height: int
    """Of one, in latents. Any side works: a UNet fits odd ones together by itself."""
    width: int
    overlap: float = 0.25
    """Of neighbours at least, as a share of a window's side; below 1."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of all windows over (h, w) latents: no larger than those."""
        return min(self.height, height), min(self.width, width)

    def places(self, height: int, width: int) -> tuple[Place, ...]:
        """Those that cover (h, w) latents, row by row; only one where the picture is no larger than a window."""
        high, wide = self.size(height, width)
        rows, columns = self.starts(height, width)
        return tuple(Place(top, left, top + high, left + wide) for top in rows for left in columns)

    def starts(self, height: int, width: int) -> tuple[list[int], list[int]]:
        """The rows and the columns where windows begin."""
        high, wide = self.size(height, width)
        return _spread(height, high, self.overlap), _spread(width, wide, self.overlap)

    def fades(self, height: int, width: int, scale: int = 1) -> tuple[Tensor, Tensor]:
        """(high * scale,) and (wide * scale,): how much a window counts at each of its rows, and of its columns."""
        sides, starts = self.size(height, width), self.starts(height, width)
        down, across = (_faded(side, one, scale) for side, one in zip(sides, starts, strict=True))
        return down, across

    def edges(self, height: int, width: int) -> tuple[list[int], list[int]]:
        """Columns and rows, in latents, where a window begins or ends within the picture: where a seam could be."""
        places = self.places(height, width)
        columns = {side for place in places for side in (place.left, place.right)} - {0, width}
        rows = {side for place in places for side in (place.top, place.bottom)} - {0, height}
        return sorted(columns), sorted(rows)


def _spread(length: int, side: int, overlap: float) -> list[int]:
    """Where windows of `side` begin along `length`."""
    stride = max(1, math.floor(side * (1 - overlap)))
    more = math.ceil((length - side) / stride)
    return [round(number * (length - side) / more) for number in range(more + 1)] if more else [0]


def _faded(side: int, starts: Sequence[int], scale: int) -> Tensor:
    """(side * scale,): 1, but less and less, and never 0, where it meets its neighbours.

    Straight over the whole of the least overlap: no other fade has smaller steps from one place to the next.
    """
    overlap = side - max((b - a for a, b in pairwise(starts)), default=side)
    ramp = max(1, min(overlap, side // 2)) * scale
    at = (torch.arange(side * scale, dtype=torch.float32) + 0.5) / ramp
    return torch.minimum(at, at.flip(0)).clamp(max=1)


class Blend:
    """Windows put together: each counts fully in its middle and fades towards its edges, never to nothing."""

    def __init__(self, shape: Sequence[int], windows: Windows, device: torch.device) -> None:
        """`shape`: (n, c, h, w) of the whole, float32."""
        self._total = torch.zeros(tuple(shape), device=device)
        self._weight = torch.zeros(tuple(shape[-2:]), device=device)
        down, across = windows.fades(shape[-2], shape[-1])
        self._mask = (down[:, None] * across[None]).to(device)

    def add(self, place: Place, seen: Tensor) -> None:
        """`seen`: (n, c, high, wide) float32 of one window."""
        self._total[..., *place.part()] += seen * self._mask
        self._weight[place.part()] += self._mask

    def whole(self, otherwise: Tensor | None = None) -> Tensor:
        """(n, c, h, w): all windows so far, each place their weighted mean; `otherwise` where there is none yet."""
        mean = self._total / self._weight.clamp(min=torch.finfo(torch.float32).tiny)
        return mean if otherwise is None else torch.where(self._weight > 0, mean, otherwise)


def smooth(latents: Tensor, sigma: float) -> Tensor:
    """Through a Gaussian, cut off at three sigma; the edges are repeated."""
    reach = math.ceil(3 * sigma)
    at = torch.arange(-reach, reach + 1, dtype=torch.float32, device=latents.device)
    weights = torch.exp(-at.square() / (2 * sigma * sigma))
    weights = weights / weights.sum()
    for kernel, pad in ((weights[:, None], (0, 0, reach, reach)), (weights[None, :], (reach, reach, 0, 0))):
        wider = torch.nn.functional.pad(latents, pad, mode="replicate")
        each = kernel.expand(latents.shape[1], 1, *kernel.shape)
        latents = torch.nn.functional.conv2d(wider, each, groups=latents.shape[1])
    return latents
