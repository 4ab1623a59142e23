"""What differs between a picture and what was painted over it, pixel by pixel.

Without torch: it is asked of the studio itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.error import InvalidRequest, StorageProblem
from pipelines.core.inpaint import Border, InpaintRequest
from pipelines.generation.masks import softened
from pipelines.generation.parts import part_of
from pipelines.storage.pixels import read_mask, read_source
from pipelines.storage.sources import SourceStore

FAINTEST = 80
"""Of 255: a pixel that differs by one level is seen."""
BAND = 256
"""Rows that are compared at once."""
OUTSIDE = 255
"""The palette's red."""


@dataclass(frozen=True)
class Difference:
    """Counts of pixels, and a picture of them."""

    changed: int
    outside: int
    """Of those, beyond the mask and its soft edge: 0, or something is wrong."""
    image: Image.Image
    """Black where nothing differs; the lighter, the more; red beyond the mask."""


def difference(request: InpaintRequest, result: Path, sources: SourceStore) -> Difference:
    """Every number of every pixel is compared, alpha and 16 bits too.

    Raises InvalidRequest where all was painted anew, UnknownName when the source is gone, StorageProblem.
    """
    if request.is_all:
        raise InvalidRequest(
            "All of this picture was painted anew", fix="compare one that was painted over with a mask", field="mask"
        )
    may, before = _reach(request, sources)
    after = read_source(result).array
    if after.shape != before.shape or after.dtype != before.dtype:
        raise StorageProblem("The file is not what was painted", fix="paint it again")
    shown, changed, outside = np.zeros(after.shape[:2], np.uint8), 0, 0
    for top in range(0, len(after), BAND):  # a picture of 20 megapixels, in larger numbers, would take a gigabyte
        rows = slice(top, top + BAND)
        apart = np.abs(after[rows].astype(np.int32) - before[rows]).max(axis=2)
        levels = apart // 257 if before.dtype == np.uint16 else apart
        band = np.where(apart > 0, np.clip(FAINTEST + 2 * levels, 0, OUTSIDE - 1), 0)
        beyond = (apart > 0) & ~may[rows]
        shown[rows] = np.where(beyond, OUTSIDE, band)
        changed += int(np.count_nonzero(apart))
        outside += int(np.count_nonzero(beyond))
    image = Image.fromarray(shown, "P")
    image.putpalette([level for grey in range(OUTSIDE) for level in (grey, grey, grey)] + [255, 40, 40])
    return Difference(changed, outside, image)


def _reach(request: InpaintRequest, sources: SourceStore) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """(h, w) where something may change, and (h, w, c) what was there: both with the border around."""
    source = read_source(sources.path_of(request.source))
    size = (source.width, source.height)
    masks = [read_mask(sources.path_of(one), size) for one in request.masks]
    part = part_of(request, size, source.seen, masks) if masks else None
    may = np.zeros(size[::-1], bool)
    if part is not None:
        may[part.box.part] = part.mask > 0
    if request.border.is_none:
        return may, source.array
    added = softened(_around(np.zeros(size[::-1], np.float32), request.border, 1), request.soft_edge)
    return _around(may, request.border, value=True) | (added > 0), _around(source.array, request.border, 0)


def _around(array: NDArray[Any], border: Border, value: float) -> NDArray[Any]:
    sides = ((border.top, border.bottom), (border.left, border.right), *[(0, 0)] * (array.ndim - 2))
    return np.pad(array, sides, constant_values=value)
