"""Where new meets old: the shift in colour that shows outside the mask is taken back inside."""

import numpy as np
from scipy import ndimage

from pipelines.generation.masks import Mask, Pixels, carried

REACH = 0.08
"""How far a shift is carried, as a share of the longer side (the sigma of a Gaussian)."""
LARGEST = 24
"""Levels: what differs more outside the mask is no shift, but another picture."""
JOIN = 0.25
"""How far from a seam a step in colour is spread, as a share of the longer side."""
SEAM = 2
"""Pixels behind the seam in which the step is measured."""
SHAPES = 4.0
"""Pixels (the sigma of a Gaussian): what is larger is a shape, what is smaller a detail."""


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


def joined(new: Pixels, old: Pixels, added: Mask) -> Pixels:
    """`new` where `added` is not 0 and `old` elsewhere, with no step in colour between them.

    The step along the seam is spread over what was added, evenly less with the distance: seamless cloning (Perez et
    al. 2003), its membrane interpolated by push-pull. A network that paints round a picture has ideas of its own of
    where the sky is bright, and would leave the picture's frame to be seen.
    """
    known = added == 0
    if not known.any():
        return new
    away, (down, across) = ndimage.distance_transform_edt(~known, return_indices=True)
    seam = (away > 0) & (away <= SEAM)
    far = away >= JOIN * max(added.shape)
    step = (old[down, across].astype(np.float32) - new) * seam[..., None]
    spread = carried(step.astype(np.float32), (seam | far).astype(np.float32))
    return np.where(known[..., None], old, np.clip(new + spread, 0, 255).round()).astype(np.uint8)


def detailed(new: Pixels, old: Pixels) -> Pixels:
    """The shapes and colours of `old` with the details of `new`: a closer look shall not have ideas of its own."""
    apart = old.astype(np.float32) - new
    shapes = ndimage.gaussian_filter(apart, (SHAPES, SHAPES, 0), mode="nearest")
    kept: Pixels = np.clip(new + shapes, 0, 255).round().astype(np.uint8)
    return kept
