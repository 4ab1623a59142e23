"""The list of all pictures, in the database.

A picture's file comes first and its row second: a file without a row is adopted at the next start, so that the list can
always be made again from the pictures alone.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from pipelines.core.error import EaselError, StorageProblem, UnknownName
from pipelines.core.kinds import Painting
from pipelines.storage.database import Database
from pipelines.storage.facts import PictureFacts, read_picture, request_or_none
from pipelines.storage.looks import look
from pipelines.storage.pictures import PictureFiles, SavedPicture
from pipelines.storage.schema import PICTURE, THUMBNAIL, TRIAL

log = logging.getLogger(__name__)

OF_THE_DESK = func.coalesce(func.json_extract(PICTURE.c.request, "$.kind"), "generate") == "preview"
KEPT_PREVIEWS = 500
THUMBNAIL_SIDE = 256
"""Pixels."""


class ImageRow(BaseModel):
    """A picture in the list."""

    model_config = ConfigDict(frozen=True)

    id: int
    file: str
    """Path below the outputs folder, with forward slashes."""
    width: int
    height: int
    seed: int
    index: int
    """Which of its job's pictures, from 0."""
    job: str | None
    seconds: float
    created: datetime
    request: Painting | None
    infotext: str
    missing: bool = False
    """The file is not there any more; somebody moved or deleted it by hand."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The pictures that a model has painted."""

    pictures: int
    latest: int
    """The id of the newest."""


class ImageStore:
    """The list of all pictures below `outputs`."""

    def __init__(self, database: Database, outputs: Path) -> None:
        self._database = database
        self._files = PictureFiles(outputs)
        self._root = outputs.resolve()

    @property
    def root(self) -> Path:
        """The folder of all pictures."""
        return self._root

    def add(self, saved: SavedPicture | str) -> ImageRow:
        """List a picture (or its path below the outputs folder); one that is listed already stays as it is."""
        file = saved if isinstance(saved, str) else saved.file
        facts = read_picture(self._inside(file))
        with self._database.transaction() as db:
            db.execute(insert(PICTURE).on_conflict_do_nothing(), _values(file, facts))
            row = db.execute(select(PICTURE).where(PICTURE.c.file == file)).one()
        return self._row(row)

    def adopt(self) -> list[ImageRow]:
        """List every picture of ours that has no row yet, oldest first, and return them.

        A killed program can leave a saved picture unlisted; a new database begins with all of them. Files that are
        not ours, or damaged, are left alone.
        """
        with self._database.transaction() as db:
            known = set(db.execute(select(PICTURE.c.file)).scalars())
        found = sorted(self._orphans(known), key=lambda one: (one[1].created, one[0]))
        for start in range(0, len(found), 500):
            with self._database.transaction() as db:
                some = [_values(*one) for one in found[start : start + 500]]
                db.execute(insert(PICTURE).on_conflict_do_nothing(), some)
        with self._database.transaction() as db:
            query = select(PICTURE).where(PICTURE.c.file == bindparam("name"))
            return [self._row(db.execute(query, {"name": file}).one()) for file, _ in found]

    def _orphans(self, known: set[str]) -> Iterator[tuple[str, PictureFacts]]:
        for file in self._files.files():
            if file in known:
                continue
            try:
                file.encode()
                facts = read_picture(self._inside(file))
            except UnicodeEncodeError:  # a name the file system keeps but nobody can write down
                log.warning("Not listed: the name %a is not text", file)
                continue
            except EaselError as error:
                log.warning("Not listed: %s", error)
                continue
            if facts.program:
                yield file, facts

    def recent(
        self, limit: int = 60, before: int | None = None, kind: Literal["preview"] | None = None
    ) -> list[ImageRow]:
        """The newest pictures first, those of the mixing desk apart; `before` an id continues a listing."""
        wanted = OF_THE_DESK if kind else ~OF_THE_DESK
        query = select(PICTURE).where(wanted).order_by(PICTURE.c.id.desc()).limit(limit)
        with self._database.transaction() as db:
            rows = db.execute(query if before is None else query.where(PICTURE.c.id < before)).all()
        return [self._row(row) for row in rows]

    def trim_previews(self, keep: int = KEPT_PREVIEWS) -> int:
        """Throw away all but the newest previews of the mixing desk, and return how many went.

        They are what a hand on a fader leaves behind; whoever likes one keeps the mix, or paints with it. What a search
        has tried stays.
        """
        tried = select(TRIAL.c.image).where(TRIAL.c.image.is_not(None))
        previews = select(PICTURE.c.id, PICTURE.c.file).where(OF_THE_DESK, PICTURE.c.id.not_in(tried))
        old = previews.order_by(PICTURE.c.id.desc()).offset(keep)
        with self._database.transaction() as db:
            rows = db.execute(old).all()
        for _, file in rows:
            try:
                self._inside(file).unlink(missing_ok=True)
            except (OSError, StorageProblem) as error:
                log.warning("An old preview stays: %s", error)
        with self._database.transaction() as db:
            for start in range(0, len(rows), 500):
                ids = [row.id for row in rows[start : start + 500]]
                db.execute(delete(PICTURE).where(PICTURE.c.id.in_(ids)))
        return len(rows)

    def by_model(self) -> Mapping[str, ModelUse]:
        """What each model has painted, by its name in the requests."""
        model = func.json_extract(PICTURE.c.request, "$.model")
        painted = select(model, func.count(), func.max(PICTURE.c.id)).where(
            PICTURE.c.request.is_not(None), ~OF_THE_DESK
        )
        with self._database.transaction() as db:
            rows = db.execute(painted.group_by(model)).all()
        return {name: ModelUse(count, latest) for name, count, latest in rows}

    def of_job(self, job: str) -> list[ImageRow]:
        """The pictures a job has made so far, in its order."""
        query = select(PICTURE).where(PICTURE.c.job == job).order_by(PICTURE.c.number, PICTURE.c.id)
        with self._database.transaction() as db:
            rows = db.execute(query).all()
        return [self._row(row) for row in rows]

    def upscaled_by(self, upscaler: str, limit: int = 5) -> list[ImageRow]:
        """The newest pictures that were upscaled by it."""
        kind, by = (func.json_extract(PICTURE.c.request, f"$.{name}") for name in ("kind", "upscaler"))
        query = select(PICTURE).where(kind == "upscale", by == upscaler).order_by(PICTURE.c.id.desc()).limit(limit)
        with self._database.transaction() as db:
            rows = db.execute(query).all()
        return [self._row(row) for row in rows]

    def get(self, image: int) -> ImageRow:
        """Raises UnknownName."""
        with self._database.transaction() as db:
            row = db.execute(select(PICTURE).where(PICTURE.c.id == image)).one_or_none()
        if row is None:
            raise UnknownName(f"There is no picture {image}", fix="reload the page; it may have been removed")
        return self._row(row)

    def path_of(self, image: int) -> Path:
        """Where the picture lies; always below the outputs folder. Raises UnknownName, also when the file is gone."""
        row = self.get(image)
        if row.missing:
            raise UnknownName(f"The file of picture {image} is gone", fix=f"put {row.file} back in the outputs folder")
        return self._inside(row.file)

    def thumbnail(self, image: int) -> bytes:
        """The picture in at most 256 x 256 pixels, as WebP; made once. Raises UnknownName, StorageProblem."""
        query = select(THUMBNAIL.c.webp).where(THUMBNAIL.c.picture == image)
        with self._database.transaction() as db:
            kept = db.execute(query).scalar_one_or_none()
        if kept is not None:
            return bytes(kept)
        made = thumbnail_of(self.path_of(image))
        try:
            with self._database.transaction() as db:
                db.execute(insert(THUMBNAIL).on_conflict_do_nothing(), {"picture": image, "webp": made})
        except StorageProblem as error:  # it can be made again whenever it is asked for
            log.warning("The thumbnail of picture %d is not kept: %s", image, error)
        return made

    def _inside(self, file: str) -> Path:
        outside = StorageProblem(f"{Path(file).name} lies outside the outputs folder", fix="copy it into the folder")
        try:
            path = (self._root / file).resolve()
        except (OSError, RuntimeError):  # links that lead in a circle
            raise outside from None
        if not path.is_relative_to(self._root):
            raise outside
        return path

    def _row(self, row: Row[Any]) -> ImageRow:
        return ImageRow(
            id=row.id, file=row.file, width=row.width, height=row.height, seed=row.seed, index=row.number, job=row.job,
            seconds=row.seconds, created=datetime.fromtimestamp(row.created, UTC), infotext=row.infotext,
            request=request_or_none(json.loads(row.request)) if row.request else None,
            missing=not (self._root / row.file).is_file(),
        )  # fmt: skip


def _values(file: str, facts: PictureFacts) -> dict[str, Any]:
    """A row of the picture table."""
    return {
        "file": file, "width": facts.width, "height": facts.height, "seed": facts.seed, "number": facts.index,
        "job": facts.job, "seconds": facts.seconds, "created": facts.created.timestamp(), "infotext": facts.infotext,
        "request": facts.request.model_dump_json() if facts.request else None,
    }  # fmt: skip


def thumbnail_of(path: Path) -> bytes:
    """The picture at `path` in at most 256 x 256 pixels, as WebP. Raises StorageProblem."""
    small = look(path, THUMBNAIL_SIDE).convert("RGB")
    buffer = BytesIO()
    small.save(buffer, format="WEBP", quality=80)
    return buffer.getvalue()
