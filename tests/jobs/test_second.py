"""The second pass of a painter: by resamplers and by networks, saved with the request that asked for it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from pipelines.core.error import EaselError
from pipelines.core.event import Event, Failed, Finished, PictureSaved
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import GenerateRequest, Hires
from pipelines.core.stop import StopSignal
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.perform import Painter
from pipelines.jobs.second import enlarge_with, network_of
from pipelines.jobs.worker import Work
from pipelines.models.asked import parts_of
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.facts import read_picture
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from tests.jobs.studio import request


def asked(**hires: object) -> GenerateRequest:
    told = Hires(**{"factor": 1.5, **hires})  # type: ignore[arg-type]
    return request("a red house", steps=2, model="flat", width=64, height=72, hires=told)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ModelLibrary:
    """The starter models, and a network of chance that enlarges twice."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    save_file(Compact(num_feat=8, num_conv=3, upscale=2).state_dict(), folder / "twice.safetensors")
    return ModelLibrary([STARTER_MODELS, folder])


@pytest.fixture(scope="module")
def residency() -> Residency:
    return Residency("cpu")


def painted(work: GenerateRequest, library: ModelLibrary, residency: Residency, outputs: Path) -> list[Event]:
    painter = Painter(
        library, residency, PictureFiles(outputs), SourceStore(outputs), Keeper(residency, outputs)
    )  # fmt: skip
    return list(painter.perform(Work(work), StopSignal()))


@pytest.mark.parametrize("upscaler", ["nearest", "latent", "twice"])
def test_the_picture_is_larger_and_knows_why(
    upscaler: str, library: ModelLibrary, residency: Residency, tmp_path: Path
) -> None:
    wanted = asked(upscaler=upscaler)
    events = painted(wanted, library, residency, tmp_path)
    assert isinstance(events[-1], Finished), events[-1]
    saved = next(event for event in events if isinstance(event, PictureSaved))
    facts = read_picture(tmp_path / saved.file)
    assert facts.request == wanted
    with Image.open(tmp_path / saved.file) as image:
        assert image.size == (96, 112) == wanted.final_size


def test_networks_and_resamplers_bring_a_picture_to_the_very_size(library: ModelLibrary, residency: Residency) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (72, 64, 3)).astype(np.uint8)
    for name in ("lanczos", "bicubic", "nearest", "twice"):
        wanted = asked(upscaler=name)
        enlarge = enlarge_with(wanted, network_of(wanted, (), library), residency)
        assert enlarge is not None
        made = enlarge(pixels, wanted.final_size)
        assert made.shape == (112, 96, 3) and made.dtype == np.uint8
    assert enlarge_with(asked(upscaler="latent"), None, residency) is None


def test_its_network_is_a_part_of_the_request_and_goes_after_the_loras(library: ModelLibrary) -> None:
    fields = asked(upscaler="twice").model_dump() | {"loras": [{"name": "glow"}]}
    wanted = GenerateRequest.model_validate(fields)
    assert [part.name for part in parts_of(library, wanted)] == ["glow", "twice"]
    assert [part.name for part in parts_of(library, asked())] == []


def test_an_upscaler_that_is_not_there_is_refused_with_the_nearest(
    library: ModelLibrary, residency: Residency, tmp_path: Path
) -> None:
    with pytest.raises(EaselError, match="twice"):
        parts_of(library, asked(upscaler="twise"))
    failed = painted(asked(upscaler="twise"), library, residency, tmp_path)[-1]
    assert isinstance(failed, Failed) and "twice" in failed.problem.fix
