"""PNGs of 16 bits for each number, which Pillow writes in grey only (PNG specification, W3C 2025, sections 5 and 9)."""

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {3: 2, 4: 6}
"""By the numbers of a pixel: RGB, RGBA."""
FROM_THE_LEFT = 1
"""The filter that stores the difference to the pixel at the left."""


@dataclass(frozen=True)
class DeepPicture:
    """A picture of 16 bits."""

    array: NDArray[np.uint16]
    """(h, w, 3), or 4 with alpha."""
    profile: bytes | None = None
    """ICC."""


def write_deep_png(picture: DeepPicture, texts: PngImagePlugin.PngInfo, file: BinaryIO) -> None:
    """The picture with its texts."""
    array, profile = picture.array, picture.profile
    height, width, numbers = array.shape
    file.write(SIGNATURE)
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[numbers], 0, 0, 0))
    if profile:
        _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile))
    for kind, data, *_ in texts.chunks:
        _chunk(file, kind, data)
    rows = np.ascontiguousarray(array.astype(">u2")).view(np.uint8).reshape(height, -1)
    filtered = rows.copy()
    filtered[:, 2 * numbers :] -= rows[:, : -2 * numbers]
    lines = np.concatenate([np.full((height, 1), FROM_THE_LEFT, np.uint8), filtered], axis=1)
    _chunk(file, b"IDAT", zlib.compress(lines.tobytes(), 6))
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
