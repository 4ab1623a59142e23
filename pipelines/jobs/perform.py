"""The performer that paints: model library -> generation -> picture files -> events.

Lives where torch does: in the worker process, or in the command line's own. The studio's process must not import this
module; it names `PainterSetup` (in `setup.py`) instead.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from pipelines.core.error import EaselError, WorkerLost
from pipelines.core.event import DeviceStatus, Event, Finished, Loading, PictureSaved, Stopped
from pipelines.core.request import GenerateRequest, Precision
from pipelines.core.stop import StopSignal
from pipelines.generation.generate import Painted, generate
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.worker import Work, ended
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles

log = logging.getLogger(__name__)


class Painter:
    """Paints pictures with the models of `library` and saves them to `files`; leaves the rest to `keeper`.

    `targets` names a file for each picture, for the command line's `-o`; `favourite` is the model made ready before
    the first job comes.
    """

    def __init__(
        self, library: ModelLibrary, residency: Residency, files: PictureFiles, keeper: Keeper, *,
        targets: Sequence[Path] | None = None, favourite: str | None = None,
    ) -> None:  # fmt: skip
        self._library, self._residency, self._files, self._keeper = library, residency, files, keeper
        self._targets, self._favourite = targets, favourite

    def prepare(self) -> None:
        """Bring the favourite model into memory, so that the first picture is quick."""
        if self._favourite is None:
            return
        try:
            self._residency.lend(self._library.usable(self._favourite), Precision.AUTO)
        except (EaselError, OSError, RuntimeError) as error:
            log.warning("The model %s was not made ready: %s", self._favourite, error)

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        """Paint what `work` asks for. The last event is an End; raises WorkerLost when the device is lost."""
        return ended(self._perform(work, stop))

    def device_status(self) -> DeviceStatus | None:
        return self._residency.device_status()

    def _perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        try:
            if isinstance(work.request, GenerateRequest):
                yield from self._paint(work.request, work, stop)
            else:
                yield from self._keeper.perform(work.request, work.model, stop)
        except torch.AcceleratorError as error:
            # After such an error every later call on the device fails too: only a new process helps.
            raise WorkerLost(
                "The graphics device stopped working", fix="try again; if it stays, restart the computer",
                detail=str(error),
            ) from error  # fmt: skip

    def _paint(self, request: GenerateRequest, work: Work, stop: StopSignal) -> Iterator[Event]:
        began, left = time.monotonic(), request.count - work.first
        info = work.model or self._library.usable_now(request.model)
        if not self._residency.is_lent(info, request.precision):
            yield Loading(model=info.name, size=info.size)
        model = self._residency.lend(info, request.precision)
        for event in generate(request, model, stop, first=work.first):
            if isinstance(event, Painted):
                left -= 1
                yield self._save(event, request, work)
            else:
                yield event
        yield Stopped() if left > 0 and stop.after_picture else Finished(seconds=time.monotonic() - began)

    def _save(self, painted: Painted, request: GenerateRequest, work: Work) -> PictureSaved:
        to = self._targets[painted.index] if self._targets else None
        saved = self._files.save(
            painted.image, request, index=painted.index, job=work.job, seconds=painted.seconds, to=to
        )
        return PictureSaved(index=saved.index, seed=saved.seed, file=saved.file, seconds=saved.seconds)
