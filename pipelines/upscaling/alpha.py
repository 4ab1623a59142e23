"""Pictures that are transparent somewhere: their alpha is enlarged with them, and no colour that nobody sees leaks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.upscaling.tiles import Enlarge, Levels


def revealed(array: NDArray[Any]) -> NDArray[Any]:
    """(h, w, 4) with the nearest visible colour where nothing is seen: an edge enlarged would else have a dark rim."""
    unseen = array[..., 3] == 0
    if not unseen.any() or unseen.all():
        return array
    down, across = ndimage.distance_transform_edt(unseen, return_distances=False, return_indices=True)
    filled = array.copy()
    filled[..., :3] = array[down, across, :3]
    return filled


def with_alpha(enlarge: Enlarge, factor: int) -> Enlarge:
    """A network that knows three colours, for pictures with alpha, too: it sees that as a grey picture of its own."""

    def both(pixels: Levels) -> Levels:
        colours = enlarge(pixels[..., :3])
        if pixels.shape[2] == 3:
            return colours
        alpha = pixels[..., 3:]
        if np.ptp(alpha) == 0:
            height, width = pixels.shape[:2]
            large = np.full((height * factor, width * factor, 1), alpha.flat[0], np.float32)
        else:
            large = enlarge(np.repeat(alpha, 3, axis=2)).mean(axis=2, keepdims=True)
        return np.concatenate([colours, large], axis=2)

    return both
