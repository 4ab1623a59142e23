"""Downloads run beside the queue, tell how far they are, and can be stopped and gone on with."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pipelines.core.error import Conflict, UnknownName
from pipelines.jobs.downloading import Web
from pipelines.jobs.fetching import AT_ONCE, DownloadView, Fetcher
from pipelines.models.scan import ModelLibrary
from tests.jobs.hub import Hub

WEIGHTS = save({"a": torch.arange(300_000.0)})


@pytest.fixture
def library(tmp_path: Path) -> ModelLibrary:
    (tmp_path / "models").mkdir()
    return ModelLibrary([tmp_path / "models"])


@pytest.fixture
def fetcher(tmp_path: Path, library: ModelLibrary) -> Iterator[Fetcher]:
    with closing(Fetcher(tmp_path / "models", library, lambda: Web(pause=0))) as made:
        yield made


@pytest.fixture
def gate(hub: Hub) -> Iterator[threading.Event]:
    """Files come when it is set."""
    opened = threading.Event()

    def wait() -> None:
        opened.wait(20)

    hub.during = wait
    yield opened
    opened.set()


def settled(fetcher: Fetcher, download: str) -> DownloadView:
    """The download once it runs no more."""
    deadline = time.monotonic() + 20
    while True:
        view = next(one for one in fetcher.views() if one.id == download)
        if view.state != "running":
            return view
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_was_fetched_is_listed_at_once(hub: Hub, fetcher: Fetcher, library: ModelLibrary) -> None:
    hub.repository("somebody/lora", {"lora.safetensors": WEIGHTS})
    view = settled(fetcher, fetcher.begin(" somebody/lora ").id)
    assert (view.state, view.name, view.done, view.total) == ("finished", "lora.safetensors", *[len(WEIGHTS)] * 2)
    assert [info.name for info in library.list()] == ["lora"]


def test_what_went_wrong_stays_to_be_read(hub: Hub, fetcher: Fetcher) -> None:
    view = settled(fetcher, fetcher.begin("nobody/nothing").id)
    assert view.state == "failed" and view.problem
    assert view.problem.problem == "There is no nobody/nothing on the hub, or it is not open to everybody"
    assert hub.asked == []
    fetcher.stop(view.id)
    assert fetcher.views() == []
    with pytest.raises(UnknownName):
        fetcher.stop(view.id)


def test_a_stopped_one_goes_on_where_it_was(hub: Hub, fetcher: Fetcher, library: ModelLibrary) -> None:
    hub.files["/file.safetensors"] = WEIGHTS
    halted, gone_on = threading.Event(), threading.Event()

    def halfway() -> None:
        halted.set()
        gone_on.wait(20)

    hub.during = halfway
    hub.breaks_after = 200_000
    first = fetcher.begin(f"{hub.url}/file.safetensors")
    halted.wait(20)
    assert fetcher.stop(first.id).state == "stopped"
    gone_on.set()
    fetcher.close()
    assert library.list() == []
    again = settled(fetcher, fetcher.begin(f"{hub.url}/file.safetensors").id)
    assert again.state == "finished"
    assert hub.asked[-1][1] is not None, "it began anew"


def test_the_same_is_not_fetched_twice_and_many_wait_for_each_other(
    hub: Hub, fetcher: Fetcher, gate: threading.Event
) -> None:
    for n in range(AT_ONCE):
        hub.files[f"/{n}.safetensors"] = WEIGHTS
        fetcher.begin(f"{hub.url}/{n}.safetensors")
    with pytest.raises(Conflict, match="is being fetched already"):
        fetcher.begin(f"{hub.url}/0.safetensors")
    with pytest.raises(Conflict, match="downloads are running; wait for one"):
        fetcher.begin(f"{hub.url}/more.safetensors")
    gate.set()
