"""A judge that the tests of the examination share; it has had a few seconds of lessons."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pipelines.training.checkers.judge import Judge
from pipelines.training.checkers.lessons import JudgeObjective
from pipelines.training.loop import Job, Pace, train


@cache
def taught_judge() -> Judge:
    """It tells styles and skies apart, and kinds better than chance."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    judge = Judge()
    pace = Pace(steps=120, rate=4e-3, warmup=10)
    with TemporaryDirectory() as folder:
        objective = JudgeObjective(judge, drawings=8, seed=1)
        for _ in train(Job(module=judge, objective=objective, pace=pace, checkpoint=Path(folder) / "judge.pt")):
            pass
    return judge.eval()
