"""The one training loop: an objective says what is wrong at step k, the loop makes it less so, and can be cut anywhere.

All chance lives in the objectives and depends on (seed, step) alone, so a run that is cut and resumed takes exactly
the steps it would have taken.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.core.error import EaselError
from pipelines.training.optimisers import optimisers
from pipelines.training.whole import write_whole

Objective = Callable[[int], Tensor]  # step -> scalar loss

CURVE_POINTS = 500  # of the loss over a whole run, kept with its state


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and how long: linear warm-up, then level, then a linear fall to a hundredth."""

    steps: int
    rate: float
    warmup: int = 100  # steps
    fall_from: float = 0.5  # share of the steps after which the rate falls
    bf16: float = 1.0  # share of the steps in bfloat16 autocast, from the first

    def rate_at(self, step: int) -> float:
        """The learning rate of `step`, counted from 0."""
        rising = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        fall = self.fall_from * self.steps
        left = 1.0 if step < fall else 1 - 0.99 * (step - fall) / max(1.0, self.steps - fall)
        return self.rate * rising * left


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is trained, on what, how, and where its state is kept. Only parameters that require gradients move."""

    module: nn.Module
    objective: Objective
    pace: Pace
    checkpoint: Path
    recipe: str = ""  # all that its outcome depends on, in words; a state of another recipe is not taken up
    averaging: float = 0.999  # decay of the weights' moving average, which is what the run hands over
    save_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """Where a run stands after `step` of `steps`; `loss` is a moving average."""

    step: int
    steps: int
    loss: float


@dataclass(slots=True)
class _State:
    """What a checkpoint holds."""

    module: nn.Module
    optimisers: tuple[torch.optim.Optimizer, ...]
    average: dict[str, Tensor]
    recipe: str
    step: int = 0
    loss: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    saved_at: float = field(default_factory=time.monotonic)

    def save(self, file: Path) -> None:
        """Write whole or not at all: a cut while saving leaves the previous checkpoint."""
        values: dict[str, object] = {
            "module": self.module.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
        }
        values |= {"average": self.average, "step": self.step, "loss": self.loss, "curve": self.curve}
        values |= {"recipe": self.recipe}
        write_whole(file, lambda opened: torch.save(values, opened))
        self.saved_at = time.monotonic()

    def load(self, file: Path) -> None:
        """Take up a run where `save` left it."""
        values = _read(file)
        if values.get("recipe", self.recipe) != self.recipe:
            raise EaselError(
                f"{file} was begun by another recipe",
                fix="take the numbers of recipe.py back, name another run folder, or delete the file to begin anew",
            )
        self.module.load_state_dict(values["module"])
        for optimiser, kept in zip(self.optimisers, values["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        for name, tensor in values["average"].items():
            self.average[name].copy_(tensor)
        self.step, self.loss, self.curve = values["step"], values["loss"], values["curve"]


def train(job: Job, *, until: int | None = None) -> Iterator[Report]:
    """Run `job` from its checkpoint (or the start) to its last step, or to step `until`; one report per step.

    When the last step is done, the module holds the averaged weights.
    """
    state = _start(job)
    device = next(job.module.parameters()).device.type
    stop = job.pace.steps if until is None else min(until, job.pace.steps)
    job.module.train()
    while state.step < stop:
        use_bf16 = state.step < job.pace.bf16 * job.pace.steps
        with torch.autocast(device, torch.bfloat16, enabled=use_bf16):
            loss = job.objective(state.step)
        if not torch.isfinite(loss):  # one step on it would spoil the weights, and a minute later the state on disk
            raise EaselError(
                f"The loss of step {state.step} is {float(loss.detach())}",
                fix="go on from the last state with a lower rate or without bfloat16, or look at what it is shown",
            )
        _descend(job, state, loss)
        state.step += 1
        share = max(0.01, 1 / state.step)
        state.loss += share * (float(loss.detach()) - state.loss)
        if state.step % -(-job.pace.steps // CURVE_POINTS) == 0:
            state.curve.append((state.step, state.loss))
        if time.monotonic() - state.saved_at > job.save_seconds or state.step == stop:
            state.save(job.checkpoint)
        yield Report(state.step, job.pace.steps, state.loss)
    if state.step == job.pace.steps:
        take_average(job.module, state.average)


def finish(job: Job) -> None:
    """Keep the state of a run that has not begun as if it had ended with the weights that its module has now."""
    state = _start(job)
    state.step = job.pace.steps
    state.save(job.checkpoint)


def steps_done(checkpoint: Path) -> int:
    """How far a run is; 0 when it has not begun."""
    if not checkpoint.is_file():
        return 0
    return int(_read(checkpoint)["step"])


def _start(job: Job) -> _State:
    trained = {n: p for n, p in job.module.named_parameters() if p.requires_grad}
    average = {name: weight.detach().clone() for name, weight in trained.items()}
    state = _State(job.module, optimisers(job.module, job.pace.rate), average, job.recipe)
    if job.checkpoint.is_file():
        state.load(job.checkpoint)
        if state.step > job.pace.steps:
            raise EaselError(
                f"{job.checkpoint} has {state.step} steps, more than the {job.pace.steps} asked for",
                fix="ask for more steps, or name another run folder",
            )
    return state


def _descend(job: Job, state: _State, loss: Tensor) -> None:
    """One optimiser step on `loss`, with the gradient's norm clipped to 1, and the moving average after it."""
    for optimiser in state.optimisers:
        optimiser.zero_grad()
        for group in optimiser.param_groups:
            group["lr"] = job.pace.rate_at(state.step)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    trained = [p for p in job.module.parameters() if p.requires_grad]
    nn.utils.clip_grad_norm_(trained, 1.0)
    for optimiser in state.optimisers:
        optimiser.step()
    decay = min(job.averaging, (1 + state.step) / (10 + state.step))
    torch._foreach_lerp_(list(state.average.values()), [p.detach() for p in trained], 1 - decay)


def take_average(module: nn.Module, average: dict[str, Tensor]) -> None:
    """Replace the trained parameters of `module` by their moving average."""
    module.load_state_dict({**module.state_dict(), **average})


def loss_curve(checkpoint: Path) -> list[tuple[int, float]]:
    """Steps and moving averages of the loss, from the first step of a run to where it stands."""
    if not checkpoint.is_file():
        raise EaselError(f"There is no training state at {checkpoint}", fix="run this training stage first")
    curve: list[tuple[int, float]] = _read(checkpoint)["curve"]
    return curve


def averaged(module: nn.Module, checkpoint: Path) -> nn.Module:
    """`module` as an unfinished or finished run left it, with the averaged weights in place of the last ones."""
    if not checkpoint.is_file():
        raise EaselError(f"There is no training state at {checkpoint}", fix="run the training stage before this one")
    values = _read(checkpoint)
    module.load_state_dict({**values["module"], **values["average"]})  # what is no weight has no average
    return module


def _read(checkpoint: Path) -> dict[str, Any]:
    """What `save` wrote."""
    try:
        values: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise EaselError(f"{checkpoint} is damaged", fix="delete it to begin the stage anew") from error
    return values
