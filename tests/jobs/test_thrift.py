"""A job that runs out of memory tries again with less, says so, and leaves nothing behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.core.event import Event, Failed, Finished, Noted, PictureSaved, Progress
from pipelines.core.model import ModelInfo
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.stop import StopSignal
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.perform import Painter
from pipelines.jobs.worker import Work
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from tests.jobs.studio import pixels, request
from tests.models.folders import copy_of

FULL = "CUDA out of memory. Tried to allocate 2.00 GiB"


class Device:
    """A device that has no room when `full` says so: asked before the network runs, of the network and its input."""

    def __init__(self, network: torch.nn.Module, full: Callable[[torch.nn.Module, torch.Tensor], bool]) -> None:
        self.refusals = 0
        self._full = full
        self._handle = network.register_forward_pre_hook(self._look)

    def _look(self, network: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if self._full(network, arguments[0]):
            self.refusals += 1
            raise torch.OutOfMemoryError(FULL)

    def heal(self) -> None:
        self._handle.remove()


@pytest.fixture
def residency() -> Iterator[Residency]:
    torch.set_num_threads(1)
    yield Residency("cpu")


@pytest.fixture
def flat(starter_folder: Path) -> ModelInfo:
    return read_model(starter_folder, "flat")


def painted(residency: Residency, outputs: Path, **fields: Any) -> list[Event]:
    painter = Painter(
        ModelLibrary([STARTER_MODELS]), residency, PictureFiles(outputs), SourceStore(outputs),
        Keeper(residency, outputs),
    )  # fmt: skip
    asked = request("a red house", steps=1, model="flat", seed=5, **fields)
    return list(painter.perform(Work(asked), StopSignal()))


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noted)]


def test_fewer_are_painted_at_once_and_each_once(residency: Residency, flat: ModelInfo, tmp_path: Path) -> None:
    small = Device(residency.lend(flat).unet, lambda _, latents: len(latents) > 2)  # two passes a picture
    events = painted(residency, tmp_path, count=4, batch_size=4)
    assert notes(events) == ["Memory ran out: now 2 at once", "Memory ran out: now 1 at once"]
    assert [e.index for e in events if isinstance(e, PictureSaved)] == [0, 1, 2, 3]
    assert isinstance(events[-1], Finished)
    small.heal()
    alone = painted(residency, tmp_path / "alone", count=4)
    assert len(set(pixels(events, tmp_path))) == 4
    assert pixels(events, tmp_path) == pixels(alone, tmp_path / "alone")


def test_what_is_finished_is_not_painted_again(residency: Residency, flat: ModelInfo, tmp_path: Path) -> None:
    calls: list[int] = []

    def third_time(_: torch.nn.Module, latents: torch.Tensor) -> bool:
        calls.append(len(latents))
        return len(calls) == 2

    Device(residency.lend(flat).unet, third_time)
    events = painted(residency, tmp_path, count=4, batch_size=2)
    assert calls == [4, 4, 2, 2]  # a pair, a pair that fails, then one by one
    assert [e.index for e in events if isinstance(e, PictureSaved)] == [0, 1, 2, 3]


def test_a_large_picture_is_decoded_in_tiles(residency: Residency, flat: ModelInfo, tmp_path: Path) -> None:
    vae = residency.lend(flat).vae
    small = Device(vae.decoder, lambda _, latents: latents.shape[-1] > 64)
    events = painted(residency, tmp_path, width=576, height=64)
    assert notes(events) == ["Memory ran out: now the picture is decoded in tiles"]
    assert small.refusals == 1 and not vae.use_tiling
    assert sum(isinstance(event, Progress) and event.step == 1 for event in events) == 1  # no step was made again
    small.heal()
    whole = painted(residency, tmp_path / "whole", width=576, height=64)
    tiled, plain = (
        torch.frombuffer(bytearray(pixels(made, folder)[0]), dtype=torch.uint8).float()
        for made, folder in ((events, tmp_path), (whole, tmp_path / "whole"))
    )
    assert (tiled - plain).abs().mean() < 4


def test_other_models_make_room_first(residency: Residency, flat: ModelInfo, tmp_path: Path) -> None:
    other = read_model(copy_of(Path(flat.path), tmp_path / "other"), "other")
    residency.lend(other)
    Device(residency.lend(flat).unet, lambda *_: "other" in residency.loaded)
    events = painted(residency, tmp_path / "out")
    assert isinstance(events[-1], Finished) and not notes(events)
    assert residency.loaded == ("flat",)


def test_a_small_picture_is_not_tried_in_tiles(residency: Residency, flat: ModelInfo, tmp_path: Path) -> None:
    small = Device(residency.lend(flat).vae.decoder, lambda *_: True)
    events = painted(residency, tmp_path)
    assert not notes(events) and isinstance(events[-1], Failed)
    assert small.refusals == 1


def test_the_next_job_of_its_kind_begins_as_the_last_one_ended(
    residency: Residency, flat: ModelInfo, tmp_path: Path
) -> None:
    small = Device(residency.lend(flat).unet, lambda _, latents: len(latents) > 2)
    painter = Painter(
        ModelLibrary([STARTER_MODELS]),
        residency,
        PictureFiles(tmp_path),
        SourceStore(tmp_path),
        Keeper(residency, tmp_path),
    )
    asked = request("a red house", steps=1, model="flat", seed=5, count=2, batch_size=2)
    first, second = (list(painter.perform(Work(asked), StopSignal())) for _ in range(2))
    assert notes(first) == ["Memory ran out: now 1 at once"]
    assert isinstance(second[-1], Finished)
    assert small.refusals == 1


def test_previews_that_find_no_room_are_a_reason_to_save_too(
    residency: Residency, flat: ModelInfo, tmp_path: Path
) -> None:
    other = read_model(copy_of(Path(flat.path), tmp_path / "other"), "other")
    residency.lend(other)
    Device(residency.lend(flat).vae.encoder, lambda *_: "other" in residency.loaded)
    assert isinstance(painted(residency, tmp_path / "out")[-1], Finished)


def test_when_nothing_helps_the_job_fails_with_figures_and_the_next_one_paints(
    residency: Residency, flat: ModelInfo, tmp_path: Path
) -> None:
    Device(residency.lend(flat).unet, lambda *_: True)
    *_, failed = painted(residency, tmp_path, count=2, batch_size=2)
    assert isinstance(failed, Failed)
    assert "not enough memory for 64 x 64 with 'flat'" in failed.problem.problem
    assert "GB seemed enough" in failed.problem.problem
    assert (failed.problem.field, failed.problem.detail) == ("width", FULL)
    assert residency.loaded == ()
    assert isinstance(painted(residency, tmp_path / "next")[-1], Finished)


def test_a_job_that_cannot_fit_begins_sparingly(starter_folder: Path, tmp_path: Path) -> None:
    residency = Residency("cpu", limit=150_000_000)
    events = painted(residency, tmp_path, width=1024, height=512, count=1)
    assert notes(events) == ["To fit into 0.1 GB: decoded in tiles"]
    assert isinstance(events[-1], Finished)
