"""The inside of a worker process: obeys the parent's orders, and tells what happens.

Two threads: one works, the other listens, so that a stop is heard while work runs, and the end of the studio always.
"""

import faulthandler
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from filelock import FileLock

from pipelines.core.error import EaselError, Problem, WorkerLost
from pipelines.core.event import DeviceStatus, End, Event, Failed
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.worker import MakePerformer, Performer, Work

log = logging.getLogger(__name__)

READY = "ready"
"""The child's word that it can take work."""
STATUS_SECONDS = 2.0
"""The child tells of its device this often."""


def live(pipe: Connection, make: MakePerformer, guard: Path | None) -> None:
    """The child's whole life."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches us too; the studio decides what it means
    with FileLock(guard) if guard else nullcontext(), suppress(BrokenPipeError, ConnectionResetError):
        if guard:
            _leave_pid(guard.with_suffix(".pid"))
        _serve(pipe, _Orders(pipe), make)  # a broken pipe: the studio is gone


def _leave_pid(file: Path) -> None:
    """Say who holds the lock, for the message of a studio that finds it held: a full disk costs only its number."""
    try:
        file.write_text(str(os.getpid()), encoding="ascii")
    except OSError as error:
        log.warning("The worker's process id was not written down: %s", error)


def _serve(pipe: Connection, orders: "_Orders", make: MakePerformer) -> None:
    performer = _made(make)
    pipe.send(READY)
    _tell_device(pipe, performer)
    if not orders.waiting():
        performer.prepare()
    while True:
        _tell_device(pipe, performer)
        order = orders.next(STATUS_SECONDS)
        if order:
            _work(pipe, performer, *order)


def _work(pipe: Connection, performer: Performer, work: Work, stop: StopSignal) -> None:
    due = time.monotonic() + STATUS_SECONDS
    try:
        for event in performer.perform(work, stop):
            pipe.send(event)
            if time.monotonic() > due and not isinstance(event, End):
                _tell_device(pipe, performer)
                due = time.monotonic() + STATUS_SECONDS
    except WorkerLost as lost:
        pipe.send(lost)
        raise SystemExit(1) from lost


def _tell_device(pipe: Connection, performer: Performer) -> None:
    status = performer.device_status()
    if status:
        pipe.send(status)


class _Orders:
    """What the parent says, read by a thread of its own: a stop must be heard while work runs."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._waiting: queue.Queue[tuple[Work, StopSignal]] = queue.Queue()
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def waiting(self) -> bool:
        return not self._waiting.empty()

    def next(self, timeout: float) -> tuple[Work, StopSignal] | None:
        with suppress(queue.Empty):
            return self._waiting.get(timeout=timeout)
        return None

    def _read(self) -> None:
        stop = StopSignal()
        while True:
            try:
                order = self._pipe.recv()
            except (EOFError, OSError):
                os._exit(0)  # the studio is gone, and with it everybody who could want this work
            if isinstance(order, StopMode):
                stop.ask(order)
            else:
                stop = StopSignal()
                self._waiting.put((order, stop))


def _made(make: MakePerformer) -> Performer:
    try:
        return make()
    except EaselError as error:
        return _Broken(error.as_problem)
    except (ImportError, OSError, RuntimeError) as error:
        log.exception("The worker cannot start")
        return _Broken(
            Problem(
                problem="The engine cannot start",
                fix="install Easel's requirements again, then restart the studio",
                detail=f"{type(error).__name__}: {error}",
            )
        )


class _Broken:
    """Stands in for a performer that cannot be made: every job hears why."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def prepare(self) -> None:
        pass

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        yield Failed(problem=self._problem)

    def device_status(self) -> DeviceStatus:
        return DeviceStatus(label="", used=0, total=0, problem=self._problem)
