"""What the screen's tests stand on: its words, and a form with services that note what they are asked."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from pipelines.core.error import EaselError
from pipelines.core.presets import STARTER_MODELS, Preset, factory_presets
from pipelines.core.request import GenerateRequest, read_generate
from pipelines.jobs.queue import JobQueue, JobView
from pipelines.models.scan import ModelLibrary
from pipelines.storage.database import Database
from pipelines.storage.presets import PresetStore
from pipelines.storage.shelf import Shelf
from ui.web.services import WebServices
from ui.web.words import Words, read_words


@dataclass
class NotedQueue:
    """Takes jobs and keeps them."""

    asked: list[GenerateRequest] = field(default_factory=list)
    refusal: EaselError | None = None

    def submit(self, request: GenerateRequest) -> JobView:
        if self.refusal:
            raise self.refusal
        self.asked.append(request)
        return job_view(request)


def job_view(request: GenerateRequest, **state: Any) -> JobView:
    """A job as the queue would show it."""
    facts: dict[str, Any] = {
        "id": "j1",
        "state": "queued",
        "submitted": datetime(2026, 1, 1, tzinfo=UTC),
        "position": 1,
    }
    return JobView(request=request, **facts | state)


@pytest.fixture
def words() -> Words:
    return read_words()


@pytest.fixture
def queue() -> NotedQueue:
    return NotedQueue()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    with closing(Database(tmp_path / "easel.db")) as database:
        yield Shelf(database)


@pytest.fixture
def services(queue: NotedQueue, shelf: Shelf, tmp_path: Path) -> WebServices:
    return WebServices(
        cast(JobQueue, queue),
        ModelLibrary([STARTER_MODELS]),
        PresetStore(tmp_path / "presets", Preset, factory_presets()),
        shelf,
    )


@pytest.fixture
def make_job() -> Callable[..., JobView]:
    """A job in some state: make_job(state="running", count=4)."""

    def made(**facts: Any) -> JobView:
        asked = {name: facts.pop(name) for name in list(facts) if name in GenerateRequest.model_fields}
        return job_view(read_generate({"prompt": "a hill", "steps": 20, **asked}), **facts)

    return made
