"""PNGs of any size, a band of rows at a time: neither who writes one nor who looks at a part has all of it in memory.

Each band is a chunk of its own that can be unpacked without those before it (a full flush of zlib, and a first row
that refers to no other), so a part of a picture of a quarter of a gigapixel is seen in milliseconds. Any PNG reader
opens such a file (W3C PNG Third Edition, 2025).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from pipelines.core.error import StorageProblem
from pipelines.core.upscale import LARGEST_SIDE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BAND = 64
"""Rows that are packed together."""
BANDS = b"eaBD"
"""Our own chunk, which others skip: how many rows a band has."""
REST = b"eaRS"
"""Our own chunk, without meaning: the room that is left before the pixels."""
SPARE = 1024
"""Bytes kept free before the pixels, for what is known only after them."""
OVERHEAD = 12
"""Bytes of a chunk beside its data: length, kind, check sum."""
LEVEL = 4
"""Of zlib: hardly larger than 6, in half the time."""
COLOURS = {3: 2, 4: 6}
"""PNG's colour types, by channels."""

Rows = NDArray[Any]
"""(h, w, 3), or 4 with alpha; uint8 or uint16."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a PNG says before its pixels."""

    width: int
    height: int
    channels: int
    depth: int
    """Bits of each number."""
    band: int
    """Rows of each band; 0: not written by us, as far as can be told."""
    texts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What goes with the pixels."""

    texts: PngImagePlugin.PngInfo
    profile: bytes | None = None
    """ICC."""
    exif: bytes | None = None
    """As TIFF has it, without a name in front."""

    @property
    def chunks(self) -> bytes:
        packed = b""
        if self.profile:
            packed += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(self.profile))
        if self.exif:
            packed += _chunk(b"eXIf", self.exif)
        return packed + b"".join(_chunk(kind, data) for kind, data, *_ in self.texts.chunks)


class StreamedPng:
    """Writes a PNG into `file` from the top on; `told` may change until it is closed."""

    def __init__(self, file: BinaryIO, width: int, height: int, kind: tuple[int, type], told: Told) -> None:
        """`kind`: channels, and np.uint8 or np.uint16."""
        self._file, self._width, self._height = file, width, height
        self._channels, self._type = kind
        self._packer = zlib.compressobj(LEVEL)
        self._waiting: Rows = np.empty((0, width, self._channels), self._type)
        self._rows = 0
        bits = 8 * np.dtype(self._type).itemsize
        file.write(SIGNATURE)
        file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, COLOURS[self._channels], 0, 0, 0)))
        file.write(_chunk(BANDS, struct.pack(">I", BAND)))
        self._told_at, self._room = file.tell(), len(told.chunks) + SPARE
        self._tell(told)

    def write(self, rows: Rows) -> None:
        """The next rows, as many as there are."""
        waiting = np.concatenate([self._waiting, rows]) if len(self._waiting) else rows
        while len(waiting) >= BAND:
            self._pack(waiting[:BAND])
            waiting = waiting[BAND:]
        self._waiting = waiting.copy()

    def close(self, told: Told) -> None:
        """All rows are written; from now on it is a picture."""
        if len(self._waiting):
            self._pack(self._waiting)
        if self._rows != self._height:
            raise ValueError(f"{self._rows} of {self._height} rows were written")
        self._file.write(_chunk(b"IDAT", self._packer.flush()))
        self._file.write(_chunk(b"IEND", b""))
        end = self._file.tell()
        self._file.seek(self._told_at)
        self._tell(told)
        self._file.seek(end)

    def _pack(self, rows: Rows) -> None:
        packed = self._packer.compress(_filtered(rows)) + self._packer.flush(zlib.Z_FULL_FLUSH)
        self._file.write(_chunk(b"IDAT", packed))
        self._rows += len(rows)

    def _tell(self, told: Told) -> None:
        chunks = told.chunks
        left = self._room - len(chunks) - OVERHEAD
        if left < 0:
            raise ValueError("what is told of a picture has outgrown its room")
        self._file.write(chunks + _chunk(REST, b"\0" * left))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _filtered(rows: Rows) -> bytes:
    """Each row as the difference to its left (1) or to the row above (2), whichever is smaller; the first to its left.

    The smaller sum of absolute differences is the one that packs better, nearly always (PNG, section 12.7).
    """
    height = len(rows)
    plain = rows.astype(f">u{rows.dtype.itemsize}").view(np.uint8).reshape(height, rows.shape[1], -1)
    left, above = plain.copy(), plain.copy()
    left[:, 1:] -= plain[:, :-1]
    above[1:] -= plain[:-1]
    costs = [np.abs(one.view(np.int8).astype(np.int16)).sum(axis=(1, 2), dtype=np.int64) for one in (left, above)]
    up = costs[1] < costs[0]
    up[0] = False
    packed = np.empty((height, 1 + plain.shape[1] * plain.shape[2]), np.uint8)
    packed[:, 0] = 1 + up
    packed[:, 1:] = np.where(up[:, None, None], above, left).reshape(height, -1)
    return packed.tobytes()


def _plain(packed: bytes, head: Head) -> Rows:
    """The rows of a band, as `_filtered` has packed them."""
    size = head.channels * head.depth // 8
    lines = np.frombuffer(packed, np.uint8).reshape(-1, 1 + head.width * size)
    if not np.isin(lines[:, 0], (1, 2)).all() or lines[0, 0] != 1:
        raise ValueError("rows were packed by another program")
    rows = lines[:, 1:].reshape(len(lines), head.width, size).copy()
    for number, kind in enumerate(lines[:, 0]):
        if kind == 2:
            rows[number] += rows[number - 1]
        else:
            np.cumsum(rows[number], axis=0, dtype=np.uint8, out=rows[number])
    shape = (len(rows), head.width, head.channels)
    return rows.reshape(len(rows), -1).view(f">u{head.depth // 8}").reshape(shape).astype(f"u{head.depth // 8}")


def read_head(path: Path) -> Head | None:
    """Of a PNG; None for what is none. Its size may be anything: nothing is unpacked but short texts."""
    try:
        with path.open("rb") as file:
            return _head(file)
    except (OSError, struct.error, ValueError, zlib.error) as error:
        raise StorageProblem(f"{path.name} is damaged", fix="make it again", detail=str(error)) from error


LONGEST_TEXT = 1 << 20


def _head(file: BinaryIO) -> Head | None:
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return None
    width = height = depth = colours = interlaced = band = 0
    texts: dict[str, str] = {}
    for kind, length in _chunks(file):
        if kind in {b"IDAT", b"IEND"}:
            break
        if length > LONGEST_TEXT:
            continue
        data = file.read(length)
        match kind:
            case b"IHDR":
                width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", data)
            case b"eaBD":
                (band,) = struct.unpack(">I", data)
            case b"tEXt":
                name, _, text = data.partition(b"\0")
                texts[name.decode("latin-1")] = text.decode("latin-1")
            case b"iTXt":
                name, _, rest = data.partition(b"\0")
                parts = rest[2:].split(b"\0", 2)
                if rest[:1] == b"\0" and len(parts) == 3:  # not packed: ours never is
                    texts[name.decode("latin-1")] = parts[2].decode(errors="replace")
    channels = {kind: number for number, kind in COLOURS.items()}.get(colours, 0)
    sized = min(width, height) > 0 and max(width, height) <= LARGEST_SIDE
    ours = sized and band == BAND and depth in {8, 16} and channels and not interlaced
    return Head(width, height, channels, depth, band if ours else 0, texts)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each chunk; its data is at hand while it is the present one."""
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        here = file.tell()
        yield kind, length
        file.seek(here + length + 4)


def bands(path: Path, top: int = 0, bottom: int | None = None) -> Iterator[tuple[int, Rows]]:
    """The bands of a PNG of ours in which rows `top` to `bottom` lie, each with its first row.

    Raises StorageProblem for any other file.
    """
    head = read_head(path)
    if head is None or not head.band:
        raise StorageProblem(f"{path.name} was not written in bands", fix="open it in another program")
    bottom = head.height if bottom is None else bottom
    try:
        with path.open("rb") as file:
            file.seek(len(SIGNATURE))
            start = 0
            for kind, length in _chunks(file):
                if start >= bottom:
                    return
                if kind != b"IDAT":
                    continue
                rows = min(head.band, head.height - start)
                if start + rows > top:
                    size = rows * (1 + head.width * head.channels * head.depth // 8)
                    if length > size + size // 8 + SPARE:
                        raise ValueError("a band is packed larger than its rows are")
                    yield start, _plain(_unpacked(file.read(length), size, first=start == 0), head)
                start += rows
            if start < bottom:
                raise ValueError("rows are missing")
    except (OSError, struct.error, ValueError, zlib.error) as error:
        raise StorageProblem(f"{path.name} is damaged", fix="make it again", detail=str(error)) from error


def _unpacked(packed: bytes, size: int, *, first: bool) -> bytes:
    """The `size` bytes of one band, no more of what a file may claim; the stream's head stands before the first alone.

    Raises ValueError for any other size: the file was packed anew by another program.
    """
    unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed[2:] if first else packed, size + 1)
    if len(unpacked) != size:
        raise ValueError("a band is not as long as its rows are")
    return unpacked
