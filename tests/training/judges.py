"""Judges that the tests of the examination share."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pipelines.core.presets import STARTER_MODELS
from pipelines.training.checkers.judge import JUDGE_FILE, Judge, open_judge
from pipelines.training.checkers.lessons import JudgeObjective
from pipelines.training.loop import Job, Pace, train


@cache
def shipped_judge() -> Judge:
    """The one that comes with the starter models."""
    torch.set_num_threads(1)
    return open_judge(STARTER_MODELS / "judge" / JUDGE_FILE)


@cache
def taught_judge() -> Judge:
    """It has had a few seconds of lessons: it tells styles and skies apart, and kinds better than chance."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    judge = Judge()
    pace = Pace(steps=120, rate=4e-3, warmup=10)
    with TemporaryDirectory() as folder:
        objective = JudgeObjective(judge, drawings=8, seed=1)
        for _ in train(Job(module=judge, objective=objective, pace=pace, checkpoint=Path(folder) / "judge.pt")):
            pass
    return judge.eval()
