"""A worker in a process of its own: what kills it (memory, a driver, a crash in native code) never kills the studio.

The parent imports no torch. It has one thread that starts the process, reads all it says, and starts another when it
ends. The child ends itself when the parent is gone: its end of the pipe closes.
"""

import logging
import math
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pipelines.core.error import WorkerLost
from pipelines.core.event import DeviceStatus, End, Event
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.child import READY, live
from pipelines.jobs.worker import MakePerformer, Work

log = logging.getLogger(__name__)

BACK_OFF = (0.0, 0.5, 2.0, 10.0)
"""Seconds before a new process, by how many died in a row without having done anything."""


class ProcessWorker:
    """Starts its process at once, so that it is warm when the first job comes.

    `guard` is a file the child keeps locked as long as it may write pictures (`DataFolder.worker_lock`). A child that
    has not ended `stop_seconds` after it was told to stop now is killed: it hangs.
    """

    def __init__(self, make: MakePerformer, *, guard: Path | None = None, stop_seconds: float = 15.0) -> None:
        self._make, self._guard, self._stop_seconds = make, guard, stop_seconds
        self._changed = threading.Condition()
        self._child: _Child | None = None
        self._device: DeviceStatus | None = None
        self._deaths = 0
        self._loss = WorkerLost("The worker is not running", fix="try again in a moment")
        self._closing = False
        self._keeper = threading.Thread(target=self._keep_alive, name="worker-keeper", daemon=True)
        self._keeper.start()

    @property
    def device(self) -> DeviceStatus | None:
        return self._device

    @property
    def pid(self) -> int | None:
        """The child's process id, for whoever watches it; None between two children."""
        with self._changed:
            return self._child.process.pid if self._child else None

    def wait_ready(self, stop: StopSignal) -> None:
        self._ready_child(stop)

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        """As `Worker.perform`; one at a time."""
        child = self._ready_child(stop)
        child.tell(work)
        try:
            for event in self._said(child, stop):
                yield event
                if isinstance(event, End):
                    return
        finally:
            if not child.is_free:  # hung, lost, or nobody listens any more: it must not go on with this work
                self._dismiss(child)

    def _said(self, child: "_Child", stop: StopSignal) -> Iterator[Event]:
        """What the child says; meanwhile it hears of the stop. Raises WorkerLost when it dies."""
        told: StopMode | None = None
        deadline = math.inf
        lost: WorkerLost | None = None
        while True:
            if (asked := _asked(stop)) is not told:
                told = asked
                child.tell(told)
                deadline = time.monotonic() + self._stop_seconds if told is StopMode.NOW else deadline
            if time.monotonic() > deadline:
                log.warning("The worker (pid %s) did not stop when asked and is ended", child.process.pid)
                self._dismiss(child)
                deadline = math.inf
            with suppress(queue.Empty):
                said = child.said.get(timeout=0.05)
                if said is None:
                    raise lost or _lost(child.process.exitcode)
                if isinstance(said, WorkerLost):
                    lost = said  # its last word; its end follows
                else:
                    yield said

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if self._child:
                self._child.process.kill()  # files are written whole or not at all: nothing is lost by it
        self._keeper.join()

    def _ready_child(self, stop: StopSignal) -> "_Child":
        with self._changed:
            deaths = self._deaths
            while not (self._child and self._child.is_ready):
                if self._closing or stop.now or self._deaths > deaths:
                    raise self._loss
                self._changed.wait(0.1)
            return self._child

    def _dismiss(self, child: "_Child") -> None:
        with self._changed:
            child.process.kill()
            if self._child is child:
                self._child = None

    def _keep_alive(self) -> None:
        idle_deaths = 0
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, BACK_OFF[min(idle_deaths, len(BACK_OFF) - 1)]):
                    return
                try:
                    child = self._child = _Child(self._make, self._guard)
                except OSError as error:  # no memory or no processes left just now
                    log.warning("The worker cannot be started: %s", error)
                    idle_deaths += 1
                    continue
            did_work = child.listen(self._note_device)
            self._dismiss(child)
            self._device = None
            child.see_out()
            with self._changed:
                self._deaths, self._loss = self._deaths + 1, _lost(child.process.exitcode)
            idle_deaths = 0 if did_work else idle_deaths + 1

    def _note_device(self, status: DeviceStatus) -> None:
        self._device = status


class _Child:
    """The parent's side of one process."""

    def __init__(self, make: MakePerformer, guard: Path | None) -> None:
        self.said: queue.Queue[Event | WorkerLost | None] = queue.Queue()
        """Its events; None: it is dead."""
        self.is_free = True
        """It has no work."""
        self.is_ready = False
        """It can take work."""
        spawn = multiprocessing.get_context("spawn")  # a fork would copy our threads' locks, and CUDA forbids it
        self._pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=live, args=(theirs, make, guard), name="easel-worker", daemon=True)
        self.process.start()
        theirs.close()

    def tell(self, word: Work | StopMode | None) -> None:
        if isinstance(word, Work):
            self.is_free = False
        try:
            self._pipe.send(word)
        except OSError as error:
            log.debug("The worker hears nothing any more: %s", error)  # its end arrives through `said`

    def listen(self, note_device: Callable[[DeviceStatus], None]) -> bool:
        """Sort what it says until it ends; True when it did any work."""
        did_work = False
        while True:
            try:
                said = self._pipe.recv()
            except (EOFError, OSError):
                return did_work
            if isinstance(said, DeviceStatus):
                note_device(said)
                continue
            if said == READY:
                self.is_ready = True
                continue
            did_work = True
            self.is_free = self.is_free or isinstance(said, End)
            self.said.put(said)

    def see_out(self) -> None:
        """Wait until it is surely gone (it can save nothing more), then say so."""
        self.process.join()
        self._pipe.close()
        self.said.put(None)


def _asked(stop: StopSignal) -> StopMode | None:
    if stop.now:
        return StopMode.NOW
    return StopMode.AFTER_PICTURE if stop.after_picture else None


def _lost(exit_code: int | None) -> WorkerLost:
    name = signal.Signals(-exit_code).name if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
    if name == "SIGKILL":
        problem, fix = "The worker was killed by the system", "often memory ran out: make the picture smaller"
    else:
        problem, fix = "The worker crashed", "try again; if it happens again, try another model or smaller pictures"
    return WorkerLost(problem, fix=fix, detail=name)
