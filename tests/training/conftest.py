"""A whole toy run, made once: every stage in miniature."""

from pathlib import Path

import pytest
import torch

from pipelines.training import stages
from pipelines.training.recipe import TOY
from pipelines.training.run import Run


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tiny tensors are slower on many threads, and sums come out differently."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All stages of the toy recipe, done."""
    torch.set_num_threads(1)
    run = Run(TOY, Path(tmp_path_factory.mktemp("toy")))
    for stage in stages.ORDER.values():
        for _ in stage(run):
            pass
    return run
