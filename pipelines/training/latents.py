"""Pictures encoded once: what the UNet is trained on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from pipelines.training.autoencoder import latent_means
from pipelines.training.networks import SCALING_FACTOR
from pipelines.training.pictures import Pictures, PictureSet, as_tensor

ENCODE_PIXELS = 24 * 128 * 128  # encoded at once


@dataclass(frozen=True, slots=True)
class LatentSet:
    """Scaled latents (n, 4, h/8, w/8) float16, about N(0, 1) per channel, with the boxes (n, 2, 4) of the pictures."""

    made_of: PictureSet
    latents: Tensor
    boxes: Tensor


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: Pictures) -> Tensor:
    """Scaled posterior means of all `pictures`, float16, on the CPU; in bfloat16 arithmetic, which halves the time."""
    at_once = max(1, ENCODE_PIXELS // (pictures.made_of.width * pictures.made_of.height))
    parts = []
    for start in range(0, len(pictures.pixels), at_once):
        some = as_tensor(pictures.pixels[start : start + at_once]).to(vae.device)
        with torch.autocast(some.device.type, torch.bfloat16):
            means = latent_means(vae, some)
        parts.append((SCALING_FACTOR * means.float()).half().cpu().numpy())
    return torch.from_numpy(np.concatenate(parts))  # a torch.cat would stumble over the caller's autocast


def encoded(vae: AutoencoderKL, pictures: Pictures, folder: Path) -> LatentSet:
    """The latents of `pictures`, kept in `folder`; encoded first if they are missing there."""
    file = folder / f"{pictures.made_of.name}-{pictures.made_of.count}.npy"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(file, encode(vae, pictures).numpy())
    return LatentSet(pictures.made_of, torch.from_numpy(np.load(file)), torch.from_numpy(pictures.boxes))
