"""The performer that paints: model library -> generation -> picture files -> events.

Lives where torch does: in the worker process, or in the command line's own. The studio's process must not import this
module; it names `PainterSetup` (in `setup.py`) instead.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from pipelines.core.desk import PreviewRequest
from pipelines.core.error import EaselError, OutOfMemory, WorkerLost
from pipelines.core.event import (
    DeviceStatus,
    Event,
    Finished,
    Loading,
    Noted,
    PictureSaved,
    Preview,
    Progress,
    Stopped,
)
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.kinds import Painting
from pipelines.core.model import ModelInfo
from pipelines.core.placement import Phase, Placement
from pipelines.core.request import GenerateRequest, Precision
from pipelines.core.segment import SegmentRequest
from pipelines.core.sheet import SheetRequest
from pipelines.core.stop import StopSignal
from pipelines.core.upscale import UpscaleRequest
from pipelines.generation.forecast import Pace
from pipelines.generation.generate import Painted, generate
from pipelines.generation.loras import Chosen, applied, fitted
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.mixing import HeldMix
from pipelines.jobs.orders import Order, ordered, strength_of
from pipelines.jobs.repainting import Repainted, Repainting, repainted, repainting
from pipelines.jobs.second import enlarge_with, network_of
from pipelines.jobs.segmenting import segment
from pipelines.jobs.upscaling import Means, Redrawing, upscale
from pipelines.jobs.virtual import Realiser
from pipelines.jobs.worker import Work, ended
from pipelines.models.asked import as_one, parts_of
from pipelines.models.budget import Forecast, Thrift, thriftier
from pipelines.models.loading import LoadedModel
from pipelines.models.lora.file import read_lora
from pipelines.models.lora.fit import warnings
from pipelines.models.memory import RanOut, watched
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What paints."""

    info: ModelInfo
    loras: Chosen
    order: Order | None = None
    """Of a mix in memory: how it is made."""
    over: Repainting | None = None
    """A picture that is painted over."""
    redraw: Redrawing | None = None
    """The same of one that is painted over in tiles."""
    enlarger: ModelInfo | None = None
    """The network that comes before a second pass."""


class Painter:
    """Paints with the models of `library`, over pictures of `sources`, and saves to `files`.

    What makes no pictures is left to `keeper`. `favourite` is the model made ready before the first job comes.
    """

    def __init__(
        self, library: ModelLibrary, residency: Residency, files: PictureFiles, sources: SourceStore, keeper: Keeper,
        *, favourite: str | None = None,
    ) -> None:  # fmt: skip
        self._library, self._residency, self._keeper = library, residency, keeper
        self._files, self._sources = files, sources
        self._favourite, self._realiser = favourite, Realiser(files.outputs)
        self._learnt: dict[object, Thrift] = {}
        """How sparingly a kind of work had to be done, so that its next job begins so."""

    def prepare(self) -> None:
        """Bring the favourite model into memory, so that the first picture is quick."""
        if self._favourite is None:
            return
        try:
            self._residency.lend(self._library.usable(self._favourite), Precision.AUTO)
        except (EaselError, RanOut, OSError, RuntimeError) as error:
            log.warning("The model %s was not made ready: %s", self._favourite, error)

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        """Paint what `work` asks for. The last event is an End; raises WorkerLost when the device is lost."""
        return ended(self._perform(work, stop))

    def device_status(self) -> DeviceStatus | None:
        return self._residency.device_status()

    def _perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        try:
            if work.model is not None and work.model.ingredients:
                yield Loading(model=work.model.name, size=sum(one.size for one in work.model.ingredients))
                work = replace(work, model=self._realiser.real(work.model))
            match work.request:
                case GenerateRequest() | PreviewRequest() | InpaintRequest() as request:
                    yield from self._paint(request, work, stop)
                case SheetRequest() as request:
                    yield from self._fill(request, work, stop)
                case SegmentRequest() as request:
                    info = work.model or self._library.segmenter(request.model)
                    yield from segment(request, info, self._residency, self._sources, stop)
                case UpscaleRequest() as request:
                    redraw = partial(self._redraw, work, stop)
                    means = Means(self._residency, self._files, self._sources, redraw)
                    yield from upscale(request, work, self._parts(work), means, stop)
                case request:
                    yield from self._keeper.perform(request, work.model, stop, self._parts(work))
        except torch.AcceleratorError as error:
            # After such an error every later call on the device fails too: only a new process helps.
            raise WorkerLost(
                "The graphics device stopped working", fix="try again; if it stays, restart the computer",
                detail=str(error),
            ) from error  # fmt: skip

    def _parts(self, work: Work) -> tuple[ModelInfo, ...]:
        return parts_of(self._library, work.request) if work.parts is None else work.parts

    def _subject(self, work: Work) -> Subject:
        parts = self._parts(work)
        if isinstance(work.request, PreviewRequest):
            mixture, parts = work.request.mixture, tuple(map(self._realiser.real, parts))
            enlarger = network_of(work.request.painted, (), self._library)
            return Subject(as_one(mixture, parts), (), ordered(mixture, parts), enlarger=enlarger)
        assert isinstance(work.request, GenerateRequest | InpaintRequest | UpscaleRequest)
        wanted = work.request.painted
        if isinstance(work.request, UpscaleRequest):
            parts = parts[len(work.request.upscalers) :]
        info = work.model or self._realiser.real(self._library.usable_now(wanted.model))
        loras = [(read_lora(Path(one.path), one.name), strength_of(asked))
                 for one, asked in zip(parts[: len(wanted.loras)], wanted.loras, strict=True)]  # fmt: skip
        over = repainting(work.request, self._sources) if isinstance(work.request, InpaintRequest) else None
        return Subject(info, loras, over=over, enlarger=network_of(wanted, parts, self._library))

    def _paint(self, request: Painting, work: Work, stop: StopSignal) -> Iterator[Event]:
        began, left = time.monotonic(), request.pictures - work.first
        subject = self._subject(work)
        for event in self._thriftily(request.painted, subject, work.first, stop):
            if isinstance(event, Painted | Repainted):
                left -= 1
                yield self._save(event, request, work)
            else:
                yield event
        yield Stopped() if left > 0 and stop.after_picture else Finished(seconds=time.monotonic() - began)

    def _redraw(self, work: Work, stop: StopSignal, redrawing: Redrawing) -> Iterator[Event | Painted]:
        """A picture painted over in tiles by the model of `work`."""
        subject = replace(self._subject(work), redraw=redrawing)
        for event in self._thriftily(redrawing.how.request, subject, 0, stop):
            assert not isinstance(event, Repainted)
            yield event

    def _fill(self, sheet: SheetRequest, work: Work, stop: StopSignal) -> Iterator[Event]:
        """A sheet, cell by cell; each cell is a preview that knows its own settings."""
        began, parts = time.monotonic(), {info.name: info for info in self._parts(work)}
        cells = Pace()
        for index, cell in islice(enumerate(sheet.cells), work.first, None):
            if stop.after_picture:
                yield Stopped()
                return
            since = time.monotonic()
            subject = self._subject(Work(cell, work.job, parts=tuple(parts[name] for name in cell.mixture.parts)))
            for event in self._thriftily(cell.painted, subject, 0, stop):
                match event:
                    case Painted() | Repainted():
                        yield self._save(replace(event, index=index), cell, work)
                    case Progress() | Preview():
                        yield _of_cell(event, index, sheet.pictures, cells)
                    case _:
                        yield event
            cells.add(time.monotonic() - since, 1)
        yield Stopped() if stop.now else Finished(seconds=time.monotonic() - began)

    def _thriftily(
        self, request: GenerateRequest, subject: Subject, first: int, stop: StopSignal
    ) -> Iterator[Event | Painted | Repainted]:
        """The pictures from `first` on; whenever memory runs out, with less, until nothing can be saved any more."""
        info = subject.info
        forecast = self._residency.forecast(info, request)
        work_like_this = (info.path, request.final_size, request.batch_size, request.precision)
        thrift = forecast.thrift.and_also(self._learnt.get(work_like_this, forecast.thrift))
        if saved := _difference(Thrift(at_once=min(request.batch_size, request.count)), thrift):
            yield Noted(text=f"To fit into {in_gb(forecast.room)} GB: {saved}")
        freed = False
        while True:
            try:
                for event in self._attempt(request, subject, first, stop, thrift):
                    if isinstance(event, Painted | Repainted):
                        first = event.index + 1
                    yield event
                return
            except RanOut as ran:
                phase, detail = ran.phase, ran.detail
            # Only here: before, the error held all that the attempt had in hand.
            if self._residency.free_others(info) and not freed:  # once: a second pass brings its network each time
                freed = True
                continue
            freed = False
            spared = thriftier(thrift, phase, on_cpu=self._residency.device.type == "cpu")
            if spared is None:
                self._residency.free()
                raise _too_much(request, info, forecast, detail)
            yield Noted(text=f"Memory ran out: now {_difference(thrift, spared)}")
            thrift = self._learnt[work_like_this] = spared

    def _attempt(
        self, request: GenerateRequest, subject: Subject, first: int, stop: StopSignal, thrift: Thrift
    ) -> Iterator[Event | Painted | Repainted]:
        """Raises RanOut."""
        residency, place, info = self._residency, thrift.placement, subject.info
        if not residency.is_lent(info, request.precision, placement=place):
            yield Loading(model=info.name, size=info.size)
        work = residency.work(info, request, thrift)
        model = self._lent(subject, request, place, work)
        fits = fitted(model, subject.loras)
        for note in (note for one, _ in fits for note in warnings(one)):
            yield Noted(text=note)
        with applied(model, fits):
            if subject.redraw is not None:
                yield from subject.redraw.painted(model, stop, thrift)
            elif subject.over is None:
                enlarge = enlarge_with(request, subject.enlarger, residency)
                yield from generate(request, model, stop, first=first, thrift=thrift, enlarge=enlarge)
            else:
                yield from repainted(subject.over, model, stop, first=first, thrift=thrift)

    def _lent(self, subject: Subject, request: GenerateRequest, place: Placement, work: int) -> LoadedModel:
        """Raises RanOut, ModelUnusable."""
        lend = partial(self._residency.lend, subject.info, request.precision, placement=place, work=work)
        if (order := subject.order) is None:
            return lend()
        while True:
            model = lend(make=lambda manner: HeldMix(order).model(subject.info, order, manner))
            held = model.behind
            assert isinstance(held, HeldMix)
            with watched(Phase.LOADING):
                if held.bring_along(model, order):
                    return model
            del model, held  # another precision, or another VAE's parts: it is built anew
            self._residency.free(subject.info.name)

    def _save(self, painted: Painted | Repainted, request: Painting, work: Work) -> PictureSaved:
        to = work.targets[painted.index] if work.targets else None
        saved = self._files.save(
            painted.image, request, index=painted.index, seed=painted.seed, job=work.job, seconds=painted.seconds, to=to
        )
        return PictureSaved(index=saved.index, seed=saved.seed, file=saved.file, seconds=saved.seconds)


def _of_cell(event: Progress | Preview, index: int, count: int, cells: Pace) -> Event:
    """What is told of the only picture of a cell, told of the sheet; `cells`: how long they took so far."""
    if isinstance(event, Preview):
        return event.model_copy(update={"picture": index + 1})
    later = (count - index - 1) * cells.mean
    rest = None if event.seconds_left is None or not cells.units else event.seconds_left + later
    return event.model_copy(update={"picture": index + 1, "count": count, "seconds_left": rest})


_WAITS: Mapping[Placement, str] = {
    Placement.TURNS: "text encoders and VAE wait in main memory",
    Placement.STREAMED: "the model waits in main memory and comes layer by layer",
}


def _difference(before: Thrift, after: Thrift) -> str:
    """What is saved, in words; empty when nothing is."""
    saved = []
    if after.at_once < before.at_once:
        saved.append(f"{after.at_once} at once")
    if after.tiled and not before.tiled:
        saved.append("decoded in tiles")
    if after.placement is not before.placement:
        saved.append(_WAITS[after.placement])
    return ", ".join(saved)


def _too_much(request: GenerateRequest, info: ModelInfo, forecast: Forecast, detail: str) -> OutOfMemory:
    width, height = request.final_size
    size, needs, room = f"{width} x {height}", in_gb(forecast.needs), in_gb(forecast.room)
    told = f"though {room} GB seemed enough" if forecast.fits else f"about {needs} GB are needed, {room} GB are free"
    return OutOfMemory(
        f"The device has not enough memory for {size} with {info.name!r}: {told}",
        fix="use a smaller size, or close other programs that use it", field="width", detail=detail,
    )  # fmt: skip


def in_gb(size: int) -> str:
    return f"{size / 1e9:.1f}"
