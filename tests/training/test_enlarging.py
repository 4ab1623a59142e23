"""The starter upscaler's lessons: where it begins, what it is shown, and that a few steps make it better."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from spandrel import ModelLoader
from torch import Tensor

from pipelines.training.enlarging import FACTOR, EnlargeObjective, made_small, new_upscaler, save_upscaler
from pipelines.training.loop import Job, Pace, train


def crops(step: int) -> Tensor:
    """Waves, (3, 3, 32, 32): what lies between two pixels can be known of them."""
    rng = np.random.default_rng(step)
    down, across = np.mgrid[:32, :32] * (2 * np.pi / 24)
    waves = [np.sin(rng.choice([down, across]) + rng.uniform(0, 6)) for _ in range(9)]
    return torch.from_numpy(np.stack(waves).reshape(3, 3, 32, 32).astype(np.float32))


def test_it_begins_as_the_nearest_pixel() -> None:
    small = torch.rand(1, 3, 9, 7)
    assert torch.equal(new_upscaler(1)(small), F.interpolate(small, scale_factor=FACTOR, mode="nearest"))


def test_the_same_step_shows_the_same_and_another_something_else() -> None:
    objective = EnlargeObjective(new_upscaler(1), crops, seed=1)
    assert float(objective(4).detach()) == float(objective(4).detach()) != float(objective(5).detach())


def test_made_small_is_a_quarter_and_a_picture() -> None:
    for seed in range(20):  # every way there is
        small = made_small(torch.rand(1, 3, 32, 24), np.random.default_rng(seed))
        assert small.shape == (1, 3, 8, 6)
        assert 0 <= float(small.min()) <= float(small.max()) <= 1


def test_a_few_steps_lower_its_loss_and_other_tools_open_it(tmp_path: Path) -> None:
    network = new_upscaler(1)
    objective = EnlargeObjective(network, crops, seed=1)
    with torch.no_grad():
        before = np.mean([float(objective(step)) for step in range(100, 112)])
    pace = Pace(steps=200, rate=2e-3, warmup=5, bf16=0.0)
    list(train(Job(module=network, objective=objective, pace=pace, checkpoint=tmp_path / "state.pt", averaging=0.9)))
    with torch.no_grad():
        assert np.mean([float(objective(step)) for step in range(100, 112)]) < 0.93 * before
    save_upscaler(tmp_path / "x4.safetensors", network)
    opened = ModelLoader("cpu").load_from_file(tmp_path / "x4.safetensors")
    assert (opened.architecture.id, opened.scale) == ("Compact", FACTOR)
