"""What a network answers, and how the picture follows from it: one class for each way of training."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from pipelines.generation.levels import Level


class Prediction(Protocol):
    """The bijection between a network's output and the picture x0 it implies, for x at a level."""

    def x0(self, output: Tensor, x: Tensor, level: Level) -> Tensor: ...
    def output(self, x0: Tensor, x: Tensor, level: Level) -> Tensor: ...


class Epsilon:
    """The output is the noise: x0 = x - sigma eps (Ho et al. 2020)."""

    def x0(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        return x - level.sigma * output

    def output(self, x0: Tensor, x: Tensor, level: Level) -> Tensor:
        return (x - x0) / level.sigma


class Velocity:
    """The output is v = alpha eps - beta x0, alpha = 1 / scale, beta = sigma / scale (Salimans & Ho 2022, eq. 11)."""

    def x0(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        return x / level.scale**2 - (level.sigma / level.scale) * output

    def output(self, x0: Tensor, x: Tensor, level: Level) -> Tensor:
        return x / (level.sigma * level.scale) - (level.scale / level.sigma) * x0


PREDICTIONS: Mapping[str, Prediction] = {"epsilon": Epsilon(), "v_prediction": Velocity()}
"""By `prediction_type` of scheduler_config.json."""
