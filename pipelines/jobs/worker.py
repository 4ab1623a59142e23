"""Where work runs: the words that a job queue, its workers and the tests share. Nothing heavy is imported here."""

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.core.error import EaselError, Problem, WorkerLost
from pipelines.core.event import DeviceStatus, Event, Failed
from pipelines.core.kinds import Request
from pipelines.core.model import ModelInfo
from pipelines.core.stop import StopSignal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """One job, or what is left of it after a crash."""

    request: Request
    job: str | None = None
    """Its id; it stands in the pictures. None outside a queue."""
    first: int = 0
    """The first picture still to make, from 0."""
    model: ModelInfo | None = None
    """The model it is painted with, found by whoever sends the work; None: the performer looks for it itself."""
    parts: tuple[ModelInfo, ...] | None = None
    """What the request names besides, LoRAs or what is mixed, in its order; None: as above."""
    targets: tuple[Path, ...] | None = None
    """A file for each picture, instead of the outputs folder: the command line's `-o`."""


class Performer(Protocol):
    """Does work, in whatever process it lives in. The command line calls one directly."""

    def prepare(self) -> None:
        """Get ready for the likely next job: bring its model into memory. What goes wrong is for that job to tell."""

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        """Do `work`, telling of it; the last event is an End. Raises WorkerLost when this process must be replaced."""

    def device_status(self) -> DeviceStatus | None:
        """What it computes on; None when that is unknown."""


MakePerformer = Callable[[], Performer]
"""Makes the performer, in the process that shall have it; must be picklable."""


class Worker(Protocol):
    """Has a performer somewhere (a process here, a machine of a cluster), and replaces it when it is lost."""

    def wait_ready(self, stop: StopSignal) -> None:
        """Until it can take work. Raises WorkerLost when it dies while it starts, or `stop` says now."""

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        """As `Performer.perform`. Raises WorkerLost when the performer died; the next call has a new one."""

    @property
    def device(self) -> DeviceStatus | None:
        """The latest it told of its device; None until it has."""

    def close(self) -> None:
        """End at once. Work that runs raises WorkerLost."""


def ended(events: Iterator[Event]) -> Iterator[Event]:
    """`events` at the job's edge: whatever error ends them becomes a `Failed`, so that one job cannot end another.

    WorkerLost passes: its process cannot be used again.
    """
    try:
        yield from events
    except WorkerLost:
        raise
    except Exception as error:  # noqa: BLE001, the broad net at the job's edge
        yield Failed(problem=problem_of(error))


def problem_of(error: Exception) -> Problem:
    """`error` as people read it; one that is no EaselError is a bug, and is logged."""
    if isinstance(error, EaselError):
        return error.as_problem
    log.error("A job failed", exc_info=error)
    return Problem(
        problem=f"Something went wrong inside Easel: {type(error).__name__}",
        fix="try other settings; if it happens again, report it with the details below",
        detail="".join(traceback.format_exception(error, limit=-20)),
    )
