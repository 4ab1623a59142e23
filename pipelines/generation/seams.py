"""Where new meets old: the shift in colour that shows outside the mask is taken back inside."""

import numpy as np
from scipy import ndimage

from pipelines.generation.masks import Mask, Pixels

REACH = 0.08
"""How far a shift is carried, as a share of the longer side (the sigma of a Gaussian)."""
LARGEST = 24
"""Levels: what differs more outside the mask is no shift, but another picture."""


def colours_matched(new: Pixels, old: Pixels, mask: Mask) -> Pixels:
    """`new` less the slow shift in colour between it and `old` outside the mask, carried on into the mask.

    A VAE gives back what it was not asked to change in slightly other colours; the same shift is in what it painted.
    Nothing is known of it when all is masked: then `new` as it is.
    """
    apart = new.astype(np.float32) - old
    told = ((mask == 0) & (np.abs(apart).max(axis=-1) <= LARGEST)).astype(np.float32)
    if not told.any():
        return new
    sigma = REACH * max(mask.shape)
    light = ndimage.gaussian_filter(told, sigma, mode="nearest")
    shift = apart * told[..., None]
    carried = np.stack([ndimage.gaussian_filter(shift[..., k], sigma, mode="nearest") for k in range(3)], axis=-1)
    # Far from anything known the shift fades to the mean of what is known.
    mean = shift.sum(axis=(0, 1)) / told.sum()
    sure = np.minimum(light / 0.02, 1)[..., None]
    slow = sure * carried / np.maximum(light, 1e-6)[..., None] + (1 - sure) * mean
    matched: Pixels = np.clip(new - slow, 0, 255).round().astype(np.uint8)
    return matched
