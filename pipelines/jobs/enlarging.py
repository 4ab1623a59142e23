"""The picture that is upscaled, and the ways its rows come to be larger."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.stop import StopSignal
from pipelines.core.upscale import Format, Resampler, Sized, UpscaleRequest
from pipelines.jobs.outlook import USUAL_TILE, passes
from pipelines.models.loading import LoadedEnlarger
from pipelines.storage.facts import open_picture, read_picture
from pipelines.storage.files import make_folder, storage_problem
from pipelines.storage.pixels import SourcePicture, read_source
from pipelines.storage.sources import SourceStore
from pipelines.storage.streaming import About, about
from pipelines.upscaling.alpha import revealed, with_alpha
from pipelines.upscaling.flow import BAND, Flow, Seen, Size, plain, resized, through
from pipelines.upscaling.networks import Upscaler
from pipelines.upscaling.superres import Resolved, Wish, super_resolved
from pipelines.upscaling.tiles import Levels, Tiling


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


@dataclass(frozen=True)
class Route:
    """How rows of the result come to be: through which networks, in how many tiles."""

    rows: Flow
    tiles: int


def network_route(network: Upscaler, brought: Brought, tile: int, folder: Path) -> Route:
    """As often through the network as the size wants, then to the very size."""
    enlarge, tiling = with_alpha(network, network.factor), _tiling(network, brought, tile)
    size, tiles = brought.size, tiling.count(*brought.size)
    rows = through(enlarge, network.factor, brought.seen, size, tiling)
    for _ in range(passes(network.factor, brought.large[0] / size[0]) - 1):
        size = (size[0] * network.factor, size[1] * network.factor)
        tiles += tiling.count(*size)
        rows = once_more(rows, size, partial(through, enlarge, network.factor), tiling, folder)
    size = (size[0] * network.factor, size[1] * network.factor)
    return Route(resized(rows, size, brought.large, Resampler.LANCZOS), tiles)


def _tiling(network: Upscaler, brought: Brought, tile: int) -> Tiling:
    """As suits the network; one that wants to see all of a picture does, unless somebody says otherwise."""
    usual = max(USUAL_TILE, *brought.size) if network.wants_all else USUAL_TILE
    return Tiling(side=tile or usual, multiple=network.multiple)


def once_more(
    rows: Flow, size: Size, enlarge: Callable[[Seen, Size, Tiling], Flow], tiling: Tiling, folder: Path
) -> Flow:
    """A picture of `size` through the network again: all of it must be there first, and waits in a file of `folder`.

    Raises StorageProblem when there is no room for it.
    """
    make_folder(folder)
    with TemporaryFile(dir=folder) as file:
        whole: NDArray[np.uint16] | None = None
        top = 0
        for some in rows:
            if not isinstance(some, np.ndarray):
                yield some
                continue
            if whole is None:
                _claim(file, 2 * size[0] * size[1] * some.shape[2], folder)
                whole = np.memmap(file, np.uint16, "w+", shape=(size[1], size[0], some.shape[2]))
            whole[top : top + len(some)] = as_pixels(some, np.uint16)
            top += len(some)
        assert whole is not None
        yield from enlarge(partial(_part, whole), size, tiling)


def _claim(file: IO[bytes], size: int, folder: Path) -> None:
    """Bytes on the disk: a mapped file that finds none later would end the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise storage_problem(error, folder / "the picture between two passes") from error


def _part(pixels: NDArray[Any], rows: slice, columns: slice) -> Levels:
    return levels_of(pixels[rows, columns])


def diffusion_rows(model: LoadedEnlarger, brought: Brought, wish: Wish, stop: StopSignal, tile: int) -> Flow:
    """As a diffusion model imagines the picture, then to the very size; alpha as it is."""
    low = brought.seen(slice(None), slice(None))
    size = (brought.size[0] * model.factor, brought.size[1] * model.factor)

    def rows() -> Flow:
        for event in super_resolved(model, np.ascontiguousarray(low[..., :3]), wish, stop, tile=tile):
            if not isinstance(event, Resolved):
                yield event
                continue
            pixels = event.pixels
            if low.shape[2] == 4:
                alpha = plain(lambda some, columns: low[some, columns, 3:], brought.size, size, Resampler.LANCZOS)
                pixels = np.concatenate([pixels, np.concatenate(list(alpha))], axis=2)
            yield pixels

    return resized(rows(), size, brought.large, Resampler.LANCZOS)


def in_bands(pixels: NDArray[Any]) -> Iterator[Levels]:
    """A whole picture, from the top on."""
    for top in range(0, len(pixels), BAND):
        yield levels_of(pixels[top : top + BAND])


def as_pixels(levels: Levels, kind: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """0 to 1 -> 8 or 16 bit."""
    most = np.float32(np.iinfo(kind).max)
    return (levels.clip(0, 1) * most + np.float32(0.5)).astype(kind)


def on_white(pixels: NDArray[Any]) -> NDArray[Any]:
    """(h, w, 4) -> (h, w, 3), for formats that know no alpha."""
    alpha = pixels[..., 3:].astype(np.float32) / np.iinfo(pixels.dtype).max
    white = np.iinfo(pixels.dtype).max
    return (pixels[..., :3] * alpha + white * (1 - alpha)).round().astype(pixels.dtype)
