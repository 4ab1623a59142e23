"""What is remembered of models between two starts: what a scan found, hashes, and what a person noted down."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from pipelines.core.model import ModelInfo, Seen
from pipelines.storage.database import Database
from pipelines.storage.schema import COMPARISON, MODEL, MODEL_HASH, MODEL_NOTE, SETTING

DEFAULT_MODEL = "model"
"""A setting's name."""
AT_ONCE = 500
"""Rows of one statement; SQLite takes a bounded number of values."""


Distances = Mapping[str, tuple[float, float]]
"""Of each block |B - A| / |A|, and the cosine of the angle between A and B."""


@dataclass(frozen=True, slots=True)
class Hashes:
    """Of one file, in lower-case hex."""

    sha256: str
    weights: str
    """Of what follows a safetensors header: the same for a file whose metadata was edited."""

    @property
    def short(self) -> str:
        """The first ten digits: AUTOMATIC1111's short hash, Civitai's AutoV2."""
        return self.sha256[:10]

    @property
    def auto_v3(self) -> str:
        """Civitai's AutoV3."""
        return self.weights[:12]


@dataclass(frozen=True, slots=True)
class Note:
    """What a person added to a model."""

    favourite: bool = False
    hidden: bool = False
    tags: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True)
class Shelf:
    """The tables about models. Keyed by path: a file that moves is a new one."""

    database: Database
    _nothing: Note = field(default_factory=Note)

    def recall(self) -> Mapping[str, Seen]:
        """Path -> what the last scan found there."""
        with self.database.transaction() as db:
            rows = db.execute(select(MODEL.c.path, MODEL.c.stamp, MODEL.c.info)).all()
        found = {}
        for row in rows:
            with suppress(ValidationError):  # of a newer or older Easel: it is looked at again
                found[row.path] = Seen(row.stamp, ModelInfo.model_validate_json(row.info) if row.info else None)
        return found

    def remember(self, seen: Mapping[str, Seen], gone: Iterable[str]) -> None:
        """Keep what a scan found, and forget what is `gone`."""
        rows = [
            {"path": path, "stamp": one.stamp, "info": one.info.model_dump_json() if one.info else None}
            for path, one in seen.items()
        ]
        with self.database.transaction() as db:
            for at in range(0, len(rows), AT_ONCE):
                statement = insert(MODEL).values(rows[at : at + AT_ONCE])
                taken = {"stamp": statement.excluded.stamp, "info": statement.excluded.info}
                db.execute(statement.on_conflict_do_update(index_elements=["path"], set_=taken))
            paths = list(gone)
            for at in range(0, len(paths), AT_ONCE):
                db.execute(delete(MODEL).where(MODEL.c.path.in_(paths[at : at + AT_ONCE])))

    def hashes(self, path: str, stamp: str) -> Hashes | None:
        """Of the file as it was at `stamp`; None: not known, or the file is another by now."""
        with self.database.transaction() as db:
            row = db.execute(select(MODEL_HASH).where(MODEL_HASH.c.path == path)).one_or_none()
        return Hashes(row.sha256, row.weights) if row and row.stamp == stamp else None

    def keep_hashes(self, path: str, stamp: str, hashes: Hashes) -> None:
        """Remember the hashes of a file."""
        values = {"path": path, "stamp": stamp, "sha256": hashes.sha256, "weights": hashes.weights}
        with self.database.transaction() as db:
            db.execute(insert(MODEL_HASH).values(values).on_conflict_do_update(index_elements=["path"], set_=values))

    def comparison(self, stamps: str) -> Distances | None:
        """How far two models lie apart, as they were at `stamps`; None: not known."""
        with self.database.transaction() as db:
            text = db.execute(select(COMPARISON.c.blocks).where(COMPARISON.c.stamps == stamps)).scalar_one_or_none()
        return {name: (apart, cosine) for name, (apart, cosine) in json.loads(text).items()} if text else None

    def keep_comparison(self, stamps: str, blocks: Distances) -> None:
        """Remember it."""
        values = {"stamps": stamps, "blocks": json.dumps(blocks)}
        with self.database.transaction() as db:
            db.execute(insert(COMPARISON).values(values).on_conflict_do_update(index_elements=["stamps"], set_=values))

    @property
    def default(self) -> str | None:
        """The name of the model that a new page begins with; None: nobody has chosen one."""
        with self.database.transaction() as db:
            value = db.execute(select(SETTING.c.value).where(SETTING.c.name == DEFAULT_MODEL)).scalar_one_or_none()
        return str(json.loads(value)) if value is not None else None

    def choose_default(self, name: str) -> None:
        """New pages begin with this model."""
        values = {"name": DEFAULT_MODEL, "value": json.dumps(name)}
        with self.database.transaction() as db:
            db.execute(insert(SETTING).values(values).on_conflict_do_update(index_elements=["name"], set_=values))

    def move(self, path: str, to: str) -> None:
        """A model was given another path: what a person noted goes along."""
        with self.database.transaction() as db:
            for table in (MODEL_NOTE, MODEL_HASH):
                db.execute(delete(table).where(table.c.path == to))
                db.execute(update(table).where(table.c.path == path).values(path=to))

    def forget(self, path: str) -> None:
        """A model was thrown away: whatever comes to its place is another."""
        with self.database.transaction() as db:
            for table in (MODEL_NOTE, MODEL_HASH):
                db.execute(delete(table).where(table.c.path == path))

    def note(self, path: str) -> Note:
        """What a person added to the model at `path`."""
        return self.notes().get(path, self._nothing)

    def notes(self) -> Mapping[str, Note]:
        """Path -> what a person added."""
        with self.database.transaction() as db:
            rows = db.execute(select(MODEL_NOTE)).all()
        return {r.path: Note(r.favourite, r.hidden, tuple(json.loads(r.tags)), r.notes) for r in rows}

    def keep_note(self, path: str, changes: Mapping[str, Any]) -> None:
        """Change fields of the `Note` of a model, and only these: another page may be changing the others just now."""
        changed = {name: json.dumps(value) if name == "tags" else value for name, value in changes.items()}
        if not changed:
            return
        first = {**asdict(self._nothing), "tags": "[]", **changed}
        with self.database.transaction() as db:
            statement = insert(MODEL_NOTE).values({"path": path, **first})
            db.execute(statement.on_conflict_do_update(index_elements=["path"], set_=changed))
