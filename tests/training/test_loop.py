"""The loop: it learns, can be cut anywhere, and hands over the average."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from torch import Tensor, nn

from pipelines.core.error import EaselError
from pipelines.training.loop import Job, Objective, Pace, averaged, steps_done, train


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(3))
        self.fixed = nn.Parameter(torch.ones(1), requires_grad=False)
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(()))


def toward_two(line: Line) -> Objective:
    def loss(step: int) -> Tensor:
        line.seen += 1
        noise = torch.randn(3, generator=torch.Generator().manual_seed(step))
        return (line.slope - 2 - 0.1 * noise).square().sum()

    return loss


def job(folder: Path, *, steps: int = 40) -> tuple[Line, Job]:
    line = Line()
    pace = Pace(steps=steps, rate=0.1, warmup=5, bf16=0.0)
    return line, Job(module=line, objective=toward_two(line), pace=pace, checkpoint=folder / "line.pt", averaging=0.9)


def run(work: Job, until: int | None = None) -> list[int]:
    return [report.step for report in train(work, until=until)]


def test_it_gets_where_the_objective_points(tmp_path: Path) -> None:
    line, work = job(tmp_path)
    assert run(work) == list(range(1, 41))
    assert (line.slope - 2).abs().max() < 0.4


@pytest.mark.parametrize("cut", [1, 17, 39])
def test_a_run_that_was_cut_ends_exactly_like_one_that_was_not(tmp_path: Path, cut: int) -> None:
    whole, work = job(tmp_path / "whole")
    run(work)
    _, first = job(tmp_path / "cut")
    assert run(first, until=cut)[-1] == cut
    resumed, second = job(tmp_path / "cut")
    assert run(second)[0] == cut + 1
    assert torch.equal(resumed.slope, whole.slope)


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    line, work = job(tmp_path)
    run(work)
    again, finished = job(tmp_path)
    assert run(finished) == []
    assert torch.equal(again.slope, line.slope)


def test_what_needs_no_gradient_stays(tmp_path: Path) -> None:
    line, work = job(tmp_path)
    run(work)
    assert line.fixed.item() == 1


def test_the_average_is_what_a_run_hands_over(tmp_path: Path) -> None:
    line, work = job(tmp_path)
    run(work)
    assert torch.equal(averaged(Line(), work.checkpoint).get_parameter("slope"), line.slope)
    last = torch.load(work.checkpoint, weights_only=True)["module"]["slope"]
    assert not torch.equal(last, line.slope)


def test_what_is_no_weight_is_handed_over_as_it_is(tmp_path: Path) -> None:
    _, work = job(tmp_path)
    run(work)
    assert averaged(Line(), work.checkpoint).get_buffer("seen") == 40


def test_a_cut_while_saving_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(job(tmp_path)[1], until=5)

    def half(values: object, file: BinaryIO) -> None:
        file.write(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        run(job(tmp_path)[1], until=6)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["line.pt"]
    assert run(job(tmp_path)[1])[0] == 6


def test_a_state_of_another_recipe_is_not_taken_up(tmp_path: Path) -> None:
    _, work = job(tmp_path)
    run(replace(work, recipe="rate 0.1"), until=5)
    assert run(replace(job(tmp_path)[1], recipe="rate 0.1"), until=6) == [6]
    with pytest.raises(EaselError, match=r"line.pt was begun by another recipe; take the numbers"):
        run(replace(job(tmp_path)[1], recipe="rate 0.2"))


def test_a_loss_that_is_no_number_ends_the_run_and_not_the_state(tmp_path: Path) -> None:
    _, work = job(tmp_path)
    run(work, until=5)
    _, again = job(tmp_path)
    again = replace(again, objective=lambda step: torch.tensor(torch.nan, requires_grad=True))
    with pytest.raises(EaselError, match="The loss of step 5 is nan"):
        run(again)
    assert torch.isfinite(averaged(Line(), work.checkpoint).get_parameter("slope")).all()
    assert steps_done(work.checkpoint) == 5


def test_a_damaged_state_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "line.pt").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(EaselError, match=r"line.pt is damaged; delete it to begin the stage anew"):
        run(job(tmp_path)[1])


def test_a_run_longer_than_its_recipe_is_refused(tmp_path: Path) -> None:
    run(job(tmp_path)[1])
    with pytest.raises(EaselError, match="more than the 10 asked for; ask for more steps"):
        run(job(tmp_path, steps=10)[1])


def test_a_missing_state_says_which_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(EaselError, match="run the training stage before"):
        averaged(Line(), tmp_path / "nothing.pt")


def test_the_pace_rises_stays_and_falls() -> None:
    pace = Pace(steps=100, rate=1.0, warmup=10, fall_from=0.5)
    rates = [pace.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:50] == [1.0] * 40
    assert all(a > b for a, b in pairwise(rates[50:]))
    assert rates[99] == pytest.approx(0.03, abs=0.01)
