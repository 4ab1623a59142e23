"""A request to upscale, made ready and done: which way it goes, how it is told of, and what of it is kept."""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.core.error import OutOfMemory, TooLarge
from pipelines.core.event import Event, Finished, Loading, Noted, PictureSaved, Preview, Progress, Stopped
from pipelines.core.model import Kind, ModelInfo
from pipelines.core.placement import Phase
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.core.upscale import RESAMPLERS, Resampler, UpscaleRequest
from pipelines.generation.generate import Happening, Painted
from pipelines.generation.memo import FolderMemo
from pipelines.generation.redraw import Redraw, redrawn
from pipelines.generation.seam_score import seam_score
from pipelines.jobs.enlarging import (
    Brought,
    Route,
    as_pixels,
    brought,
    diffusion_rows,
    in_bands,
    network_route,
    on_white,
)
from pipelines.jobs.growing import Growing, Pace
from pipelines.jobs.outlook import USUAL_TILE, Room, check_upscale, outlook
from pipelines.jobs.worker import Work
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.budget import Thrift
from pipelines.models.loading import LoadedModel
from pipelines.models.memory import RanOut, watched
from pipelines.models.residency import Residency
from pipelines.models.scan import stamp_of
from pipelines.storage.files import free_space
from pipelines.storage.infotext import extended, infotext
from pipelines.storage.pictures import PictureFiles, SavedPicture, Streamed
from pipelines.storage.sources import SourceStore
from pipelines.storage.streaming import Shape
from pipelines.upscaling.flow import Flow, blended, cut, plain
from pipelines.upscaling.networks import load_upscaler
from pipelines.upscaling.superres import Wish
from pipelines.upscaling.tiles import Levels

SMALLEST_TILE = 96
"""Pixels: where running out of memory is not met by less any more."""
UNFINISHED = ".unfinished"
"""The folder, below that of the pictures, for tiles of redraws that are not at their end."""
KEPT_SECONDS = 7 * 24 * 3600
USUAL_SAMPLER = GenerateRequest.model_fields["sampler"].default
"""Of a request that says nothing: a diffusion upscaler then has its own."""


@dataclass(frozen=True)
class Redrawing:
    """A picture that is painted over in tiles, whatever model does it."""

    how: Redraw
    pixels: NDArray[np.uint8]
    memo: FolderMemo

    def painted(self, model: LoadedModel, stop: StopSignal, thrift: Thrift) -> Iterator[Happening]:
        """Raises RanOut."""
        return redrawn(self.how, self.pixels, model, stop, memo=self.memo, thrift=thrift)


@dataclass(frozen=True)
class Means:
    """What upscaling is done with."""

    residency: Residency
    files: PictureFiles
    sources: SourceStore
    redraw: Callable[[Redrawing], Iterator[Event | Painted]]
    """Paints over a picture with the model of the request."""


def upscale(
    request: UpscaleRequest, work: Work, parts: Sequence[ModelInfo], means: Means, stop: StopSignal
) -> Iterator[Event]:
    """Each picture of `request`; the last event is an End. `parts`: its upscalers, then what else it names.

    A person who stops it keeps the finished rows; the rest of the picture is enlarged plainly then.
    """
    began, done = time.monotonic(), work.first
    picture, upscalers = brought(request, means.sources), parts[: len(request.upscalers)]
    check_upscale(request, parts)
    room = Room(means.residency.room, free_space(means.files.outputs))
    told = outlook(request, picture.size, upscalers, room)
    if told.problem is not None:
        raise TooLarge(told.problem.problem, fix=told.problem.fix, field=told.problem.field)
    task = Task(picture, dict(zip(request.upscalers, upscalers, strict=True)), means, work, tuple(parts))
    for index in range(work.first, request.pictures):
        if stop.after_picture:
            break
        for event in task.picture(index, stop):
            done += isinstance(event, PictureSaved)
            yield event
        if stop.now:
            yield Stopped()
            return
    yield Stopped() if done < request.pictures else Finished(seconds=time.monotonic() - began)


@dataclass(frozen=True)
class Task:
    """An upscale with all that it needs."""

    brought: Brought
    parts: dict[str, ModelInfo]
    """Its upscalers, by their names."""
    means: Means
    work: Work
    named: tuple[ModelInfo, ...]
    """All that it names besides its model."""

    def picture(self, index: int, stop: StopSignal) -> Iterator[Event]:
        """Raises OutOfMemory, ModelUnusable."""
        tile, freed = self.brought.request.tile, False
        while True:
            try:
                yield from self._attempt(index, tile, stop)
                return
            except RanOut as ran:
                detail = ran.detail
            self.means.residency.free()  # only here: before, the error held all that the attempt had in hand
            if not freed:
                freed = True
                continue
            tile = (tile or USUAL_TILE) // 2
            if tile < SMALLEST_TILE:
                raise OutOfMemory(
                    "The device has not enough memory to upscale this picture with "
                    f"{self.brought.request.upscaler!r}",
                    fix="use a smaller upscaler, or close other programs that use it", field="upscaler", detail=detail,
                )  # fmt: skip
            yield Noted(text=f"Memory ran out: now in tiles of {tile} pixels")

    def _attempt(self, index: int, tile: int, stop: StopSignal) -> Iterator[Event]:
        """Raises RanOut."""
        began, request = time.monotonic(), self.brought.request
        yield from self._loaded()
        with watched(Phase.DENOISING):
            route = self._route(index, tile, stop)
        pace, growing, facts = Pace(index, request.pictures, max(1, route.tiles)), Growing(self.brought), Facts()
        yield pace.progress()
        flow = self._redrawn(route.rows, facts, stop) if request.strength else route.rows
        width, height = self.brought.sized.kept
        shape = Shape(width, height, self.brought.channels, self.brought.kind)
        finished = 0
        try:
            with self.means.files.streamed(
                request, self.brought.source, shape, self._parameters(index, facts), index=index, job=self.work.job,
                to=self._target(index),
            ) as streamed:  # fmt: skip
                for rows in self._watched(flow):
                    if stop.now and not request.strength:  # a redraw ends by itself
                        break
                    if not isinstance(rows, np.ndarray):
                        yield pace.tile_done() if rows is None else _of_picture(rows, index, request.pictures)
                        continue
                    finished += len(rows)
                    self._write(rows, streamed, growing)
                    if growing.due() or finished == height:
                        yield growing.preview(pace)
                if not finished:
                    raise NothingYet
                if finished < height:
                    for rows in self._rest(finished):
                        self._write(rows, streamed, growing)
                    facts.finished = finished / height
                    yield Noted(text=f"Stopped: the lower {1 - facts.finished:.0%} are enlarged plainly")
                saved = streamed.close(self._parameters(index, facts), time.monotonic() - began)
        except NothingYet:
            return
        if request.strength and facts.finished == 1:
            shutil.rmtree(self._unfinished(), ignore_errors=True)
        yield _saved(saved)

    def _redrawn(self, flow: Flow, facts: "Facts", stop: StopSignal) -> Flow:
        """All rows, painted over in tiles; as they came, when a person stops the painting.

        What was painted by then waits on the disk, and the same request goes on with it.
        """
        width, height = self.brought.sized.kept
        kind = self.brought.kind
        whole, top = np.empty((height, width, self.brought.picture.array.shape[2]), kind), 0
        for rows in flow:
            if stop.now:
                return
            if not isinstance(rows, np.ndarray):
                yield rows
                continue
            whole[top : top + len(rows)] = as_pixels(rows, kind)
            top += len(rows)
        request = self.brought.request
        how = Redraw(request.picture, request.strength, request.overlap)
        folder = self._unfinished()
        painted, seen = None, whole[..., :3] if kind is np.uint8 else (whole[..., :3] >> 8).astype(np.uint8)
        for event in self.means.redraw(Redrawing(how, np.ascontiguousarray(seen), FolderMemo(folder))):
            if isinstance(event, Painted):
                painted = np.asarray(event.image)
            else:
                yield event
        if painted is None:
            facts.finished = 0.0
            yield Noted(text="Stopped: enlarged, and not yet redrawn; the same request goes on where it was")
        else:
            whole[..., :3] = painted if kind is np.uint8 else painted.astype(np.uint16) * 257
            edges = how.windows.edges(-(-height // PIXELS_PER_LATENT), -(-width // PIXELS_PER_LATENT))
            columns, lines = ([PIXELS_PER_LATENT * at for at in some] for some in edges)
            facts.seams = seam_score(painted, columns, lines)
        yield from in_bands(whole)

    def _unfinished(self) -> Path:
        """Where what is painted of this very request waits. What nobody has gone on with for a week goes."""
        place = self.means.files.outputs / UNFINISHED
        for old in place.iterdir() if place.is_dir() else ():
            with suppress(FileNotFoundError):  # another program was quicker
                if old.stat().st_mtime < time.time() - KEPT_SECONDS:
                    shutil.rmtree(old, ignore_errors=True)
        # What is painted by other weights under the same names is another picture.
        models = [info for info in (self.work.model, *self.named) if info is not None]
        said = [self.brought.request.model_dump_json(), *(stamp_of(Path(info.path)) for info in models)]
        return place / hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]

    def _watched(self, rows: Flow) -> Flow:
        """Raises RanOut."""
        while True:
            with watched(Phase.DENOISING):
                try:
                    some = next(rows)
                except StopIteration:
                    return
            yield some

    def _write(self, rows: Levels, streamed: Streamed, growing: Growing) -> None:
        pixels = as_pixels(rows, self.brought.kind)
        if pixels.shape[2] == 4 and self.brought.channels == 3:
            pixels = on_white(pixels)
        streamed.write(pixels)
        growing.add(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8))

    def _rest(self, first: int) -> Iterator[Levels]:
        """Rows from `first` on as they are without any network."""
        left, top, right, bottom = self.brought.sized.box
        start = first + top
        for rows in plain(self.brought.seen, self.brought.size, self.brought.large, Resampler.LANCZOS, start):
            if start < bottom:
                yield rows[: bottom - start, left:right]
            start += len(rows)

    def _target(self, index: int) -> Path | None:
        return self.work.targets[index] if self.work.targets else None

    def _parameters(self, index: int, facts: "Facts") -> str:
        """What its source said, or how it was painted; and how it was upscaled."""
        request = self.brought.request
        is_painted = bool(request.strength) or self._diffuses(request.upscaler)
        text = infotext(request.painted, request.picture.seed) if is_painted else self.brought.source.parameters
        by = self.brought.sized.width / self.brought.size[0]
        second = {"Postprocess upscaler 2": request.second, "Postprocess upscaler 2 visibility": f"{request.blend:g}"}
        return extended(
            text,
            {
                "Denoising strength": f"{request.strength:g}" if request.strength else None,
                "Noise level": request.noise_levels[index] if request.noise_levels else None,
                "Postprocess upscale by": f"{by:.4g}", "Postprocess upscaler": request.upscaler,
                **(second if request.second and request.blend else {}),
                "Seams": None if facts.seams is None else f"{facts.seams:.2f}",
                "Finished": f"{facts.finished:.0%}" if facts.finished < 1 else None,
            },
        )  # fmt: skip

    def _loaded(self) -> Iterator[Loading]:
        """Tell of what has to be brought into memory first."""
        for info in self.parts.values():
            if info.name not in self.means.residency.loaded:
                yield Loading(model=info.name, size=info.size)

    def _diffuses(self, name: str) -> bool:
        return name in self.parts and self.parts[name].kind is not Kind.UPSCALER

    def _route(self, index: int, tile: int, stop: StopSignal) -> Route:
        request = self.brought.request
        if self._diffuses(request.upscaler):
            route = Route(self._resolved(index, tile, stop), 0)
        else:
            route = self._through(request.upscaler, tile)
        rows, tiles = route.rows, route.tiles
        if request.second and request.blend:
            other = self._through(request.second, tile)
            rows, tiles = blended(rows, other.rows, request.blend), tiles + other.tiles
        return Route(cut(rows, self.brought.sized.box), tiles)

    def _resolved(self, index: int, tile: int, stop: StopSignal) -> Flow:
        request = self.brought.request
        painted, levels = request.picture, request.noise_levels
        sampler = "" if painted.sampler == USUAL_SAMPLER else painted.sampler
        wish = Wish(
            prompt=painted.prompt, negative_prompt=painted.negative_prompt, steps=painted.steps, cfg=painted.cfg,
            seed=painted.seed, sampler=sampler, noise_level=levels[index] if levels else None,
        )  # fmt: skip
        model = self.means.residency.lend_enlarger(self.parts[request.upscaler])
        return diffusion_rows(model, self.brought, wish, stop, tile)

    def _through(self, name: str, tile: int) -> Route:
        """The whole picture, enlarged by one upscaler to the very size, in bands."""
        before, after = self.brought.size, self.brought.large
        if name in RESAMPLERS:
            return Route(plain(self.brought.seen, before, after, Resampler(name)), 0)
        network = self.means.residency.lend_network(self.parts[name], load_upscaler)
        return network_route(network, self.brought, tile, self.means.files.outputs)


@dataclass
class Facts:
    """What is found out of a picture on its way."""

    finished: float = 1.0
    """A share."""
    seams: float | None = None


def _of_picture(event: Event, index: int, count: int) -> Event:
    """What is told of one picture, told of several."""
    match event:
        case Progress():
            return event.model_copy(update={"picture": index + 1, "count": count})
        case Preview():
            return event.model_copy(update={"picture": index + 1})
        case _:
            return event


class NothingYet(Exception):
    """A person has stopped before anything was there to keep."""


def _saved(saved: SavedPicture) -> PictureSaved:
    return PictureSaved(index=saved.index, seed=saved.seed, file=saved.file, seconds=saved.seconds)
