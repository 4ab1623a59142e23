"""The job journal: every accepted job is a committed row before anybody hears of it, and stays one until it ended.

The pictures of a job are rows of their own (`ImageStore.of_job`); what is missing follows from them.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.sqlite import insert

from pipelines.core.error import EaselError, Problem
from pipelines.core.kinds import Request, read_request
from pipelines.core.stop import StopMode
from pipelines.storage.database import Database
from pipelines.storage.schema import JOB

JobState = Literal["queued", "running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class JobRecord:
    """A job as the journal knows it."""

    id: str
    request: Request
    state: JobState
    attempt: int
    """How often it was begun."""
    submitted: datetime
    stop: StopMode | None = None
    """How somebody asked for its end, if so."""
    problem: Problem | None = None
    """Why it failed, if so."""


UNREADABLE = Problem(problem="This job was made by another version of Easel", fix="make the request again")


class Journal:
    """The jobs of one database. What a method writes is on disk before it returns; all raise StorageProblem."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: str, request: Request) -> JobRecord:
        """Accept a job: from here on it will end, whatever is killed."""
        record = JobRecord(job, request, "queued", 0, datetime.now(UTC))
        row = {
            "id": job, "request": request.model_dump_json(), "state": record.state, "attempt": 0,
            "submitted": record.submitted.timestamp(),
        }  # fmt: skip
        with self._database.transaction() as db:
            db.execute(insert(JOB), row)
        return record

    def begin(self, job: str) -> int:
        """The job is begun; returns its attempt, 1 for the first. Written first: a crash must find it counted."""
        self._set(job, state="running", attempt=JOB.c.attempt + 1)
        with self._database.transaction() as db:
            return int(db.execute(select(JOB.c.attempt).where(JOB.c.id == job)).scalar_one())

    def put_back(self, job: str) -> None:
        """The studio closes while the job runs: it waits again, and the attempt does not count."""
        self._set(job, state="queued", attempt=JOB.c.attempt - 1)

    def ask_stop(self, job: str, mode: StopMode) -> None:
        """Somebody wants the job to end; it will not be taken up again after a crash."""
        self._set(job, stop=mode.value)

    def end(self, job: str, state: JobState, problem: Problem | None = None) -> None:
        """The job ended as `state`."""
        self._set(job, state=state, problem=problem.model_dump_json() if problem else None)

    def find(self, job: str) -> JobRecord | None:
        """Any job there ever was; None for an unknown one, or one this Easel cannot read."""
        with self._database.transaction() as db:
            row = db.execute(select(JOB).where(JOB.c.id == job)).one_or_none()
        return _record(row) if row is not None else None

    def recover(self) -> list[JobRecord]:
        """After any kind of end of the studio: what ran waits again, what was asked to stop has stopped.

        Returns the waiting jobs in order; those that were begun before have an `attempt` above 0.
        """
        is_open = JOB.c.state.in_(("queued", "running"))
        with self._database.transaction() as db:
            db.execute(update(JOB).where(is_open, JOB.c.stop.is_not(None)).values(state="stopped"))
            db.execute(update(JOB).where(JOB.c.state == "running").values(state="queued"))
            rows = db.execute(select(JOB).where(is_open).order_by(JOB.c.number)).all()
        for row in rows:
            if _record(row) is None:
                self.end(row.id, "failed", UNREADABLE)
        return [record for record in map(_record, rows) if record]

    def _set(self, job: str, **values: Any) -> None:
        with self._database.transaction() as db:
            db.execute(update(JOB).where(JOB.c.id == job).values(**values))


def _record(row: Row[Any]) -> JobRecord | None:
    try:
        request = read_request(json.loads(row.request))
    except EaselError:  # of another version
        return None
    return JobRecord(
        row.id, request, row.state, row.attempt, datetime.fromtimestamp(row.submitted, UTC),
        stop=StopMode(row.stop) if row.stop else None,
        problem=Problem.model_validate_json(row.problem) if row.problem else None,
    )  # fmt: skip
