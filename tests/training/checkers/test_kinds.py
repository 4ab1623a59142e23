"""The reader of kinds: what it is shown, and that it learns."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipelines.training.checkers.kinds import NONE, VIEW, KindNet, KindObjective, kind_of, view
from pipelines.training.loop import Job, Pace, train
from pipelines.training.world.draw import draw
from pipelines.training.world.scene import Colour, Ground, Kind, Scene, Sky, Subject


def test_a_view_shows_the_subject_and_not_the_picture() -> None:
    drawing = draw(Scene((Subject(Kind.MUSHROOM, Colour.PURPLE),), Sky.DAY, Ground.MEADOW), 1)
    seen = view(drawing.image, drawing.boxes[0])
    assert seen.shape == (VIEW, VIEW, 3)
    purple = np.abs(seen.astype(int) - (136, 66, 190)).sum(-1) < 60
    assert purple.mean() > 0.1


def test_a_view_may_reach_beyond_the_picture() -> None:
    assert view(Image.new("RGB", (64, 64), "white"), (-0.5, 0.2, 0.5, 0.8)).shape == (VIEW, VIEW, 3)


def test_the_answer_none_is_no_kind() -> None:
    net = KindNet().eval()
    answer = net.layers[-1]
    assert isinstance(answer, torch.nn.Linear)
    with torch.no_grad():
        answer.weight.zero_()
        answer.bias.copy_(torch.eye(NONE + 1)[NONE])
    assert kind_of(net, Image.new("RGB", (64, 64)), (0.2, 0.2, 0.8, 0.8)) is None


def test_the_same_step_shows_the_same_examples() -> None:
    net = KindNet().eval()
    objective = KindObjective(net, batch=4, seed=3)
    assert objective(2).item() == objective(2).item() != objective(3).item()


def test_a_few_steps_lower_its_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = KindNet()
    pace = Pace(steps=25, rate=3e-3, warmup=2, bf16=0.0)
    job = Job(module=net, objective=KindObjective(net, batch=16, seed=1), pace=pace, checkpoint=tmp_path / "j.pt")
    losses = [report.loss for report in train(job)]
    assert losses[-1] < 0.9 * losses[0]
