"""The part of a picture that is painted over: a window of it, its masks, and how what is painted goes back into it.

Without torch: the studio's own process knows by it what may change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from pipelines.core.inpaint import Area, Fit, InpaintRequest
from pipelines.generation.masks import (
    Box,
    Levels,
    Mask,
    Pixels,
    bounds,
    cropped,
    hull,
    mask_resized,
    resized,
    softened,
    widened,
    window,
)
from pipelines.generation.seams import colours_matched


@dataclass(frozen=True)
class Part:
    """A window of the picture, as it lies in the picture."""

    box: Box
    pixels: Pixels
    """(h, w, 3) of the window, at the picture's own scale."""
    mask: Mask
    """(h, w) of the window: where anything is painted, and with how much of the strength."""
    masks: Sequence[Mask]
    """At the size the network works at: of the request's own words, then of its regions."""
    size: tuple[int, int]
    """Width and height the network works at."""

    @cached_property
    def scaled(self) -> tuple[Pixels, Mask]:
        """Pixels and mask at the size the network works at."""
        return resized(self.pixels, self.size), mask_resized(self.mask, self.size)

    def fitted(self, painted: Image.Image, *, match_colour: bool) -> tuple[Pixels, Mask]:
        """What was painted, in the colours of what is around it, and how much of it shows: as the window lies."""
        new = np.asarray(painted)
        # At the network's size: a slow shift in colour is the same there, and the window may be a hundred times larger.
        matched = colours_matched(new, *self.scaled) if match_colour else new
        return resized(matched, (self.box.width, self.box.height)), self.mask


def part_of(
    request: InpaintRequest, size: tuple[int, int], seen: Callable[[slice, slice], Pixels], masks: Sequence[Levels]
) -> Part | None:
    """The window that is painted; None when the masks are empty: nothing is to be painted.

    `size`: the picture's width and height; `seen`: (h, w, 3) of some of its rows and columns; `masks`: (h, w) of all
    of it, as many as the request names; without any, all is painted.
    """
    works_at = (request.picture.width, request.picture.height)
    whole = Box(0, 0, *size)
    if request.is_all:
        everything = np.ones(works_at[::-1], np.float32)
        return Part(whole, _met(seen(*whole.part), works_at, request.fit), everything, [everything], works_at)
    given = [255 - mask if request.invert else mask for mask in masks]
    marked = [box for box in map(bounds, given) if box is not None]
    if not marked:
        return None
    all_marked, box = hull(marked), whole
    if request.area is Area.MASKED:
        box = window(all_marked.wider(max(request.padding, request.soft_edge), *size), works_at, size)
    reach = all_marked.wider(2 * request.soft_edge, *size)
    most, scaled = np.zeros((box.height, box.width), np.float32), []
    for mask, strength in zip(given, request.strengths, strict=True):
        hard = np.divide(mask[reach.part], 255, dtype=np.float32)
        soft = _cut(softened(hard, request.soft_edge), reach, box)
        scaled.append(mask_resized(soft, works_at))
        np.maximum(most, soft * np.float32(strength), out=most)
    return Part(box, seen(*box.part), most, scaled, works_at)


def _cut(mask: Mask, at: Box, box: Box) -> Mask:
    """What a mask that lies `at` a place of the picture is in `box`; 0 beyond."""
    cut, both = np.zeros((box.height, box.width), np.float32), at.within(box)
    cut[both.moved(-box.left, -box.top).part] = mask[both.moved(-at.left, -at.top).part]
    return cut


def _met(pixels: Pixels, size: tuple[int, int], fit: Fit) -> Pixels:
    """What is seen of a picture of other proportions than `size`."""
    match fit:
        case Fit.CROP:
            return cropped(pixels, size)
        case Fit.FILL:
            return widened(pixels, size)
        case Fit.STRETCH | Fit.LATENT:
            return pixels
