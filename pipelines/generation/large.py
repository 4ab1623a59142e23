"""Pictures of any size through the VAE: encoded and decoded tile by tile, in the memory of one tile.

Beside it only what is under way is held: the latents, and two rows of tiles of the picture in float32.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.core.stop import StopSignal
from pipelines.generation.encoding import encode_pixels
from pipelines.generation.guidance import StoppedNow
from pipelines.generation.masks import Pixels
from pipelines.generation.pictures import pixels_of
from pipelines.generation.windows import Blend, Windows, smooth
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.loading import LoadedModel

OVERLAP = 0.25
"""Of a VAE's tiles, as a share of their side: its decoder sees far, and tiles differ most where they end."""


def encode_large(model: LoadedModel, pixels: Pixels, side: int, stop: StopSignal) -> Tensor:
    """(1, c, h/8, w/8) float32 as `encode_pixels`; the sides of `pixels` are multiples of 8. Raises StoppedNow.

    `side`: pixels of a tile; a picture no larger is encoded whole.
    """
    height, width = (length // PIXELS_PER_LATENT for length in pixels.shape[:2])
    windows, blend = _tiles(side), None
    for place in windows.places(height, width):
        if stop.now:
            raise StoppedNow
        latents = encode_pixels(model, pixels[place.part(PIXELS_PER_LATENT)])
        if (place.bottom, place.right) == (height, width) and blend is None:
            return latents  # it is the only one
        blend = blend or Blend((1, latents.shape[1], height, width), windows, latents.device)
        blend.add(place, latents)
    assert blend is not None
    return blend.whole()


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows of a picture that is being decoded, from the top on; none while the tiles of a row are under way."""

    done: int
    """Tiles so far."""
    total: int
    rows: Pixels | None = None


def decoded(model: LoadedModel, latents: Tensor, side: int, stop: StopSignal) -> Iterator[Strip]:
    """The picture of `latents` (1, c, h/8, w/8), as many rows of it at a time as are finished. Raises StoppedNow.

    `side`: pixels of a tile; a picture no larger is decoded whole. Raises EaselError as `pixels_of`.
    """
    windows, (height, width) = _tiles(side), latents.shape[-2:]
    places, (tops, lefts) = windows.places(height, width), windows.starts(height, width)
    down, across = windows.fades(height, width, PIXELS_PER_LATENT)
    share = torch.zeros(width * PIXELS_PER_LATENT)
    for left in lefts:
        share[left * PIXELS_PER_LATENT :][: len(across)] += across
    total, weight = torch.zeros((0, len(share), 3)), torch.zeros(0)
    done = 0
    for row, top in enumerate(tops):
        more = len(down) - len(total)
        total = torch.cat([total, torch.zeros((more, *total.shape[1:]))])
        weight = torch.cat([weight, torch.zeros(more)]) + down
        for place in places[row * len(lefts) : (row + 1) * len(lefts)]:
            if stop.now:
                raise StoppedNow
            seen = pixels_of(model, place.cut(latents))[0].permute(1, 2, 0).cpu()
            total[:, place.part(PIXELS_PER_LATENT)[1]] += seen * (down[:, None] * across)[..., None]
            done += 1
            yield Strip(done, len(places))
        ready = ((tops[row + 1] if row + 1 < len(tops) else height) - top) * PIXELS_PER_LATENT
        yield Strip(done, len(places), _as_bytes(total[:ready] / (weight[:ready, None] * share)[..., None]))
        total, weight = total[ready:].clone(), weight[ready:].clone()


def _tiles(side: int) -> Windows:
    return Windows(side // PIXELS_PER_LATENT, side // PIXELS_PER_LATENT, OVERLAP)


def _as_bytes(pixels: Tensor) -> Pixels:
    """(h, w, 3) of -1..1 -> bytes."""
    levels: Pixels = (pixels / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).numpy()
    return levels


def coloured(new: Pixels, old: Pixels, sigma: float) -> Pixels:
    """`new` with the slow colours of `old`, both (h, w, 3) of the same size, their sides multiples of 8.

    A VAE gives back what it is given in slightly other colours, more so the larger the picture is. `sigma`: in units
    of 8 pixels, of the Gaussian that tells slow from quick. In place of `new`.
    """
    cells = [(side // PIXELS_PER_LATENT, PIXELS_PER_LATENT) for side in new.shape[:2]]
    apart = np.empty((cells[0][0], cells[1][0], 3), np.float32)
    for row in range(len(apart)):
        rows = slice(row * PIXELS_PER_LATENT, (row + 1) * PIXELS_PER_LATENT)
        step = old[rows].astype(np.float32) - new[rows]
        apart[row] = step.reshape(PIXELS_PER_LATENT, *cells[1], 3).mean(axis=(0, 2))
    slow = smooth(torch.from_numpy(apart).permute(2, 0, 1)[None], sigma)
    slow = torch.nn.functional.pad(slow, (0, 0, 1, 1), mode="replicate")
    for row in range(len(apart)):
        rows = slice(row * PIXELS_PER_LATENT, (row + 1) * PIXELS_PER_LATENT)
        fine = torch.nn.functional.interpolate(
            slow[..., row : row + 3, :], scale_factor=PIXELS_PER_LATENT, mode="bilinear"
        )
        shift = fine[0, :, PIXELS_PER_LATENT : 2 * PIXELS_PER_LATENT].permute(1, 2, 0).numpy()
        new[rows] = np.clip(new[rows] + shift, 0, 255).round()
    return new


def padded(pixels: Pixels, multiple: int, least: int) -> Pixels:
    """With its mirror image to the right and below, until both sides are multiples and not less than `least`."""
    more = [max(-side % multiple, least - side) for side in pixels.shape[:2]]
    return pixels if not any(more) else np.pad(pixels, [(0, more[0]), (0, more[1]), (0, 0)], mode="symmetric")
