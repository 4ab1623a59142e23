"""What the queue promises while nothing is killed."""

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from pipelines.core.error import UnknownName
from pipelines.core.event import (
    End,
    Failed,
    Finished,
    Loading,
    PictureSaved,
    Preview,
    Progress,
    Queued,
    Stopped,
)
from pipelines.core.stop import StopMode
from pipelines.jobs.queue import JobView, QueueFull
from pipelines.storage.images import ImageRow, ImageStore
from tests.jobs.sketcher import sketch
from tests.jobs.studio import Studio, request, studio

ENDS = (Finished, Stopped, Failed)


def pixels(studio: Studio, image: int) -> bytes:
    with Image.open(studio.images.path_of(image)) as opened:
        return opened.tobytes()


def test_a_job_paints_all_its_pictures_and_lists_them(shared: Studio) -> None:
    (job,) = shared.ended(shared.queue.submit(request("a hill", seed=5, count=3)))
    assert (job.state, job.problem, len(job.pictures)) == ("finished", None, 3)
    rows = [shared.images.get(image) for image in job.pictures]
    assert [(row.seed, row.index, row.job) for row in rows] == [(5, 0, job.id), (6, 1, job.id), (7, 2, job.id)]
    assert all(row.request == job.request for row in rows)
    assert [pixels(shared, row.id) for row in rows] == [sketch(row.seed).tobytes() for row in rows]


def test_events_tell_the_whole_story_once(shared: Studio) -> None:
    (job,) = shared.ended(shared.queue.submit(request("a story", count=2, model="another")))
    events = shared.events(job.id)
    assert isinstance(events[0], Queued)
    assert sum(isinstance(event, ENDS) for event in events) == 1
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, Loading) for event in events)
    steps = [(event.picture, event.step) for event in events if isinstance(event, Progress)]
    assert steps == sorted(steps)
    assert steps[-1] == (2, 3)
    saved = [event for event in events if isinstance(event, PictureSaved)]
    assert [event.image for event in saved] == list(job.pictures)


def test_the_view_follows_the_events(shared: Studio) -> None:
    job = shared.queue.submit(request("look", steps=60, seed=1))
    shared.wait_for(job.id, Preview)
    (running,) = shared.queue.active()
    assert (running.id, running.state, running.position, running.attempt) == (job.id, "running", None, 1)
    assert running.preview is not None
    assert running.preview.jpeg == b"\xff\xd8preview"
    assert running.progress is not None
    assert JobView.model_validate_json(running.model_dump_json()) == running
    (ended,) = shared.ended(job)
    assert (ended.preview, ended.state) == (None, "finished")
    assert shared.queue.active() == []


def test_waiting_jobs_know_their_place_and_move_up(shared: Studio) -> None:
    jobs = [shared.queue.submit(request(f"place {n}", steps=10)) for n in range(4)]
    shared.wait_for(jobs[0].id, Progress)
    assert [view.id for view in shared.queue.active()] == [job.id for job in jobs]
    assert [view.position for view in shared.queue.active()] == [None, 1, 2, 3]
    shared.ended(*jobs)
    places = [event.position for event in shared.events(jobs[3].id) if isinstance(event, Queued)]
    assert places[-1] == 1
    assert all(later == earlier - 1 for earlier, later in pairwise(places))


def test_a_failing_job_says_why_and_the_next_one_runs(shared: Studio) -> None:
    failed, good = shared.ended(shared.queue.submit(request("raise")), shared.queue.submit(request("fine")))
    assert (failed.state, good.state) == ("failed", "finished")
    assert failed.problem is not None
    assert failed.problem.problem == "Something went wrong inside Easel: ZeroDivisionError"
    assert "a bug in the engine" in (failed.problem.detail or "")


def test_a_picture_that_breaks_the_listing_keeps_no_job_waiting(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: ImageStore) -> list[ImageRow]:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(ImageStore, "adopt", broken)
    with studio(data) as made:
        assert made.ended(made.queue.submit(request("goes on")))[0].state == "finished"


def test_a_picture_made_before_the_failure_is_kept(shared: Studio) -> None:
    (job,) = shared.ended(shared.queue.submit(request("raise @2", count=3)))
    assert (job.state, len(job.pictures)) == ("failed", 2)


def test_stop_now_ends_the_running_job_within_a_step(shared: Studio) -> None:
    job = shared.queue.submit(request("long", steps=1000, count=3))
    shared.wait_for(job.id, Preview)
    shared.queue.stop(job.id, StopMode.NOW)
    (stopped,) = shared.ended(job)
    assert (stopped.state, stopped.pictures) == ("stopped", ())
    assert shared.queue.stop(job.id, StopMode.NOW) == stopped  # pressing twice does no harm


def test_stop_after_this_picture_keeps_the_picture_at_hand(shared: Studio) -> None:
    job = shared.queue.submit(request("long", steps=20, count=5))
    shared.wait_for(job.id, Preview)
    shared.queue.stop(job.id, StopMode.AFTER_PICTURE)
    (stopped,) = shared.ended(job)
    assert (stopped.state, len(stopped.pictures)) == ("stopped", 1)


@pytest.mark.parametrize("mode", StopMode)
def test_a_waiting_job_that_is_stopped_ends_at_once_and_is_never_begun(shared: Studio, mode: StopMode) -> None:
    running, waiting, last = (shared.queue.submit(request(name, steps=30)) for name in ("one", "two", "three"))
    assert shared.queue.stop(waiting.id, mode).state == "stopped"
    ended = shared.ended(running, waiting, last)
    assert [view.state for view in ended] == ["finished", "stopped", "finished"]
    assert ended[1].attempt == 0


def test_unknown_jobs_are_refused(shared: Studio) -> None:
    for job in ("nobody", "../x", ""):
        with pytest.raises(UnknownName):
            shared.queue.job(job)
        with pytest.raises(UnknownName):
            shared.queue.stop(job, StopMode.NOW)


def test_the_device_is_known_once_the_worker_runs(shared: Studio) -> None:
    shared.ended(shared.queue.submit(request("warm")))
    assert shared.queue.device is not None
    assert shared.queue.device.label == "Pencil"


def test_a_picture_whose_file_goes_while_the_job_runs_fails_nothing(shared: Studio) -> None:
    job = shared.queue.submit(request("vanishing", count=3, steps=10))
    shared.wait_for(job.id, PictureSaved)
    for file in shared.folder.outputs.rglob("*.png"):
        file.unlink()
    (ended,) = shared.ended(job)
    assert ended.state == "finished"
    assert shared.images.get(ended.pictures[0]).missing


def test_a_full_queue_refuses_with_a_way_out_and_closing_keeps_every_accepted_job(data: Path) -> None:
    with studio(data, max_waiting=3) as first:
        running = first.queue.submit(request("long", steps=1000))
        first.wait_for(running.id, Preview)
        waiting = [first.queue.submit(request(f"wait {n}")) for n in range(3)]
        with pytest.raises(QueueFull, match="The queue is full: 3 jobs wait; wait until some are done, or stop some"):
            first.queue.submit(request("one too many"))
    # Closed while a job ran: it waits again, without having used up an attempt, and nobody was told of an end.
    assert not any(isinstance(event, ENDS) for _, event in first.heard)
    with pytest.raises(QueueFull, match="closing"):
        first.queue.submit(request())
    with studio(data) as second:
        assert [view.id for view in second.queue.active()] == [job.id for job in (running, *waiting)]
        second.wait_for(running.id, Preview)
        assert second.queue.job(running.id).attempt == 1
        assert second.queue.job(running.id).restarted is None
        second.queue.stop(running.id, StopMode.NOW)
        assert [view.state for view in second.ended(running, *waiting)] == ["stopped"] + ["finished"] * 3
    with studio(data) as third:  # ended jobs are still known, from the journal
        assert third.queue.job(waiting[0].id).state == "finished"
        assert len(third.queue.job(waiting[0].id).pictures) == 1
        assert third.queue.active() == []


def test_one_seed_is_one_picture_however_it_is_made(shared: Studio) -> None:
    batch, alone = shared.ended(
        shared.queue.submit(request("batch", seed=10, count=3)), shared.queue.submit(request("alone", seed=12))
    )
    digests = [hashlib.sha256(pixels(shared, image)).hexdigest() for image in (batch.pictures[2], alone.pictures[0])]
    assert digests[0] == digests[1]


def test_every_end_is_one_of_three() -> None:
    assert set(End.__args__) == set(ENDS)
