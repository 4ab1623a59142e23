"""From latents to pictures: the VAE's decoder, one picture at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pipelines.core.error import EaselError
from pipelines.core.placement import Phase
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.budget import TILE
from pipelines.models.devices import give_back
from pipelines.models.loading import LoadedModel
from pipelines.models.memory import RanOut, watched
from pipelines.models.on_use import brought


class Decoder:
    """Decodes the pictures of a job; in tiles from the first time on that memory runs out."""

    def __init__(self, model: LoadedModel, *, tiled: bool) -> None:
        self.tiled = tiled
        self._model = model

    def __call__(self, latents: Tensor) -> Image.Image:
        """As `decode`. Raises RanOut when tiles do not help either: the latents are lost then."""
        if not self.tiled:
            try:
                with watched(Phase.DECODING):
                    return decode(self._model, latents)
            except RanOut:
                if max(latents.shape[-2:]) * PIXELS_PER_LATENT <= TILE:
                    raise
            self.tiled = True  # only here: before, the error held all that decoding had in hand
            give_back(self._model.device)
        with watched(Phase.DECODING):
            return decode(self._model, latents, tiled=True)


def decode(model: LoadedModel, latents: Tensor, *, tiled: bool = False) -> Image.Image:
    """The picture of one latent (1, c, h/8, w/8). One at a time: a decoder needs more memory than all steps before.

    `tiled`: piece by piece, in less memory still. Raises EaselError as `pixels_of`.
    """
    return _to_image(pixels_of(model, latents, tiled=tiled))


def pixels_of(model: LoadedModel, latents: Tensor, *, tiled: bool = False) -> Tensor:
    """(1, 3, h, w) float32, the picture in -1..1, of one latent (1, c, h/8, w/8).

    A decoder that overflows is tried once more in float32. Raises EaselError when there is still no picture, rather
    than hand out a black one.
    """
    with tiling(model.vae) if tiled else nullcontext():
        pixels = _decoded(model.vae, latents, model.vae_dtype)
        if not pixels.isfinite().all() and model.vae_dtype != torch.float32:
            with brought(model.vae, model.device, torch.float32):
                pixels = _decoded(model.vae, latents, torch.float32)
    if not pixels.isfinite().all():
        raise EaselError(
            f"The picture came out empty: the numbers overflowed in {_word(model.dtype)}",
            fix="choose precision bf16 or fp32"
            if model.dtype != torch.float32
            else "lower CFG, or check the model's files",
            field="precision",
        )
    return pixels


@torch.inference_mode()
def _decoded(vae: Any, latents: Tensor, dtype: torch.dtype) -> Tensor:
    """(1, 3, h, w) float32, the picture in -1..1."""
    pixels: Tensor = vae.decode((latents / vae.config.scaling_factor).to(dtype), return_dict=False)[0]
    return pixels.float()


@torch.inference_mode()
def _to_image(pixels: Tensor) -> Image.Image:
    levels = (pixels[0] / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


@contextmanager
def tiling(vae: Any) -> Iterator[None]:
    """`vae` working in overlapping tiles meanwhile."""
    vae.tile_sample_min_size, vae.tile_latent_min_size = TILE, TILE // PIXELS_PER_LATENT
    vae.enable_tiling()
    try:
        yield
    finally:
        vae.disable_tiling()


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
