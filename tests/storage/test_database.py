import os
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from pipelines.core.error import StorageProblem
from pipelines.core.request import GenerateRequest
from pipelines.storage.database import Database
from pipelines.storage.journal import Journal
from pipelines.storage.schema import MIGRATIONS, TABLES

REQUEST = GenerateRequest(prompt="a hill")


def fill(path: Path) -> None:
    database = Database(path)
    for number in range(200):
        Journal(database).add(f"job{number}", REQUEST)
    database.close()


def test_what_was_written_is_there_when_the_database_is_opened_again(tmp_path: Path) -> None:
    fill(tmp_path / "easel.db")
    database = Database(tmp_path / "easel.db")
    assert len(Journal(database).recover()) == 200
    assert database.notice is None
    database.close()


def test_it_writes_ahead_and_waits_for_the_disk(database: Database) -> None:
    with database.transaction() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert db.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as db:
        db.exec_driver_sql(
            "INSERT INTO job (id, request, state, attempt, submitted) VALUES ('a', '{}', 'queued', 0, 0)"
        )
        raise ZeroDivisionError
    assert Journal(database).recover() == []


def test_many_threads_share_the_one_connection(database: Database) -> None:
    journal = Journal(database)

    def add(name: str) -> None:
        for number in range(20):
            journal.add(f"{name}{number}", REQUEST)

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.recover()) == 80


def test_the_migrations_lead_to_the_tables_we_use(database: Database) -> None:
    plain = create_engine("sqlite://")
    TABLES.create_all(plain)
    with database.transaction() as db, plain.connect() as wanted:
        for table in TABLES.tables:
            ours = {
                column["name"]: (str(column["type"]), column["nullable"]) for column in inspect(db).get_columns(table)
            }
            described = {c["name"]: (str(c["type"]), c["nullable"]) for c in inspect(wanted).get_columns(table)}
            assert ours == described
    plain.dispose()


@pytest.mark.parametrize("damage", ["not a database", "a page of garbage", "cut in half"])
def test_a_damaged_database_is_kept_aside_and_the_studio_starts(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "easel.db"
    fill(path)
    whole = path.read_bytes()
    damaged = {
        "not a database": b"hello, I am a text file\n" * 1000,
        "a page of garbage": whole[:4096] + b"\xa5" * 8192 + whole[12288:],
        "cut in half": whole[: len(whole) // 2],
    }[damage]
    path.write_bytes(damaged)
    database = Database(path)
    assert database.notice is not None
    assert "was damaged and is kept as easel.db.damaged-" in database.notice
    (aside,) = (p for p in tmp_path.iterdir() if ".damaged-" in p.name)
    assert aside.name in database.notice
    assert aside.read_bytes() == damaged
    assert Journal(database).recover() == []
    database.close()
    again = Database(path)
    assert again.notice is None
    again.close()


def test_a_cut_write_ahead_log_loses_no_more_than_its_end(tmp_path: Path) -> None:
    path = tmp_path / "easel.db"
    database = Database(path)
    for number in range(20):
        Journal(database).add(f"job{number}", REQUEST)
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        (copy / f"easel.db{suffix}").write_bytes((tmp_path / f"easel.db{suffix}").read_bytes())
    database.close()
    os.truncate(copy / "easel.db-wal", (copy / "easel.db-wal").stat().st_size - 1000)
    again = Database(copy / "easel.db")
    assert again.notice is None
    assert [job.id for job in Journal(again).recover()] == [f"job{number}" for number in range(19)]
    again.close()


def test_a_database_of_a_newer_easel_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "easel.db"
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    with pytest.raises(StorageProblem, match="written by a newer Easel"):
        Database(path)
    assert [p.name for p in tmp_path.iterdir() if "damaged" in p.name] == []


def test_a_database_that_another_program_keeps_locked_is_a_clear_problem(tmp_path: Path) -> None:
    path = tmp_path / "easel.db"
    fill(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageProblem, match=r"Another program keeps easel.db locked; close it"):
        Database(path, busy_seconds=0.2)
    other.execute("ROLLBACK")
    other.close()


def test_a_database_that_is_a_folder_is_a_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "easel.db").mkdir()
    with pytest.raises(StorageProblem, match="cannot be opened for writing"):
        Database(tmp_path / "easel.db")


def test_a_full_disk_is_a_clear_problem_and_later_writes_work(database: Database) -> None:
    journal = Journal(database)
    with database.transaction() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()
        db.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # SQLite's own "the disk is full"
    with pytest.raises(StorageProblem, match="The disk is full"):
        journal.add("large", GenerateRequest(prompt="x" * 20_000))
    with database.transaction() as db:
        db.exec_driver_sql("PRAGMA max_page_count = 100000")
    journal.add("small", REQUEST)
    assert [job.id for job in journal.recover()] == ["small"]
