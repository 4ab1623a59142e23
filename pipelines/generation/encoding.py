"""From pictures to latents: the VAE's encoder."""

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from pipelines.generation.masks import Pixels
from pipelines.generation.pictures import tiling
from pipelines.models.loading import LoadedModel


@torch.inference_mode()
def encode_pixels(model: LoadedModel, pixels: Pixels, *, hidden: Tensor | None = None, tiled: bool = False) -> Tensor:
    """(1, c, h/8, w/8) float32 of about unit variance: the mean of what the encoder says, not a draw from it.

    `hidden`: (1, 1, h, w), 1 where the network must not look; it sees grey there, the 0 of its scale.
    """
    levels = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(model.device)
    shown = levels.float() / 127.5 - 1
    if hidden is not None:
        shown = shown * (1 - hidden.to(shown.device))
    with tiling(model.vae) if tiled else nullcontext():
        latents: Tensor = model.vae.encode(shown.to(model.vae_dtype)).latent_dist.mode()
    return latents.float() * float(model.vae.config.scaling_factor)
