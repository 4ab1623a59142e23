"""Pictures that are written while they are made: as PNG row by row, in other formats when all rows are there."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image, PngImagePlugin

from pipelines.core.upscale import Format
from pipelines.storage.facts import EXIF_FOLDER, MAKER_NOTE, OURS_IN_EXIF, USER_COMMENT, Chunk, exif_of
from pipelines.storage.sources import ORIENTATION
from pipelines.storage.streamed import Rows, StreamedPng, Told

SUFFIXES: Mapping[Format, str] = {
    Format.PNG: ".png", Format.WEBP: ".webp", Format.JPEG: ".jpg", Format.AVIF: ".avif",
}  # fmt: skip
WITHOUT_LOSS = 100
GPS_FOLDER = 0x8825
UNTRUE = {USER_COMMENT, MAKER_NOTE, 0xA002, 0xA003, 0xA005}
"""Notes that are not true of another file: texts that are written anew, sizes, and places in the old file."""
EXIF_MARK = b"Exif\0\0"
LONGEST_EXIF, LONGEST_TEXT = 60_000, 14_000
"""Bytes: a JPEG has room for 64 KB; and letters, of up to four bytes."""


@dataclass(frozen=True)
class About:
    """What a picture said about itself, and its upscaled one says, too."""

    parameters: str = ""
    """The text of A1111 and its relatives."""
    profile: bytes | None = None
    """ICC."""
    exif: Image.Exif = field(default_factory=Image.Exif)


def about(image: Image.Image, parameters: str, profile: bytes | None) -> About:
    """Of a picture that was just read. It is upright from now on, and its thumbnail is not true any more."""
    exif = exif_of(image)
    kept = Image.Exif()
    kept.update({tag: value for tag, value in exif.items() if tag not in {ORIENTATION, EXIF_FOLDER, GPS_FOLDER}})
    for folder in (EXIF_FOLDER, GPS_FOLDER):  # their numbers are places in the old file
        inner = {tag: value for tag, value in exif.get_ifd(folder).items() if tag not in UNTRUE}
        if inner:
            kept.get_ifd(folder).update(inner)
    return About(parameters, profile, kept if _packed(kept) is not None else Image.Exif())


def _packed(exif: Image.Exif) -> bytes | None:
    """None for what a camera noted in a way that cannot be written again."""
    try:
        return exif.tobytes() if len(exif) or exif.get_ifd(EXIF_FOLDER) else b""
    except (AttributeError, KeyError, OSError, OverflowError, TypeError, ValueError, struct.error):
        return None


class Writer(Protocol):
    """Takes the rows of a picture, from the top on."""

    def write(self, rows: Rows) -> None: ...
    def close(self, told: Told) -> None: ...


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a picture that is to be written."""

    width: int
    height: int
    channels: int
    kind: type[np.uint8] | type[np.uint16] = np.uint8


class Whole:
    """Collects the rows and writes the picture as Pillow does."""

    def __init__(self, file: BinaryIO, shape: Shape, output: Format, quality: int) -> None:
        self._file, self._output, self._quality = file, output, quality
        self._array = np.empty((shape.height, shape.width, shape.channels), np.uint8)
        self._rows = 0

    def write(self, rows: Rows) -> None:
        self._array[self._rows : self._rows + len(rows)] = rows
        self._rows += len(rows)

    def close(self, told: Told) -> None:
        if self._rows != len(self._array):
            raise ValueError(f"{self._rows} of {len(self._array)} rows were written")
        options: dict[str, Any] = {"quality": self._quality, "exif": told.exif or b""}
        if told.profile:
            options["icc_profile"] = told.profile
        match self._output:
            case Format.WEBP:
                options |= {"lossless": self._quality >= WITHOUT_LOSS, "exact": True}
            case Format.JPEG:
                options |= {"subsampling": 0 if self._quality >= 90 else 2, "optimize": True}
        Image.fromarray(self._array).save(self._file, self._output.value.upper(), **options)


def writer_of(file: BinaryIO, shape: Shape, output: Format, quality: int, told: Told) -> Writer:
    """What writes a picture of `shape`; PNGs alone have 16 bits."""
    if output is Format.PNG:
        return StreamedPng(file, shape.width, shape.height, (shape.channels, shape.kind), told)
    return Whole(file, shape, output, quality)


def told_of(output: Format, source: About, parameters: str, chunk: Chunk) -> Told:
    """What a result says: as texts of a PNG, else in its EXIF."""
    ours, texts, exif = chunk.model_dump_json(), PngImagePlugin.PngInfo(), Image.Exif()
    exif.update(source.exif)
    if place := source.exif.get_ifd(GPS_FOLDER):
        exif.get_ifd(GPS_FOLDER).update(place)
    inner = dict(source.exif.get_ifd(EXIF_FOLDER))
    if output is Format.PNG:
        texts.add_text("parameters", parameters)
        texts.add_text("easel", ours)
    else:
        inner |= {USER_COMMENT: b"UNICODE\0" + parameters.encode("utf-16-be"), MAKER_NOTE: OURS_IN_EXIF + ours.encode()}
    if inner:
        exif.get_ifd(EXIF_FOLDER).update(inner)
    packed = _packed(exif) or b""
    if len(packed) > LONGEST_EXIF and output is not Format.PNG:  # what only we can read goes first
        exif.get_ifd(EXIF_FOLDER).pop(MAKER_NOTE)
        packed = _packed(exif) or b""
    if len(packed) > LONGEST_EXIF and output is not Format.PNG:
        exif = Image.Exif()
        exif.get_ifd(EXIF_FOLDER)[USER_COMMENT] = b"UNICODE\0" + parameters[:LONGEST_TEXT].encode("utf-16-be")
        packed = _packed(exif) or b""
    return Told(texts, source.profile, packed.removeprefix(EXIF_MARK) if output is Format.PNG else packed)
