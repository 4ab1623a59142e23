"""Noise levels: the one scale that schedules, samplers and networks share.

Coordinates: a noisy latent is x = picture + sigma * noise ("variance exploding", Karras et al. 2022). The network was
trained on x / scale with scale = sqrt(1 + sigma^2), which has unit variance, and is told a training time 0..T-1.
All of these are plain floats: nothing here touches the device.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.core.error import ModelUnusable


@dataclass(frozen=True, slots=True)
class Level:
    """How noisy a latent is, and what the network is told about it."""

    sigma: float
    """Noise for one unit of picture; 0: finished."""
    time: float
    """Training timestep, may be fractional."""

    @property
    def scale(self) -> float:
        """sqrt(1 + sigma^2): divides x before the network sees it."""
        return math.sqrt(1 + self.sigma * self.sigma)


CLEAN = Level(sigma=0.0, time=0.0)


class NoiseTable:
    """Sigma of each training timestep, and the way between times and sigmas (straight in log sigma)."""

    def __init__(self, sigmas: np.ndarray) -> None:
        """`sigmas`: (T,), rising, above 0."""
        self._logs = np.log(sigmas.astype(np.float64))
        self._times = np.arange(len(sigmas), dtype=np.float64)

    def __len__(self) -> int:
        return len(self._times)

    def at(self, time: float) -> Level:
        """The level of training time 0..T-1."""
        return Level(sigma=math.exp(np.interp(time, self._times, self._logs)), time=float(time))

    def of(self, sigma: float) -> Level:
        """The level of noise `sigma`; outside the table the nearest time is told."""
        return Level(sigma=sigma, time=float(np.interp(math.log(sigma), self._logs, self._times)))

    @property
    def lowest(self) -> float:
        return math.exp(self._logs[0])

    @property
    def highest(self) -> float:
        return math.exp(self._logs[-1])


def noise_table(config: Mapping[str, Any]) -> NoiseTable:
    """The table a model was trained with, from its scheduler_config.json.

    sigma = sqrt((1 - abar) / abar), abar = prod(1 - beta) (Ho et al. 2020), in float32 as diffusers computes it.
    Raises ModelUnusable for a beta schedule that is not known.
    """
    abar = torch.cumprod(1 - _betas(config), dim=0)
    if config.get("rescale_betas_zero_snr", False):
        abar = _zero_terminal_snr(abar)
    return NoiseTable(((1 - abar) / abar).sqrt().numpy())


def _betas(config: Mapping[str, Any]) -> Tensor:
    trained = config.get("trained_betas")
    if trained is not None:
        return torch.tensor(trained, dtype=torch.float32)
    kind = config.get("beta_schedule", "linear")
    if kind not in BETAS:
        raise ModelUnusable(
            f"The beta schedule {kind!r} in scheduler_config.json is not known",
            fix=f"use {', '.join(BETAS)}",
            field="model",
        )
    return BETAS[kind](
        config.get("beta_start", 0.0001), config.get("beta_end", 0.02), config.get("num_train_timesteps", 1000)
    )


def _linear(start: float, end: float, steps: int) -> Tensor:
    """Ho et al. 2020, section 4."""
    return torch.linspace(start, end, steps, dtype=torch.float32)


def _scaled_linear(start: float, end: float, steps: int) -> Tensor:
    """Linear in sqrt(beta), as the latent diffusion models were trained (Rombach et al. 2022)."""
    return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float32) ** 2


def _cosine(_start: float, _end: float, steps: int) -> Tensor:
    """abar(t) = cos^2((t + 0.008) / 1.008 * pi / 2), beta at most 0.999 (Nichol & Dhariwal 2021, eq. 17)."""
    abar = torch.cos((torch.linspace(0, 1, steps + 1, dtype=torch.float64) + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - abar[1:] / abar[:-1]).clamp(max=0.999).float()


BETAS: Mapping[str, Callable[[float, float, int], Tensor]] = {
    "linear": _linear,
    "scaled_linear": _scaled_linear,
    "squaredcos_cap_v2": _cosine,
}


def _zero_terminal_snr(abar: Tensor) -> Tensor:
    """Shift and scale sqrt(abar) so that the last step is pure noise (Lin et al. 2024, algorithm 1)."""
    root = abar.sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    abar = root**2
    abar[-1] = 2**-24  # sigma 4096 instead of infinity, as in diffusers
    return abar
