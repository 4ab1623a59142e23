"""REST and the page's socket around a studio whose worker draws sketches."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import app
from pipelines.core.event import DeviceStatus, Event
from pipelines.core.stop import StopSignal
from pipelines.jobs.fetching import Fetcher
from pipelines.jobs.searching import Searcher
from pipelines.jobs.worker import Performer, Work
from pipelines.storage.searches import SearchBook
from tests.jobs.studio import Studio, studio
from ui.cli.options import Folders
from ui.cli.serve import Address

HERE = Address("127.0.0.1", 7860)


class Here:
    """A worker that is no process of its own."""

    def __init__(self, performer: Performer) -> None:
        self._performer = performer

    def wait_ready(self, stop: StopSignal) -> None:
        pass

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        return self._performer.perform(work, stop)

    @property
    def device(self) -> DeviceStatus | None:
        return self._performer.device_status()

    def close(self) -> None:
        pass


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Studio]:
    """Queue, database and worker."""
    with studio(tmp_path / "data", step_seconds=0.02) as made:
        yield made


@contextmanager
def around(inside: Studio) -> Iterator[app.Inside]:
    """What the web application is built around."""
    searcher = Searcher(inside.queue, inside.images, SearchBook(inside.database))
    with closing(Fetcher(Folders(inside.folder).data.models, inside.models)) as fetcher, closing(searcher):
        yield app.Inside(inside.queue, inside.images, inside.models, inside.shelf, fetcher, searcher)


@pytest.fixture
def behind(inside: Studio) -> Iterator[app.Inside]:
    """What the web application is built around."""
    with around(inside) as made:
        yield made


@pytest.fixture
def application(inside: Studio, behind: app.Inside) -> FastAPI:
    """What a program meets on this machine; the page over it is only in the way here."""
    return app.rest_application(behind, Folders(inside.folder), HERE, None)


@pytest.fixture
def client(application: FastAPI) -> Iterator[TestClient]:
    """A browser on the studio's own page."""
    with TestClient(application, base_url="http://127.0.0.1:7860") as made:
        yield made
