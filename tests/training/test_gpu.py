"""The same stages on a GPU."""

from pathlib import Path

import pytest
import torch

from pipelines.training import stages
from pipelines.training.recipe import TOY
from pipelines.training.run import Run

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_every_stage_runs_on_a_gpu(tmp_path: Path) -> None:
    run = Run(TOY, tmp_path, device="cuda")
    for name, start in stages.ORDER.items():
        reports = list(start(run))
        assert reports[-1].step == reports[-1].steps, name
    assert all(torch.isfinite(weight).all() for weight in run.unet().parameters())


def test_a_unet_trains_compiled(tmp_path: Path) -> None:
    run = Run(TOY, tmp_path, device="cuda", compiled=True)
    for name in ("tokenizer", "text", "vae", "refine", "unet flat"):
        list(stages.ORDER[name](run))
    plain = run.unet().state_dict()
    assert all("_orig_mod" not in name for name in plain)
