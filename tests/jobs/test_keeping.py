"""What is done to models: load, unload, verify, convert, and what the studio remembers of it."""

import hashlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipelines.core.error import EaselError
from pipelines.core.event import Event, Finished, Hashed, Loading, Noted, Stopped, Worked
from pipelines.core.kinds import ConvertRequest, LoadRequest, UnloadRequest, VerifyRequest, read_request
from pipelines.core.model import Family, ModelInfo
from pipelines.core.request import NumberFormat
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.librarian import Librarian
from pipelines.jobs.process import ProcessWorker
from pipelines.jobs.queue import JobQueue, JobView
from pipelines.jobs.setup import PainterSetup
from pipelines.models.asked import model_of
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary, stamp_of
from pipelines.storage.database import Database
from pipelines.storage.images import ImageStore
from pipelines.storage.journal import Journal
from pipelines.storage.shelf import Hashes, Shelf
from tests.models.synthetic import networks, write_single


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SD 1.x in one file."""
    return write_single(tmp_path_factory.mktemp("m") / "small.safetensors", networks(Family.SD1, small=True))


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(Residency("cpu"), tmp_path / "own")


def told(events: Iterator[Event]) -> list[Event]:
    return list(events)


def info(file: Path) -> ModelInfo:
    return read_model(file, file.stem)


def test_a_model_is_loaded_once_and_its_memory_given_back(file: Path, tmp_path: Path) -> None:
    residency = Residency("cpu")
    keeper = Keeper(residency, tmp_path)
    ask = LoadRequest(model="small")
    assert [type(e) for e in keeper.perform(ask, info(file), StopSignal())] == [Loading, Finished]
    assert residency.loaded == ("small",)
    assert [type(e) for e in keeper.perform(ask, info(file), StopSignal())] == [Finished]
    assert [type(e) for e in keeper.perform(UnloadRequest(), None, StopSignal())] == [Finished]
    assert not residency.is_lent(info(file))


def test_verify_reads_all_of_it_and_hashes_it(file: Path, keeper: Keeper) -> None:
    events = told(keeper.perform(VerifyRequest(model="small"), info(file), StopSignal()))
    (hashed,) = (e for e in events if isinstance(e, Hashed))
    assert hashed.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    last = [e for e in events if isinstance(e, Worked)][-1]
    assert last.done <= last.total and last.done > 0.99 * last.total
    assert isinstance(events[-1], Finished)


def test_convert_writes_a_new_model_and_never_over_another(file: Path, keeper: Keeper, tmp_path: Path) -> None:
    ask = ConvertRequest(model="small", name="smaller", dtype=NumberFormat.FP16)
    events = told(keeper.perform(ask, info(file), StopSignal()))
    assert [e.text for e in events if isinstance(e, Noted)] == ["smaller.safetensors"]
    made = info(tmp_path / "own" / "smaller.safetensors")
    assert (made.dtype, made.problem, made.family) == ("fp16", None, Family.SD1)
    with pytest.raises(EaselError, match=r"already a smaller.safetensors; choose another name"):
        told(keeper.perform(ask, info(file), StopSignal()))
    assert [f.name for f in (tmp_path / "own").iterdir()] == ["smaller.safetensors"]


def test_converting_stops_when_asked_and_leaves_nothing(
    file: Path, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.jobs.converting.BYTES_A_WORD", 1)  # a small model is written in one go else
    stop, told = StopSignal(), []
    for event in keeper.perform(ConvertRequest(model="small", name="half"), info(file), stop):
        told.append(type(event))
        if len(told) == 3:
            assert [f.suffix for f in (tmp_path / "own").iterdir()] == [".tmp"]
            stop.ask(StopMode.NOW)
    assert told == [Worked, Worked, Worked, Stopped]
    assert not list((tmp_path / "own").iterdir())


@pytest.mark.parametrize("name", ["../up", "a/b", "con", ".hidden", "x\u202ey", ""])
def test_a_name_never_leaves_the_folder(name: str, file: Path, keeper: Keeper, tmp_path: Path) -> None:
    with pytest.raises(EaselError):
        told(keeper.perform(ConvertRequest(model="small", name=name), info(file), StopSignal()))
    assert not (tmp_path / "own").exists()


def test_requests_about_models_survive_the_journal() -> None:
    for request in (LoadRequest(model="a"), UnloadRequest(), VerifyRequest(model="a"),
                    ConvertRequest(model="a", name="b", dtype=NumberFormat.BF16, pruned=True)):  # fmt: skip
        assert read_request(request.model_dump(mode="json")) == request


def test_the_studio_learns_what_a_job_made(file: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    database = Database(tmp_path / "easel.db")
    shelf, outputs = Shelf(database), tmp_path / "outputs"
    models = ModelLibrary([file.parent, own], shelf)
    setup = PainterSetup(models=(), outputs=outputs, sources=outputs, own_models=own, device="cpu")
    worker = ProcessWorker(setup, guard=tmp_path / "lock")
    queue = JobQueue(Journal(database), ImageStore(database, outputs), worker, find_model=partial(model_of, models))
    Librarian(queue, models, shelf).begin()
    try:
        assert [m.name for m in models.list()] == ["small"]
        jobs = [
            queue.submit(ConvertRequest(model="small", name="made", pruned=True)),
            queue.submit(VerifyRequest(model="made")),
            queue.submit(VerifyRequest(model="nothing")),
        ]
        ends = [wait(queue, job.id) for job in jobs]
        assert [view.state for view in ends] == ["finished", "finished", "failed"]
        assert ends[0].notes == ("made.safetensors",)
        assert ends[2].problem is not None and "no model named 'nothing'" in ends[2].problem.problem
        made = own / "made.safetensors"
        assert [m.name for m in models.list()] == ["made", "small"]
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        hashes = shelf.hashes(models.find("made").path, stamp_of(made))
        assert isinstance(hashes, Hashes) and hashes.sha256 == digest
    finally:
        queue.close()
        worker.close()
        database.close()


def wait(queue: JobQueue, job: str) -> JobView:
    """The job once it has ended."""
    for _ in range(1200):
        view = queue.job(job)
        if view.state in ("finished", "failed", "stopped"):
            return view
        time.sleep(0.1)
    raise AssertionError(f"{view} has not ended")
