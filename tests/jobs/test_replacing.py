"""A subject that is painted over becomes another one, and nothing else changes. Fifty tries: bench_inpaint.py."""

from pathlib import Path

import pytest
import torch

from pipelines.training.effects import outcome
from tests.jobs.replacing import answers, changed_outside
from tests.training.judges import shipped_judge


@pytest.mark.parametrize("model", ["flat", "inpaint"])
def test_a_subject_is_replaced_and_nothing_else_changes(model: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    made = list(answers(4, model, tmp_path, steps=10))
    assert [changed_outside(one, picture) for one, picture in made] == [0] * 4
    marks = [outcome(one, picture, shipped_judge()) for one, picture in made]
    assert sum(mark.kind and mark.colour for mark in marks) >= 3
