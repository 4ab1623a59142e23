"""A disk that is full: what was accepted is kept, what cannot be kept is refused, and nothing is painted twice."""

import time
from pathlib import Path

import pytest

from pipelines.core.error import StorageProblem
from pipelines.core.event import Finished, PictureSaved, Preview
from pipelines.storage.database import Database
from tests.jobs.studio import request, studio


def fill_up(database: Database, *, free: bool = False) -> None:
    """No page more for the database: SQLite's own "the disk is full"."""
    with database.transaction() as db:
        pages = 1_000_000 if free else db.exec_driver_sql("PRAGMA page_count").scalar_one()
        db.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_database_without_room_refuses_new_jobs_and_loses_no_picture(data: Path) -> None:
    long = "a prompt that fills pages " * 700
    with studio(data) as full:
        job = full.queue.submit(request(long, count=3, steps=10))
        full.wait_for(job.id, Preview)
        fill_up(full.database)
        with pytest.raises(StorageProblem, match="The disk is full"):
            full.queue.submit(request(long))
        full.wait_for(job.id, Finished)
        saved = [event for event in full.events(job.id) if isinstance(event, PictureSaved)]
        assert len(saved) == 3
        assert any(event.image == 0 for event in saved)  # on disk, not listed yet
        fill_up(full.database, free=True)
        full.ended(full.queue.submit(request("goes on")))
        deadline = time.monotonic() + 10
        while len(full.images.of_job(job.id)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
    with studio(data) as later:  # the end of the job could not be written down either: it must not begin again
        later.ended(later.queue.submit(request("last")))
        assert later.queue.job(job.id).state == "finished"
        assert [row.index for row in later.images.of_job(job.id)] == [0, 1, 2]
        assert len(list(later.folder.outputs.rglob("*.png"))) == 5


def test_a_worker_that_cannot_leave_its_number_works_all_the_same(data: Path) -> None:
    (data / ".worker.pid").mkdir(parents=True)
    with studio(data) as made:
        (ended,) = made.ended(made.queue.submit(request("a hill")))
        assert (ended.state, ended.attempt) == ("finished", 1)


def test_an_outputs_folder_that_goes_away_is_made_again(data: Path) -> None:
    with studio(data) as made:
        made.folder.outputs.rename(data / "moved")
        (ended,) = made.ended(made.queue.submit(request("after the move")))
        assert (ended.state, len(ended.pictures)) == ("finished", 1)


def test_an_outputs_folder_that_cannot_be_written_fails_the_job_and_the_next_one_runs(data: Path) -> None:
    with studio(data) as made:
        made.folder.outputs.rmdir()
        made.folder.outputs.write_text("a file")
        failed = made.ended(made.queue.submit(request("nowhere to go")))[0]
        assert failed.state == "failed"
        assert failed.problem is not None
        assert failed.problem.fix
        made.folder.outputs.unlink()
        assert made.ended(made.queue.submit(request("goes on")))[0].state == "finished"
