"""Live previews: the picture the network has in mind, as a thumbnail with one pixel for each latent.

A latent's four channels are nearly a linear code of the colour there, so a 4 x 3 matrix shows it a thousand times
cheaper than the decoder; the page enlarges it. The matrix is fitted once to the model's own VAE.
"""

import io
import time

import torch
from PIL import Image
from torch import Tensor

from pipelines.models.loading import LoadedModel
from pipelines.models.on_use import brought

SHORTEST_PAUSE = 0.1
"""Seconds between previews: the eye and the wire want no more than ten in a second."""

LARGEST = 512
"""Pixels of a preview's longer side."""


class Previewer:
    """Decides when a preview is due, and draws it."""

    def __init__(self, model: LoadedModel, every: int) -> None:
        """`every`: steps between previews; 0: none."""
        self._every = every
        self._last = -SHORTEST_PAUSE
        self._colours = latent_colours(model) if every else None

    def due(self, step: int) -> bool:
        return self._every > 0 and step % self._every == 0 and time.monotonic() - self._last >= SHORTEST_PAUSE

    def draw(self, x0: Tensor) -> bytes:
        """JPEG of the first picture of `x0` (n, c, h, w), one pixel for each latent; of a large one, fewer."""
        assert self._colours is not None
        jpeg = to_jpeg(colours_of(_small(x0[0]), self._colours))
        self._last = time.monotonic()
        return jpeg


def latent_colours(model: LoadedModel) -> Tensor:
    """(c + 1, 3): latent channels and a constant -> red, green, blue in -1..1. Fitted once for each loaded model."""
    return model.recall.get("latent colours", lambda: (_fitted(model),))[0]


@torch.inference_mode()
def _fitted(model: LoadedModel) -> Tensor:
    """Least squares over pictures of soft colour fields and their latents."""
    generator = torch.Generator("cpu").manual_seed(0)
    fields = torch.rand((8, 3, 5, 5), generator=generator) * 2 - 1
    pictures = torch.nn.functional.interpolate(fields, size=(64, 64), mode="bicubic", align_corners=True).clamp(-1, 1)
    with brought(model.vae, model.device, torch.float32):  # some encoders overflow in float16
        seen = model.vae.encode(pictures.to(model.device))
        # An encoder with a codebook says just the latents, and nothing scales them.
        told = hasattr(seen, "latents")
        latents = seen.latents if told else seen.latent_dist.mode() * model.vae.config.scaling_factor
    colours = torch.nn.functional.adaptive_avg_pool2d(pictures, latents.shape[-2:])
    a = _with_constant(latents.cpu().movedim(1, -1).reshape(-1, latents.shape[1]))
    b = colours.movedim(1, -1).reshape(-1, 3)
    matrix: Tensor = torch.linalg.lstsq(a, b).solution
    return matrix.to(model.device)


def _small(latent: Tensor) -> Tensor:
    """(c, h, w), no side longer than LARGEST."""
    scale = LARGEST / max(latent.shape[-2:])
    if scale >= 1:
        return latent
    height, width = (max(1, round(side * scale)) for side in latent.shape[-2:])
    return torch.nn.functional.adaptive_avg_pool2d(latent, (height, width))


@torch.inference_mode()
def colours_of(latent: Tensor, colours: Tensor) -> Tensor:
    """(c, h, w) and the fitted matrix -> (h, w, 3) bytes, still on the device."""
    rgb = _with_constant(latent.movedim(0, -1)) @ colours
    return (rgb / 2 + 0.5).clamp(0, 1).mul(255).to(torch.uint8)


def _with_constant(channels: Tensor) -> Tensor:
    """(..., c) -> (..., c + 1)"""
    return torch.cat([channels, torch.ones_like(channels[..., :1])], dim=-1)


def to_jpeg(pixels: Tensor) -> bytes:
    """(h, w, 3) bytes -> JPEG. Copying to the CPU waits for the GPU: the price of a preview there."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.cpu().numpy()).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
