"""The studio's inside (folder, database, queue, worker process) with a sketcher in it; also runs as a program.

`python -m tests.jobs.studio DATA [JOBS]` submits JOBS jobs, prints `accepted ID` for each, runs until all have ended
and prints `done`.
"""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.core.event import End, Event, PictureSaved
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import GenerateRequest
from pipelines.jobs.process import ProcessWorker
from pipelines.jobs.queue import JobQueue, JobView
from pipelines.models.scan import ModelLibrary
from pipelines.storage.database import Database
from pipelines.storage.folder import DataFolder
from pipelines.storage.images import ImageStore
from pipelines.storage.journal import Journal
from pipelines.storage.shelf import Shelf
from tests.jobs.sketcher import Sketching


@dataclass
class Studio:
    """Everything between the web pages and the performer."""

    folder: DataFolder
    database: Database
    images: ImageStore
    journal: Journal
    worker: ProcessWorker
    queue: JobQueue
    models: ModelLibrary
    shelf: Shelf
    heard: list[tuple[str, Event]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def listen(self, job: str, event: Event) -> None:
        with self.changed:
            self.heard.append((job, event))
            self.changed.notify_all()

    def events(self, job: str) -> list[Event]:
        return [event for of, event in self.heard if of == job]

    def wait_for(self, job: str, kind: type[Event] | tuple[type[Event], ...], seconds: float = 20) -> None:
        """Until an event of `kind` was heard of the job."""
        with self.changed:
            heard = self.changed.wait_for(lambda: any(isinstance(e, kind) for e in self.events(job)), seconds)
        assert heard, f"no {kind} within {seconds} s; heard {self.events(job)}"

    def ended(self, *jobs: JobView) -> list[JobView]:
        """The jobs, once they have all ended."""
        for job in jobs:
            self.wait_for(job.id, End.__args__)
        return [self.queue.job(job.id) for job in jobs]


@contextmanager
def studio(data: Path, *, step_seconds: float = 0.01, stop_seconds: float = 15.0, **queue: Any) -> Iterator[Studio]:
    """A studio on `data` until the block ends."""
    folder = DataFolder(data)
    opened = folder.open()
    database = Database(folder.database)
    images, journal = ImageStore(database, folder.outputs), Journal(database)
    setup = Sketching(folder.outputs, step_seconds)
    worker = ProcessWorker(setup, guard=folder.worker_lock, stop_seconds=stop_seconds)
    jobs = JobQueue(journal, images, worker, **queue)
    shelf = Shelf(database)
    models = ModelLibrary([STARTER_MODELS, folder.models], shelf)
    made = Studio(folder, database, images, journal, worker, jobs, models, shelf)
    jobs.watch(made.listen)
    try:
        yield made
    finally:
        jobs.close()
        database.close()
        opened.close()


def request(prompt: str = "a hill", **fields: object) -> GenerateRequest:
    """A small request."""
    small: dict[str, object] = {"steps": 3, "seed": 100, "width": 64, "height": 64, "preview_every": 1}
    return GenerateRequest.model_validate(small | {"prompt": prompt} | fields)


def pixels(events: Iterable[Event], outputs: Path) -> list[bytes]:
    """Of every picture that was saved."""
    made = []
    for event in events:
        if isinstance(event, PictureSaved):
            with Image.open(outputs / event.file) as opened:
                made.append(opened.tobytes())
    return made


def main(data: str, jobs: str = "0") -> None:
    with studio(Path(data), step_seconds=0.003) as made:
        waiting = [view.id for view in made.queue.active()]
        for number in range(int(jobs)):
            job = made.queue.submit(request(f"job {number}", seed=100 * number, count=1 + number % 3, steps=6)).id
            waiting.append(job)
            print("accepted", job, flush=True)  # noqa: T201, this is how the test hears it
        for job in waiting:
            while made.queue.job(job).state in ("queued", "running"):
                threading.Event().wait(0.02)
        print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
