"""How long the job will still take, from the steps made so far."""

import time


class Forecast:
    """Measures batches of `sizes` pictures, `steps` steps each.

    A step of a batch is taken to last in proportion to its pictures: true on a CPU, cautious on a GPU.
    """

    def __init__(self, sizes: list[int], steps: int) -> None:
        self._sizes = sizes
        self._steps = steps
        self._batch = -1
        self._stepping = 0.0
        """Seconds in all steps so far."""
        self._stepped = 0
        """Pictures times steps so far."""
        self._ending = 0.0
        """Seconds between last steps and finished pictures so far."""
        self._ended = 0
        self._since = time.monotonic()

    def batch_begins(self) -> None:
        self._batch += 1
        self._since = time.monotonic()

    def step_done(self, step: int) -> float:
        """Seconds left for the whole job, after `step` (from 1) of the present batch."""
        size = self._sizes[self._batch]
        self._stepping += self._lap()
        self._stepped += size
        later = sum(self._sizes[self._batch + 1 :])
        steps_left = size * (self._steps - step) + later * self._steps
        ending = self._ending / self._ended if self._ended else 0.0
        return steps_left * self._stepping / self._stepped + (size + later) * ending

    def batch_done(self) -> None:
        self._ending += self._lap()
        self._ended += self._sizes[self._batch]

    def _lap(self) -> float:
        now = time.monotonic()
        lap, self._since = now - self._since, now
        return lap
