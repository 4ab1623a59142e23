"""A picture in tiles: a network sees one at a time, and what it makes of them is put together, row by row.

Each tile is seen with a margin that is thrown away, as wide as the network looks; what is left of neighbours overlaps
by a few pixels and fades. So the result is the network's own, and only some rows of it are in memory at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.error import InvalidRequest

Levels = NDArray[np.float32]
"""(h, w, channels), 0 to 1."""
Enlarge = Callable[[Levels], Levels]
"""(h, w, c) -> (h * factor, w * factor, c)."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a picture is cut, in its own pixels."""

    side: int = 256
    """Of a tile, with its margin."""
    margin: int = 32
    """On each side: seen, and thrown away."""
    feather: int = 8
    """Over which neighbours fade into each other."""
    multiple: int = 1
    """Tiles begin and end at multiples of it: networks that look through windows see the same ones in every tile."""

    def __post_init__(self) -> None:
        if self.side - 2 * self.margin < 2 * self.feather or self.side < 1:
            least = 2 * (self.margin + self.feather)
            raise InvalidRequest(f"Tiles of {self.side} pixels are too small", fix=f"use {least} or more", field="tile")

    def count(self, width: int, height: int) -> int:
        """How many tiles a picture has."""
        return len(self.spans(width)) * len(self.spans(height))

    def spans(self, length: int) -> tuple["Span", ...]:
        """Where tiles lie along a side of `length` pixels."""
        if length <= self.side:
            return (Span(0, length, 0, length),)
        core, spans, start = self.side - 2 * self.margin, [], 0
        while True:
            end = min(start + core + (self.margin if start == 0 else 0), length)
            seen_from = max(0, start - self.margin) // self.multiple * self.multiple
            seen_to = min(length, -(-(end + self.margin) // self.multiple) * self.multiple)
            spans.append(Span(start, end, seen_from, seen_to))
            if end == length:
                return tuple(spans)
            start = end - self.feather


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one side: what counts of it, and what is seen."""

    start: int
    end: int
    seen_from: int
    seen_to: int

    @property
    def seen(self) -> slice:
        return slice(self.seen_from, self.seen_to)

    def counts(self, factor: int) -> slice:
        """Within what the network made of `seen`."""
        return slice((self.start - self.seen_from) * factor, (self.end - self.seen_from) * factor)

    def placed(self, factor: int) -> slice:
        """In the whole result."""
        return slice(self.start * factor, self.end * factor)


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows that are finished, from the top on; none while the tiles of a row are under way."""

    done: int
    """Tiles so far."""
    total: int
    rows: Levels | None = None


def enlarged(size: tuple[int, int], seen: Callable[[slice, slice], Levels], enlarge: Enlarge, factor: int,
             tiling: Tiling) -> Iterator[Strip]:  # fmt: skip
    """A picture of `size` (width, height) through `enlarge`; `seen`: (h, w, c) of some of its rows and columns."""
    width, height = size
    across, down = tiling.spans(width), tiling.spans(height)
    fades_across, fades_down = (_fades(spans, factor) for spans in (across, down))
    total, done, top = len(across) * len(down), 0, 0
    pending: Levels | None = None
    for number, row in enumerate(down):
        for column, fade in zip(across, fades_across, strict=True):
            tile = enlarge(seen(row.seen, column.seen))[row.counts(factor), column.counts(factor)]
            if pending is None or pending.shape[0] < row.end * factor - top:
                pending = _grown(pending, row.end * factor - top, width * factor, tile.shape[2])
            weights = fades_down[number][:, None, None] * fade[None, :, None]
            placed = row.placed(factor)
            pending[placed.start - top : placed.stop - top, column.placed(factor)] += tile * weights
            done += 1
            yield Strip(done, total)
        assert pending is not None
        ends = down[number + 1].start * factor if number + 1 < len(down) else height * factor
        yield Strip(done, total, pending[: ends - top])
        pending, top = pending[ends - top :].copy(), ends


def _grown(pending: Levels | None, rows: int, width: int, channels: int) -> Levels:
    grown = np.zeros((rows, width, channels), np.float32)
    if pending is not None:
        grown[: pending.shape[0]] = pending
    return grown


def _fades(spans: Sequence[Span], factor: int) -> list[NDArray[np.float32]]:
    """How much each span counts at each of its places, enlarged; all that lie on a place count 1 together."""
    fades = []
    for number, span in enumerate(spans):
        fade = np.ones((span.end - span.start) * factor, np.float32)
        if number:
            over = (spans[number - 1].end - span.start) * factor
            fade[:over] = (np.arange(over, dtype=np.float32) + 0.5) / over
        if number + 1 < len(spans):
            over = (span.end - spans[number + 1].start) * factor
            fade[-over:] = 1 - (np.arange(over, dtype=np.float32) + 0.5) / over
        fades.append(fade)
    return fades
