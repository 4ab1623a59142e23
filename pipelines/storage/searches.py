"""Searches for a mix, as the database keeps them: what was looked for, and everything that was tried."""

import json
import time
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from pipelines.core.error import UnknownName
from pipelines.core.search import Search
from pipelines.storage.database import Database
from pipelines.storage.schema import SEARCH, TRIAL


@dataclass(frozen=True, slots=True)
class Trial:
    """One mix that was tried."""

    number: int
    """From 0, which is where the search began."""
    at: dict[str, float]
    """Where each side stood."""
    image: int | None = None
    """Its picture, once that is painted."""
    score: float | None = None
    """More is better; None: not judged yet."""


@dataclass(frozen=True)
class SearchBook:
    """The tables about searches."""

    database: Database

    def begin(self, key: str, search: Search) -> None:
        """Write down what is looked for."""
        with self.database.transaction() as db:
            db.execute(SEARCH.insert().values(id=key, created=time.time(), setup=search.model_dump_json()))

    def search(self, key: str) -> Search:
        """Raises UnknownName."""
        with self.database.transaction() as db:
            setup = db.execute(select(SEARCH.c.setup).where(SEARCH.c.id == key)).scalar_one_or_none()
        if setup is None:
            raise UnknownName(f"There is no search {key!r}", fix="begin a new one")
        return Search.model_validate_json(setup)

    def keys(self) -> list[str]:
        """The newest first."""
        with self.database.transaction() as db:
            return list(db.execute(select(SEARCH.c.id).order_by(SEARCH.c.created.desc())).scalars())

    def trials(self, key: str) -> list[Trial]:
        """In their order."""
        with self.database.transaction() as db:
            rows = db.execute(select(TRIAL).where(TRIAL.c.search == key).order_by(TRIAL.c.number)).all()
        return [Trial(row.number, json.loads(row.at), row.image, row.score) for row in rows]

    def propose(self, key: str, trial: Trial) -> None:
        """Write down what will be tried."""
        with self.database.transaction() as db:
            db.execute(TRIAL.insert().values(search=key, number=trial.number, at=json.dumps(trial.at)))

    def painted(self, key: str, number: int, image: int) -> None:
        """Its picture is there."""
        self._set(key, number, image=image)

    def judged(self, key: str, number: int, score: float) -> None:
        """Somebody has said how good it is."""
        self._set(key, number, score=score)

    def drop(self, key: str, number: int) -> None:
        """It could not be painted."""
        with self.database.transaction() as db:
            db.execute(delete(TRIAL).where(TRIAL.c.search == key, TRIAL.c.number == number))

    def _set(self, key: str, number: int, **values: float) -> None:
        with self.database.transaction() as db:
            db.execute(update(TRIAL).where(TRIAL.c.search == key, TRIAL.c.number == number).values(values))
