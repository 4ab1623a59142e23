"""What an upscale will be like, before it begins: how large, in how many tiles, how much memory and disk, how long.

No torch here: the page asks this at every move of a slider.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.core.error import EaselError, InvalidRequest, Problem, TooLarge
from pipelines.core.model import Kind, ModelInfo
from pipelines.core.upscale import Format, Sized, UpscaleRequest
from pipelines.models.headers import TensorEntry
from pipelines.models.single import read_single
from pipelines.storage.facts import MAX_PIXELS
from pipelines.upscaling.tiles import Tiling

USUAL_TILE = 512
"""Pixels that a network sees at a time, if nobody says."""
PACKED: Mapping[Format, float] = {Format.PNG: 1.6, Format.WEBP: 0.4, Format.JPEG: 0.6, Format.AVIF: 0.25}
"""Bytes of a pixel in a file, of pictures as people upscale them."""
LARGEST: Mapping[Format, int] = {Format.WEBP: 16_383, Format.JPEG: 65_500, Format.AVIF: 65_535}
"""Pixels on a side that the format can say."""
REDRAWN = 24
"""Bytes of each pixel of a picture that is painted: the picture before and after, its latents several times over."""
STREAM = 7
"""Numbers of four bytes that are held of each pixel in a row of tiles."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of one picture."""

    before: tuple[int, int]
    after: tuple[int, int]
    """Width and height."""
    tiles: int
    """Of a redraw those that are painted in each step, else those of the networks."""
    memory: int
    """Bytes at most, besides what is always there."""
    file: int
    """Bytes, about."""
    scratch: int = 0
    """Bytes of a file that is there meanwhile."""
    problem: Problem | None = None
    """Why it cannot be done."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is."""

    memory: int
    """Bytes on the device."""
    disk: int
    """Bytes that are free where results are saved."""


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Of a network, as its header tells."""

    factor: int
    """How much it enlarges, or 4 where that cannot be told without loading it."""
    channels: int
    """Of its widest layer."""


def outlook(request: UpscaleRequest, size: tuple[int, int], upscalers: Iterable[ModelInfo], room: Room) -> Outlook:
    """Of `request` over a picture of `size` (width, height)."""
    try:
        sized = request.sized(*size)
        tiles, memory, scratch = _work(request, size, sized, list(upscalers))
    except EaselError as error:
        return Outlook(size, (0, 0), 0, 0, 0, problem=error.as_problem)
    pixels = sized.kept[0] * sized.kept[1]
    told = Outlook(size, sized.kept, tiles, memory, round(pixels * PACKED[request.output]), scratch)
    try:
        check_fits(request, told, room)
    except EaselError as error:
        return replace(told, problem=error.as_problem)
    return told


def check_fits(request: UpscaleRequest, told: Outlook, room: Room) -> None:
    """Raises TooLarge for a result that would not fit on the disk, in memory or into its format."""
    width, height = told.after
    form = request.output.value.upper()
    largest = LARGEST.get(request.output)
    if largest and (max(width, height) > largest or width * height > MAX_PIXELS):
        raise TooLarge(
            f"A {form} of {width} x {height} pixels is too large", fix="save it as PNG, or choose a smaller size",
            field="output",
        )  # fmt: skip
    if told.file + told.scratch > room.disk:
        raise TooLarge(
            f"The picture needs about {_size(told.file + told.scratch)} on the disk, {_size(room.disk)} are free",
            fix="free some space, or choose a smaller size", field="factor",
        )  # fmt: skip
    if room.memory and told.memory > room.memory:
        raise TooLarge(
            f"About {_size(told.memory)} of memory are needed, {_size(room.memory)} are free",
            fix="choose a smaller size or smaller tiles, or close other programs", field="factor",
        )  # fmt: skip


def _work(request: UpscaleRequest, size: tuple[int, int], sized: Sized, infos: list[ModelInfo]) -> tuple[int, int, int]:
    """Tiles; bytes of memory; bytes of a file between two passes."""
    width, height = sized.width, sized.height
    memory = 4 * size[0] * size[1] + STREAM * 4 * 3 * width * 256
    if request.output is not Format.PNG or request.strength:
        memory += 8 * width * height
    tiles = scratch = 0
    if request.strength:
        memory += REDRAWN * sized.kept[0] * sized.kept[1]
    for info in infos:
        if info.kind is not Kind.UPSCALER:
            memory += 2 * info.size + REDRAWN * 16 * size[0] * size[1]
            continue
        network = network_size(info)
        tiling = Tiling(side=request.tile or USUAL_TILE)
        for number in range(passes(network.factor, width / size[0])):
            large = size[0] * network.factor**number, size[1] * network.factor**number
            tiles += tiling.count(*large)
            scratch += 2 * 4 * large[0] * large[1] if number else 0
            rows = min(large[1], tiling.side) * network.factor
            memory = max(memory, STREAM * 4 * 3 * large[0] * network.factor * rows // 2)
        seen = min(max(size), tiling.side)
        memory += 2 * info.size + 12 * network.channels * seen * seen
    return _windows(sized.kept, request) if request.strength else tiles, memory, scratch


def _windows(size: tuple[int, int], request: UpscaleRequest) -> int:
    """Tiles of a redraw, as `generation.windows` lays them."""
    count = 1
    for length, side in zip(size, (request.picture.width, request.picture.height), strict=True):
        stride = max(1, math.floor(side * (1 - request.overlap)))
        count *= max(0, math.ceil((length - side) / stride)) + 1
    return count


def passes(factor: int, wanted: float) -> int:
    """How often a network is needed that enlarges by `factor`; once for one that only mends."""
    if factor < 2:
        return 1
    return max(1, math.ceil(round(math.log(wanted, factor), 6)))


def network_size(info: ModelInfo) -> NetworkSize:
    """Of a community upscaler. Raises ModelUnusable."""
    tensors = read_single(Path(info.path), info.name).header.tensors
    widest = max((max(one.shape[:2]) for one in tensors.values() if len(one.shape) == 4), default=64)
    return NetworkSize(factor=_factor(tensors, info.name), channels=widest)


def _factor(tensors: Mapping[str, TensorEntry], name: str) -> int:
    """By what most networks end with: a convolution to 3 * factor ^ 2 channels; else by what its name says."""
    last = [one.shape[0] for one in tensors.values() if len(one.shape) == 4 and one.shape[0] in {12, 27, 48, 192}]
    if last:
        return math.isqrt(last[-1] // 3)
    said = [digit for digit in (8, 4, 3, 2, 1) if f"{digit}x" in name.lower() or f"x{digit}" in name.lower()]
    return said[0] if said else 4


def check_upscale(request: UpscaleRequest, parts: Sequence[ModelInfo]) -> None:
    """What can be told of it without its picture. `parts`: its upscalers first. Raises InvalidRequest."""
    if request.tile and request.upscalers:
        Tiling(side=request.tile)
    if request.second == request.upscaler:
        raise InvalidRequest("Both upscalers are the same", fix="choose another, or none", field="second")
    named = dict(zip(request.upscalers, parts, strict=False))
    first, second = named.get(request.upscaler), named.get(request.second)
    if second is not None and second.kind is not Kind.UPSCALER:
        raise InvalidRequest(
            f"{request.second!r} imagines a picture of its own, which cannot be mixed in",
            fix="choose a network or a resampler", field="second",
        )  # fmt: skip
    if request.noise_levels and (first is None or first.kind is Kind.UPSCALER):
        raise InvalidRequest(
            f"{request.upscaler!r} takes no noise level", fix="leave it out, or choose a diffusion upscaler",
            field="noise_levels",
        )  # fmt: skip


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"
