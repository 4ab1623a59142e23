"""What the page shows of each event, without a page."""

from collections.abc import Callable
from typing import Any, get_args

import pytest

from pipelines.core.error import Problem
from pipelines.core.event import (
    Compared,
    DeviceStatus,
    Event,
    Failed,
    Finished,
    Hashed,
    Loading,
    Masked,
    Noted,
    PictureSaved,
    Preview,
    Progress,
    Queued,
    Restarted,
    Stopped,
    Worked,
)  # fmt: skip
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.kinds import ConvertRequest
from pipelines.core.request import GenerateRequest
from pipelines.core.upscale import UpscaleRequest
from pipelines.jobs.queue import JobView
from ui.web.show import Stage, View, memory, shorten, show, show_device, show_problem
from ui.web.words import Words

MakeJob = Callable[..., JobView]

PROGRESS = Progress(picture=2, count=4, step=12, steps=20, seconds_left=9.2)
LONG = Progress(picture=1, count=1, step=1, steps=9, seconds_left=600)
LOST = Problem(problem="The worker was lost", fix="nothing to do")
EVERY = [
    Queued(position=1), Loading(model="flat", size=25_000_000), PROGRESS, Preview(picture=2, step=12, jpeg=b""),
    PictureSaved(index=0, seed=1, file="a.png", seconds=1), Restarted(problem=LOST, attempt=2), Finished(seconds=3),
    Stopped(), Failed(problem=LOST), Worked(done=1, total=2), Noted(text="is large"), Compared(blocks={}),
    Hashed(sha256="ab", weights="cd"), Masked(mask="ab", share=0.5),
]  # fmt: skip


def test_there_is_a_case_for_every_event() -> None:
    assert {type(event) for event in EVERY} == set(get_args(Event))


@pytest.mark.parametrize("event", EVERY, ids=lambda event: event.type)
def test_every_event_is_shown_in_words_and_as_json(make_job: MakeJob, words: Words, event: Event) -> None:
    view = show(make_job(state="running", count=4), event, words)
    assert view.title
    assert View.model_validate_json(view.model_dump_json()) == view


def test_work_on_a_model_says_which_and_how_far(make_job: MakeJob, words: Words) -> None:
    asked = ConvertRequest(model="old", name="new")
    job = make_job(state="running").model_copy(update={"request": asked, "worked": Worked(done=10**9, total=4 * 10**9)})
    view = show(job, None, words)
    assert (view.kind, view.model, view.title, view.line) == ("convert", "old", "Converting old", "1.0 GB of 4.0 GB")
    assert view.share == 0.25


def test_painting_over_a_picture_is_shown_as_painting(make_job: MakeJob, words: Words) -> None:
    picture = GenerateRequest(prompt="a blue house", width=512, height=384)
    job = make_job(state="running").model_copy(update={"request": InpaintRequest(picture=picture, source="0" * 64)})
    view = show(job, PROGRESS, words)
    assert (view.title, view.prompt, view.width, view.height) == ("Step 12 of 20", "a blue house", 512, 384)
    assert show(job, None, words).title


def test_enlarging_is_told_in_tiles_and_painting_in_steps(make_job: MakeJob, words: Words) -> None:
    def shown(event: Event | None, **asked: Any) -> View:
        request = UpscaleRequest(source="0" * 64, upscaler="starter-x4", **asked)
        return show(make_job(state="running").model_copy(update={"request": request}), event, words)

    tiles = Progress(picture=1, count=1, step=12, steps=40, seconds_left=9)
    view = shown(tiles)
    assert (view.kind, view.prompt, view.title) == ("upscale", "Enlarge with starter-x4", "Tile 12 of 40")
    assert (view.line, view.share) == ("about 9 s left", 0.3)
    assert shown(tiles, strength=0.5).title == "Step 12 of 40"
    assert shown(Progress(picture=1, count=1, step=0, steps=1)).title == "Enlarging"
    assert shown(None, noise_levels=(0, 20, 60)).count == 3


@pytest.mark.parametrize(
    ("event", "stage", "title", "line"),
    [
        (Queued(position=1), Stage.QUEUED, "Waiting", "Next in line"),
        (Queued(position=3), Stage.QUEUED, "Waiting", "Number 3 in line"),
        (Loading(model="ink", size=2_000_000_000), Stage.LOADING, "Loading ink", "2.0 GB from disk"),
        (PROGRESS, Stage.RUNNING, "Step 12 of 20", "Picture 2 of 4 · about 9 s left"),
        (Progress(picture=1, count=1, step=1, steps=9), Stage.RUNNING, "Step 1 of 9", ""),
        (Progress(picture=1, count=1, step=0, steps=9), Stage.RUNNING, "Starting", ""),
        (LONG, Stage.RUNNING, "Step 1 of 9", "about 10 min left"),
        (Finished(seconds=2), Stage.DONE, "Done", ""),
        (Stopped(), Stage.DONE, "Stopped", ""),
        (Failed(problem=LOST), Stage.ERROR, "The worker was lost", "nothing to do"),
    ],
)  # fmt: skip
def test_words_of_an_event(make_job: MakeJob, words: Words, event: Event, stage: Stage, title: str, line: str) -> None:
    view = show(make_job(state="running", count=4), event, words)
    assert (view.stage, view.title, view.line) == (stage, title, line)


def test_a_job_that_stops_after_this_picture_counts_this_picture_only(make_job: MakeJob, words: Words) -> None:
    soon = Progress(picture=2, count=4, step=15, steps=20, seconds_left=9)  # 5 of 45 steps are of this picture
    assert show(make_job(state="running"), soon, words).last_line == "Stops after this picture · about 1 s left"
    early = soon.model_copy(update={"seconds_left": None})
    assert show(make_job(state="running"), early, words).last_line == "Stops after this picture"


def test_a_preview_and_a_saved_picture_keep_the_progress_at_hand(make_job: MakeJob, words: Words) -> None:
    job = make_job(state="running", count=4, progress=PROGRESS, pictures=(7,))
    for event in (Preview(picture=2, step=12, jpeg=b"x"), PictureSaved(index=0, seed=1, file="a.png", seconds=1)):
        view = show(job, event, words)
        assert (view.title, view.share, view.picture, view.images) == ("Step 12 of 20", 0.6, 2, (7,))


def test_a_page_that_opens_sees_a_job_as_it_stands(make_job: MakeJob, words: Words) -> None:
    shown = {
        "queued": make_job(position=2),
        "loading": make_job(state="running", loading=Loading(model="flat", size=1)),
        "running": make_job(state="running", progress=PROGRESS),
        "done": make_job(state="finished"),
        "error": make_job(state="failed", problem=LOST),
    }
    assert {name: show(job, None, words).stage.value for name, job in shown.items()} == {name: name for name in shown}
    assert show(make_job(state="stopped"), None, words).title == "Stopped"
    assert show(make_job(state="running"), None, words).stage == Stage.QUEUED


def test_a_lost_worker_is_noticed_until_the_job_ends(make_job: MakeJob, words: Words) -> None:
    restarted = Restarted(problem=LOST, attempt=2)
    running = make_job(state="running", restarted=restarted, pictures=(4,), progress=PROGRESS)
    told = "The worker was lost; painting goes on from picture 2"
    assert show(running, PROGRESS, words).notice == told
    ended = running.model_copy(update={"state": "finished"})
    assert show(ended, Finished(seconds=1), words).notice == ""


def test_a_failure_offers_its_fix_and_a_refusal_keeps_the_field(make_job: MakeJob, words: Words) -> None:
    full = Problem(problem="Not enough memory", fix="paint one by one", field="batch_size", detail="CUDA")
    view = show(make_job(state="running", batch_size=4), Failed(problem=full), words)
    assert view.problem == full
    assert [(fix.text, fix.values["batch_size"]) for fix in view.fixes] == [("Paint one by one", 1)]
    again = show(make_job(state="running"), Failed(problem=LOST), words).fixes
    assert [(fix.text, fix.values["prompt"]) for fix in again] == [("Try again", "a hill")]
    refused = show_problem(Problem(problem="No", fix="yes", field="prompt"), {"prompt": "x"}, words)
    assert (refused.fixes, refused.problem and refused.problem.field) == ((), "prompt")


def test_the_gauge_and_the_queue(words: Words) -> None:
    waiting = show_device(None, 0, words)
    assert (waiting.label, waiting.memory, waiting.queue_text) == ("Starting the worker", "", "Queue empty")
    status = DeviceStatus(label="RTX 4070", used=4_900_000_000, total=12_000_000_000, problem=LOST)
    view = show_device(status, 2, words)
    assert (view.label, view.memory, view.queue_text) == ("RTX 4070", "4.9 of 12 GB", "2 in queue")
    assert round(view.share, 2) == 0.41
    assert view.problem == LOST
    assert show_device(DeviceStatus(label="x", used=0, total=0), 0, words).share == 0


def test_small_words() -> None:
    assert [memory(size) for size in (400_000, 25_000_000, 2_000_000_000)] == ["1 MB", "25 MB", "2.0 GB"]
    assert shorten("  a hill\nand more") == "a hill"
    assert len(shorten("x" * 500)) == 60
