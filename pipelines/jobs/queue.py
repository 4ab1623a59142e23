"""The job queue: journal first, then one job after the other through the worker, whatever is killed meanwhile.

A job is accepted when its journal row is on disk. A job that was interrupted goes on at its first missing picture with
the same seed; one that interrupts its worker for the third time fails, so that the others can run.
"""

import logging
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain

from pydantic import BaseModel, ConfigDict

from pipelines.core import event as events
from pipelines.core.desk import PreviewRequest
from pipelines.core.error import EaselError, Problem, StorageProblem, UnknownName, WorkerLost
from pipelines.core.event import DeviceStatus, End, Event, Failed, Finished, PictureSaved, Queued, Restarted, Stopped
from pipelines.core.kinds import Request
from pipelines.core.model import ModelInfo
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.watchers import Listener, Watchers
from pipelines.jobs.worker import Work, Worker, problem_of
from pipelines.storage.images import ImageRow, ImageStore
from pipelines.storage.journal import JobRecord, JobState, Journal

log = logging.getLogger(__name__)

MAX_WAITING = 200
MAX_ATTEMPTS = 3
REMEMBERED = 200
"""Ended jobs kept in memory; older ones are read from the journal."""


class QueueFull(EaselError):
    """Too many jobs wait already, or the studio is closing."""


class JobView(BaseModel):
    """A job as it stands this moment."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    id: str
    request: Request
    state: JobState
    position: int | None = None
    """1: next; None: it does not wait."""
    submitted: datetime
    attempt: int = 0
    """How often it was begun."""
    loading: events.Loading | None = None
    progress: events.Progress | None = None
    preview: events.Preview | None = None
    """The latest."""
    worked: events.Worked | None = None
    notes: tuple[str, ...] = ()
    """What was found, or made."""
    restarted: Restarted | None = None
    pictures: tuple[int, ...] = ()
    """Ids of the pictures made so far."""
    mask: str | None = None
    """Of what was looked for in a picture: the id among the sources."""
    problem: Problem | None = None
    """Why it failed."""


class _Job:
    """A job in memory."""

    def __init__(self, record: JobRecord, pictures: tuple[int, ...] = ()) -> None:
        self.id, self.request = record.id, record.request
        self.stop = StopSignal()
        self.asked = False
        """A person wants it to end; without that, a stop only means that the studio closes."""
        self.view = JobView(
            id=record.id, request=record.request, state=record.state, submitted=record.submitted,
            attempt=record.attempt, problem=record.problem, pictures=pictures,
        )  # fmt: skip

    def take(self, event: Event) -> None:
        """Bring the view up to date."""
        self.view = self.view.model_copy(update=_changes(self.view, event))


def _changes(view: JobView, event: Event) -> dict[str, object]:
    """What of a view an event changes."""
    nothing = {"loading": None, "progress": None, "preview": None, "worked": None, "notes": ()}
    changes: dict[str, object] = {}
    match event:
        case Queued(position=position):
            changes = {"position": position}
        case events.Loading():
            changes = {"loading": event}
        case events.Progress():
            changes = {"loading": None, "progress": event}
        case events.Worked():
            changes = {"loading": None, "worked": event}
        case events.Noted(text=text):
            changes = {"notes": (*view.notes, text)}
        case events.Masked(mask=mask):
            changes = {"mask": mask}
        case events.Preview():
            changes = {"preview": event}
        case PictureSaved(image=image) if image:
            changes = {"pictures": (*view.pictures, image)}
        case Restarted(attempt=attempt):
            changes = nothing | {"restarted": event, "attempt": attempt}
        case Finished() | Stopped():
            changes = {"state": event.type, "position": None, "loading": None, "preview": None}
        case Failed(problem=problem):
            changes = {"state": event.type, "position": None, "loading": None, "preview": None, "problem": problem}
    return changes


INTERRUPTED = Problem(problem="The studio ended while this job ran", fix="nothing to do: the job goes on")


class JobQueue:
    """Accepts jobs from any thread and runs them one by one. Closed once with `close`."""

    def __init__(
        self, journal: Journal, images: ImageStore, worker: Worker, *,
        find_model: Callable[[Request], ModelInfo | None] = lambda _: None,
        find_parts: Callable[[Request], tuple[ModelInfo, ...] | None] = lambda _: None,
        check: Callable[[Request], None] = lambda _: None,
        max_waiting: int = MAX_WAITING,
    ) -> None:  # fmt: skip
        """`find_model`: the model a request is about, as it is now; without it the worker looks for itself.
        `find_parts`: the same for what else it names. `check` raises EaselError for a request that is hopeless now.
        """
        self._journal, self._images, self._worker, self._max_waiting = journal, images, worker, max_waiting
        self._find_model, self._find_parts, self._check = find_model, find_parts, check
        self._watchers = Watchers()
        self._changed = threading.Condition(threading.RLock())
        self._waiting = deque(_Job(record, self._pictures(record.id)) for record in journal.recover())
        self._running: _Job | None = None
        self._ended: OrderedDict[str, _Job] = OrderedDict()
        self._closing = False
        self._unlisted = False
        """Pictures are on disk that the database could not take."""
        self._tell_positions()
        self._runner = threading.Thread(target=self._serve, name="job-queue", daemon=True)
        self._runner.start()

    def submit(self, request: Request) -> JobView:
        """Accept a job: it is in the journal, and will end. Raises QueueFull, StorageProblem, and what `check` does."""
        self._check(request)
        with self._changed:
            if self._closing:
                raise QueueFull("The studio is closing", fix="submit again when it is back")
            if len(self._waiting) >= self._max_waiting:
                problem = f"The queue is full: {len(self._waiting)} jobs wait"
                raise QueueFull(problem, fix="wait until some are done, or stop some")
            job = _Job(self._journal.add(secrets.token_hex(8), request))
            self._place(job)
            self._tell_positions()
            self._changed.notify_all()
            return job.view

    def _place(self, job: _Job) -> None:
        """At the end; a preview before all that is none: somebody looks at the desk and waits."""
        if not isinstance(job.request, PreviewRequest):
            self._waiting.append(job)
            return
        before = sum(isinstance(other.request, PreviewRequest) for other in self._waiting)
        self._waiting.insert(before, job)

    def stop(self, job: str, mode: StopMode) -> JobView:
        """Ask for the job's end; one that waits ends at once, one that ended stays as it is. Raises UnknownName."""
        with self._changed:
            found = next((j for j in self._active() if j.id == job), None)
            if found is None:
                return self.job(job)
            try:
                self._journal.ask_stop(job, mode)
            except StorageProblem as error:  # on a full disk, too, a person must be able to stop
                log.warning("The stop of job %s was not written down: %s", job, error)
            found.asked = True
            found.stop.ask(mode)
            if found is not self._running:
                self._waiting.remove(found)
                self._end(found, Stopped())
                self._tell_positions()
            return found.view

    def job(self, job: str) -> JobView:
        """Any job there ever was. Raises UnknownName."""
        with self._changed:
            known = self._ended.get(job) or next((j for j in self._active() if j.id == job), None)
        if known:
            return known.view
        record = self._journal.find(job)
        if record is None:
            raise UnknownName(f"There is no job {job!r}", fix="reload the page to see the jobs there are")
        return _Job(record, self._pictures(job)).view

    def active(self) -> list[JobView]:
        """The running job, then those that wait, in order."""
        with self._changed:
            return [job.view for job in self._active()]

    def watch(self, listener: Listener) -> Callable[[], None]:
        """`listener(job id, event)` hears every event from now on, in a thread of its own; call the result to leave."""
        return self._watchers.add(listener)

    @property
    def device(self) -> DeviceStatus | None:
        """What the worker computes on; None while it starts."""
        return self._worker.device

    def close(self, patience: float = 10.0) -> None:
        """End within about `patience` seconds. The running job is put back, and goes on when the studio is back."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if self._running:
                self._running.stop.ask(StopMode.NOW)
        self._runner.join(patience)
        self._worker.close()
        self._runner.join()
        self._watchers.close()

    def _active(self) -> Iterator[_Job]:
        return chain([self._running] if self._running else [], self._waiting)

    def _serve(self) -> None:
        self._adopt()
        while job := self._next():
            end = self._run(job)
            with self._changed:
                self._running = None
                if end:
                    self._end(job, end)
            if self._unlisted:
                self._adopt()

    def _next(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return None
            job = self._running = self._waiting.popleft()
            job.view = job.view.model_copy(update={"state": "running", "position": None})
            self._tell_positions()
            return job

    def _run(self, job: _Job) -> End | None:
        """None: the studio closes, and the job waits for the next one."""
        try:
            end = self._attempts(job)
            if isinstance(end, Stopped) and not job.asked:
                self._journal.put_back(job.id)
                return None
        except Exception as error:  # noqa: BLE001, a queue that died of one job would leave all the others waiting
            return Failed(problem=problem_of(error))
        return end

    def _attempts(self, job: _Job) -> End:
        """Begin the job, and again whenever its worker is lost, until it ends."""
        lost = INTERRUPTED if job.view.attempt else None
        model, parts = self._find_model(job.request), self._find_parts(job.request)
        while True:
            job.view = job.view.model_copy(update={"pictures": self._pictures(job.id)})
            first = self._first_missing(job)
            if job.request.pictures and first == job.request.pictures:
                return Finished(seconds=0.0)
            if lost and job.view.attempt >= MAX_ATTEMPTS:
                return Failed(problem=_poison(lost, job.view.attempt))
            if lost:
                self._tell(job, Restarted(problem=lost, attempt=job.view.attempt + 1))
            try:
                self._begin(job)
                return self._follow(job, Work(job.request, job.id, first, model, parts))
            except WorkerLost as error:
                lost = error.as_problem
                log.warning("Job %s lost its worker (attempt %d): %s", job.id, job.view.attempt, error)
            for row in self._adopt():
                if row.job == job.id:
                    self._tell(job, _saved(row))
            if job.stop.after_picture:
                return Stopped()

    def _begin(self, job: _Job) -> None:
        """Count the attempt, in the journal first: a crash must find it there. Raises WorkerLost."""
        try:
            self._worker.wait_ready(job.stop)  # a studio killed while its worker starts is not the job's fault
        finally:
            attempt = self._journal.begin(job.id)
            job.view = job.view.model_copy(update={"attempt": attempt})

    def _follow(self, job: _Job, work: Work) -> End:
        """Pass on what the worker tells, until the end. Raises WorkerLost."""
        for event in self._worker.perform(work, job.stop):
            if isinstance(event, End):
                return event
            self._tell(job, self._listed(event) if isinstance(event, PictureSaved) else event)
        raise WorkerLost("The worker fell silent", fix="try again")

    def _listed(self, saved: PictureSaved) -> PictureSaved:
        try:
            return saved.model_copy(update={"image": self._images.add(saved.file).id})
        except StorageProblem as error:  # the picture itself is safe; it is listed when the database works again
            self._unlisted = True
            log.warning("The picture %s is not listed yet: %s", saved.file, error)
            return saved

    def _first_missing(self, job: _Job) -> int:
        made = {row.index for row in self._images.of_job(job.id)}
        return next(i for i in range(job.request.pictures + 1) if i not in made)

    def _pictures(self, job: str) -> tuple[int, ...]:
        return tuple(row.id for row in self._images.of_job(job))

    def _adopt(self) -> list[ImageRow]:
        """List what a killed worker or studio had saved but nobody was told of: it must not be painted again."""
        try:
            adopted = self._images.adopt()
            self._unlisted = False
            return adopted
        except (StorageProblem, OSError) as error:
            log.warning("Saved pictures could not be listed: %s", error)
        except Exception:  # as in `_run`: a picture that breaks the listing must not keep every job waiting
            log.exception("Saved pictures could not be listed")
        return []

    def _end(self, job: _Job, end: End) -> None:
        try:
            self._journal.end(job.id, end.type, end.problem if isinstance(end, Failed) else None)
        except StorageProblem as error:
            log.warning("The end of job %s was not written down: %s", job.id, error)
        self._ended[job.id] = job
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        self._tell(job, end)

    def _tell_positions(self) -> None:
        for position, job in enumerate(self._waiting, start=1):
            if job.view.position != position:
                self._tell(job, Queued(position=position))

    def _tell(self, job: _Job, event: Event) -> None:
        with self._changed:
            job.take(event)
            self._watchers.tell(job.id, event)


def _saved(row: ImageRow) -> PictureSaved:
    return PictureSaved(index=row.index, seed=row.seed, file=row.file, seconds=row.seconds, image=row.id)


def _poison(lost: Problem, attempts: int) -> Problem:
    return Problem(
        problem=f"This job ended its worker {attempts} times: {lost.problem}",
        fix="make smaller pictures, or try another model or precision",
        detail=lost.detail,
    )
