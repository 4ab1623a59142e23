"""What the Upscale page asks: who can enlarge, and what an upscale will be like."""

from pathlib import Path
from statistics import median
from typing import Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel

from pipelines.core.error import EaselError, Problem
from pipelines.core.model import Kind, ModelInfo, Task
from pipelines.core.upscale import Resampler, UpscaleRequest
from pipelines.jobs.outlook import Outlook, Room, check_upscale, network_size, outlook
from pipelines.jobs.queue import JobQueue
from pipelines.models.asked import parts_of
from pipelines.models.opening import enlarger_of
from pipelines.models.scan import ModelLibrary
from pipelines.storage.files import free_space
from pipelines.storage.images import ImageStore
from pipelines.storage.sources import SourceStore

CONVERTED = "-safe"
"""Behind the name of a network that was a pickle: both lie in the models folders, and names tell them apart."""


class Upscaler(BaseModel):
    """Something that enlarges."""

    name: str
    way: Literal["resampler", "network", "diffusion"]
    detail: str = ""
    """What people call its architecture."""
    factor: int | None = None
    """How much it enlarges at a time; None: anything."""
    noise: bool = False
    """It can be given a noise level."""
    words: bool = False
    """It reads a prompt."""
    problem: Problem | None = None


class Pickle(BaseModel):
    """A file that may hold a network, as most are handed on; it can be used once it is converted."""

    name: str
    converted: str
    """What to call the safe file; there is none of that name yet."""


class Upscalers(BaseModel):
    """What enlarges, and what may once it is converted."""

    upscalers: list[Upscaler]
    pickles: list[Pickle]


class Forecast(BaseModel):
    """What an upscale will be like."""

    before: tuple[int, int]
    after: tuple[int, int]
    """Width and height; 0 where it cannot be."""
    tiles: int
    seconds: float | None
    """None: nobody knows yet."""
    memory: int
    room: int
    file: int
    free: int
    """Bytes: needed in memory and there, needed on the disk and there."""
    problem: Problem | None


def routes(queue: JobQueue, models: ModelLibrary, images: ImageStore, sources: SourceStore) -> APIRouter:
    """`/api/upscale` and below."""
    router = APIRouter(prefix="/api/upscale", tags=["upscale"])

    @router.get("/upscalers")
    def upscalers() -> Upscalers:
        resamplers = [Upscaler(name=one, way="resampler") for one in Resampler]
        every = models.list()
        able = [info for info in every if _enlarges(info)]
        return Upscalers(upscalers=[*resamplers, *map(_described, able)], pickles=_pickles(every))

    @router.post("/forecast")
    def forecast(request: dict[str, Any] = Body()) -> Forecast:  # noqa: B008, FastAPI's way to say "the body"
        """As the job would be refused, it tells why; a request that cannot be is refused here, too."""
        asked = UpscaleRequest.model_validate({"kind": "upscale", **request})
        source = sources.facts(asked.source)
        room = Room(queue.device.room if queue.device else 0, free_space(images.root))
        told = _outlook(asked, (source.width, source.height), models, room)
        return Forecast(
            before=told.before, after=told.after, tiles=told.tiles, seconds=_seconds(asked, told, images),
            memory=told.memory, room=room.memory, file=told.file, free=room.disk, problem=told.problem,
        )  # fmt: skip

    return router


def _outlook(request: UpscaleRequest, size: tuple[int, int], models: ModelLibrary, room: Room) -> Outlook:
    try:
        parts = parts_of(models, request)
        check_upscale(request, parts)
    except EaselError as error:
        return Outlook(size, (0, 0), 0, 0, 0, problem=error.as_problem)
    return outlook(request, size, parts[: len(request.upscalers)], room)


def _seconds(request: UpscaleRequest, told: Outlook, images: ImageStore) -> float | None:
    """As long as the last pictures took by the same means, for each pixel and, of a redraw, each step."""
    paces = [
        row.seconds / (row.width * row.height * max(1, row.request.walked))
        for row in images.upscaled_by(request.upscaler, limit=20)
        if isinstance(row.request, UpscaleRequest) and _is_alike(row.request, request) and row.seconds
    ]
    if not paces or told.problem is not None:
        return None
    pixels = told.after[0] * told.after[1]
    return median(paces) * pixels * max(1, request.walked) * request.pictures


def _is_alike(one: UpscaleRequest, other: UpscaleRequest) -> bool:
    """Whether both are done by the same means."""
    return (one.second, one.strength > 0, one.model) == (other.second, other.strength > 0, other.model)


def _pickles(models: list[ModelInfo]) -> list[Pickle]:
    """Those of which there is no converted file yet."""
    safe = {Path(info.path).stem for info in models if not _is_pickled(info)}
    pickled = [(info.name, Path(info.path).stem) for info in models if _is_pickled(info)]
    return [
        Pickle(name=name, converted=stem + CONVERTED) for name, stem in pickled if not safe & {stem, stem + CONVERTED}
    ]


def _is_pickled(info: ModelInfo) -> bool:
    """Networks are handed on as `.pth`, and hardly anything else is; the library lists such a file for no other reason
    than that it is a pickle."""
    return info.kind is Kind.UNKNOWN and Path(info.path).suffix.casefold() == ".pth"


def _enlarges(info: ModelInfo) -> bool:
    return info.kind is Kind.UPSCALER or info.task is Task.UPSCALING


def _described(info: ModelInfo) -> Upscaler:
    if info.kind is Kind.UPSCALER:
        network = Upscaler(name=info.name, way="network", detail=info.detail, problem=info.problem)
        if info.problem is not None:
            return network
        try:
            return network.model_copy(update={"factor": network_size(info).factor})
        except EaselError as error:  # it was changed since the last look at the folder
            return network.model_copy(update={"problem": error.as_problem})
    told = Upscaler(name=info.name, way="diffusion", detail=info.family or "", problem=info.problem)
    if info.problem is not None:
        return told
    try:
        plan = enlarger_of(info)
    except EaselError as error:  # it was changed since the last look at the folder
        return told.model_copy(update={"problem": error.as_problem})
    facts = {"factor": plan.factor, "noise": bool(plan.low_res), "words": bool(plan.towers)}
    return told.model_copy(update=facts)
