"""The loop: noise becomes a picture, one move at a time."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.generation.ground import Ground
from pipelines.generation.levels import Level
from pipelines.generation.samplers import Denoiser, NoiseSource, Solver
from pipelines.generation.schedules import Move, Walk
from pipelines.generation.windowed import Windowed


@dataclass(frozen=True, slots=True)
class Denoised:
    """After a step."""

    number: int
    """Steps done."""
    x: Tensor
    """(n, c, h, w) float32, picture + sigma noise."""
    level: Level

    @property
    def latents(self) -> Tensor:
        """(n, c, h, w) of about unit variance; after the last step: what the VAE decodes."""
        return self.x / self.level.scale


@dataclass(frozen=True, slots=True)
class Looked:
    """After a window of a look; or after all of it, when it was known."""

    windows: int
    """How many were seen."""


def denoise(
    solver: Solver, walk: Walk, noise: NoiseSource, ground: Ground | None = None
) -> Iterator[Denoised | Looked]:
    """Walk from pure noise to the picture, or over the picture that is there; in float32 whatever the network does.

    Tells of every move, and of every window that is looked through.
    """
    leash = Leash()
    first = noise.draw()
    x = first * walk.noise_scale if ground is None else ground.begin(first, walk)
    at = walk.moves[0].start
    steps = walk.moves[-1].number
    for move in walk.moves:
        # Not around the yield: the mode belongs to the thread, and would leak to whoever reads the events.
        with torch.inference_mode():
            if move.start != at:  # the samplers in model time keep what the network sees, x / scale
                x = x * (move.start.scale / at.scale)
        x = yield from _moved(solver, x, move)
        with torch.inference_mode():
            x = x if ground is None else ground.hold(x, first, move, steps)
            at = move.end
        leash.hold(x.device)
        yield Denoised(move.number, x, at)


def looks(solver: Solver, walk: Walk) -> int:
    """How often a solver will ask along `walk`: it is walked with nothing in hand. The solver is spent then."""
    asked, x = 0, torch.zeros(1)
    for move in walk.moves:
        asking = solver.step(x, move)
        try:
            next(asking)
            while True:
                asked += 1
                asking.send(x)
        except StopIteration:
            continue
    return asked


def _moved(solver: Solver, x: Tensor, move: Move) -> Generator[Looked, None, Tensor]:
    """x after `move`: the solver asks, the denoiser answers."""
    asking = solver.step(x, move)
    with torch.inference_mode():
        asked = next(asking)
    while True:
        answer = yield from _answer(solver.denoiser, *asked)
        try:
            with torch.inference_mode():
                asked = asking.send(answer)
        except StopIteration as end:
            moved: Tensor = end.value
            return moved


def _answer(denoiser: Denoiser, x: Tensor, level: Level) -> Generator[Looked, None, Tensor]:
    if not isinstance(denoiser, Windowed):
        with torch.inference_mode():
            return denoiser.x0(x, level)
    look = denoiser.look(x, level)
    while look.answer is None:
        before = look.done
        with torch.inference_mode():
            look.go_on()
        yield Looked(look.done - before)
    return look.answer


class Leash:
    """Lets a GPU fall one step behind the loop, but no further.

    Waiting for every step would leave the GPU idle while Python prepares the next; never waiting would report steps
    that are not done, and could not be stopped.
    """

    def __init__(self) -> None:
        self._former: torch.cuda.Event | None = None

    def hold(self, device: torch.device) -> None:
        if device.type != "cuda":
            return
        with torch.cuda.device(device):
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
        if self._former is not None:
            self._former.synchronize()
        self._former = done
