"""What holds on a GPU: the same picture as on a CPU, in every number format, and a stop that stops."""

import numpy as np
import pytest
import torch

from pipelines.core.request import Precision
from pipelines.core.stop import StopMode, StopSignal
from pipelines.generation.generate import Painted, generate
from pipelines.models.loading import LoadedModel
from pipelines.models.residency import Residency
from tests.generation.painting import ask, paint

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
