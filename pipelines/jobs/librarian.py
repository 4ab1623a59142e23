"""Keeps the list of models true to what jobs did: new models appear, hashes are remembered."""

from collections.abc import Callable
from pathlib import Path

from pipelines.core.error import EaselError
from pipelines.core.event import Event, Finished, Hashed
from pipelines.core.request import ConvertRequest
from pipelines.jobs.queue import JobQueue
from pipelines.models.scan import ModelLibrary, stamp_of
from pipelines.storage.shelf import Hashes, Shelf


class Librarian:
    """Listens to a queue."""

    def __init__(self, queue: JobQueue, models: ModelLibrary, shelf: Shelf) -> None:
        self._queue, self._models, self._shelf = queue, models, shelf

    def begin(self) -> Callable[[], None]:
        """Listen from now on; call the result to leave."""
        return self._queue.watch(self._hear)

    def _hear(self, job: str, event: Event) -> None:
        match event:
            case Hashed():
                self._keep(self._queue.job(job).request.model, event)
            case Finished() if isinstance(self._queue.job(job).request, ConvertRequest):
                self._models.rescan()

    def _keep(self, model: str, event: Hashed) -> None:
        try:
            path = self._models.find(model).path
        except EaselError:  # gone meanwhile, and its hashes with it
            return
        self._shelf.keep_hashes(path, stamp_of(Path(path)), Hashes(event.sha256, event.weights))
