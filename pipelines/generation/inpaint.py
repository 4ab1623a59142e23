"""Painting over a picture: what the network is given of it, and how what comes back goes into it.

The picture may have any size; the network works on a window of it, at the size the request asks for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipelines.core.inpaint import Area, Content, Fit, InpaintRequest
from pipelines.generation.encoding import encode_pixels
from pipelines.generation.ground import Ground, Words
from pipelines.generation.knowledge import sees_masks
from pipelines.generation.masks import (
    Box,
    Levels,
    Mask,
    Pixels,
    bounds,
    cropped,
    filled,
    hull,
    mask_resized,
    on_latents,
    resized,
    softened,
    widened,
    window,
)
from pipelines.generation.seams import colours_matched
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.loading import LoadedModel


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


def ground_of(model: LoadedModel, part: Part, request: InpaintRequest, *, tiled: bool = False) -> Ground:
    """What the walk needs to know of the picture."""
    pixels, mask = part.scaled
    here = _tensor(mask, model)
    kept = encode_pixels(model, pixels, tiled=tiled)
    if request.is_all and request.fit is Fit.LATENT:
        kept = _stretched(encode_pixels(model, _on_grid(part.pixels), tiled=tiled), kept)
    latents, small = kept, _tensor(on_latents(mask), model)
    match request.content:
        case Content.FILL:
            latents = encode_pixels(model, filled(pixels, mask), tiled=tiled)
        case Content.NOISE:
            noise = torch.randn(kept.shape[1:], generator=torch.Generator("cpu").manual_seed(request.picture.seed))
            latents = torch.where(small > 0, noise.to(kept.device), kept)
        case Content.NOTHING:
            latents = torch.where(small > 0, torch.zeros_like(kept), kept)
    hint = None
    if sees_masks(model):
        hidden = (here > 0).float()
        around = encode_pixels(model, pixels, hidden=hidden, tiled=tiled)
        hint = torch.cat([(small > 0).float(), around], dim=1)
    hard = bool(((small == 0) | (small == 1)).all())
    # An inpainting UNet keeps what it is shown by itself; where the mask is soft it is held all the same.
    held = None if request.is_all or (hint is not None and hard) else small
    return Ground(latents, kept, held, request.strength, _words(request, part.masks, model), hint)


def _stretched(latents: Tensor, like: Tensor) -> Tensor:
    """(1, c, h, w) of the size of `like`."""
    return torch.nn.functional.interpolate(latents, size=like.shape[-2:], mode="bilinear", antialias=True)


def _on_grid(pixels: Pixels) -> Pixels:
    """At its own size, as near as the VAE takes it."""
    height, width = (max(1, round(side / PIXELS_PER_LATENT)) * PIXELS_PER_LATENT for side in pixels.shape[:2])
    return resized(pixels, (width, height))


def _words(request: InpaintRequest, masks: Sequence[Mask], model: LoadedModel) -> tuple[Words, ...]:
    """Whose words decide where: as much as each mask has there."""
    if not request.regions:
        return ()
    picture = request.picture
    told = [(region.prompt, region.negative_prompt) for region in request.regions]
    if len(masks) > len(told):
        told.insert(0, (picture.prompt, picture.negative_prompt))
    most = np.stack([on_latents(mask) for mask in masks])
    total = most.sum(axis=0)
    most[0] += total == 0  # where nothing is painted it does not matter whose they are
    shares = most / np.where(total == 0, 1, total)
    return tuple(Words(*words, _tensor(share, model)) for words, share in zip(told, shares, strict=True))


def _tensor(mask: Mask, model: LoadedModel) -> Tensor:
    return torch.from_numpy(np.array(mask))[None, None].to(model.device)
