"""PNGs of 16 bits for each number: Pillow knows them in grey pictures only."""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

HEAD = 33
"""Bytes of the signature and of the header chunk, which comes first."""


@dataclass(frozen=True)
class DeepPicture:
    """A picture of 16 bits."""

    array: NDArray[np.uint16]
    """(h, w, 3), or 4 with alpha."""
    profile: bytes | None = None
    """ICC."""


def read_deep_png(content: bytes) -> NDArray[np.uint16]:
    """(h, w, 3), or (h, w, 4) with alpha, of a PNG that has 16 bits."""
    import cv2  # noqa: PLC0415, a large library for a rare kind of picture

    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None and found.dtype == np.uint16
    ways: dict[int, Any] = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    turned: NDArray[np.uint16] = cv2.cvtColor(found, ways[1 if found.ndim == 2 else found.shape[2]])  # type: ignore[assignment]
    return turned


def write_deep_png(picture: DeepPicture, texts: PngImagePlugin.PngInfo, file: BinaryIO) -> None:
    """The picture with its texts (chunks as of the PNG specification, W3C 2025, section 5)."""
    import cv2  # noqa: PLC0415

    way = cv2.COLOR_RGB2BGR if picture.array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    encoded = cv2.imencode(".png", cv2.cvtColor(picture.array, way))[1].data  # a view: it is as large as the picture
    file.write(encoded[:HEAD])
    if picture.profile:
        _write_chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.profile))
    for kind, data, *_ in texts.chunks:
        _write_chunk(file, kind, data)
    file.write(encoded[HEAD:])


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
