"""Painting over a picture: what the network is given of it.

The picture may have any size; the network works on a window of it, at the size the request asks for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipelines.core.inpaint import Content, Fit, InpaintRequest
from pipelines.generation.encoding import encode_pixels
from pipelines.generation.ground import Ground, Words
from pipelines.generation.knowledge import sees_masks
from pipelines.generation.masks import Mask, Pixels, filled, on_latents, resized
from pipelines.generation.parts import Part
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.loading import LoadedModel


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
