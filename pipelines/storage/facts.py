"""What a picture says about itself: our own chunk, or the A1111 text of somebody else's.

A picture may come from anywhere. Its kind is told by its content, its size is checked before its pixels are touched,
and its texts are data that may be wrong.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.error import EaselError, StorageProblem, TooLarge
from pipelines.core.kinds import Painting, read_painting
from pipelines.core.request import MAX_SEED
from pipelines.storage.streamed import read_head

MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
"""What is opened."""
BEGINNING, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
"""No picture of ours was made outside of these: beyond them times cannot be told in every zone and on every system."""


class Chunk(BaseModel):
    """The `easel` text inside our pictures. A picture may come from anywhere: what does not fit here is not ours."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    version: int = 1
    program: str = Field(max_length=100)
    created: AwareDatetime = Field(ge=BEGINNING, lt=END)
    job: str | None = Field(None, max_length=100)
    index: int = Field(ge=0, le=1_000_000)
    seed: int = Field(ge=0, le=2 * MAX_SEED)
    seconds: float = Field(ge=0)
    request: dict[str, Any]


@dataclass(frozen=True)
class PictureFacts:
    """What a picture file says about itself."""

    width: int
    height: int
    created: datetime
    """When it was made; the file's own time for a picture that does not say."""
    request: Painting | None
    """None for a picture that is not ours, or was made by a newer Easel with settings unknown here."""
    index: int = 0
    seed: int = 0
    job: str | None = None
    seconds: float = 0.0
    program: str | None = None
    """`Easel 0.1.0`; None for a picture that is not ours."""
    infotext: str = ""
    """The A1111 `parameters` text, if any."""


def read_picture(path: Path) -> PictureFacts:
    """What the picture at `path` says about itself; its pixels are not decoded.

    Raises StorageProblem when there is no such file, or it is no picture. Foreign or broken texts are no error: what
    cannot be read is left out.
    """
    size, parameters, ours = _said(path)
    chunk, written = _our_chunk(ours), _written(path)
    text = parameters if isinstance(parameters, str) else ""
    if chunk is None:
        return PictureFacts(*size, created=written, request=None, infotext=text)
    return PictureFacts(
        *size, created=chunk.created.astimezone(UTC), request=request_or_none(chunk.request), index=chunk.index,
        seed=chunk.seed, job=chunk.job, seconds=chunk.seconds, program=chunk.program, infotext=text,
    )  # fmt: skip


def _said(path: Path) -> tuple[tuple[int, int], object, object]:
    """Its size, its infotext and our own text."""
    head = read_head(path) if path.is_file() else None
    if head is not None and head.band:  # ours, and perhaps larger than any that is brought here may be
        return (head.width, head.height), head.texts.get("parameters"), head.texts.get("easel")
    with open_picture(path) as image:
        if isinstance(image, PngImagePlugin.PngImageFile):
            return image.size, image.info.get("parameters"), image.info.get("easel")
        noted = exif_of(image).get_ifd(EXIF_FOLDER)
        return image.size, _comment(noted.get(USER_COMMENT)), _maker_note(noted.get(MAKER_NOTE))


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """The picture at `path`, its kind told by its content. Raises StorageProblem for anything else, TooLarge."""
    most = f"{MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE:,} pixels on a side"
    too_large = TooLarge(f"{path.name} is too large", fix=f"use at most {most}")
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
                raise too_large
            yield image
    except FileNotFoundError:
        raise StorageProblem(f"There is no picture {path.name}", fix="check the name") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large from error
    except (OSError, ValueError, SyntaxError) as error:
        raise StorageProblem(
            f"{path.name} is damaged, or no PNG, JPEG, WebP or AVIF",
            fix="use a PNG, JPEG, WebP or AVIF file",
            detail=str(error),
        ) from error


def _written(path: Path) -> datetime:
    """The file's own time; it, too, can be set to anything."""
    seconds = min(max(path.stat().st_mtime, BEGINNING.timestamp()), END.timestamp())
    return datetime.fromtimestamp(seconds, UTC)


def _our_chunk(text: object) -> Chunk | None:
    try:
        return Chunk.model_validate_json(text) if isinstance(text, str) else None
    except ValidationError:
        return None


def request_or_none(data: Mapping[str, Any]) -> Painting | None:
    """The request that `data` describes; None when this Easel cannot make it."""
    try:
        return read_painting(data)
    except EaselError:
        return None


USER_COMMENT, EXIF_FOLDER, MAKER_NOTE = 0x9286, 0x8769, 0x927C
OURS_IN_EXIF = b"easel\0"
"""How our own text begins where a format has EXIF only."""


def exif_of(image: Image.Image) -> Image.Exif:
    """What a camera noted; nothing where that cannot be read: a bad note makes no bad picture."""
    try:
        return image.getexif()
    except (OSError, ValueError, SyntaxError, LookupError, struct.error):  # from anywhere in Pillow's reader
        return Image.Exif()


def _maker_note(note: object) -> str:
    if not isinstance(note, bytes) or not note.startswith(OURS_IN_EXIF):
        return ""
    return note.removeprefix(OURS_IN_EXIF).decode(errors="replace")


def _comment(comment: object) -> str:
    """A1111 keeps its text in the EXIF comment of JPEG and WebP pictures."""
    if not isinstance(comment, bytes):
        return ""
    text = comment[8:]
    return text.decode("utf-16-be" if comment.startswith(b"UNICODE") else "utf-8", errors="replace").strip("\0")
