"""What the enlarging model is shown: squares of pictures, cut out and encoded once, with the captions of the whole."""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.numpy import save
from safetensors.torch import load_file
from torch import Tensor

from pipelines.training.examples import UNTOLD, spoken
from pipelines.training.latents import encode, fingerprint
from pipelines.training.pictures import CropStream
from pipelines.training.whole import write_whole
from pipelines.training.world import WORLD
from pipelines.training.world.captions import no_caption
from pipelines.training.world.scene import Scene


@dataclass(frozen=True, slots=True)
class Patches:
    """Scaled latents (n, 4, h, w) float16 of `pixels` (n, 3, H, W) uint8, and the scene that each was cut from."""

    latents: Tensor
    pixels: Tensor
    scenes: list[Scene]


def patches(vae: AutoencoderKL, crops: CropStream, count: int, folder: Path) -> Patches:
    """`count` patches, kept in `folder`; cut out and encoded first if they are missing there."""
    rng = random.Random(crops.seed)
    places = [crops.place(rng) for _ in range(count)]
    told = (tuple(source.made_of for source in crops.sets), crops.side, places, WORLD, fingerprint(vae))
    file = folder / f"patches-{hashlib.sha256(repr(told).encode()).hexdigest()[:12]}.safetensors"
    if not file.is_file():
        pixels = np.stack([crops.at(*place) for place in places])
        arrays = {"latents": encode(vae, pixels), "pixels": pixels.transpose(0, 3, 1, 2)}
        # safetensors writes an array's memory as it lies, so it must lie in the order of its axes
        lying = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_whole(file, lambda opened: opened.write(save(lying)))
    return Patches(**load_file(file), scenes=[crops.sets[number].made_of.scene(at) for number, at, _, _ in places])


@dataclass(frozen=True, slots=True)
class PatchStream:
    """Batches of latents, pictures (n, 3, H, W) in 0..1 and texts, as a pure function of (seed, step)."""

    source: Patches
    batch: int
    seed: int

    def __call__(self, step: int) -> tuple[Tensor, Tensor, list[str]]:
        rng = random.Random(self.seed * 1_000_003 + step)
        picks = [rng.randrange(len(self.source.scenes)) for _ in range(self.batch)]
        texts = [no_caption(rng) if rng.random() < UNTOLD else spoken(self.source.scenes[i], rng) for i in picks]
        index = torch.tensor(picks)
        return self.source.latents[index].float(), self.source.pixels[index].float() / 255, texts
