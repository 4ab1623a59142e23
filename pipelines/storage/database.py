"""The studio's SQLite database: one process, one connection, and a history that is a list of functions.

WAL with synchronous=FULL: a committed transaction survives a killed process and a power cut. SQLite before 3.51.3 can
damage a WAL database that two connections write and checkpoint (sqlite.org/wal.html#walresetbug); one connection, and
the lock on the data folder, keep clear of that.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.pool import QueuePool

from pipelines.core.error import StorageProblem
from pipelines.storage.files import make_folder
from pipelines.storage.schema import migrate

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
"""How long a statement waits for a foreign program that has the file locked."""
QUEUE_SECONDS = 30
"""How long a thread waits for the one connection."""


class Database:
    """The database at `path`, opened, checked and brought up to date.

    A damaged file is moved aside, never deleted, and a new one begun: `notice` then says so. Raises StorageProblem
    when the file cannot be opened or written, or was made by a newer Easel.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self.notice: str | None = None
        try:
            self._engine = _open(path, busy_seconds)
        except DBAPIError as error:
            if not _is_damage(error):
                raise _problem(error, path) from error
            self.notice = _move_aside(path)
            self._engine = _open(path, busy_seconds)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed, on disk, when the block ends; rolled back when it raises.

        There is one connection: a transaction inside another would wait for itself.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, NoConnection) as error:
            raise _problem(error, self.path) from error

    def close(self) -> None:
        self._engine.dispose()


def _open(path: Path, busy_seconds: float) -> Engine:
    make_folder(path.parent)
    engine = create_engine(
        f"sqlite:///{path}", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=QUEUE_SECONDS,
        connect_args={"timeout": busy_seconds, "check_same_thread": False, "isolation_level": None},
    )  # fmt: skip
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            if verdict != "ok":
                raise DatabaseError("PRAGMA quick_check", (), sqlite3.DatabaseError(f"malformed: {verdict}"))
            migrate(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _configure(connection: sqlite3.Connection, _: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # Python's sqlite3 would begin late and leave schema changes outside; we take the write lock at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_damage(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "malformed" in str(error.orig)


def _move_aside(path: Path) -> str:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        for suffix in ("-wal", "-shm", ""):  # a journal left behind would be read into the new database
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise StorageProblem(
            f"The database {path.name} is damaged and cannot be moved aside",
            fix="move it away by hand, or choose another folder with --data",
            detail=str(error),
        ) from error
    notice = (
        f"The database {path.name} was damaged and is kept as {aside.name}; "
        "a new one was begun and your pictures are being listed again"
    )
    log.warning("%s", notice)
    return notice


def _problem(error: DBAPIError | NoConnection, path: Path) -> StorageProblem:
    """The error a person reads when the database cannot do its work."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            problem, fix = "The disk is full: the database cannot be written", "free some space, then try again"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            problem, fix = (
                f"The database {path.name} cannot be opened for writing",
                "allow it for this user, or choose another folder with --data",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            problem, fix = f"Another program keeps {path.name} locked", "close it, then try again"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            problem, fix = f"The database {path.name} is damaged", "restart the studio; it moves the file aside"
        case _:
            problem, fix = f"The database {path.name} does not answer", "check the disk, then restart the studio"
    return StorageProblem(problem, fix=fix, detail=str(getattr(error, "orig", error)))
