"""Pictures drawn and encoded once: what the UNet is trained on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.numpy import save
from safetensors.torch import load_file
from torch import Tensor

from pipelines.training.autoencoder import latent_means
from pipelines.training.masks import mask_of
from pipelines.training.networks import PIXELS_PER_LATENT
from pipelines.training.pictures import PictureSet, as_tensor, in_parts
from pipelines.training.whole import write_whole
from pipelines.training.world import WORLD

GREY = np.uint8(128)  # in a mask's place: 0 in -1..1
ENCODE_PIXELS = 24 * 128 * 128  # encoded at once


@dataclass(frozen=True, slots=True)
class LatentSet:
    """Scaled latents (n, 4, h/8, w/8) float16, about N(0, 1) per channel, with the boxes (n, 2, 4) of the pictures.

    For inpainting, `known` (n, 5, h/8, w/8) is what the model is told besides: the mask, 1 where it is to paint, and
    the latents of the picture with grey in the mask's place (the channels of Stable Diffusion's inpainting model).
    """

    made_of: PictureSet
    latents: Tensor
    boxes: Tensor
    known: Tensor | None = None


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: np.ndarray) -> np.ndarray:
    """Scaled posterior means of pictures (n, h, w, 3), float16; in bfloat16 arithmetic, which halves the time."""
    at_once = max(1, ENCODE_PIXELS // (pixels.shape[1] * pixels.shape[2]))
    parts = []
    for start in range(0, len(pixels), at_once):
        some = as_tensor(pixels[start : start + at_once]).to(vae.device)
        with torch.autocast(some.device.type, torch.bfloat16):
            means = latent_means(vae, some)
        parts.append((vae.config.scaling_factor * means.float()).half().cpu().numpy())
    return np.concatenate(parts)  # a torch.cat would stumble over the caller's autocast


def encoded(
    vae: AutoencoderKL, wanted: PictureSet, folder: Path, *, masked: bool = False, processes: int = 1
) -> LatentSet:
    """The latents of `wanted`, kept in `folder`; drawn and encoded first if they are missing there.

    A file's name tells what it was made of: these pictures, this encoder, this world.
    """
    made_of = hashlib.sha256(f"{wanted} {masked} {WORLD} {fingerprint(vae)}".encode()).hexdigest()
    file = folder / f"{wanted.name}{'-masked' if masked else ''}-{made_of[:12]}.safetensors"
    if not file.is_file():
        arrays = _encode_all(vae, wanted, masked=masked, processes=processes)
        write_whole(file, lambda opened: opened.write(save(arrays)))
    return LatentSet(wanted, **load_file(file))


def fingerprint(vae: AutoencoderKL) -> str:
    """Tells encoders apart; the decoder may go on learning meanwhile."""
    weights = {**vae.encoder.state_dict(prefix="encoder."), **vae.quant_conv.state_dict(prefix="quant_conv.")}
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _encode_all(vae: AutoencoderKL, wanted: PictureSet, *, masked: bool, processes: int) -> dict[str, np.ndarray]:
    """The arrays of a `LatentSet` by name."""
    parts: list[dict[str, np.ndarray]] = []
    done = 0
    for pixels, boxes in in_parts(wanted, processes):
        part = {"latents": encode(vae, pixels), "boxes": boxes}
        if masked:
            part["known"] = _known(vae, pixels, boxes, [wanted.seed_of(done + i) for i in range(len(pixels))])
        parts.append(part)
        done += len(pixels)
    # safetensors writes an array's memory as it lies, so it must lie in the order of its axes
    return {name: np.ascontiguousarray(np.concatenate([part[name] for part in parts])) for name in parts[0]}


def _known(vae: AutoencoderKL, pixels: np.ndarray, boxes: np.ndarray, seeds: list[int]) -> np.ndarray:
    """`LatentSet.known` of pictures (n, h, w, 3), each with a mask of its own, float16."""
    height, width = pixels.shape[1:3]
    masks = np.stack([mask_of(seed, b, (width, height)) for seed, b in zip(seeds, boxes, strict=True)])
    seen = encode(vae, np.where(masks[..., None], GREY, pixels))
    return np.concatenate([small_masks(masks), seen], axis=1)


def small_masks(masks: np.ndarray) -> np.ndarray:
    """Masks (n, h, w) bool as (n, 1, h/8, w/8) float16: every eighth pixel, as diffusers shrinks them."""
    return masks[:, None, ::PIXELS_PER_LATENT, ::PIXELS_PER_LATENT].astype(np.float16)
