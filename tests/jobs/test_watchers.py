import logging
import threading

import pytest

from pipelines.core.event import Event, Finished, Preview, Progress
from pipelines.jobs.watchers import ENOUGH_WAITING, Watchers

PROGRESS = Progress(picture=1, count=1, step=1, steps=2)


def test_every_listener_hears_every_event_in_order() -> None:
    watchers = Watchers()
    heard: list[list[tuple[str, Event]]] = [[], []]
    for ear in heard:
        watchers.add(lambda job, event, ear=ear: ear.append((job, event)))  # type: ignore[misc]
    told: list[tuple[str, Event]] = [("a", PROGRESS), ("b", PROGRESS), ("a", Finished(seconds=1))]
    for job, event in told:
        watchers.tell(job, event)
    watchers.close()
    assert heard == [told, told]


def test_a_listener_with_a_bug_is_logged_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    watchers = Watchers()
    heard: list[str] = []

    def broken(job: str, event: Event) -> None:
        raise ZeroDivisionError

    watchers.add(broken)
    watchers.add(lambda job, event: heard.append(job))
    with caplog.at_level(logging.ERROR):
        watchers.tell("a", PROGRESS)
        watchers.tell("b", PROGRESS)
        watchers.close()
    assert heard == ["a", "b"]
    assert len(caplog.records) == 2


def test_a_listener_that_hangs_loses_previews_and_progress_and_never_an_end() -> None:
    watchers = Watchers()
    go_on = threading.Event()
    heard: list[Event] = []

    def slow(job: str, event: Event) -> None:
        go_on.wait()
        heard.append(event)

    watchers.add(slow)
    for _ in range(1000):
        watchers.tell("a", PROGRESS)
        watchers.tell("a", Preview(picture=1, step=1, jpeg=b""))
    for _ in range(500):
        watchers.tell("a", Finished(seconds=1))
    go_on.set()
    watchers.close()
    assert sum(isinstance(event, Finished) for event in heard) == 500
    assert len(heard) <= 500 + ENOUGH_WAITING + 2


def test_a_listener_that_left_hears_nothing_more() -> None:
    watchers = Watchers()
    heard: list[str] = []
    leave = watchers.add(lambda job, event: heard.append(job))
    leave()
    leave()
    watchers.tell("a", PROGRESS)
    watchers.close()
    assert heard == []
