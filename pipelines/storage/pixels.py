"""Pictures as arrays that keep what they had: 8 or 16 bit, with or without alpha, turned as their EXIF says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipelines.core.error import InvalidRequest
from pipelines.storage.deep import read_deep_png

Pixels = NDArray[np.uint8]
Mask = NDArray[np.float32]

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
        """(h, w, 3) as the network sees it: 8 bit, what is transparent on white."""
        eight = (self.array >> 8).astype(np.uint8) if self.array.dtype == np.uint16 else self.array
        colours = eight[..., :3]
        if eight.shape[2] == 4:
            alpha = eight[..., 3:].astype(np.uint16)
            colours = ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return np.asarray(colours, dtype=np.uint8)

    def repainted(self, rows: slice, columns: slice, new: Pixels, mask: Mask) -> "SourcePicture":
        """With `new` where the mask of this part is not 0, and to the bit as it was elsewhere.

        From half the mask's strength on a pixel is all new; below, it fades. What is painted is opaque.
        """
        array = self.array.copy()
        part = array[rows, columns]
        levels = 257 if array.dtype == np.uint16 else 1
        share = np.minimum(2 * mask, 1)[..., None]
        wanted = new.astype(np.float32) * levels
        if array.shape[2] == 4:
            wanted = np.concatenate([wanted, np.full((*mask.shape, 1), 255 * levels, np.float32)], axis=2)
        mixed = part + share * (wanted - part)
        array[rows, columns] = np.where(share > 0, mixed.round(), part).astype(array.dtype)
        return SourcePicture(array, self.profile)


def read_source(path: Path) -> SourcePicture:
    """The picture at `path`, which the studio has checked before."""
    with Image.open(path, formats=["PNG", "JPEG", "WEBP"]) as image:
        profile = image.info.get("icc_profile")
        if image.format == "PNG" and _depth(path) == 16:  # Pillow would cut colours down to 8
            return SourcePicture(read_deep_png(path.read_bytes()), profile)
        turned = ImageOps.exif_transpose(image)
        has_alpha = "A" in turned.getbands() or "transparency" in turned.info
        kept = turned.convert("RGBA" if has_alpha else "RGB")
        if image.mode == "CMYK":
            profile = None  # it speaks of inks
    return SourcePicture(np.array(kept), profile)


def _depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(DEPTH + 1)[DEPTH]


def read_mask(path: Path, size: tuple[int, int]) -> Mask:
    """(h, w) float32, 0 to 1. Of a picture that is transparent somewhere, how opaque it is; of others, how bright.

    Raises InvalidRequest when it is not of `size`, the width and height of the picture.
    """
    with Image.open(path, formats=["PNG", "JPEG", "WEBP"]) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.size != size:
            raise InvalidRequest(
                f"The mask is {turned.width} x {turned.height}, the picture {size[0]} x {size[1]}",
                fix="paint the mask on this picture", field="mask",
            )  # fmt: skip
        mask: Mask = np.clip(_levels(turned), 0, 1).astype(np.float32)
    return mask


def _levels(image: Image.Image) -> NDArray[np.floating]:
    if image.mode in ("I;16", "I"):
        return np.array(image, np.float32) / 65535
    if "A" in image.getbands() or "transparency" in image.info:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            return np.array(alpha, np.float32) / 255
    return np.array(image.convert("L"), np.float32) / 255
