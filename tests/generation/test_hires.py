"""Hires: the second pass is an enlargement and image to image of it, told and forecast with the first."""

from typing import Any

import numpy as np
import pytest

from pipelines.core.error import EaselError, InvalidRequest
from pipelines.core.event import Preview, Progress
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.request import GenerateRequest, Hires
from pipelines.core.samplers import SAMPLERS
from pipelines.core.stop import StopMode, StopSignal
from pipelines.generation.encoding import encode_pixels
from pipelines.generation.generate import Painted, generate
from pipelines.generation.ground import Ground
from pipelines.generation.masks import Pixels, resized
from pipelines.models.budget import Thrift, numbers_of, work_of
from pipelines.models.loading import LoadedModel
from pipelines.models.opening import blueprint_of
from tests.generation.painting import ask, difference, paint

TWICE = Hires(factor=1.5, strength=0.5)


@pytest.mark.parametrize(
    "hires", [TWICE, Hires(factor=1.25, strength=0.7, steps=2, cfg=1.0, sampler="euler_a", prompt="a blue boat")]
)
def test_it_is_an_enlargement_and_image_to_image_of_it(hires: Hires, starter: LoadedModel) -> None:
    request = ask(steps=4, hires=hires)
    first = paint(starter, steps=4)[0].astype(np.uint8)
    latents = encode_pixels(starter, resized(first, request.final_size))
    assert request.second is not None
    over = Ground(latents, latents, strength=hires.strength)
    by_hand = [e for e in generate(request.second, starter, StopSignal(), over=over) if isinstance(e, Painted)]
    both = [e for e in generate(request, starter, StopSignal()) if isinstance(e, Painted)]
    assert both[0].image.size == request.final_size
    assert np.array_equal(np.asarray(both[0].image), np.asarray(by_hand[0].image))


def test_each_picture_of_a_batch_is_the_one_its_seed_makes_alone(starter: LoadedModel) -> None:
    together = paint(starter, hires=TWICE, count=2, batch_size=2, seed=8)
    alone = paint(starter, hires=TWICE, seed=9)
    assert [one.shape for one in together] == [(96, 96, 3)] * 2
    assert difference(together[1], alone[0]) <= 2


def test_steps_of_both_passes_are_told_as_one_story(starter: LoadedModel) -> None:
    events = list(generate(ask(steps=4, hires=TWICE, preview_every=1), starter, StopSignal()))
    told = [e for e in events if isinstance(e, Progress)]
    assert [(e.step, e.steps) for e in told] == [(n, 6) for n in range(7)]
    left = [e.seconds_left for e in told]
    assert left[0] is None and left[-1] == 0 and all(one is not None for one in left[1:])
    assert [e.step for e in events if isinstance(e, Preview)][-1] <= 6


@pytest.mark.parametrize("sampler", [s.key for s in SAMPLERS])
def test_every_sampler_walks_twice(sampler: str, starter: LoadedModel) -> None:
    assert paint(starter, sampler=sampler, steps=3, hires=TWICE)[0].std() > 1


def test_latents_are_enlarged_without_a_picture(starter: LoadedModel) -> None:
    latent = paint(starter, hires=TWICE.model_copy(update={"upscaler": "latent"}))[0]
    assert latent.shape == (96, 96, 3)
    assert difference(latent, paint(starter, hires=TWICE)[0]) > 10


def test_pictures_are_enlarged_by_whoever_is_given(starter: LoadedModel) -> None:
    asked = []

    def flat(pixels: Pixels, size: tuple[int, int]) -> Pixels:
        asked.append((pixels.shape, size))
        return np.full((size[1], size[0], 3), 90, np.uint8)

    list(generate(ask(count=2, width=72, hires=TWICE), starter, StopSignal(), enlarge=flat))
    assert asked == [((64, 72, 3), (112, 96))] * 2  # 108 is no multiple of 8


def test_a_stop_ends_the_second_pass_too(starter: LoadedModel) -> None:
    stop, steps = StopSignal(), 0
    for event in generate(ask(steps=4, hires=TWICE), starter, stop):
        assert not isinstance(event, Painted)
        if isinstance(event, Progress):
            steps = event.step
        if steps == 5:
            stop.ask(StopMode.NOW)
    assert steps == 5


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"factor": 5}, "Hires scale cannot be 5"),
        ({"factor": 0.5}, "Hires scale cannot be 0.5"),
        ({"strength": 0.1}, "no step of 3 left"),
        ({"strength": 0}, "no step of 3 left"),
        ({"sampler": "eulr"}, "eulr"),
        ({"upscaler": ""}, "Hires upscaler is empty"),
        ({"scale": 2}, "no setting 'scale'"),
    ],
)
def test_what_cannot_be_is_refused_and_the_field_named(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(EaselError, match=problem) as refused:
        ask(hires=fields)
    assert refused.value.as_problem.field == "hires"


def test_a_size_beyond_all_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="would be 16384 x 256"):
        ask(width=4096, hires={"factor": 4})


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
@pytest.mark.parametrize("strength", [0.05, 0.3, 0.35, 0.5, 0.7, 1.0])
def test_as_many_steps_are_walked_as_are_asked_for(steps: int, strength: float) -> None:
    hires = Hires(steps=steps, strength=strength)
    assert int(hires.steps_of(13) * strength) == steps


def test_painting_over_a_picture_knows_no_second_pass() -> None:
    picture = GenerateRequest(hires=TWICE)
    assert InpaintRequest(picture=picture, source="0" * 64).picture == GenerateRequest()


def test_the_budget_is_that_of_the_larger_pass(starter: LoadedModel) -> None:
    numbers, blueprint = numbers_of(starter.info, ask().precision, on_cpu=True), blueprint_of(starter.info)
    both, large, small = (
        work_of(blueprint, one, Thrift(), numbers)
        for one in (ask(hires=Hires(factor=2)), ask(width=128, height=128), ask())
    )
    assert both == large and both.most > small.most
