"""Samplers: the ways to walk from noise to a picture. One class for each row of core's SAMPLERS.

Notation of the papers in the coordinates of `levels.py` (x = picture + sigma noise): s and t are the sigmas at the
start and end of a move, lambda = -log sigma, h = lambda_t - lambda_s, x0 the network's estimate of the picture.
Each class reads alone; what they share is `Solver`. Scalars are Python floats, so no step waits for the device.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from pipelines.generation.levels import Level
from pipelines.generation.predictions import Prediction
from pipelines.generation.schedules import Config, Habits, Move


class Denoiser(Protocol):
    """What a sampler asks of a model."""

    @property
    def prediction(self) -> Prediction:
        """How the picture follows from the network's own output."""
        ...

    def x0(self, x: Tensor, level: Level) -> Tensor:
        """The picture in `x` (n, c, h, w) at `level`, guided."""
        ...

    def level(self, sigma: float) -> Level:
        """The level of noise `sigma`, for samplers that look between the steps."""
        ...


class NoiseSource(Protocol):
    def draw(self) -> Tensor: ...


Asking = Generator[tuple[Tensor, Level], Tensor, Tensor]
"""A move under way: it asks which picture is in an x (n, c, h, w) at a level, goes on when it is answered, and ends
with the next x. Who answers may take the time for it piece by piece."""


class Solver(ABC):
    """One walk of one batch; a new one is made for every batch, since some remember former steps."""

    def __init__(self, denoiser: Denoiser, noise: NoiseSource) -> None:
        self.denoiser = denoiser
        self.noise = noise

    @abstractmethod
    def step(self, x: Tensor, move: Move) -> Asking:
        """Ends with x (n, c, h, w) at `move.end`, from x at `move.start`."""


class Euler(Solver):
    """x + (t - s) dx/dsigma, dx/dsigma = (x - x0) / s (Karras et al. 2022, algorithm 1 without its correction)."""

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        x0 = yield x, move.start
        return x + (t - s) * ((x - x0) / s)


class EulerAncestral(Solver):
    """An Euler step to sigma_down, then fresh noise sigma_up, with sigma_down^2 + sigma_up^2 = t^2 (k-diffusion)."""

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        x0 = yield x, move.start
        up = t * math.sqrt(1 - (t / s) ** 2)
        down = math.sqrt(t * t - up * up)
        x = x + (down - s) * ((x - x0) / s)
        return x + up * self.noise.draw() if up > 0 else x


class Heun(Solver):
    """Euler, then again with the mean of the slopes at both ends (Karras et al. 2022, algorithm 1)."""

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        slope = (x - (yield x, move.start)) / s
        there = x + (t - s) * slope
        if t == 0:
            return there  # at the picture itself the slope has no value
        slope_there = (there - (yield there, move.end)) / t
        return x + (t - s) * ((slope + slope_there) / 2)


class Lms(Solver):
    """Linear multistep, order 4: the polynomial through the last four slopes, integrated from s to t (k-diffusion)."""

    def __init__(self, denoiser: Denoiser, noise: NoiseSource) -> None:
        super().__init__(denoiser, noise)
        self._slopes: deque[tuple[float, Tensor]] = deque(maxlen=4)

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        self._slopes.appendleft((s, (x - (yield x, move.start)) / s))
        sigmas = [sigma for sigma, _ in self._slopes]
        for j, (_, slope) in enumerate(self._slopes):
            x = x + lagrange_integral(sigmas, j, s, t) * slope
        return x


def lagrange_integral(nodes: list[float], j: int, a: float, b: float) -> float:
    """Integral from a to b of the j-th Lagrange polynomial on at most four `nodes`.

    Two-point Gauss-Legendre quadrature, exact up to degree 3.
    """
    mid, half = (a + b) / 2, (b - a) / 2
    total = 0.0
    for tau in (mid - half / math.sqrt(3), mid + half / math.sqrt(3)):
        total += math.prod((tau - node) / (nodes[j] - node) for k, node in enumerate(nodes) if k != j)
    return half * total


class TwoPredictions(Solver):
    """Extrapolates x0 from the last two predictions, as the second-order multistep DPM solvers do."""

    def __init__(self, denoiser: Denoiser, noise: NoiseSource) -> None:
        super().__init__(denoiser, noise)
        self._former: tuple[float, Tensor] | None = None

    def extrapolated(self, x0: Tensor, move: Move) -> Tensor:
        """x0 of this move, led on from the former one's; kept for the next."""
        s, t = move.start.sigma, move.end.sigma
        former, self._former = self._former, (s, x0)
        if former is None or t == 0 or move.final:  # the last move is long: extrapolating there overshoots
            return x0
        r = math.log(former[0] / s) / math.log(s / t)  # h of the former move over h of this one
        return (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * former[1]


class Dpmpp2m(TwoPredictions):
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): x = (t/s) x - (e^-h - 1) D, D extrapolated from two x0."""

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        x0 = yield x, move.start
        d = self.extrapolated(x0, move)
        return (t / s) * x - (t / s - 1) * d if t else d


class Dpmpp2mSde(TwoPredictions):
    """SDE-DPM-Solver++(2M) (Lu et al. 2022b, section 5): as 2M for the reverse SDE, noise t sqrt(1 - e^-2h)."""

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        x0 = yield x, move.start
        d = self.extrapolated(x0, move)
        if t == 0:
            return d
        gone = 1 - (t / s) ** 2  # 1 - e^-2h
        return (t / s) ** 2 * x + gone * d + t * math.sqrt(gone) * self.noise.draw()


class DpmppSde(Solver):
    """SDE-DPM-Solver++(2S), r = 1/2 (Lu et al. 2022b, section 5): a look at the middle of the move in lambda.

    The noise of the whole move continues the noise that led to its middle, as along one Brownian path.
    """

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        x0 = yield x, move.start
        if t == 0:
            return x0
        middle = self.denoiser.level(math.sqrt(s * t))
        m = middle.sigma
        to_middle = m * math.sqrt(1 - (m / s) ** 2) * self.noise.draw()
        x_middle = (m / s) ** 2 * x + (1 - (m / s) ** 2) * x0 + to_middle
        x0 = yield x_middle, middle
        noise = (t / m) ** 2 * to_middle + t * math.sqrt(1 - (t / m) ** 2) * self.noise.draw()
        return (t / s) ** 2 * x + (1 - (t / s) ** 2) * x0 + noise


class Ddim(Euler):
    """DDIM with eta 0 (Song et al. 2021, eq. 13): in these coordinates it is Euler's step, on its own timesteps."""


class Plms(Solver):
    """Pseudo linear multistep (Liu et al. 2022, PNDM, eq. 12): DDIM steps along an extrapolated network output.

    What is extrapolated is what the network answers, epsilon or v. The first move is made twice, the second time with
    the mean of the outputs at both its ends.
    """

    WEIGHTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
    """Adams-Bashforth of orders 1 to 4, the latest output first."""

    def __init__(self, denoiser: Denoiser, noise: NoiseSource) -> None:
        super().__init__(denoiser, noise)
        self._outputs: deque[Tensor] = deque(maxlen=4)
        self._begin: tuple[Tensor, Level] | None = None

    def step(self, x: Tensor, move: Move) -> Asking:
        if move.number == 0:
            self._begin = (x, move.start)
        elif self._begin is not None:
            return (yield from self._again(x, move, *self._begin))
        self._outputs.appendleft((yield from self._output(x, move.start)))
        weights = self.WEIGHTS[len(self._outputs) - 1]
        return self._along(sum_of(weights, self._outputs), x, move)

    def _again(self, there: Tensor, move: Move, x: Tensor, begun: Level) -> Asking:
        """The first move once more, from the x it began with."""
        self._begin = None
        there = there * (move.end.scale / move.start.scale)
        output = ((yield from self._output(there, move.end)) + self._outputs[0]) / 2
        return self._along(output, x * (move.start.scale / begun.scale), move)

    def _output(self, x: Tensor, level: Level) -> Asking:
        return self.denoiser.prediction.output((yield x, level), x, level)

    def _along(self, output: Tensor, x: Tensor, move: Move) -> Tensor:
        s, t = move.start.sigma, move.end.sigma
        x0 = self.denoiser.prediction.x0(output, x, move.start)
        return x + (t - s) * ((x - x0) / s)


def sum_of(weights: tuple[float, ...], tensors: deque[Tensor]) -> Tensor:
    total = weights[0] * tensors[0]
    for weight, tensor in zip(weights[1:], list(tensors)[1:], strict=True):
        total = total + weight * tensor
    return total


class UniPc(Solver):
    """UniPC, order 2, B(h) = e^h - 1, on x0 (Zhao et al. 2023, algorithms 1 and 2).

    Every move predicts; the next one, knowing the network's answer there, first corrects where it stands.
    """

    def __init__(self, denoiser: Denoiser, noise: NoiseSource) -> None:
        super().__init__(denoiser, noise)
        self._past: deque[tuple[float, Tensor]] = deque(maxlen=2)
        """(sigma, x0), the latest first."""
        self._begin: Tensor | None = None
        self._order = 0

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        x0 = yield x, move.start
        if self._begin is not None:
            x = self._corrected(self._begin, s, x0)
        self._past.appendleft((s, x0))
        self._begin, self._order = x, 1 if move.final else len(self._past)
        return self._predicted(x, t)

    def _predicted(self, x: Tensor, t: float) -> Tensor:
        """UniP: from the latest known level to t."""
        s, x0 = self._past[0]
        if t == 0:
            return x0
        b = t / s - 1  # e^-h - 1
        x = (t / s) * x - b * x0
        return x - b * 0.5 * self._slope(t) if self._order == 2 else x

    def _corrected(self, x: Tensor, t: float, x0_there: Tensor) -> Tensor:
        """UniC: the former move to t once more, with the answer at t."""
        s, x0 = self._past[0]
        b = t / s - 1
        past, there = self._weights(t)
        moved = (t / s) * x - b * x0 - b * there * (x0_there - x0)
        return moved - b * past * self._slope(t) if self._order == 2 else moved

    def _ratio(self, t: float) -> float:
        """r_1: where the answer before the latest lies, in units of h (negative)."""
        (s, _), (before, _) = self._past[0], self._past[1]
        return math.log(s / before) / math.log(s / t)

    def _slope(self, t: float) -> Tensor:
        """D_1 / r_1."""
        return (self._past[1][1] - self._past[0][1]) / self._ratio(t)

    def _weights(self, t: float) -> tuple[float, float]:
        """(of the past answer, of the answer at t): solves R rho = b of the paper's theorem 3.1."""
        if self._order == 1:
            return 0.0, 0.5
        hh = -math.log(self._past[0][0] / t)
        phi_1 = math.expm1(hh)
        phi_2 = phi_1 / hh - 1
        phi_3 = phi_2 / hh - 1 / 2
        b1, b2 = phi_2 / phi_1, 2 * phi_3 / phi_1
        r = self._ratio(t)
        past = (b1 - b2) / (1 - r)
        return past, b1 - past


class Ddpm(Solver):
    """The posterior q(x_t | x_s, x0) (Ho et al. 2020, eq. 6 and 7) with the smaller of its two variances.

    In these coordinates its mean is x0 + (t/s)^2 (x - x0), its variance t^2 (1 - (t/s)^2): the step of Euler a, on
    other timesteps.
    """

    def step(self, x: Tensor, move: Move) -> Asking:
        s, t = move.start.sigma, move.end.sigma
        x0 = yield x, move.start
        if t == 0:
            return x0
        kept = (t / s) ** 2
        return x0 + kept * (x - x0) + t * math.sqrt(1 - kept) * self.noise.draw()


@dataclass(frozen=True, slots=True)
class Numerics:
    """A sampler, and how it lays its steps under Automatic."""

    solver: type[Solver]
    habits: Habits


def _final_sigma_zero(config: Config) -> bool:
    return bool(config.get("final_sigmas_type", "zero") == "zero")


def _alpha_to_one(config: Config) -> bool:
    return bool(config.get("set_alpha_to_one", True))


def _alpha_to_one_if_asked(config: Config) -> bool:
    return bool(config.get("set_alpha_to_one", False))


_IN_SIGMA = Habits(whole_times=False)
_IN_SIGMA_CURVED = Habits(whole_times=False, follows_curves=True)
_IN_LAMBDA = Habits(counts_end=True, unit_noise=True, ends_at_zero=_final_sigma_zero, follows_curves=True)

NUMERICS: Mapping[str, Numerics] = {
    "euler": Numerics(Euler, Habits(whole_times=False, ends_at_zero=_final_sigma_zero, follows_curves=True)),
    "euler_a": Numerics(EulerAncestral, _IN_SIGMA),
    "heun": Numerics(Heun, _IN_SIGMA_CURVED),
    "lms": Numerics(Lms, _IN_SIGMA_CURVED),
    "dpmpp_2m": Numerics(Dpmpp2m, _IN_LAMBDA),
    "dpmpp_2m_sde": Numerics(Dpmpp2mSde, _IN_LAMBDA),
    "dpmpp_sde": Numerics(DpmppSde, _IN_SIGMA_CURVED),
    "ddim": Numerics(Ddim, Habits(spacing="leading", equal_strides=True, unit_noise=True, ends_at_zero=_alpha_to_one)),
    "pndm": Numerics(
        Plms,
        Habits(
            spacing="leading", equal_strides=True, tries_first_move=True, unit_noise=True,
            ends_at_zero=_alpha_to_one_if_asked,
        ),
    ),
    "unipc": Numerics(UniPc, _IN_LAMBDA),
    "ddpm": Numerics(Ddpm, Habits(spacing="leading", unit_noise=True)),
}  # fmt: skip
"""By key of core's SAMPLERS."""
