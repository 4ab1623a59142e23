"""How long the job will still take, from the steps made so far."""

import time
from collections.abc import Sequence


class Forecast:
    """Watches batches of `sizes` pictures, `steps` steps each.

    A step of a batch is taken to last in proportion to its pictures: true on a CPU, cautious on a GPU.
    """

    def __init__(self, sizes: list[int], steps: int, later: Sequence[float] = ()) -> None:
        """`later`: how long each step that follows these takes, as a multiple of one of these."""
        self._sizes = sizes
        self._weights = [1.0] * steps + list(later)
        self._batch = -1
        self._stepping = Pace()
        self._finishing = Pace()
        self._since = time.monotonic()

    def batch_begins(self) -> float | None:
        """Seconds left for the whole job; None for the first batch, of which nothing is known."""
        self._batch += 1
        self._since = time.monotonic()
        return self._left(0) if self._stepping.units else None

    def step_done(self, step: int) -> float:
        """Seconds left for the whole job, after `step` (from 1) of the present batch."""
        self._stepping.add(self._lap(), self._sizes[self._batch] * self._weights[step - 1])
        return self._left(step)

    def batch_done(self) -> None:
        """All its pictures are decoded."""
        self._finishing.add(self._lap(), self._sizes[self._batch])

    def _left(self, step: int) -> float:
        here, later = self._sizes[self._batch], sum(self._sizes[self._batch + 1 :])
        steps = here * sum(self._weights[step:]) + later * sum(self._weights)
        return steps * self._stepping.mean + (here + later) * self._finishing.mean

    def _lap(self) -> float:
        now = time.monotonic()
        lap, self._since = now - self._since, now
        return lap


class Pace:
    """The mean time of something."""

    def __init__(self) -> None:
        self.seconds, self.units = 0.0, 0.0

    def add(self, seconds: float, units: float) -> None:
        self.seconds += seconds
        self.units += units

    @property
    def mean(self) -> float:
        return self.seconds / self.units if self.units else 0.0
