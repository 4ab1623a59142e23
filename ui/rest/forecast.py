"""What a picture needs of the device's memory, before it is asked for."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Body
from pydantic import BaseModel

from pipelines.core.error import WorkerLost
from pipelines.core.placement import Placement
from pipelines.core.request import read_generate
from pipelines.jobs.queue import JobQueue
from pipelines.models import budget
from pipelines.models.opening import blueprint_of
from pipelines.models.scan import ModelLibrary


class Forecast(BaseModel):
    """Bytes on the device, and where the weights will wait."""

    needs: int
    room: int
    placement: Placement
    tiled: bool
    """The picture is decoded in tiles."""
    at_once: int
    """Pictures in one pass."""
    width: int
    """Of the finished pictures."""
    height: int


def routes(queue: JobQueue, models: ModelLibrary) -> APIRouter:
    """`/api/forecast`."""
    router = APIRouter(tags=["forecast"])

    @router.post("/api/forecast")
    def forecast(request: dict[str, Any] = Body()) -> Forecast:  # noqa: B008, FastAPI's way to say "the body"
        asked, device = read_generate(request), queue.device
        if device is None:
            raise WorkerLost("The engine is starting", fix="ask again in a moment")
        info = models.with_vae(models.usable(asked.model), asked.vae)
        numbers = budget.numbers_of(info, asked.precision, on_cpu=device.kind == "cpu")
        told = budget.forecast(blueprint_of(info), asked, device.room, numbers)
        width, height = asked.final_size
        return Forecast(needs=told.needs, room=told.room, width=width, height=height, **asdict(told.thrift))

    return router
