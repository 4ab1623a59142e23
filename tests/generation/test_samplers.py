"""Samplers held to what is known exactly, and all of them to what the screen says about them."""

import math

import pytest
import torch

from pipelines.core.samplers import SAMPLERS, SCHEDULES, Sampler
from pipelines.core.stop import StopSignal
from pipelines.generation.denoise import denoise
from pipelines.generation.generate import Painted, generate
from pipelines.generation.levels import Level, noise_table
from pipelines.generation.predictions import Epsilon, Velocity
from pipelines.generation.samplers import NUMERICS, lagrange_integral
from pipelines.generation.schedules import SCHEDULE_FUNCTIONS
from pipelines.models.loading import LoadedModel
from tests.generation.analytic import (
    CONFIG,
    MEAN,
    SPREAD,
    GaussianDenoiser,
    WhiteNoise,
    error_between_levels,
    laid,
    relative_error,
    walked,
)
from tests.generation.painting import ask

STOCHASTIC = [s.key for s in SAMPLERS if s.stochastic]
PAIRS = [(sampler.key, schedule) for sampler in SAMPLERS for schedule in sampler.schedules]


def test_what_is_offered_is_what_there_is() -> None:
    assert {s.key for s in SAMPLERS} == set(NUMERICS)
    assert {s.key for s in SCHEDULES} == set(SCHEDULE_FUNCTIONS)


@pytest.mark.parametrize("sampler", list(SAMPLERS), ids=lambda s: s.key)
def test_a_step_takes_as_many_evaluations_as_promised(sampler: Sampler) -> None:
    denoiser, walk = GaussianDenoiser(noise_table(CONFIG)), laid(sampler.key, "automatic", 20)
    noise = WhiteNoise()
    list(denoise(NUMERICS[sampler.key].solver(denoiser, noise), walk, noise))
    assert abs(denoiser.calls - 20 * sampler.evaluations) <= 1
    assert (noise.draws > 1) == sampler.stochastic  # the first is what the walk begins from


@pytest.mark.parametrize(
    ("sampler", "order"),
    [("euler", 1), ("ddim", 1), ("heun", 2), ("dpmpp_2m", 2), ("unipc", 3), ("lms", 3)],
)
def test_twice_the_steps_divide_the_error_by_two_to_the_order(sampler: str, order: int) -> None:
    measured = math.log2(error_between_levels(sampler, 20) / error_between_levels(sampler, 40))
    assert order - 0.2 < measured < order + 0.6


@pytest.mark.parametrize(
    ("sampler", "schedule", "bound"),
    [
        ("euler", "karras", 0.1),
        ("heun", "karras", 0.02),
        ("lms", "normal", 0.005),
        ("dpmpp_2m", "karras", 0.02),
        ("dpmpp_2m", "exponential", 0.01),
        ("dpmpp_2m", "automatic", 0.1),
        ("unipc", "karras", 0.01),
        ("ddim", "normal", 0.15),
        ("pndm", "normal", 0.02),
    ],
)
def test_twenty_steps_end_near_the_exact_picture(sampler: str, schedule: str, bound: float) -> None:
    assert relative_error(sampler, schedule, 20) < bound


@pytest.mark.parametrize("schedule", ["normal", "karras", "exponential", "sgm_uniform"])
def test_dpmpp_2m_converges_on_every_schedule(schedule: str) -> None:
    assert relative_error("dpmpp_2m", schedule, 80) < min(0.03, relative_error("dpmpp_2m", schedule, 10))


@pytest.mark.parametrize(
    ("sampler", "schedule", "tolerance"),
    [
        ("euler_a", "karras", 0.1),
        ("ddpm", "normal", 0.14),
        ("dpmpp_2m_sde", "karras", 0.03),
        ("dpmpp_2m_sde", "exponential", 0.03),
        ("dpmpp_2m_sde", "automatic", 0.04),
        ("dpmpp_sde", "karras", 0.03),
        ("dpmpp_sde", "exponential", 0.03),
    ],
)
def test_fresh_noise_keeps_the_spread_of_the_pictures(sampler: str, schedule: str, tolerance: float) -> None:
    _, pictures = walked(sampler, laid(sampler, schedule, 100), pixels=20_000)
    assert float(pictures.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(pictures.var()) / SPREAD**2 == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(("sampler", "schedule"), PAIRS)
def test_every_pair_survives_very_few_steps(sampler: str, schedule: str, steps: int) -> None:
    _, last = walked(sampler, laid(sampler, schedule, steps), pixels=10)
    assert last.isfinite().all() and last.abs().max() < 50


@pytest.mark.parametrize(("sampler", "schedule"), PAIRS)
def test_every_pair_paints(sampler: str, schedule: str, starter: LoadedModel) -> None:
    events = list(generate(ask(sampler=sampler, schedule=schedule), starter, StopSignal()))
    assert [e.step for e in events if not isinstance(e, Painted) and e.type == "progress"] == [0, 1, 2, 3]
    assert isinstance(events[-1], Painted)


@pytest.mark.parametrize("prediction", [Epsilon(), Velocity()], ids=lambda p: type(p).__name__)
def test_a_networks_answer_and_the_picture_it_implies_are_one_to_one(prediction: Epsilon | Velocity) -> None:
    x, output = torch.randn(2, 50, dtype=torch.float64)
    for sigma in (0.03, 1.0, 14.6):
        level = Level(sigma=sigma, time=0)
        assert torch.allclose(prediction.output(prediction.x0(output, x, level), x, level), output)


def test_the_multistep_weights_integrate_cubics_exactly() -> None:
    nodes, a, b = [3.0, 4.0, 5.5, 7.0], 3.0, 2.0
    total = sum(lagrange_integral(nodes, j, a, b) * node**3 for j, node in enumerate(nodes))
    assert total == pytest.approx((b**4 - a**4) / 4)
