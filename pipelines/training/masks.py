"""Masks as people paint them, for the inpainting model: around a subject, a few strokes, a box, everything."""

import random

import numpy as np
from PIL import Image, ImageDraw

Size = tuple[int, int]  # width, height in pixels


def mask_of(seed: int, boxes: np.ndarray, size: Size) -> np.ndarray:
    """The mask (height, width) bool of the picture drawn from `seed`."""
    # A chance of its own: from the scene's, the kind of mask would follow from the kind of scene.
    return random_mask(random.Random(f"mask {seed}"), boxes, size)


def random_mask(rng: random.Random, boxes: np.ndarray, size: Size) -> np.ndarray:
    """What is to be painted, (height, width) bool; `boxes` (k, 4) are the subjects', in fractions; all zero is none."""
    width, height = size
    mask = Image.new("1", size)
    paint = rng.choices((_subject, _strokes, _anywhere, _everything), (0.6, 0.2, 0.1, 0.1))[0]
    paint(rng, ImageDraw.Draw(mask), boxes[boxes.any(1)] * (width, height, width, height), size)
    return np.asarray(mask)


def subject_mask(box: tuple[float, float, float, float], size: Size, margin: float = 0.15) -> np.ndarray:
    """(height, width) bool: `box` (fractions) and `margin` of its sides more all around."""
    width, height = size
    mask = Image.new("1", size)
    pixels = np.array(box) * (width, height, width, height)
    ImageDraw.Draw(mask).rectangle(_grown(pixels, (margin,) * 4, size), fill=1)
    return np.asarray(mask)


def _subject(rng: random.Random, pen: ImageDraw.ImageDraw, boxes: np.ndarray, size: Size) -> None:
    """All around one subject, or in a duo now and then around both."""
    count = len(boxes) if rng.random() < 0.25 else 1
    for box in rng.sample(list(boxes), count):
        left, top, right, bottom = _grown(box, [rng.uniform(0.05, 0.35) for _ in range(4)], size)
        if rng.random() < 0.5:
            pen.rectangle((left, top, right, bottom), fill=1)
        else:
            by = 0.2 * (right - left), 0.2 * (bottom - top)  # an ellipse must be wider to cover the corners
            pen.ellipse((left - by[0], top - by[1], right + by[0], bottom + by[1]), fill=1)


def _strokes(rng: random.Random, pen: ImageDraw.ImageDraw, boxes: np.ndarray, size: Size) -> None:
    """A wide brush, moved to and fro."""
    width, height = size
    for _ in range(rng.randint(1, 3)):
        thick = rng.uniform(0.08, 0.3) * min(size)
        at = [(rng.uniform(0, width), rng.uniform(0, height)) for _ in range(rng.randint(2, 5))]
        pen.line(at, fill=1, width=round(thick), joint="curve")
        for x, y in at:
            pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=1)


def _anywhere(rng: random.Random, pen: ImageDraw.ImageDraw, boxes: np.ndarray, size: Size) -> None:
    """A box of any size."""
    (x0, x1), (y0, y1) = (sorted((rng.uniform(0, side), rng.uniform(0, side))) for side in size)
    pen.rectangle((x0, y0, x1, y1), fill=1)


def _everything(rng: random.Random, pen: ImageDraw.ImageDraw, boxes: np.ndarray, size: Size) -> None:
    pen.rectangle((0, 0, *size), fill=1)


def _grown(box: np.ndarray, shares: tuple[float, ...] | list[float], size: Size) -> tuple[float, float, float, float]:
    """`box` (left, top, right, bottom in pixels), each edge moved out by its share of the box's side."""
    left, top, right, bottom = (float(edge) for edge in box)
    wide, high = right - left, bottom - top
    out_left, out_top, out_right, out_bottom = shares
    return (
        max(0.0, left - out_left * wide),
        max(0.0, top - out_top * high),
        min(float(size[0]), right + out_right * wide),
        min(float(size[1]), bottom + out_bottom * high),
    )
