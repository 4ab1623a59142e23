"""A whole toy run, made once: every stage in miniature."""

import os

import pytest
import torch
from filelock import FileLock

from pipelines.training import stages
from pipelines.training.recipe import TOY
from pipelines.training.run import Run


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tiny tensors are slower on many threads, and sums come out differently."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All stages of the toy recipe, done. Tests that run side by side share it: every stage is kept in its folder."""
    torch.set_num_threads(1)
    beside = tmp_path_factory.getbasetemp()
    run = Run(TOY, (beside.parent if "PYTEST_XDIST_WORKER" in os.environ else beside) / "toy")
    with FileLock(f"{run.folder}.lock"):
        for stage in stages.ORDER.values():
            for _ in stage(run):
                pass
    return run
