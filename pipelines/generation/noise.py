"""All chance in one place: one generator for each picture, on the CPU, in float32.

A CUDA generator draws another sequence than a CPU one, and a shared one would make a picture depend on its
neighbours. So: one seed, one picture, on every device and in every batch size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Noise:
    """Unit Gaussian noise for a batch: the first draw begins the pictures, each later one belongs to a step."""

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> None:
        """`seeds`: one for each picture; `shape`: (channels, height, width) of a latent."""
        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        self._shape = shape
        self._device = device

    def draw(self) -> Tensor:
        """(n, c, h, w) float32 on the device."""
        noise = torch.stack([torch.randn(self._shape, generator=g) for g in self._generators])
        if self._device.type == "cuda":  # from pinned memory the copy waits for nobody
            return noise.pin_memory().to(self._device, non_blocking=True)
        return noise.to(self._device)
