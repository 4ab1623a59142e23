"""Schedules: where the steps lie."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from pipelines.core.error import InvalidRequest, ModelUnusable
from pipelines.core.samplers import SAMPLERS, Sampler
from pipelines.generation.levels import noise_table
from pipelines.generation.samplers import NUMERICS
from pipelines.generation.schedules import SCHEDULE_FUNCTIONS, Plan, Walk
from tests.generation.analytic import CONFIG

TABLE = noise_table(CONFIG)


def lay(sampler: str, schedule: str, steps: int, **config: Any) -> Walk:
    return SCHEDULE_FUNCTIONS[schedule](Plan(TABLE, steps, NUMERICS[sampler].habits, {**CONFIG, **config}))


def sigmas(walk: Walk) -> list[float]:
    return [move.start.sigma for move in walk.moves]


def test_the_table_is_that_of_stable_diffusion() -> None:
    assert TABLE.lowest == pytest.approx(0.0292, abs=1e-4)
    assert TABLE.highest == pytest.approx(14.6146, abs=1e-3)


def test_time_and_sigma_are_one_to_one() -> None:
    for time in (0.0, 0.5, 37.25, 998.9):
        assert TABLE.of(TABLE.at(time).sigma).time == pytest.approx(time)


@pytest.mark.parametrize("schedule", ["normal", "karras", "exponential", "sgm_uniform"])
def test_a_named_schedule_falls_from_the_highest_sigma_to_nothing(schedule: str) -> None:
    walk = lay("euler", schedule, 12)
    assert sigmas(walk)[0] == pytest.approx(TABLE.highest)
    assert sigmas(walk) == sorted(sigmas(walk), reverse=True)
    assert walk.moves[-1].end.sigma == 0


@pytest.mark.parametrize("schedule", ["normal", "karras", "exponential"])
def test_these_schedules_reach_the_lowest_sigma_before_the_end(schedule: str) -> None:
    assert sigmas(lay("euler", schedule, 12))[-1] == pytest.approx(TABLE.lowest)


def test_sgm_uniform_leaves_the_low_end_out() -> None:
    assert sigmas(lay("euler", "sgm_uniform", 10))[-1] == pytest.approx(TABLE.at(99.9).sigma)


def test_karras_spaces_the_seventh_roots_evenly() -> None:
    roots = [s ** (1 / 7) for s in sigmas(lay("dpmpp_2m", "karras", 8))]
    gaps = [a - b for a, b in pairwise(roots)]
    assert gaps == pytest.approx([gaps[0]] * 7)


@pytest.mark.parametrize(
    ("spacing", "times"),
    [("trailing", [999, 749, 499, 249]), ("leading", [751, 501, 251, 1]), ("linspace", [999, 666, 333, 0])],
)
def test_automatic_follows_the_models_spacing(spacing: str, times: list[int]) -> None:
    walk = lay("euler", "automatic", 4, timestep_spacing=spacing)
    assert [move.start.time for move in walk.moves] == pytest.approx(times)


def test_plms_makes_its_first_move_twice() -> None:
    moves = lay("pndm", "automatic", 5).moves
    assert [move.number for move in moves] == [0, 1, 2, 3, 4, 5]
    assert moves[0].start == moves[1].start and moves[1].end == moves[2].start


@pytest.mark.parametrize("sampler", list(SAMPLERS), ids=lambda s: s.key)
@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
def test_every_step_count_is_laid_or_refused_in_words(sampler: Sampler, spacing: str) -> None:
    for steps in (1, 2, 3, 10, 150, 333, 600, 999, 1000):
        try:
            walk = lay(sampler.key, "automatic", steps, timestep_spacing=spacing)
        except InvalidRequest as error:
            assert steps > 998 and "use 998 steps or fewer" in error.fix
        else:
            assert walk.moves[-1].number == steps and walk.moves[-1].final
            assert sigmas(walk) == sorted(sigmas(walk), reverse=True)


def test_a_spacing_nobody_knows_is_refused() -> None:
    with pytest.raises(ModelUnusable, match=r"'sideways'.*use linspace, leading or trailing"):
        lay("euler", "automatic", 4, timestep_spacing="sideways")


def test_a_beta_schedule_nobody_knows_is_refused() -> None:
    with pytest.raises(ModelUnusable, match=r"'odd'.*use linear, scaled_linear, squaredcos_cap_v2"):
        noise_table({**CONFIG, "beta_schedule": "odd"})


def test_betas_written_out_win_over_the_named_schedule() -> None:
    table = noise_table({**CONFIG, "trained_betas": [0.5, 0.5]})
    assert [table.lowest, table.highest] == pytest.approx([1.0, 3**0.5])


def test_steps_are_counted_once_also_where_habits_differ() -> None:
    habits = replace(NUMERICS["pndm"].habits, tries_first_move=False)
    walk = SCHEDULE_FUNCTIONS["automatic"](Plan(TABLE, 5, habits, CONFIG))
    assert [move.number for move in walk.moves] == [1, 2, 3, 4, 5]
