"""Pictures and masks that people bring: kept as they came, by the sha256 of their file, so that a request can name them
for ever and the same one is never kept twice."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.core.error import InvalidRequest, StorageProblem, TooLarge, UnknownName
from pipelines.storage.facts import exif_of, open_picture
from pipelines.storage.files import atomic_write

NAMED = re.compile(r"[0-9a-f]{64}")
MOST_BYTES = 256_000_000
ANIMATED = "only its first frame is used"
ORIENTATION = 0x0112
TURNED = {5, 6, 7, 8}
"""EXIF orientations that change width and height round."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that is kept."""

    id: str
    width: int
    """As it is looked at: turned as its EXIF says."""
    height: int
    format: str
    """`PNG`, `JPEG`, `WEBP` or `AVIF`."""
    notes: tuple[str, ...] = ()


class SourceStore:
    """The folder of what people bring."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: bytes, name: str = "The picture") -> Source:
        """Check the file and keep it. Raises InvalidRequest for anything that is not a whole picture, TooLarge."""
        if len(content) > MOST_BYTES:
            raise TooLarge(f"{name} is too large", fix=f"use at most {MOST_BYTES // 1_000_000} MB", field="source")
        path = self._folder / hashlib.sha256(content).hexdigest()
        is_new = not path.exists()
        if is_new:
            atomic_write(path, content, replace=True)
        try:
            return _checked(path, name)
        except InvalidRequest:
            if is_new:
                path.unlink(missing_ok=True)
            raise

    def keep_file(self, path: Path) -> Source:
        """The same of a file. Raises InvalidRequest, TooLarge, StorageProblem."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StorageProblem(
                f"{path.name} cannot be read", fix="check its name and whether you may read it", detail=str(error)
            ) from error
        return self.keep(content, path.name)

    def path_of(self, source: str) -> Path:
        """Where it lies. Raises UnknownName."""
        path = self._folder / source
        if not NAMED.fullmatch(source) or not path.is_file():
            raise UnknownName("A picture that is to be painted over is not here any more", fix="bring it again")
        return path

    def format_of(self, source: str) -> str:
        """`PNG`, `JPEG`, `WEBP` or `AVIF`, from the head of its file. Raises UnknownName, StorageProblem."""
        with open_picture(self.path_of(source)) as image:
            return image.format or ""

    def facts(self, source: str) -> Source:
        """What is known of it. Raises UnknownName, StorageProblem."""
        with open_picture(self.path_of(source)) as image:
            return _described(image, source)


def _checked(path: Path, name: str) -> Source:
    """Every pixel decoded once: a damaged file is told when it is brought, not when it is painted over."""
    try:
        with open_picture(path) as image:
            image.load()
            source = _described(image, path.name)
    except TooLarge as error:
        raise TooLarge(f"{name} is too large", fix=error.fix, field="source") from error
    except StorageProblem as error:
        detail = error.as_problem.detail
        raise InvalidRequest(
            f"{name} is damaged, or no PNG, JPEG, WebP or AVIF", fix=error.fix, field="source", detail=detail
        ) from error
    return source


def _described(image: Image.Image, name: str) -> Source:
    width, height = image.size
    if orientation_of(image) in TURNED:
        width, height = height, width
    notes = (ANIMATED,) if getattr(image, "is_animated", False) else ()
    return Source(name, width, height, image.format or "", notes)


def orientation_of(image: Image.Image) -> int:
    """As its EXIF says, 1 to 8; 1, upright, where that makes no sense: a camera's bad note is no bad picture."""
    told = exif_of(image).get(ORIENTATION)
    return told if isinstance(told, int) and told in range(1, 9) else 1
