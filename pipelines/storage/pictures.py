"""Picture files: each written whole or not at all, with its whole request inside, under a number of its own.

Knows no database: the worker process and the command line save through this, at the same time if need be.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from PIL import Image, PngImagePlugin

from pipelines.core.kinds import Painting
from pipelines.core.program import program
from pipelines.core.upscale import UpscaleRequest
from pipelines.storage.deep import DeepPicture, write_deep_png
from pipelines.storage.facts import Chunk
from pipelines.storage.files import OURS, atomic_write, make_folder, storage_problem, whole_file
from pipelines.storage.infotext import infotext
from pipelines.storage.streamed import Rows, Told
from pipelines.storage.streaming import SUFFIXES, About, Shape, told_of, writer_of

PREVIEWS = "previews"
"""The folder, below that of the pictures, for those of the mixing desk."""


@dataclass(frozen=True)
class SavedPicture:
    """A picture that is on disk."""

    path: Path
    file: str
    """Path below the outputs folder with forward slashes; the absolute path of one saved elsewhere."""
    index: int
    seed: int
    seconds: float


class PictureFiles:
    """The outputs folder: `[previews/]YYYY-MM-DD/00214-<seed>.png`, numbered by day.

    Any number of processes may save at once.
    """

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs

    def save(
        self, image: Image.Image | DeepPicture, request: Painting, *, index: int, seed: int | None = None,
        job: str | None = None, seconds: float = 0.0, to: Path | None = None,
    ) -> SavedPicture:  # fmt: skip
        """Write picture `index` of `request`, whole or not at all; `to` names a file elsewhere, which is replaced.

        `seed`: where it is not that of this place in the request. Raises StorageProblem when the disk is full or the
        folder cannot be written.
        """
        seed = request.seed_of(index) if seed is None else seed
        chunk = _chunk_of(request, index, seed, job, seconds)
        texts = PngImagePlugin.PngInfo()
        texts.add_text("parameters", infotext(request.painted, seed))
        texts.add_text("easel", chunk.model_dump_json())
        write = partial(_write_png, image, texts)
        if to is not None:
            atomic_write(to, write, replace=True)
            return SavedPicture(to, str(to.absolute()), index, seed, seconds)
        place = self.outputs / PREVIEWS if request.kind == "preview" else self.outputs
        folder = place / date.today().isoformat()
        with _number_in(folder) as number:
            path = folder / f"{number:05d}-{seed}.png"
            atomic_write(path, write)
        return SavedPicture(path, path.relative_to(self.outputs).as_posix(), index, seed, seconds)

    @contextmanager
    def streamed(
        self, request: UpscaleRequest, source: About, shape: Shape, parameters: str, *, index: int,
        job: str | None = None, to: Path | None = None,
    ) -> Iterator["Streamed"]:  # fmt: skip
        """A picture that is written as it is made; when the context ends well it is there, whole, or else not at all.

        `parameters`: its infotext as far as it is known; a few words more may come. Raises as `save`.
        """
        with self._place(request, index, to) as path, whole_file(path, replace=to is not None) as file:
            yield Streamed(file, request, source, shape, parameters, SavedPicture(
                path, str(path.absolute()) if to else path.relative_to(self.outputs).as_posix(), index,
                request.seed_of(index), 0.0,
            ), job)  # fmt: skip

    @contextmanager
    def _place(self, request: UpscaleRequest, index: int, to: Path | None) -> Iterator[Path]:
        if to is not None:
            yield to
            return
        folder = self.outputs / date.today().isoformat()
        with _number_in(folder) as number:
            yield folder / f"{number:05d}-{request.seed_of(index)}{SUFFIXES[request.output]}"

    def files(self) -> Iterator[str]:
        """Every picture below the outputs folder, as `SavedPicture.file` names it."""
        for path in self.outputs.rglob("*"):
            if path.suffix in SUFFIXES.values() and not path.name.startswith("."):
                yield path.relative_to(self.outputs).as_posix()


class Streamed:
    """A picture on its way to the disk."""

    def __init__(
        self, file: BinaryIO, request: UpscaleRequest, source: About, shape: Shape, parameters: str,
        saved: SavedPicture, job: str | None,
    ) -> None:  # fmt: skip
        self._request, self._source, self._saved, self._job = request, source, saved, job
        told = self._told(parameters, 0)
        self._writer = writer_of(file, shape, request.output, request.quality, told)

    def write(self, rows: Rows) -> None:
        """The next rows, from the top on."""
        self._writer.write(rows)

    def close(self, parameters: str, seconds: float) -> SavedPicture:
        """All rows are there; `parameters`: its infotext. What is returned holds when the context has ended."""
        self._writer.close(self._told(parameters, seconds))
        return replace(self._saved, seconds=seconds)

    def _told(self, parameters: str, seconds: float) -> Told:
        saved, request = self._saved, self._request
        return told_of(
            request.output, self._source, parameters,
            _chunk_of(request, saved.index, saved.seed, self._job, seconds),
        )  # fmt: skip


def _chunk_of(request: Painting, index: int, seed: int, job: str | None, seconds: float) -> Chunk:
    return Chunk(
        program=program(), created=datetime.now(UTC), job=job, index=index, seed=seed,
        seconds=round(seconds, 3), request=request.model_dump(mode="json"),
    )  # fmt: skip


def _write_png(image: Image.Image | DeepPicture, texts: PngImagePlugin.PngInfo, file: BinaryIO) -> None:
    if isinstance(image, DeepPicture):
        write_deep_png(image, texts, file)
        return
    image.save(file, format="PNG", pnginfo=texts)


@contextmanager
def _number_in(folder: Path) -> Iterator[int]:
    """The next free number in `folder`, kept from other processes by a claim file until the block ends."""
    make_folder(folder)
    try:
        number, claim = _claim(folder)
    except OSError as error:
        raise storage_problem(error, folder / "picture") from error
    try:
        yield number
    finally:
        with suppress(OSError):  # a claim that stays costs a number, and is swept later
            claim.unlink()


def _claim(folder: Path) -> tuple[int, Path]:
    while True:
        number = 1 + max(_numbers(folder, rf"(?:{re.escape(OURS)}claim-)?"), default=0)
        claim = folder / f"{OURS}claim-{number:05d}"
        try:
            claim.open("xb").close()
        except FileExistsError:
            continue
        if number not in _numbers(folder, ""):
            return number, claim
        claim.unlink()  # somebody saved it between our look and our claim


def _numbers(folder: Path, prefix: str) -> set[int]:
    pattern = re.compile(rf"{prefix}([0-9]{{5,9}})\b")
    return {int(m[1]) for m in (pattern.match(p.name) for p in folder.iterdir()) if m}
