"""What holds on a GPU: the same picture as on a CPU, in every number format, and a stop that stops."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core.event import Finished
from pipelines.core.model import Family
from pipelines.core.placement import Placement
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import GenerateRequest, Precision
from pipelines.core.stop import StopMode, StopSignal
from pipelines.generation.generate import Painted, generate
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.perform import Painter
from pipelines.jobs.worker import Work
from pipelines.models.loading import LoadedModel
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from tests.generation.painting import ask, paint
from tests.models.synthetic import networks, write_single

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("sampler", ["euler_a", "dpmpp_2m", "dpmpp_sde"])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [(Precision.FP32, 1.0), (Precision.BF16, 8.0), (Precision.FP16, 3.0)]
)
def test_one_seed_is_one_picture_on_every_device(
    sampler: str, precision: Precision, tolerance: float, starter: LoadedModel
) -> None:
    on_gpu = Residency("cuda").lend(starter.info, precision)
    gpu, cpu = (paint(model, sampler=sampler, steps=6)[0] for model in (on_gpu, starter))
    assert np.abs(gpu - cpu).mean() < tolerance


def test_auto_keeps_the_files_halves(starter: LoadedModel) -> None:
    assert Residency("cuda").lend(starter.info).dtype == torch.float16


def test_a_batch_is_its_pictures(starter: LoadedModel) -> None:
    model = Residency("cuda").lend(starter.info, Precision.FP32)
    batch, row = (paint(model, sampler="euler_a", count=3, batch_size=size) for size in (3, 1))
    assert max(np.abs(a - b).max() for a, b in zip(batch, row, strict=True)) <= 2


def test_stop_now_ends_within_a_step(starter: LoadedModel) -> None:
    model, stop = Residency("cuda").lend(starter.info), StopSignal()
    steps = 0
    for event in generate(ask(steps=50), model, stop):
        assert not isinstance(event, Painted)
        if event.type == "progress":
            steps = event.step
        if steps == 3:
            stop.ask(StopMode.NOW)
    assert steps == 3


def test_memory_comes_back_when_the_model_goes(starter: LoadedModel) -> None:
    residency = Residency("cuda")
    before = torch.cuda.memory_allocated(residency.device)
    paint(residency.lend(starter.info))
    residency.free()
    assert torch.cuda.memory_allocated(residency.device) <= before + 20_000_000  # libraries keep a workspace


@pytest.mark.parametrize("placement", [Placement.TURNS, Placement.STREAMED])
def test_weights_that_wait_in_main_memory_paint_the_same_in_less(placement: Placement, tmp_path: Path) -> None:
    file = write_single(tmp_path / "m.safetensors", networks(Family.SD1, small=True), torch.float16)
    whole, waiting = Residency("cuda"), Residency("cuda")
    expected = paint(whole.lend(read_model(file, "m")))[0]
    held = torch.cuda.memory_allocated(whole.device)
    whole.free()
    picture = paint(waiting.lend(read_model(file, "m"), placement=placement))[0]
    assert np.abs(picture - expected).max() <= 2
    assert torch.cuda.memory_allocated(waiting.device) < 0.8 * held


def test_fp8_stays_fp8_on_the_device(tmp_path: Path) -> None:
    file = write_single(tmp_path / "m.safetensors", networks(Family.SD1, small=True), torch.float8_e4m3fn)
    model = Residency("cuda").lend(read_model(file, "m"))
    assert {weight.dtype for weight in model.unet.parameters() if weight.numel() > 65_536} == {torch.float8_e4m3fn}
    assert paint(model)[0].std() > 1


@pytest.mark.parametrize("attention", ["sdpa", "flash", "efficient", "chunked", "naive"])
def test_every_attention_paints_the_same(attention: str, starter: LoadedModel) -> None:
    expected = paint(Residency("cuda").lend(starter.info))[0]
    assert np.abs(paint(Residency("cuda", attention=attention).lend(starter.info))[0] - expected).mean() < 3


def test_a_full_device_is_survived_with_less(starter: LoadedModel, tmp_path: Path) -> None:
    """All but a little of the GPU's memory is taken by somebody else."""
    residency = Residency("cuda")
    residency.lend(starter.info)
    free, _ = torch.cuda.mem_get_info(residency.device)
    ballast = torch.empty(free - 400_000_000, dtype=torch.uint8, device=residency.device)
    painter = Painter(
        ModelLibrary([STARTER_MODELS]),
        residency,
        PictureFiles(tmp_path),
        SourceStore(tmp_path),
        Keeper(residency, tmp_path),
    )
    asked = GenerateRequest(prompt="a hill", width=1024, height=1024, steps=1, count=4, batch_size=4)
    events = list(painter.perform(Work(asked), StopSignal()))
    assert isinstance(events[-1], Finished), events[-1]
    del ballast
