"""A look at a picture, or at a part of it, in no more pixels than a screen has: also at one of a quarter of a
gigapixel, which neither a browser nor this process should hold as a whole."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.error import InvalidRequest, StorageProblem
from pipelines.storage.facts import open_picture
from pipelines.storage.sources import orientation_of
from pipelines.storage.streamed import Head, bands, read_head

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""How a picture is brought upright, by what its EXIF says."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the picture."""


def look(path: Path, side: int, box: Box | None = None) -> Image.Image:
    """The picture at `path`, or what lies in `box`, at most `side` pixels wide and high; RGB or RGBA of 8 bit.

    Never larger than it is. Raises StorageProblem for a file that is none, InvalidRequest for a box outside of it.
    """
    head = read_head(path)
    if head is not None and head.band:
        with suppress(StorageProblem):  # another program has packed it anew: then it is read like any other
            return _fitted(_gathered(path, head, _inside(box, head.width, head.height), side), side)
    with open_picture(path) as image:
        if box is None:
            image.draft("RGB", (side, side))  # a JPEG comes at an eighth of its size for an eighth of the time
        has_alpha = "A" in image.getbands() or "transparency" in image.info
        seen = _of_8_bits(image).convert("RGBA" if has_alpha else "RGB")
        if (turn := TURNS.get(orientation_of(image))) is not None:
            seen = seen.transpose(turn)
        return _fitted(seen if box is None else seen.crop(_inside(box, *seen.size)), side)


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Pillow would make everything white of a grey picture of 16."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))


def _inside(box: Box | None, width: int, height: int) -> Box:
    if box is None:
        return 0, 0, width, height
    left, top, right, bottom = box
    inside = max(0, left), max(0, top), min(width, right), min(height, bottom)
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise InvalidRequest(
            f"{left},{top},{right},{bottom} is no part of the picture", fix=f"stay within {width} x {height}"
        )
    return inside


def _gathered(path: Path, head: Head, box: Box, side: int) -> Image.Image:
    """What lies in `box`, made smaller by a whole number while it is read."""
    left, top, right, bottom = box
    by = max(1, min(right - left, bottom - top, max(right - left, bottom - top) // side))
    held: NDArray[Any] | None = None
    lines = []
    for start, band in bands(path, top, bottom):
        rows = band[max(0, top - start) : bottom - start, left:right]
        rows = (rows >> 8).astype(np.uint8) if head.depth == 16 else rows
        held = rows if held is None or not len(held) else np.concatenate([held, rows])
        whole = len(held) // by * by
        lines.append(_averaged(held[:whole], by))
        held = held[whole:]
    return Image.fromarray(np.concatenate(lines))


def _averaged(rows: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """Each `by` x `by` pixels to one; what is over at the right is left out."""
    height, width, channels = rows.shape
    if by == 1:
        return rows
    width -= width % by
    blocks = rows[:, :width].reshape(height // by, by, width // by, by, channels)
    averaged: NDArray[np.uint8] = blocks.mean(axis=(1, 3), dtype=np.float32).round().astype(np.uint8)
    return averaged


def _fitted(image: Image.Image, side: int) -> Image.Image:
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image
