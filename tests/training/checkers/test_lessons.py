"""What the judge is taught: real subjects, and much that is none."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.training.checkers.judge import KIND, QUESTIONS, Judge, by_question
from pipelines.training.checkers.lessons import JudgeObjective, accuracy, lessons_of_one, shaken
from pipelines.training.loop import Job, Pace, train
from pipelines.training.world.scene import Style
from tests.training.judges import taught_judge


def test_the_same_step_gives_the_same_lessons() -> None:
    judge = Judge().eval()
    objective = JudgeObjective(judge, drawings=2, seed=3)
    assert objective(2).item() == objective(2).item() != objective(3).item()


def test_a_few_steps_lower_its_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Judge()
    pace = Pace(steps=20, rate=4e-3, warmup=2)
    job = Job(module=judge, objective=JudgeObjective(judge, 4, seed=1), pace=pace, checkpoint=tmp_path / "judge.pt")
    losses = [report.loss for report in train(job)]
    assert losses[-1] < 0.95 * losses[0]


def test_every_answer_is_taught_and_every_question_asked_has_one_whole_answer() -> None:
    right = np.stack([lesson.right for i in range(60) for lesson in lessons_of_one(random.Random(i))])
    assert (right.sum(0) > 0).all()
    for question, shares in by_question(torch.from_numpy(right)).items():
        asked = shares.sum(-1)
        assert torch.isclose(asked, torch.ones(())).logical_or(asked == 0).all(), question


def test_about_a_third_of_the_views_of_subjects_shows_none() -> None:
    right = np.stack([lesson.right for i in range(60) for lesson in lessons_of_one(random.Random(i))])
    kinds = right[:, : len(QUESTIONS["kind"])]
    assert 0.25 < kinds[:, KIND.index(None)].sum() / kinds.sum() < 0.4


def test_a_guessed_box_still_shows_most_of_its_subject() -> None:
    box, rng = (0.3, 0.4, 0.7, 0.9), random.Random(0)
    for _ in range(50):
        left, top, right, bottom = shaken(box, rng)
        assert (left < 0.4, right > 0.6, top < 0.55, bottom > 0.75) == (True,) * 4


@pytest.mark.parametrize("style", Style)
def test_a_few_lessons_teach_more_than_chance_and_its_accuracy_says_so(style: Style) -> None:
    taught, untaught = accuracy(taught_judge(), style, 40, side=128), accuracy(Judge().eval(), style, 40, side=128)
    assert taught.kind > 0.2 > untaught.kind
    assert taught.worn > 0.18
    assert taught.none > 0.4
