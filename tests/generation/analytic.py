"""A model whose every answer is known: pictures are Gaussian, N(MEAN, SPREAD^2), each pixel by itself.

Its denoiser is x0(x, sigma) = (SPREAD^2 x + sigma^2 MEAN) / (SPREAD^2 + sigma^2), and the probability-flow ODE from
sigma a to b leads from x to MEAN + (x - MEAN) sqrt((SPREAD^2 + b^2) / (SPREAD^2 + a^2)).
"""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pipelines.generation.denoise import Denoised, denoise
from pipelines.generation.levels import Level, NoiseTable, noise_table
from pipelines.generation.predictions import Epsilon
from pipelines.generation.samplers import NUMERICS
from pipelines.generation.schedules import SCHEDULE_FUNCTIONS, Move, Plan, Walk, exponential_curve

MEAN, SPREAD = 0.3, 0.5

CONFIG: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "timestep_spacing": "trailing",
}  # fmt: skip


class GaussianDenoiser:
    """Answers exactly, in float64."""

    prediction = Epsilon()

    def __init__(self, table: NoiseTable) -> None:
        self.table = table
        self.calls = 0

    def level(self, sigma: float) -> Level:
        return self.table.of(sigma)

    def x0(self, x: Tensor, level: Level) -> Tensor:
        self.calls += 1
        return (SPREAD**2 * x + level.sigma**2 * MEAN) / (SPREAD**2 + level.sigma**2)


class WhiteNoise:
    """Unit noise in float64, and how often it was drawn."""

    def __init__(self, pixels: int = 1, seed: int = 0) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._pixels = pixels
        self.draws = 0

    def draw(self) -> Tensor:
        self.draws += 1
        return torch.randn((1, 1, 1, self._pixels), generator=self._generator, dtype=torch.float64)


def exact(x: Tensor, a: float, b: float) -> Tensor:
    """Where the ODE leads from x at sigma a, at sigma b."""
    return MEAN + (x - MEAN) * math.sqrt((SPREAD**2 + b**2) / (SPREAD**2 + a**2))


def laid(sampler: str, schedule: str, steps: int) -> Walk:
    return SCHEDULE_FUNCTIONS[schedule](Plan(noise_table(CONFIG), steps, NUMERICS[sampler].habits, CONFIG))


def walked(sampler: str, walk: Walk, pixels: int = 1) -> tuple[Tensor, Tensor]:
    """(the first x, the finished latents) of `sampler` along `walk`."""
    noise = WhiteNoise(pixels)
    first = WhiteNoise(pixels).draw() * walk.noise_scale
    solver = NUMERICS[sampler].solver(GaussianDenoiser(noise_table(CONFIG)), noise)
    *_, last = denoise(solver, walk, noise)
    assert isinstance(last, Denoised)
    return first, last.latents


def relative_error(sampler: str, schedule: str, steps: int) -> float:
    """Distance from the exact end, in spreads of the pictures' distribution for one spread of noise."""
    walk = laid(sampler, schedule, steps)
    first, last = walked(sampler, walk)
    true = exact(first, walk.moves[0].start.sigma, 0.0)
    return float(((last - true) / (true - MEAN)).abs().max())


def error_between_levels(sampler: str, steps: int) -> float:
    """As above on even steps in log sigma from 10 to 0.1, where no last jump to zero hides the solver's order."""
    table = noise_table(CONFIG)
    levels = [table.of(sigma) for sigma in exponential_curve(10.0, 0.1, steps + 1)]
    moves = [Move(a, b, i + 1) for i, (a, b) in enumerate(pairwise(levels))]
    first, last = walked(sampler, Walk(tuple(moves), noise_scale=10.0))
    true = exact(first, 10.0, 0.1)
    return float(((last * levels[-1].scale - true) / (true - MEAN)).abs().max())
