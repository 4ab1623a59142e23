"""A request to upscale, made ready and done: what is read, which way it goes, and what of it is kept."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.error import OutOfMemory, TooLarge
from pipelines.core.event import Event, Finished, Loading, Noted, PictureSaved, Preview, Progress, Stopped
from pipelines.core.model import ModelInfo
from pipelines.core.placement import Phase
from pipelines.core.stop import StopSignal
from pipelines.core.upscale import RESAMPLERS, Format, Resampler, Sized, UpscaleRequest
from pipelines.jobs.outlook import USUAL_TILE, Room, outlook, passes
from pipelines.jobs.worker import Work
from pipelines.models.memory import RanOut, watched
from pipelines.models.residency import Residency
from pipelines.storage.facts import open_picture, read_picture
from pipelines.storage.pictures import PictureFiles, SavedPicture
from pipelines.storage.pixels import SourcePicture, read_source
from pipelines.storage.sources import SourceStore
from pipelines.storage.streaming import About, Shape, about, extended
from pipelines.upscaling.alpha import revealed, with_alpha
from pipelines.upscaling.flow import Flow, Seen, Size, blended, cut, plain, resized, through
from pipelines.upscaling.networks import Upscaler, load_upscaler
from pipelines.upscaling.tiles import Levels, Tiling

PREVIEW_SIDE = 512
"""Pixels."""
PREVIEW_SECONDS = 0.5
SMALLEST_TILE = 96
"""Pixels: where running out of memory is not met by less any more."""


@dataclass(frozen=True)
class Means:
    """What upscaling is done with."""

    residency: Residency
    files: PictureFiles
    sources: SourceStore


@dataclass(frozen=True)
class Brought:
    """The picture that is upscaled, and what is to become of it."""

    request: UpscaleRequest
    picture: SourcePicture
    source: About
    sized: Sized

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.width, self.picture.height

    @property
    def large(self) -> tuple[int, int]:
        """Width and height before it is cut."""
        return self.sized.width, self.sized.height

    @property
    def kind(self) -> type[np.uint8] | type[np.uint16]:
        """Of the numbers that are saved."""
        return np.uint16 if self.picture.array.dtype == np.uint16 and self.request.output is Format.PNG else np.uint8

    @property
    def channels(self) -> int:
        return 3 if self.request.output is Format.JPEG else int(self.picture.array.shape[2])

    def seen(self, rows: slice, columns: slice) -> Levels:
        """(h, w, c), 0 to 1."""
        return levels_of(self.picture.array[rows, columns])


def levels_of(pixels: NDArray[Any]) -> Levels:
    """(h, w, c) of 8 or 16 bit -> 0 to 1."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def brought(request: UpscaleRequest, sources: SourceStore) -> Brought:
    """Raises UnknownName for a picture that is gone, InvalidRequest for a size that cannot be."""
    path = sources.path_of(request.source)
    picture = read_source(path)
    if picture.array.shape[2] == 4:
        picture = replace(picture, array=revealed(picture.array))
    with open_picture(path) as image:
        source = about(image, read_picture(path).infotext, picture.profile)
    return Brought(request, picture, source, request.sized(picture.width, picture.height))


@dataclass
class Pace:
    """How far a picture is, and how long it will take: counted in tiles."""

    index: int
    count: int
    steps: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def progress(self) -> Progress:
        past = time.monotonic() - self.began
        left = past / self.done * (self.steps - self.done) if self.done else None
        return Progress(
            picture=self.index + 1, count=self.count, step=min(self.done, self.steps), steps=self.steps,
            seconds_left=left,
        )  # fmt: skip

    def tile_done(self) -> Progress:
        self.done += 1
        return self.progress()


class Growing:
    """A small look at a picture that is being made: what is there of it over the one it comes from."""

    def __init__(self, brought: Brought) -> None:
        self._sized, self._told, self._rows = brought.sized, 0.0, 0
        width, height = brought.sized.kept
        by = min(1.0, PREVIEW_SIDE / max(width, height))
        self._size = max(1, round(width * by)), max(1, round(height * by))
        left, top, right, bottom = brought.sized.box
        across, down = brought.picture.width / brought.sized.width, brought.picture.height / brought.sized.height
        box = (left * across, top * down, right * across, bottom * down)
        small = Image.fromarray(brought.picture.seen(slice(None), slice(None)))
        self._image = small.resize(self._size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)

    def add(self, rows: NDArray[Any]) -> None:
        """The next rows of the result, 8 bit."""
        height = self._sized.kept[1]
        top, bottom = (round(at * self._size[1] / height) for at in (self._rows, self._rows + len(rows)))
        self._rows += len(rows)
        if bottom > top:
            part = Image.fromarray(np.ascontiguousarray(rows[..., :3]))
            self._image.paste(
                part.resize((self._size[0], bottom - top), Image.Resampling.BOX, reducing_gap=2.0), (0, top)
            )

    def due(self) -> bool:
        return time.monotonic() - self._told >= PREVIEW_SECONDS

    def preview(self, pace: Pace) -> Preview:
        self._told = time.monotonic()
        held = BytesIO()
        self._image.save(held, "JPEG", quality=85)
        return Preview(picture=pace.index + 1, step=min(pace.done, pace.steps), jpeg=held.getvalue())


@dataclass(frozen=True)
class Route:
    """How rows of the result come to be: through which networks, in how many tiles."""

    rows: Flow
    tiles: int


def upscale(
    request: UpscaleRequest, work: Work, parts: Sequence[ModelInfo], means: Means, stop: StopSignal
) -> Iterator[Event]:
    """Each picture of `request`; the last event is an End. `parts`: its upscalers, in their order.

    A person who stops it keeps the finished rows; the rest of the picture is enlarged plainly then.
    """
    began, done = time.monotonic(), work.first
    picture = brought(request, means.sources)
    room = Room(means.residency.room, shutil.disk_usage(_there(means.files.outputs)).free)
    told = outlook(request, picture.size, parts, room)
    if told.problem is not None:
        raise TooLarge(told.problem.problem, fix=told.problem.fix, field=told.problem.field)
    task = Task(picture, dict(zip(request.upscalers, parts, strict=True)), means, work)
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


def _there(folder: Path) -> Path:
    """`folder`, or the nearest above it that is there already."""
    return next(place for place in (folder, *folder.parents) if place.exists())


@dataclass(frozen=True)
class Task:
    """An upscale with all that it needs."""

    brought: Brought
    parts: dict[str, ModelInfo]
    means: Means
    work: Work

    def picture(self, index: int, stop: StopSignal) -> Iterator[Event]:
        """Raises OutOfMemory, ModelUnusable."""
        tile = self.brought.request.tile or USUAL_TILE
        while True:
            try:
                yield from self._attempt(index, tile, stop)
                return
            except RanOut as ran:
                detail = ran.detail
            # Only here: before, the error held all that the attempt had in hand.
            if any(self.means.residency.free_others(info) for info in self.parts.values()):
                continue
            tile //= 2
            if tile < SMALLEST_TILE:
                self.means.residency.free()
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
            route = self._route(tile)
        pace, growing = Pace(index, request.pictures, max(1, route.tiles)), Growing(self.brought)
        yield pace.progress()
        width, height = self.brought.sized.kept
        shape = Shape(width, height, self.brought.channels, self.brought.kind)
        finished = 0
        try:
            with self.means.files.streamed(
                request, self.brought.source, shape, index=index, job=self.work.job, to=self._target(index)
            ) as streamed:
                for rows in self._watched(route.rows):
                    if stop.now:
                        break
                    if rows is None:
                        yield pace.tile_done()
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
                    yield Noted(text=f"Stopped: the lower {1 - finished / height:.0%} are enlarged plainly")
                saved = streamed.close(self._parameters(finished), time.monotonic() - began)
        except NothingYet:
            return
        yield _saved(saved)

    def _watched(self, rows: Flow) -> Flow:
        """Raises RanOut."""
        while True:
            with watched(Phase.DENOISING):
                try:
                    some = next(rows)
                except StopIteration:
                    return
            yield some

    def _write(self, rows: Levels, streamed: Any, growing: Growing) -> None:
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

    def _parameters(self, finished: int) -> str:
        request, height = self.brought.request, self.brought.sized.kept[1]
        by = self.brought.sized.width / self.brought.size[0]
        second = {"Postprocess upscaler 2": request.second, "Postprocess upscaler 2 visibility": f"{request.blend:g}"}
        return extended(
            self.brought.source.parameters,
            {
                "Postprocess upscale by": f"{by:.4g}", "Postprocess upscaler": request.upscaler,
                **(second if request.second and request.blend else {}),
                "Finished": f"{finished / height:.0%}" if finished < height else None,
            },
        )  # fmt: skip

    def _loaded(self) -> Iterator[Loading]:
        """Tell of what has to be brought into memory first."""
        for info in self.parts.values():
            if info.name not in self.means.residency.loaded:
                yield Loading(model=info.name, size=info.size)

    def _route(self, tile: int) -> Route:
        request = self.brought.request
        route = self._through(request.upscaler, tile)
        rows, tiles = route.rows, route.tiles
        if request.second and request.blend:
            other = self._through(request.second, tile)
            rows, tiles = blended(rows, other.rows, request.blend), tiles + other.tiles
        return Route(cut(rows, self.brought.sized.box), tiles)

    def _through(self, name: str, tile: int) -> Route:
        """The whole picture, enlarged by one upscaler to the very size, in bands."""
        before, after = self.brought.size, self.brought.large
        if name in RESAMPLERS:
            return Route(plain(self.brought.seen, before, after, Resampler(name)), 0)
        network = self.means.residency.lend_network(self.parts[name], load_upscaler)
        return network_route(network, self.brought, tile)


class NothingYet(Exception):
    """A person has stopped before anything was there to keep."""


def network_route(network: Upscaler, brought: Brought, tile: int) -> Route:
    """As often through the network as the size wants, then to the very size."""
    enlarge, tiling = with_alpha(network, network.factor), _tiling(network, brought, tile)
    size, tiles = brought.size, tiling.count(*brought.size)
    rows = through(enlarge, network.factor, brought.seen, size, tiling)
    for _ in range(passes(network.factor, brought.large[0] / size[0]) - 1):
        size = (size[0] * network.factor, size[1] * network.factor)
        tiles += tiling.count(*size)
        rows = once_more(rows, size, partial(through, enlarge, network.factor), tiling)
    size = (size[0] * network.factor, size[1] * network.factor)
    return Route(resized(rows, size, brought.large, Resampler.LANCZOS), tiles)


def _tiling(network: Upscaler, brought: Brought, tile: int) -> Tiling:
    """As suits the network; one that wants to see all of a picture does, unless somebody says otherwise."""
    if network.wants_all and not brought.request.tile:
        tile = max(tile, *brought.size)
    return Tiling(side=tile, multiple=network.multiple)


def once_more(rows: Flow, size: Size, enlarge: Callable[[Seen, Size, Tiling], Flow], tiling: Tiling) -> Flow:
    """A picture of `size` through the network again: all of it must be there first, and waits in a file."""
    with TemporaryFile() as file:
        whole: NDArray[np.uint16] | None = None
        top = 0
        for some in rows:
            if some is None:
                yield None
                continue
            if whole is None:
                whole = np.memmap(file, np.uint16, "w+", shape=(size[1], size[0], some.shape[2]))
            whole[top : top + len(some)] = as_pixels(some, np.uint16)
            top += len(some)
        assert whole is not None
        yield from enlarge(partial(_part, whole), size, tiling)


def _part(pixels: NDArray[Any], rows: slice, columns: slice) -> Levels:
    return levels_of(pixels[rows, columns])


def as_pixels(levels: Levels, kind: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """0 to 1 -> 8 or 16 bit."""
    most = np.float32(np.iinfo(kind).max)
    return (levels.clip(0, 1) * most + np.float32(0.5)).astype(kind)


def on_white(pixels: NDArray[Any]) -> NDArray[Any]:
    """(h, w, 4) -> (h, w, 3), for formats that know no alpha."""
    alpha = pixels[..., 3:].astype(np.float32) / np.iinfo(pixels.dtype).max
    white = np.iinfo(pixels.dtype).max
    return (pixels[..., :3] * alpha + white * (1 - alpha)).round().astype(pixels.dtype)


def _saved(saved: SavedPicture) -> PictureSaved:
    return PictureSaved(index=saved.index, seed=saved.seed, file=saved.file, seconds=saved.seconds)
