"""Painting over a picture: what the network is given of it, and how what comes back goes into it.

The picture may have any size; the network works on a window of it, at the size the request asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.core.inpaint import Area, Content, Fit, InpaintRequest
from pipelines.generation.encoding import encode_pixels
from pipelines.generation.ground import Ground, Words
from pipelines.generation.knowledge import sees_masks
from pipelines.generation.masks import (
    Box,
    Mask,
    Pixels,
    bounds,
    cropped,
    filled,
    on_latents,
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
    masks: Sequence[Mask]
    """(h, w) of the window each: of the request's own words, then of its regions."""
    strengths: Sequence[float]
    """Of each mask."""
    size: tuple[int, int]
    """Width and height the network works at."""

    @cached_property
    def mask(self) -> Mask:
        """Where anything is painted, and with how much of the strength."""
        both = zip(self.masks, self.strengths, strict=True)
        most: Mask = np.max([mask * np.float32(strength) for mask, strength in both], axis=0)
        return most

    def scaled(self) -> tuple[Pixels, Sequence[Mask], Mask]:
        """Pixels, masks and the most of them at the size the network works at."""
        return (
            _resized(self.pixels, self.size),
            [_mask_resized(m, self.size) for m in self.masks],
            _mask_resized(self.mask, self.size),
        )

    def fitted(self, painted: Image.Image, *, match_colour: bool) -> Pixels:
        """What was painted, at the picture's own scale, in the colours of what is around it."""
        new = np.asarray(painted.resize((self.box.width, self.box.height), Image.Resampling.LANCZOS))
        return colours_matched(new, self.pixels, self.mask) if match_colour else new


def part_of(request: InpaintRequest, pixels: Pixels, masks: Sequence[Mask]) -> Part | None:
    """The window that is painted; None when the masks are empty: nothing is to be painted.

    `masks`: (h, w) of the whole picture, as many as the request names; without any, all is painted.
    """
    height, width = pixels.shape[:2]
    size = (request.picture.width, request.picture.height)
    whole = Box(0, 0, width, height)
    if request.is_all:
        met = _met(pixels, size, request.fit)
        return Part(whole, met, [np.ones(met.shape[:2], np.float32)], [1.0], size)
    given = [1 - mask if request.invert else mask for mask in masks]
    marked = bounds(np.max(given, axis=0))
    if marked is None:
        return None
    reach = marked.wider(2 * request.soft_edge, width, height)
    box = whole
    if request.area is Area.MASKED:
        seen = marked.wider(max(request.padding, request.soft_edge), width, height)
        box = window(seen, size, (width, height))
    soft = []
    for mask in given:
        own = np.zeros((height, width), np.float32)
        own[reach.part] = softened(mask[reach.part], request.soft_edge)
        soft.append(own[box.part])
    return Part(box, pixels[box.part], soft, request.strengths, size)


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
    pixels, masks, mask = part.scaled()
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
    return Ground(latents, kept, held, request.strength, _words(request, masks, model), hint)


def _stretched(latents: Tensor, like: Tensor) -> Tensor:
    """(1, c, h, w) of the size of `like`."""
    return torch.nn.functional.interpolate(latents, size=like.shape[-2:], mode="bilinear", antialias=True)


def _on_grid(pixels: Pixels) -> Pixels:
    """At its own size, as near as the VAE takes it."""
    height, width = (max(1, round(side / PIXELS_PER_LATENT)) * PIXELS_PER_LATENT for side in pixels.shape[:2])
    return _resized(pixels, (width, height))


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


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _mask_resized(mask: Mask, size: tuple[int, int]) -> Mask:
    if mask.shape[::-1] == size:
        return mask
    # What is painted at all stays so: 0 only where all of it is 0.
    scaled: NDArray[np.float32] = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR))
    return np.clip(scaled, 0, 1).astype(np.float32)
