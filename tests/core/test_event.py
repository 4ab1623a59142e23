import pickle

import pytest

from pipelines.core.error import Problem
from pipelines.core.event import (
    Compared,
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
)

PROBLEM = Problem(problem="a", fix="b")
EVENTS: list[Event] = [
    Queued(position=1),
    Loading(model="flat", size=10),
    Progress(picture=1, count=2, step=0, steps=20, seconds_left=1.5),
    Preview(picture=1, step=3, jpeg=bytes(range(256))),
    PictureSaved(index=0, seed=7, file="2026-11-21/00001-7.png", seconds=1.25, image=3),
    Worked(done=1_000_000, total=4_000_000),
    Noted(text="holds tensors for training only"),
    Compared(blocks={"BASE": (0.1, 0.99)}),
    Hashed(sha256="ab" * 32, weights="cd" * 32),
    Masked(mask="ab" * 32, share=0.25),
    Restarted(problem=PROBLEM, attempt=2),
    Finished(seconds=9.5),
    Stopped(),
    Failed(problem=PROBLEM),
]


def test_every_kind_of_event_is_tried_here() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.type)
def test_an_event_survives_json_and_the_way_between_processes(event: Event) -> None:
    assert type(event).model_validate_json(event.model_dump_json()) == event
    assert pickle.loads(pickle.dumps(event)) == event


def test_a_preview_is_not_poured_into_the_log() -> None:
    assert "jpeg" not in repr(EVENTS[3])
