"""Keeps the list of models true to what jobs did: new models appear, hashes are remembered."""

from collections.abc import Callable
from pathlib import Path

from pipelines.core.desk import AddLorasRequest, CompareRequest, ExtractRequest, MergeRequest
from pipelines.core.error import EaselError
from pipelines.core.event import Compared, Event, Finished, Hashed
from pipelines.core.kinds import ConvertRequest, Request
from pipelines.jobs.queue import JobQueue
from pipelines.models.scan import ModelLibrary, stamp_of
from pipelines.storage.shelf import Hashes, Shelf

Made = MergeRequest | AddLorasRequest | ExtractRequest
"""Requests that make a model."""


def stamps_of(models: ModelLibrary, *names: str) -> str:
    """What changes whenever one of these models does. Raises UnknownName."""
    return " ".join(stamp_of(Path(models.find(name).path)) for name in names)


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
                self._keep(self._named(self._queue.job(job).request), event)
            case Compared():
                request = self._queue.job(job).request
                if isinstance(request, CompareRequest):
                    self._shelf.keep_comparison(stamps_of(self._models, request.model, request.other), event.blocks)
            case Finished() if isinstance(self._queue.job(job).request, ConvertRequest | Made):
                self._models.rescan()

    def _named(self, request: Request) -> str:
        """The model whose hashes are told."""
        if not isinstance(request, Made):
            return request.model
        self._models.rescan()  # it has just been made
        return request.name

    def _keep(self, model: str, event: Hashed) -> None:
        try:
            path = self._models.find(model).path
        except EaselError:  # gone meanwhile, and its hashes with it
            return
        self._shelf.keep_hashes(path, stamp_of(Path(path)), Hashes(event.sha256, event.weights))
        self._models.learnt()
