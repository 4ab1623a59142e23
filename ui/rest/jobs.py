"""Jobs over HTTP: submit, watch, stop. The same requests, events and errors as the page."""

from typing import Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict

from pipelines.core.kinds import read_request
from pipelines.core.stop import StopMode
from pipelines.jobs.queue import JobQueue, JobView


class StopOrder(BaseModel):
    """How a job shall end."""

    model_config = ConfigDict(extra="forbid")

    mode: StopMode = StopMode.NOW


def routes(queue: JobQueue) -> APIRouter:
    """`/api/jobs` and below."""
    router = APIRouter(prefix="/api/jobs", tags=["jobs"])

    @router.post("", status_code=202, response_model_exclude={"preview"})
    def submit(request: dict[str, Any] = Body()) -> JobView:  # noqa: B008, FastAPI's way to say "the body"
        return queue.submit(read_request(request))

    @router.get("", response_model_exclude={"__all__": {"preview"}})
    def active() -> list[JobView]:
        return queue.active()

    @router.get("/{job}", response_model_exclude={"preview"})
    def one(job: str) -> JobView:
        return queue.job(job)

    @router.post("/{job}/stop", response_model_exclude={"preview"})
    def stop(job: str, order: StopOrder) -> JobView:
        queue.stop(job, order.mode)
        return queue.job(job)

    return router
