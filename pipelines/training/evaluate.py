"""Sits the examination: the model's pictures, and beside them the drawings and reconstructions that bound its score."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image, ImageDraw

from pipelines.training.autoencoder import decoded, latent_means, psnr
from pipelines.training.checkers.kinds import KindNet
from pipelines.training.exam import Mark, Question, Score, mark, score
from pipelines.training.pictures import as_tensor
from pipelines.training.world.draw import draw
from pipelines.training.world.scene import Scene

Artist = Callable[[Sequence[Question]], list[Image.Image]]  # answers questions with pictures

ANSWER_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Manner:
    """How the model is asked."""

    width: int = 128  # pixels
    height: int = 128  # pixels
    steps: int = 20
    guidance: float = 4.0


def drawings(manner: Manner) -> Artist:
    """The world itself: what a perfect model would answer."""

    def answer(asked: Sequence[Question]) -> list[Image.Image]:
        return [draw(q.scene, q.seed, width=manner.width, height=manner.height).image for q in asked]

    return answer


def reconstructions(vae: AutoencoderKL, manner: Manner) -> Artist:
    """Drawings through the VAE and back: the best that a model with this VAE could answer."""

    def answer(asked: Sequence[Question]) -> list[Image.Image]:
        pixels = np.stack([np.asarray(picture) for picture in drawings(manner)(asked)])
        return as_pictures(_through(vae, as_tensor(pixels)))

    return answer


def model(pipeline: StableDiffusionPipeline, manner: Manner) -> Artist:
    """The model, prompted with the question's words; each picture's noise comes from its own seed."""

    def answer(asked: Sequence[Question]) -> list[Image.Image]:
        pictures: list[Image.Image] = pipeline(
            [q.prompt for q in asked],
            width=manner.width,
            height=manner.height,
            num_inference_steps=manner.steps,
            guidance_scale=manner.guidance,
            generator=[torch.Generator("cpu").manual_seed(q.seed) for q in asked],
        ).images
        return pictures

    return answer


def answers(artist: Artist, asked: Sequence[Question]) -> Iterator[tuple[Question, Image.Image]]:
    """Each question with its picture, a few at a time."""
    for start in range(0, len(asked), ANSWER_AT_ONCE):
        some = asked[start : start + ANSWER_AT_ONCE]
        yield from zip(some, artist(some), strict=True)


def examine(artist: Artist, asked: Sequence[Question], judge: KindNet) -> Score:
    """The artist's score."""
    marks: list[Mark] = [mark(question, picture, judge) for question, picture in answers(artist, asked)]
    return score(marks)


def reconstruction_psnr(vae: AutoencoderKL, pixels: np.ndarray) -> float:
    """Mean dB over pictures (n, h, w, 3) that went through the VAE and back."""
    pictures = as_tensor(pixels)
    rebuilt = _through(vae, pictures)
    return float(np.mean([psnr(r, p) for r, p in zip(rebuilt, pictures, strict=True)]))


@torch.no_grad()
def _through(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    parts = [decoded(vae, latent_means(vae, some)) for some in torch.split(pictures, ANSWER_AT_ONCE)]
    return torch.cat(parts)


def as_pictures(tensor: torch.Tensor) -> list[Image.Image]:
    """Pictures of (n, 3, h, w) in -1..1."""
    pixels = ((tensor.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(p) for p in pixels]


def short_label(scene: Scene) -> str:
    """A scene in a few words, to go under a small picture."""
    return " / ".join((*(f"{s.colour} {s.kind}" for s in scene.subjects), scene.sky, scene.ground))


def sheet(pictures: Sequence[Image.Image], *, columns: int, labels: Sequence[str] = ()) -> Image.Image:
    """A contact sheet of equally large pictures, each with a label in small type beneath it, if there are labels."""
    width, height = pictures[0].size
    line = 14 if labels else 0
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * width, rows * (height + line)), "white")
    pen = ImageDraw.Draw(page)
    for i, picture in enumerate(pictures):
        x, y = i % columns * width, i // columns * (height + line)
        page.paste(picture, (x, y))
        if labels:
            pen.text((x + 3, y + height + 1), labels[i], fill="black")
    return page
