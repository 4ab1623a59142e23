"""Schedules: how the noise levels are spread over the steps. One function for each row of core's SCHEDULES.

A schedule lays a `Walk`: the moves from level to level, and how large the first noise is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pipelines.core.error import InvalidRequest, ModelUnusable
from pipelines.generation.levels import CLEAN, Level, NoiseTable


@dataclass(frozen=True, slots=True)
class Move:
    """One call of a sampler: x goes from `start` to `end`."""

    start: Level
    end: Level
    number: int
    """The step (from 1) that is done with it."""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """The whole way from noise to picture."""

    moves: tuple[Move, ...]
    noise_scale: float
    """The standard deviation of the first x."""


Config = Mapping[str, Any]


def _at_zero(_config: Config) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a sampler lays its steps under Automatic, where the model's config is silent.

    These are the habits of the scheduler classes in diffusers, which models are published and tried with; they
    differ from class to class, and so do the pictures.
    """

    spacing: str = "linspace"
    """When the config names none: `linspace`, `leading` or `trailing`."""
    whole_times: bool = True
    """Timesteps are rounded."""
    counts_end: bool = False
    """`linspace` and `leading` lay n + 1 points and leave the last out."""
    equal_strides: bool = False
    """Every move is T // n times long, also where the spacing is not."""
    tries_first_move: bool = False
    """The first move is made twice, the second time with the slope at its end known."""
    unit_noise: bool = False
    """The first x has standard deviation sqrt(1 + sigma^2), not sigma: x / scale is exactly unit noise."""
    ends_at_zero: Callable[[Config], bool] = _at_zero
    """Whether the last move goes to sigma 0, or stays at the lowest of the table."""
    follows_curves: bool = False
    """`use_karras_sigmas` and `use_exponential_sigmas` of the config are known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a schedule is laid for."""

    table: NoiseTable
    steps: int
    habits: Habits
    config: Config
    strength: float = 1.0
    """The share of the steps that is walked, the last ones: what comes before is taken from a picture."""
    offset: int = 1
    """`steps_offset` of spacing `leading`: every Stable Diffusion was published with 1, and diffusers insists."""

    @property
    def walked(self) -> int:
        """How many; rounded down, as in diffusers."""
        return min(int(self.steps * self.strength), self.steps)


Schedule = Callable[[Plan], Walk]


def automatic(plan: Plan) -> Walk:
    """As diffusers' scheduler class of this sampler, built from the model's config, would lay them."""
    habits, table, config = plan.habits, plan.table, plan.config
    spacing = config.get("timestep_spacing") or habits.spacing
    times = _spaced(spacing, len(table), plan.steps, habits.counts_end, plan.offset)
    times = np.round(times) if habits.whole_times else times
    _check(times, len(table))
    starts = _curved([table.at(t) for t in times], plan)
    last = CLEAN if habits.ends_at_zero(config) else table.at(0)
    ends = [*starts[1:], last]
    again = starts[0]
    if habits.equal_strides:
        stride = len(table) // plan.steps
        ends = [table.at(t - stride) if t >= stride else last for t in times]
        again = table.at(times[min(1, len(times) - 1)] + stride)
    if plan.walked < plan.steps:
        starts, ends = starts[-plan.walked :], ends[-plan.walked :]
        again = starts[0]
    walk = _walk(starts, ends, unit_noise=habits.unit_noise or spacing == "leading")
    return _first_move_twice(walk, again) if habits.tries_first_move else walk


def normal(plan: Plan) -> Walk:
    """Even steps in training time, the last at time 0."""
    return _through((plan.table.at(t) for t in np.linspace(len(plan.table) - 1, 0, plan.steps)), plan)


def sgm_uniform(plan: Plan) -> Walk:
    """Even steps in training time from pure noise, the end left out (Stability's generative-models)."""
    return _through((plan.table.at(t) for t in np.linspace(len(plan.table) - 1, 0, plan.steps + 1)[:-1]), plan)


def karras(plan: Plan) -> Walk:
    """Even steps in sigma^(1/7) (Karras et al. 2022, eq. 5)."""
    return _through(map(plan.table.of, karras_curve(plan.table.highest, plan.table.lowest, plan.steps)), plan)


def exponential(plan: Plan) -> Walk:
    """Even steps in log sigma."""
    return _through(map(plan.table.of, exponential_curve(plan.table.highest, plan.table.lowest, plan.steps)), plan)


SCHEDULE_FUNCTIONS: Mapping[str, Schedule] = {
    "automatic": automatic,
    "normal": normal,
    "karras": karras,
    "exponential": exponential,
    "sgm_uniform": sgm_uniform,
}


def karras_curve(highest: float, lowest: float, steps: int, rho: float = 7.0) -> list[float]:
    return [float(s) for s in np.linspace(highest ** (1 / rho), lowest ** (1 / rho), steps) ** rho]


def exponential_curve(highest: float, lowest: float, steps: int) -> list[float]:
    return [float(s) for s in np.exp(np.linspace(np.log(highest), np.log(lowest), steps))]


def _through(levels: Iterable[Level], plan: Plan) -> Walk:
    """The walk through `levels` and on to the picture."""
    starts = list(levels)[-plan.walked :]
    walk = _walk(starts, [*starts[1:], CLEAN], unit_noise=plan.habits.unit_noise)
    return _first_move_twice(walk, starts[0]) if plan.habits.tries_first_move else walk


def _walk(starts: Sequence[Level], ends: Sequence[Level], *, unit_noise: bool) -> Walk:
    last = len(starts)
    moves = [Move(a, b, i, final=i == last) for i, (a, b) in enumerate(zip(starts, ends, strict=True), start=1)]
    return Walk(tuple(moves), noise_scale=starts[0].scale if unit_noise else starts[0].sigma)


def _first_move_twice(walk: Walk, again: Level) -> Walk:
    """The first move is tried (number 0), then made from `again` to where the second begins. One move is not tried."""
    if len(walk.moves) == 1:
        return walk
    tried, second = walk.moves[:2]
    twice = Move(tried.start, tried.end, 0), Move(again, second.start, 1)
    return Walk(twice + walk.moves[1:], walk.noise_scale)


def _spaced(spacing: str, trained: int, steps: int, counts_end: bool, offset: int) -> np.ndarray:
    """Training times, falling: `timestep_spacing` of the config (Lin et al. 2024, table 2). (steps,)"""
    points = steps + counts_end
    match spacing:
        case "linspace":
            return np.linspace(0, trained - 1, points)[::-1][:steps]
        case "leading":
            return (np.arange(points) * (trained // points))[::-1][:steps] + float(offset)
        case "trailing":
            return np.round(np.arange(trained, 0, -trained / steps))[:steps] - 1
    raise ModelUnusable(
        f"The timestep spacing {spacing!r} in scheduler_config.json is not known",
        fix="use linspace, leading or trailing",
        field="model",
    )


def _check(times: np.ndarray, trained: int) -> None:
    if times[0] > trained - 1 or any(later >= earlier for earlier, later in pairwise(times)):
        raise InvalidRequest(
            f"{len(times)} steps are more than this model's {trained} training times can be divided into",
            fix=f"use {trained - 2} steps or fewer",
            field="steps",
        )


def _curved(starts: list[Level], plan: Plan) -> list[Level]:
    """`starts` spread along the curve that the config asks for, if it asks for one."""
    if not plan.habits.follows_curves:
        return starts
    for key, curve in {"use_karras_sigmas": karras_curve, "use_exponential_sigmas": exponential_curve}.items():
        if plan.config.get(key):
            whole = plan.habits.whole_times
            highest, lowest = (plan.table.highest, plan.table.lowest) if whole else (starts[0].sigma, starts[-1].sigma)
            levels = [plan.table.of(s) for s in curve(highest, lowest, plan.steps)]
            return [Level(v.sigma, round(v.time)) if whole else v for v in levels]
    return starts
