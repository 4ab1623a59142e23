"""From latents to pictures: the VAE's decoder, one picture at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from pipelines.core.error import EaselError
from pipelines.models.loading import LoadedModel


def decode(model: LoadedModel, latents: Tensor) -> Image.Image:
    """The picture of one latent (1, c, h/8, w/8). One at a time: a decoder needs more memory than all steps before.

    A decoder that overflows is tried once more in float32. Raises EaselError when there is still no picture, rather
    than hand out a black one.
    """
    pixels = _decoded(model.vae, latents)
    if not pixels.isfinite().all() and model.vae.dtype != torch.float32:
        with in_float32(model.vae):
            pixels = _decoded(model.vae, latents)
    if not pixels.isfinite().all():
        raise EaselError(
            f"The picture came out empty: the numbers overflowed in {_word(model.dtype)}",
            fix="choose precision bf16 or fp32"
            if model.dtype != torch.float32
            else "lower CFG, or check the model's files",
            field="precision",
        )
    return _to_image(pixels)


@torch.inference_mode()
def _decoded(vae: Any, latents: Tensor) -> Tensor:
    """(1, 3, h, w) float32, the picture in -1..1."""
    pixels: Tensor = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
    return pixels.float()


@torch.inference_mode()
def _to_image(pixels: Tensor) -> Image.Image:
    levels = (pixels[0] / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


@contextmanager
def in_float32(network: Any) -> Iterator[None]:
    """`network` in float32 meanwhile; widening and narrowing back changes no weight."""
    dtype = network.dtype
    if dtype == torch.float32:
        yield
        return
    # torch's own `to`: the one of diffusers logs a warning about modules kept in float32, of which there are none.
    nn.Module.to(network, torch.float32)
    try:
        yield
    finally:
        nn.Module.to(network, dtype)


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
