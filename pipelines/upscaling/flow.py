"""A picture on its way from the source to the file: bands of rows, from the top on.

Whatever is done to it takes bands and gives bands, so that no more than some rows of a large picture are in memory.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from pipelines.core.event import Event
from pipelines.core.upscale import Resampler
from pipelines.upscaling.tiles import Enlarge, Levels, Tiling, enlarged

Flow = Iterator[Levels | Event | None]
"""Rows; what else is to be told; or None: a tile is done, and its rows are not complete yet."""
Seen = Callable[[slice, slice], Levels]
"""Rows and columns -> (h, w, c) of them."""
Size = tuple[int, int]
"""Width and height."""

BAND = 128
"""Rows of a resized picture that are made together."""
FILTERS = {Resampler.LANCZOS: Image.Resampling.LANCZOS, Resampler.BICUBIC: Image.Resampling.BICUBIC}
REACH = {Resampler.LANCZOS: 3.0, Resampler.BICUBIC: 2.0, Resampler.NEAREST: 1.0}
"""How far a filter looks, in pixels of the coarser picture."""


def through(enlarge: Enlarge, factor: int, seen: Seen, size: Size, tiling: Tiling) -> Flow:
    """What a network makes of a picture of `size`."""
    for strip in enlarged(size, seen, enlarge, factor, tiling):
        yield strip.rows


def plain(seen: Seen, before: Size, after: Size, resampler: Resampler, first: int = 0) -> Iterator[Levels]:
    """A picture resized, from row `first` of the result on; the same as if it were resized whole."""
    for top in range(first, after[1], BAND):
        bottom = min(top + BAND, after[1])
        rows = _wanted(top, bottom, before[1], after[1], resampler)
        yield _resized(seen(rows, slice(0, before[0])), rows.start, (top, bottom), before, after, resampler)


def resized(flow: Flow, before: Size, after: Size, resampler: Resampler) -> Flow:
    """The same of a picture that comes band by band; the bands that leave are of `BAND` rows."""
    held: Levels | None = None
    start, top = 0, 0
    for rows in flow:
        if not isinstance(rows, np.ndarray):
            yield rows
            continue
        held = rows[:0] if held is None else held
        for at in range(0, len(rows), BAND):
            held = np.concatenate([held, rows[at : at + BAND]])  # no view: it would keep all that it is a part of
            while top < after[1]:
                bottom = min(top + BAND, after[1])
                wanted = _wanted(top, bottom, before[1], after[1], resampler)
                if wanted.stop > start + len(held):
                    break
                held, start = held[wanted.start - start :], wanted.start
                yield _resized(held[: wanted.stop - start], start, (top, bottom), before, after, resampler)
                top = bottom


def _wanted(top: int, bottom: int, before: int, after: int, resampler: Resampler) -> slice:
    """The rows that rows `top` to `bottom` of the result are made of."""
    scale = before / after
    reach = REACH[resampler] * max(1.0, scale) + 1
    return slice(max(0, math.floor(top * scale - reach)), min(before, math.ceil(bottom * scale + reach)))


def _resized(
    rows: Levels, start: int, band: tuple[int, int], before: Size, after: Size, resampler: Resampler
) -> Levels:
    """Rows `band` of the result, of `rows` that begin with row `start`."""
    top, bottom = band
    if before == after:
        same: Levels = rows[top - start : bottom - start]
        return same
    scale = before[1] / after[1]
    if resampler is Resampler.NEAREST:
        down = ((np.arange(top, bottom) + 0.5) * scale).astype(int) - start
        across = ((np.arange(after[0]) + 0.5) * before[0] / after[0]).astype(int)
        nearest: Levels = rows[down[:, None], across]
        return nearest
    size, box = (after[0], bottom - top), (0, top * scale - start, before[0], bottom * scale - start)
    made = np.empty((size[1], size[0], rows.shape[2]), np.float32)
    for channel in range(rows.shape[2]):
        image = Image.fromarray(np.ascontiguousarray(rows[..., channel]))
        made[..., channel] = np.asarray(image.resize(size, FILTERS[resampler], box=box))
    return made.clip(0, 1, out=made)


def blended(flow: Flow, other: Flow, share: float) -> Flow:
    """Two pictures of one size in one; `share` of the `other`. Both come in the same bands."""
    for rows in flow:
        if not isinstance(rows, np.ndarray):
            yield rows
            continue
        mixed = None
        for also in other:
            if isinstance(also, np.ndarray):
                mixed = rows * (1 - share) + also * share
                break
            yield also
        assert mixed is not None
        yield mixed


def cut(flow: Flow, box: tuple[int, int, int, int]) -> Flow:
    """What lies in the box: left, top, right, bottom."""
    left, top, right, bottom = box
    start = 0
    for rows in flow:
        if not isinstance(rows, np.ndarray):
            yield rows
            continue
        here = rows[max(0, top - start) : max(0, bottom - start), left:right]
        start += len(rows)
        if len(here):
            yield here
