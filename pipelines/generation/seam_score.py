"""How much the borders of tiles can be seen in what was put together from them, as a number."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.generation.masks import Pixels

NEAR, FAR = 2, 8
"""Pixels from a border, of the neighbourhood it is compared with."""
BAND = 256
"""Rows."""
MOST = 24
"""Levels: a larger step belongs to what is drawn, and counts no more than this."""
FAINT = 0.5
"""Levels that nobody sees: added to both sides, so that rounding is no seam where there is next to nothing."""


def seam_score(pixels: Pixels, columns: Sequence[int], rows: Sequence[int]) -> float:
    """Mean gradient across borders, as a multiple of the mean gradient next to them; 1: they cannot be told apart.

    `pixels`: (h, w, 3); a border at column x lies between the pixels x - 1 and x, and likewise of rows. 1 where there
    are no borders.
    """
    at, near = [], []
    for lines, gradients in ((columns, _gradients(pixels, 1)), (rows, _gradients(pixels, 0))):
        found, others = _beside(lines, gradients)
        at += found
        near += others
    if not near or not at:
        return 1.0
    return (float(np.mean(at)) + FAINT) / (float(np.mean(near)) + FAINT)


def _gradients(pixels: Pixels, axis: int) -> NDArray[np.float64]:
    """Of each line along `axis`, how much it differs from the one before it on average, in levels; 0 of the first."""
    sums = []
    for start in range(0, pixels.shape[0], BAND):  # some rows at a time: a poster in larger numbers fills the memory
        rows = pixels[max(0, start - 1 + axis) : start + BAND].astype(np.int16)
        steps = np.minimum(np.abs(np.diff(rows, axis=axis)), MOST)
        sums.append(steps.sum(axis=(1 - axis, 2), dtype=np.float64))
    total = np.sum(sums, axis=0) if axis == 1 else np.concatenate(sums)
    return np.concatenate([[0.0], total / (3 * pixels.shape[1 - axis])])


def _beside(lines: Sequence[int], gradients: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """The gradients at `lines`, and those near them that are not near another one."""
    inside = [line for line in lines if 0 < line < len(gradients)]
    taken = {line + by for line in inside for by in range(1 - NEAR, NEAR)}
    near = {line + by for line in inside for by in range(-FAR, FAR + 1)} - taken
    return [float(gradients[line]) for line in inside], [float(gradients[k]) for k in near if 0 < k < len(gradients)]
