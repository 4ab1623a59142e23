"""What a UNet is told beside noise, time and words: sizes and a summary of the text (SDXL), what lies under a mask."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.generation.conditioning import Conditioning, Encoded
from pipelines.generation.pictures import tiling
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.loading import LoadedModel

GOOD, BAD = 6.0, 2.5
"""Aesthetic scores that SDXL's refiner is told of what is wanted and of what is to be avoided."""
REFINER_NUMBERS = 5
"""Height, width, two for the crop, and the score; SDXL's base is told a second height and width instead of a score."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """What is painted in one pass."""

    width: int
    """Pixels."""
    height: int
    pictures: int
    tiled: bool = False
    """The VAE works in tiles."""


def added_conditions(model: LoadedModel, conditioning: Conditioning, canvas: Canvas) -> dict[str, Tensor] | None:
    """What SDXL's UNet takes besides the words, for both halves of a guided pass; None for older families.

    Sizes as in Podell et al. 2023, section 2.2: original size, crop and target size, here without any crop.
    """
    if model.unet.config.addition_embed_type != "text_time":
        return None
    halves = [(conditioning.prompt, GOOD)]
    if conditioning.negative is not None:
        halves.insert(0, (conditioning.negative, BAD))
    texts = torch.cat([_summary(text).expand(canvas.pictures, -1) for text, _ in halves])
    width_of_numbers = model.unet.config.projection_class_embeddings_input_dim - texts.shape[-1]
    count = width_of_numbers // model.unet.config.addition_time_embed_dim
    sides = [canvas.height, canvas.width]
    rows = [[*sides, 0, 0, *([score] if count == REFINER_NUMBERS else sides)] for _, score in halves]
    numbers = torch.tensor(rows, dtype=model.dtype).repeat_interleave(canvas.pictures, dim=0)
    return {"text_embeds": texts.to(model.dtype), "time_ids": numbers.to(model.device)}


def _summary(text: Encoded) -> Tensor:
    assert text.summary is not None
    return text.summary


def sees_masks(model: LoadedModel) -> bool:
    """Whether its UNet is one for inpainting: it is told what lies around the mask."""
    return bool(model.unet.config.in_channels != model.unet.config.out_channels)


def under_the_mask(model: LoadedModel, canvas: Canvas) -> Tensor | None:
    """(1, 5, h/8, w/8) for an inpainting UNet that paints everything anew; None for others.

    First the mask, 1 everywhere; then the latents of the picture with all of it hidden, which is grey.
    """
    if not sees_masks(model):
        return None
    side = (canvas.height, canvas.width)
    return model.recall.get(("all masked", side), lambda: (_all_masked(model, canvas),))[0]


@torch.inference_mode()
def _all_masked(model: LoadedModel, canvas: Canvas) -> Tensor:
    grey = torch.zeros((1, 3, canvas.height, canvas.width), dtype=model.vae_dtype, device=model.device)
    with tiling(model.vae) if canvas.tiled else nullcontext():
        latents = model.vae.encode(grey).latent_dist.mode() * model.vae.config.scaling_factor
    height, width = canvas.height // PIXELS_PER_LATENT, canvas.width // PIXELS_PER_LATENT
    mask = torch.ones((1, 1, height, width), device=model.device, dtype=latents.dtype)
    return torch.cat([mask, latents], dim=1)
