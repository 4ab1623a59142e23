"""The performer that paints, with the starter model: from work to files and events."""

from pathlib import Path

import pytest
import torch

from pipelines.core.event import Event, Failed, Finished, Loading, PictureSaved, Preview, Progress, Stopped
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.perform import Painter
from pipelines.jobs.setup import PainterSetup
from pipelines.jobs.worker import Work
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.facts import read_picture
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from tests.jobs.studio import pixels, request


def small(**fields: object) -> GenerateRequest:
    return request("a red house", **{"steps": 1, "model": "flat", "count": 2} | fields)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


LIBRARY = ModelLibrary([STARTER_MODELS])


@pytest.fixture(scope="module")
def residency() -> Residency:
    """One for all tests: a model takes its time to load."""
    torch.set_num_threads(1)  # a network this small gains nothing from a second one, and tests run side by side
    return Residency("cpu")


@pytest.fixture(scope="module")
def painter(residency: Residency, outputs: Path) -> Painter:
    made = Painter(
        LIBRARY, residency, PictureFiles(outputs), SourceStore(outputs), Keeper(residency, outputs), favourite="flat"
    )
    made.prepare()
    return made


def test_a_prepared_painter_paints_and_saves_without_loading(painter: Painter, outputs: Path) -> None:
    events = list(painter.perform(Work(small(), "job"), StopSignal()))
    assert not any(isinstance(event, Loading) for event in events)
    assert {type(event) for event in events} >= {Progress, Preview, PictureSaved, Finished}
    assert isinstance(events[-1], Finished)
    saved = [event for event in events if isinstance(event, PictureSaved)]
    assert [(event.index, event.seed, event.image) for event in saved] == [(0, 100, 0), (1, 101, 0)]
    facts = read_picture(outputs / saved[1].file)
    assert (facts.request, facts.index, facts.job) == (small(), 1, "job")


def test_what_is_left_of_a_job_is_the_same_pictures(painter: Painter, outputs: Path) -> None:
    whole = pixels(painter.perform(Work(small(seed=7)), StopSignal()), outputs)
    rest = pixels(painter.perform(Work(small(seed=7), first=1), StopSignal()), outputs)
    assert rest == whole[1:]


def test_a_model_that_is_not_in_memory_is_announced(outputs: Path) -> None:
    cold = PainterSetup(models=(STARTER_MODELS,), outputs=outputs, sources=outputs, own_models=outputs, device="cpu")()
    status = cold.device_status()
    assert status is not None
    assert not status.models
    first = next(iter(cold.perform(Work(small()), StopSignal())))
    assert isinstance(first, Loading)
    assert (first.model, first.size > 1_000_000) == ("flat", True)


def test_a_missing_model_fails_with_the_nearest(painter: Painter) -> None:
    (failed,) = painter.perform(Work(small(model="flatt")), StopSignal())
    assert isinstance(failed, Failed)
    assert (failed.problem.problem, failed.problem.fix) == ("There is no model named 'flatt'", "use 'flat'")


@pytest.mark.parametrize(("mode", "kept"), [(StopMode.NOW, 0), (StopMode.AFTER_PICTURE, 1)])
def test_a_stop_keeps_what_is_finished(painter: Painter, mode: StopMode, kept: int) -> None:
    stop = StopSignal()
    events: list[Event] = []
    for event in painter.perform(Work(small(steps=4)), stop):
        events.append(event)
        if isinstance(event, Progress):
            stop.ask(mode)
    assert isinstance(events[-1], Stopped)
    assert sum(isinstance(event, PictureSaved) for event in events) == kept


def test_a_stop_that_comes_with_the_last_picture_stops_nothing(painter: Painter) -> None:
    stop = StopSignal()
    for event in painter.perform(Work(small(count=1)), stop):
        if isinstance(event, PictureSaved):
            stop.ask(StopMode.AFTER_PICTURE)
    assert isinstance(event, Finished)


def test_pictures_can_go_to_files_of_ones_own(residency: Residency, tmp_path: Path) -> None:
    targets = (tmp_path / "a.png", tmp_path / "b.png")
    painter = Painter(
        LIBRARY,
        residency,
        PictureFiles(tmp_path / "outputs"),
        SourceStore(tmp_path / "outputs"),
        Keeper(residency, tmp_path),
    )
    work = Work(small(), targets=targets)
    saved = [event for event in painter.perform(work, StopSignal()) if isinstance(event, PictureSaved)]
    assert [event.file for event in saved] == [str(target) for target in targets]
    assert all(target.is_file() for target in targets)
    assert not (tmp_path / "outputs").exists()


def test_an_outputs_folder_that_cannot_be_written_fails_the_job_with_a_fix(
    residency: Residency, tmp_path: Path
) -> None:
    (tmp_path / "outputs").write_text("a file")
    painter = Painter(
        LIBRARY,
        residency,
        PictureFiles(tmp_path / "outputs"),
        SourceStore(tmp_path / "outputs"),
        Keeper(residency, tmp_path),
    )
    *_, failed = painter.perform(Work(small(count=1)), StopSignal())
    assert isinstance(failed, Failed)
    assert failed.problem.fix
