"""Pictures as arrays that keep what they had: 8 or 16 bit, with or without alpha, turned as their EXIF says."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.error import InvalidRequest
from pipelines.storage.deep import read_deep_png
from pipelines.storage.facts import FORMATS
from pipelines.storage.sources import TURNED, orientation_of

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]
Levels = NDArray[np.uint8]

BAND = 1 << 20
"""Pixels worked on at a time: what is in between, in larger numbers, would be many times the picture itself."""
DEPTH = 24
"""Where a PNG says how many bits each number has."""


@dataclass(frozen=True)
class SourcePicture:
    """A picture that is painted over."""

    array: NDArray[Any]
    """(h, w, 3), or (h, w, 4) with alpha; uint8 or uint16."""
    profile: bytes | None = None
    """ICC."""

    @property
    def width(self) -> int:
        return int(self.array.shape[1])

    @property
    def height(self) -> int:
        return int(self.array.shape[0])

    @property
    def pixels(self) -> Pixels:
        """All of it, as `seen`."""
        return self.seen(slice(None), slice(None))

    def seen(self, rows: slice, columns: slice) -> Pixels:
        """(h, w, 3) of a part as the network sees it: 8 bit, what is transparent on white."""
        part = self.array[rows, columns]
        if part.dtype == np.uint8 and part.shape[2] == 3:
            return part
        seen = np.empty((*part.shape[:2], 3), np.uint8)
        for band in _bands(part.shape):
            seen[band] = _on_white(part[band])
        return seen

    def repainted(self, rows: slice, columns: slice, new: Pixels, mask: Mask) -> "SourcePicture":
        """With `new` where the mask of this part is not 0, and to the bit as it was elsewhere.

        From half the mask's strength on a pixel is all new; below, it fades. What is painted is opaque.
        """
        array = self.array.copy()
        part = array[rows, columns]
        for band in _bands(part.shape):
            part[band] = _mixed(part[band], new[band], mask[band])
        return SourcePicture(array, self.profile)


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Some rows at a time."""
    rows = max(1, BAND // max(1, shape[1]))
    return (slice(start, start + rows) for start in range(0, shape[0], rows))


def _on_white(part: NDArray[Any]) -> Pixels:
    eight = (part >> 8).astype(np.uint8) if part.dtype == np.uint16 else part
    colours = eight[..., :3]
    if eight.shape[2] == 4:
        alpha = eight[..., 3:].astype(np.uint16)
        colours = ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.asarray(colours, dtype=np.uint8)


def _mixed(part: NDArray[Any], new: Pixels, mask: Mask) -> NDArray[Any]:
    levels = 257 if part.dtype == np.uint16 else 1
    share = np.minimum(2 * mask, 1)[..., None]
    wanted = new.astype(np.float32) * levels
    if part.shape[2] == 4:
        wanted = np.concatenate([wanted, np.full((*mask.shape, 1), 255 * levels, np.float32)], axis=2)
    mixed = part + share * (wanted - part)
    return np.where(share > 0, mixed.round(), part).astype(part.dtype)


def read_source(path: Path) -> SourcePicture:
    """The picture at `path`, which the studio has checked before."""
    with Image.open(path, formats=FORMATS) as image:
        profile = image.info.get("icc_profile")
        if image.format == "PNG" and _depth(path) == 16:  # Pillow would cut colours down to 8
            return SourcePicture(_upright(read_deep_png(path.read_bytes()), image), profile)
        has_alpha = "A" in image.getbands() or "transparency" in image.info
        kept = np.array(image.convert("RGBA" if has_alpha else "RGB"))
        if image.mode == "CMYK":
            profile = None  # it speaks of inks
        return SourcePicture(_upright(kept, image), profile)


def _upright(array: NDArray[Any], image: Image.Image) -> NDArray[Any]:
    """(h, w, ...) turned and mirrored as the EXIF of the picture says (TIFF 6.0, section 8)."""
    orientation = orientation_of(image)
    if orientation in TURNED:
        array = array.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        array = array[::-1]
    if orientation in {2, 3, 6, 7}:
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(DEPTH + 1)[DEPTH]


def read_mask(path: Path, size: tuple[int, int]) -> Levels:
    """(h, w), 0 to 255. Of a picture that is transparent somewhere, how opaque it is; of others, how bright.

    Raises InvalidRequest when it is not of `size`, the width and height of the picture.
    """
    with Image.open(path, formats=FORMATS) as image:
        mask: Levels = _upright(_levels(image), image)
    height, width = mask.shape
    if (width, height) != size:
        raise InvalidRequest(
            f"The mask is {width} x {height}, the picture {size[0]} x {size[1]}",
            fix="paint the mask on this picture", field="mask",
        )  # fmt: skip
    return mask


def _levels(image: Image.Image) -> Levels:
    if image.mode in ("I;16", "I"):  # of 16 bits
        return (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
    if "A" in image.getbands() or "transparency" in image.info:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            return np.array(alpha)
    return np.array(image.convert("L"))
