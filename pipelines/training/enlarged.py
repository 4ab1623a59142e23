"""What the enlarging model makes of held-out drawings that were made small: beside the usual ways, and measured."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import torch
from diffusers import StableDiffusionUpscalePipeline
from PIL import Image

from pipelines.training.autoencoder import psnr
from pipelines.training.enlarging import FACTOR
from pipelines.training.evaluate import sheet
from pipelines.training.examples import spoken
from pipelines.training.pictures import PictureSet, as_tensor

USUAL = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True)
class Manner:
    """How the model is asked."""

    steps: int = 20
    guidance: float = 1.0
    noise_level: int = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """One drawing, made small, and large again."""

    original: Image.Image
    small: Image.Image
    ways: dict[str, Image.Image]
    """By name, all as large as the original."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Means over trials."""

    psnr: float
    """Decibels, against the original."""
    sharpness: float
    """Differences between neighbouring pixels, as a share of the original's."""
    faithfulness: float
    """Decibels of what it is when made small again, against the small picture."""


def trials(pipeline: StableDiffusionUpscalePipeline, wanted: PictureSet, manner: Manner) -> Iterator[Trial]:
    """Every picture of `wanted`, by its own caption; all chance depends on the picture."""
    for index in range(wanted.count):
        original = Image.fromarray(wanted.picture(index)[0])
        small = original.reduce(FACTOR)
        enlarged = pipeline(
            spoken(wanted.scene(index), random.Random(index)),
            image=small,
            num_inference_steps=manner.steps,
            guidance_scale=manner.guidance,
            noise_level=manner.noise_level,
            generator=torch.Generator("cpu").manual_seed(index),
        ).images[0]
        usual = {way.name.lower(): small.resize(original.size, way) for way in USUAL}
        yield Trial(original, small, {**usual, "model": enlarged})


def measures(tried: Sequence[Trial]) -> dict[str, Measure]:
    """How good each way is."""
    return {way: _measure([(one, one.ways[way]) for one in tried]) for way in tried[0].ways}


def _measure(pairs: Sequence[tuple[Trial, Image.Image]]) -> Measure:
    return Measure(
        psnr=mean(_psnr(made, trial.original) for trial, made in pairs),
        sharpness=mean(_edges(made) / _edges(trial.original) for trial, made in pairs),
        faithfulness=mean(_psnr(made.reduce(FACTOR), trial.small) for trial, made in pairs),
    )


def _psnr(one: Image.Image, other: Image.Image) -> float:
    pixels = as_tensor(np.stack([np.asarray(one), np.asarray(other)]))
    return psnr(pixels[0], pixels[1])


def _edges(picture: Image.Image) -> float:
    levels = np.asarray(picture, np.float32)
    return float(sum(np.abs(np.diff(levels, axis=axis)).mean() for axis in (0, 1)))


def trial_sheet(tried: Sequence[Trial]) -> Image.Image:
    """In each row: the small picture's pixels, Lanczos, the model, the original."""
    rows = [
        (one.small.resize(one.original.size, Image.Resampling.NEAREST), one.ways["lanczos"], one.ways["model"])
        for one in tried
    ]
    pictures = [picture for row, one in zip(rows, tried, strict=True) for picture in (*row, one.original)]
    names = ("small", "Lanczos", "enlarged", "original")
    return sheet(pictures, columns=len(names), labels=names * len(tried))
