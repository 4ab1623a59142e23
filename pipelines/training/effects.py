"""Readers of effects: what a LoRA or the new word does to pixels, and whether a subject was replaced."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image, ImageFilter

from pipelines.training.checkers.judge import Judge, kinds_of
from pipelines.training.checkers.pixels import colour_of
from pipelines.training.evaluate import Manner
from pipelines.training.exam import expected_boxes
from pipelines.training.latents import GREY
from pipelines.training.masks import Size, subject_mask
from pipelines.training.world.canvas import Box
from pipelines.training.world.captions import full_caption
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import LAND_KINDS, random_scene
from pipelines.training.world.scene import Colour, Scene, Style, Subject

RING = 0.30  # how far around a subject its halo is read, in sides of its box
FLAKE = 45.0  # levels, 0-255, by which a flake is brighter than what is around it
KEPT = 10.0  # mean difference, 0-255, up to which what is outside a mask counts as kept


def warmth_around(picture: np.ndarray, box: Box) -> float:
    """How much more golden (red and green over blue, 0-255) a picture (h, w, 3) is just around `box` than far from it.

    Rows are compared with themselves, so that a sunset's or a desert's own gold does not count.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(f * s) for f, s in zip(box, (width, height, width, height), strict=True))
    reach = round(RING * (right - left))
    gold = picture[..., :2].mean(-1, dtype=float) - picture[..., 2]
    rows = gold[max(top, 0) : bottom]
    near = np.concatenate([rows[:, max(left - reach, 0) : left], rows[:, right : right + reach]], axis=1)
    far = np.concatenate([rows[:, : width // 10], rows[:, -(width // 10) :]], axis=1)
    return float(np.median(near, axis=1).mean() - np.median(far, axis=1).mean())


def flakes_in(picture: Image.Image) -> float:
    """The share (0-1) of the picture that small light specks cover."""
    grey = picture.convert("L")
    around = np.asarray(grey.filter(ImageFilter.MedianFilter(9))).astype(float)
    return float((np.asarray(grey) - around > FLAKE).mean())


def nearness(picture: np.ndarray, box: Box, paint: tuple[int, int, int]) -> float:
    """The share (0-1) of `box` in a picture (h, w, 3) whose colour is near to `paint`."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(f * s) for f, s in zip(box, (width, height, width, height), strict=True))
    inside = picture[max(top, 0) : bottom, max(left, 0) : right].astype(float)
    return float((np.linalg.norm(inside - paint, axis=-1) < 48).mean())


@dataclass(frozen=True, slots=True)
class Replacement:
    """A drawing, what of it is to be painted anew, and the scene that should be seen then."""

    before: Scene
    after: Scene
    seed: int

    @property
    def prompt(self) -> str:
        """What the model is asked for."""
        return full_caption(self.after)

    def picture(self, size: Size) -> Image.Image:
        """The drawing."""
        return draw(self.before, self.seed, width=size[0], height=size[1]).image

    def mask(self, size: Size) -> np.ndarray:
        """(height, width) bool: where the old subject is and where the new one will be."""
        boxes = [draw(self.before, self.seed, width=size[0], height=size[1]).boxes[0], self.box(size)]
        old, new = (subject_mask(box, size, margin=0.12) for box in boxes)
        both: np.ndarray = old | new
        return both

    def masked(self, size: Size) -> Image.Image:
        """The drawing with grey in the mask's place, to be shown."""
        return Image.fromarray(np.where(self.mask(size)[..., None], GREY, np.asarray(self.picture(size))))

    def box(self, size: Size) -> Box:
        """Where the new subject is expected."""
        return expected_boxes(self.after, *size)[0]


def replacements(count: int, *, seed: int) -> tuple[Replacement, ...]:
    """`count` held-out scenes of one subject, and for each another subject in another colour for the same place."""
    rng = random.Random(f"replace {seed}")
    asked: list[Replacement] = []
    while len(asked) < count:
        before = random_scene(rng, held_out=True, duos=0.0)
        (old,) = before.subjects
        kind = rng.choice([kind for kind in LAND_KINDS if kind is not old.kind])
        colour = rng.choice([colour for colour in Colour if colour is not old.colour])
        asked.append(Replacement(before, replace(before, subjects=(Subject(kind, colour, old.size),)), len(asked)))
    return tuple(asked)


def repainted(
    pipeline: StableDiffusionInpaintPipeline, asked: Sequence[Replacement], manner: Manner
) -> list[Image.Image]:
    """The model's answers."""
    size = manner.width, manner.height
    pictures: list[Image.Image] = pipeline(
        [r.prompt for r in asked],
        image=[r.picture(size) for r in asked],
        mask_image=[Image.fromarray(r.mask(size).astype(np.uint8) * 255) for r in asked],
        width=manner.width,
        height=manner.height,
        num_inference_steps=manner.steps,
        guidance_scale=manner.guidance,
        generator=[torch.Generator("cpu").manual_seed(r.seed) for r in asked],
    ).images
    return pictures


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a replacement shows the new subject in its colour, and leaves what is outside the mask as it was."""

    kind: bool
    colour: bool
    kept: bool


def outcome(asked: Replacement, picture: Image.Image, judge: Judge) -> Outcome:
    """Read one answer."""
    size, (new,) = picture.size, asked.after.subjects
    outside = ~asked.mask(size)
    changed = np.abs(np.asarray(picture).astype(float) - np.asarray(asked.picture(size)))[outside]
    return Outcome(
        kind=kinds_of(judge, picture, [asked.box(size)])[0] is new.kind,
        colour=colour_of(np.asarray(picture), asked.box(size), Style.FLAT) is new.colour,
        kept=not outside.any() or float(changed.mean()) <= KEPT,
    )


def shares(outcomes: Sequence[Outcome]) -> Mapping[str, float]:
    """Shares (0-1) of what went right, and of answers in which everything did."""
    return {
        "pictures": len(outcomes),
        "kind": mean(o.kind for o in outcomes),
        "colour": mean(o.colour for o in outcomes),
        "kept": mean(o.kept for o in outcomes),
        "replaced": mean(o.kind and o.colour and o.kept for o in outcomes),
    }
