"""Masks in pixels: softened, measured, cut out with what is around them, and brought to the latents' grid.

A mask is (h, w) float32: 0 stays exactly as it is, 1 is painted over, between them with so much strength. Everything
here works on what it is given alone, so that a small area of a large picture costs what the small area costs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipelines.models.blueprint import PIXELS_PER_LATENT

Mask = NDArray[np.float32]
Levels = NDArray[np.uint8]
"""A mask as it is kept, a quarter of the size: 0 stays, 255 is painted over."""
Pixels = NDArray[np.uint8]
"""(h, w, 3)."""


@dataclass(frozen=True, slots=True)
class Box:
    """Part of a picture, in pixels; the right and lower edges are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def part(self) -> tuple[slice, slice]:
        """To take it out of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def wider(self, by: int, width: int, height: int) -> "Box":
        """With a margin, inside a picture of `width` x `height`."""
        return Box(
            max(0, self.left - by), max(0, self.top - by), min(width, self.right + by), min(height, self.bottom + by)
        )

    def moved(self, right: int, down: int) -> "Box":
        return Box(self.left + right, self.top + down, self.right + right, self.bottom + down)

    def within(self, other: "Box") -> "Box":
        """What of it lies in `other`; of no area when nothing does."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        return Box(left, top, max(left, min(self.right, other.right)), max(top, min(self.bottom, other.bottom)))


def hull(boxes: Iterable[Box]) -> Box:
    """The smallest box with all of them."""
    lefts, tops, rights, bottoms = zip(*((b.left, b.top, b.right, b.bottom) for b in boxes), strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def bounds(mask: NDArray[np.generic]) -> Box | None:
    """The smallest box with all that is not 0; None when nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def softened(mask: Mask, edge: int) -> Mask:
    """The mask with its edge faded over `edge` pixels on either side; beyond them it is as it was.

    A Gaussian of sigma edge / 2, cut off at two sigma.
    """
    if edge == 0:
        return mask
    faded: Mask = ndimage.gaussian_filter(mask, edge / 2, truncate=2.0, mode="nearest")
    return np.where(faded < 1 / 510, 0, np.minimum(faded, 1)).astype(np.float32)


def window(part: Box, size: tuple[int, int], picture: tuple[int, int]) -> Box:
    """`part` of a picture, widened to the proportions of `size` (width, height) as far as the picture goes.

    Shifted rather than cut at the picture's edges.
    """
    width, height = size
    scale = max(part.width / width, part.height / height)
    left, right = _spread(part.left, part.right, math.ceil(width * scale), picture[0])
    top, bottom = _spread(part.top, part.bottom, math.ceil(height * scale), picture[1])
    return Box(left, top, right, bottom)


def _spread(low: int, high: int, wanted: int, limit: int) -> tuple[int, int]:
    """The span low..high made `wanted` long about its middle, inside 0..limit."""
    wanted = min(max(wanted, high - low), limit)
    begin = min(max(0, low - (wanted - (high - low)) // 2), limit - wanted)
    return begin, begin + wanted


def on_latents(mask: Mask) -> Mask:
    """(h/8, w/8): of each square the most that is painted in it; a square that is touched is painted."""
    height, width = (side // PIXELS_PER_LATENT for side in mask.shape)
    squares = mask.reshape(height, PIXELS_PER_LATENT, width, PIXELS_PER_LATENT)
    most: Mask = squares.max(axis=(1, 3))
    return most


def cropped(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The middle of it, as much as has the proportions of `size` (width, height)."""
    height, width = pixels.shape[:2]
    scale = min(width / size[0], height / size[1])
    across, down = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    left, top = (width - across) // 2, (height - down) // 2
    return pixels[top : top + down, left : left + across]


def widened(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """All of it in the middle of `size` (width, height); what is left over has the colours of its edge."""
    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    small = resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    more = [whole - own for whole, own in zip(size[::-1], small.shape[:2], strict=True)]
    sides = [(one // 2, one - one // 2) for one in more]
    outside = np.pad(np.zeros(small.shape[:2], np.float32), sides, constant_values=1)
    return filled(np.pad(small, [*sides, (0, 0)]), outside)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """At `size` (width, height)."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def mask_resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """At `size` (width, height). What is painted at all stays so: 0 only where all of it is 0."""
    if mask.shape[::-1] == size:
        return mask
    scaled: NDArray[np.float32] = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))
    return np.clip(scaled, 0, 1).astype(np.float32)


def filled(pixels: Pixels, mask: Mask) -> Pixels:
    """`pixels` with the colours around the mask carried on into it, smoothly. Where nothing is known, mid-grey."""
    known = (mask == 0).astype(np.float32)
    if not known.any():
        return np.full_like(pixels, 128)
    smooth = carried(pixels.astype(np.float32) * known[..., None], known)
    return np.where(known[..., None] > 0, pixels, smooth.round()).astype(np.uint8)


def carried(colours: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, c) of known colours times their weights, 0 to 1 -> colours everywhere: a pyramid of averages.

    Push-pull interpolation (Gortler et al. 1996, The Lumigraph, section 4.2).
    """
    average = (colours / np.maximum(weights, 1e-6)[..., None]).astype(np.float32)
    if min(weights.shape) <= 1 or weights.all():
        return average if weights.all() else np.broadcast_to(_mean(colours, weights), average.shape)
    pushed, light = _halved(colours), _halved(weights)
    even = (pushed / np.maximum(light, 1)[..., None]).astype(np.float32)
    coarse = carried(even, np.minimum(light, 1).astype(np.float32))
    height, width = weights.shape
    pulled = ndimage.zoom(coarse, (height / coarse.shape[0], width / coarse.shape[1], 1), order=1, mode="nearest",
                          grid_mode=True)  # fmt: skip
    share = np.minimum(weights, 1)[..., None]
    mixed: NDArray[np.float32] = (share * average + (1 - share) * pulled).astype(np.float32)
    return mixed


def _mean(colours: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    total: NDArray[np.float32] = colours.sum(axis=(0, 1)) / max(float(weights.sum()), 1e-6)
    return total


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of squares of four; an odd edge is repeated with no weight."""
    height, width = (side + side % 2 for side in values.shape[:2])
    padding = ((0, height - values.shape[0]), (0, width - values.shape[1]), *[(0, 0)] * (values.ndim - 2))
    even = np.pad(values, padding)
    sums: NDArray[np.float32] = even.reshape(height // 2, 2, width // 2, 2, *values.shape[2:]).sum(axis=(1, 3))
    return sums
