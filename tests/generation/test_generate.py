"""The story of a picture: its events, its end, and what the words do to it."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipelines.core.error import InvalidRequest
from pipelines.core.event import Preview, Progress
from pipelines.core.request import MAX_PROMPT, Precision
from pipelines.core.samplers import SAMPLERS
from pipelines.core.stop import StopMode, StopSignal
from pipelines.generation.generate import Painted, generate
from pipelines.models.loading import LoadedModel
from pipelines.models.residency import Residency
from tests.generation.painting import ask, difference, paint


class Passes:
    """Counts the UNet's forward passes, by a hook of its own; `at` may ask to stop in the middle of one."""

    def __init__(self, model: LoadedModel, stop: StopSignal, at: int = 0) -> None:
        self.count = 0
        self._stop, self._at = stop, at
        self._hook = model.unet.register_forward_pre_hook(self._begins)

    def _begins(self, *_: Any) -> None:
        self.count += 1
        if self.count == self._at:
            self._stop.ask(StopMode.NOW)

    def forget(self) -> None:
        self._hook.remove()


@pytest.fixture
def stop() -> StopSignal:
    return StopSignal()


def test_events_tell_the_whole_story_in_order(starter: LoadedModel, stop: StopSignal) -> None:
    events = list(generate(ask(count=2, steps=2, preview_every=0), starter, stop))
    assert [type(e) for e in events] == [Progress, Progress, Progress, Painted] * 2
    assert [(e.picture, e.step) for e in events if isinstance(e, Progress)] == [
        (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2),
    ]  # fmt: skip
    assert all(e.count == 2 and e.steps == 2 for e in events if isinstance(e, Progress))


def test_a_picture_knows_its_index_seed_size_and_time(starter: LoadedModel, stop: StopSignal) -> None:
    began = time.monotonic()
    painted = [e for e in generate(ask(count=2, seed=9, width=72, height=64), starter, stop) if isinstance(e, Painted)]
    assert [(p.index, p.seed, p.image.size, p.image.mode) for p in painted] == [
        (0, 9, (72, 64), "RGB"), (1, 10, (72, 64), "RGB"),
    ]  # fmt: skip
    assert 0 < sum(p.seconds for p in painted) <= time.monotonic() - began


def test_the_time_left_shrinks_to_almost_nothing(starter: LoadedModel, stop: StopSignal) -> None:
    began = time.monotonic()
    left = [e.seconds_left for e in generate(ask(count=3, steps=6), starter, stop) if isinstance(e, Progress)]
    took = time.monotonic() - began
    told = [seconds for seconds in left if seconds is not None]
    assert left[0] is None and len(told) == len(left) - 1
    assert told[-1] < told[0] <= 3 * took
    assert told[-1] < took / 3


@pytest.mark.parametrize("sampler", [s.key for s in SAMPLERS])
def test_stop_now_runs_no_further_pass_of_the_network(sampler: str, starter: LoadedModel, stop: StopSignal) -> None:
    passes = Passes(starter, stop, at=3)
    try:
        events = list(generate(ask(sampler=sampler, steps=8), starter, stop))
    finally:
        passes.forget()
    assert passes.count == 3
    assert not any(isinstance(e, Painted) for e in events)


def test_stop_after_picture_finishes_the_one_at_hand(starter: LoadedModel, stop: StopSignal) -> None:
    painted = 0
    for event in generate(ask(count=3), starter, stop):
        stop.ask(StopMode.AFTER_PICTURE)
        painted += isinstance(event, Painted)
    assert painted == 1


def test_a_job_stopped_before_it_begins_does_nothing(starter: LoadedModel, stop: StopSignal) -> None:
    stop.ask(StopMode.NOW)
    assert list(generate(ask(), starter, stop)) == []


def test_walking_away_in_the_middle_leaves_the_model_as_it_was(starter: LoadedModel, stop: StopSignal) -> None:
    before = paint(starter)[0]
    story: Iterator[Any] = generate(ask(steps=8), starter, stop)
    next(story), next(story)
    story.close()  # type: ignore[attr-defined]
    assert difference(paint(starter)[0], before) == 0


def test_previews_come_as_often_as_asked_and_not_at_all_for_zero(starter: LoadedModel, stop: StopSignal) -> None:
    every = [e.step for e in generate(ask(steps=6, preview_every=4), starter, stop) if isinstance(e, Preview)]
    assert every == [4]
    assert not [e for e in generate(ask(steps=6, preview_every=0), starter, stop) if isinstance(e, Preview)]


def test_the_prompt_decides_the_sky(starter: LoadedModel) -> None:
    scene = "a red house on a green meadow"
    night, day = (
        paint(starter, prompt=f"{scene} {sky}", sampler="dpmpp_2m", steps=12, width=128, height=128, seed=5)[0]
        for sky in ("under a night sky", "under a blue sky")
    )
    assert night[:16].mean() + 30 < day[:16].mean()
    red, green, _ = day[-12:].reshape(-1, 3).mean(axis=0)
    assert green > red  # the meadow


def test_the_prompt_decides_the_colour(starter: LoadedModel) -> None:
    red, blue = (
        paint(starter, prompt=f"a {c} balloon under a blue sky", steps=12, width=128, height=128, seed=1)[0]
        for c in ("red", "blue")
    )
    assert redness(red) > redness(blue) + 20


def redness(picture: np.ndarray) -> float:
    """Red over blue in the middle half."""
    middle = picture[32:96, 32:96].reshape(-1, 3).mean(axis=0)
    return float(middle[0] - middle[2])


def test_what_to_avoid_changes_the_picture(starter: LoadedModel) -> None:
    assert difference(paint(starter)[0], paint(starter, negative_prompt="a night sky")[0]) > 10


@pytest.mark.parametrize("prompt", ["", "   \n\t", "a" * 3000, "🦄 ÿ 你好 \u200d", "red house " * (MAX_PROMPT // 10)])
def test_any_text_paints(prompt: str, starter: LoadedModel) -> None:
    assert paint(starter, prompt=prompt, steps=1)[0].shape == (64, 64, 3)


def test_words_far_into_a_long_prompt_still_count(starter: LoadedModel) -> None:
    long = "a red house on a green meadow, " * 12
    assert difference(paint(starter, prompt=long)[0], paint(starter, prompt=long + "at night")[0]) > 5


def test_clip_skip_two_is_another_picture_and_too_much_is_refused(starter: LoadedModel, stop: StopSignal) -> None:
    assert difference(paint(starter)[0], paint(starter, clip_skip=2)[0]) > 0
    layers = starter.towers[0].encoder.config.num_hidden_layers
    with pytest.raises(InvalidRequest, match=f"use 1 to {layers}") as refused:
        list(generate(ask(clip_skip=layers + 1), starter, stop))
    assert refused.value.as_problem.field == "clip_skip"


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_half_precision_paints_nearly_the_same_picture(precision: Precision, starter: LoadedModel) -> None:
    half = Residency("cpu").lend(starter.info, precision)
    assert np.abs(paint(half, sampler="euler")[0] - paint(starter, sampler="euler")[0]).mean() < 8
