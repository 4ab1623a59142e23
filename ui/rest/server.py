"""The outer web application: gates, error answers and the REST routes. The page is mounted into it by `app.py`."""

from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pipelines.core.error import (
    Conflict,
    EaselError,
    InvalidRequest,
    ModelUnusable,
    StorageProblem,
    UnknownName,
    WorkerLost,
)
from pipelines.jobs.queue import JobQueue, QueueFull
from pipelines.models.scan import ModelLibrary
from pipelines.storage.images import ImageStore
from ui.rest import images, jobs, models
from ui.rest.security import AccessToken, SameOrigin, problem_response

STATUS: dict[type[EaselError], int] = {
    UnknownName: 404,
    Conflict: 409,
    QueueFull: 429,
    InvalidRequest: 422,
    ModelUnusable: 422,
    StorageProblem: 507,
    WorkerLost: 503,
}


@dataclass(frozen=True)
class RestServices:
    """What the routes read and act on."""

    queue: JobQueue
    images: ImageStore
    models: ModelLibrary


@dataclass(frozen=True)
class Doors:
    """Who is let in."""

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Accepted Host headers, against DNS rebinding; with a token any host name may be used."""
    token: str | None = None
    """The access token that a studio open to the network asks for."""


def build(services: RestServices, doors: Doors) -> FastAPI:
    """The application with its REST routes."""
    app = FastAPI(title="Easel", docs_url="/api/docs", redoc_url=None, openapi_url="/api/openapi.json")
    app.add_exception_handler(EaselError, _answer)
    app.include_router(jobs.routes(services.queue))
    app.include_router(images.routes(services.images))
    app.include_router(models.routes(services.models))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    app.add_middleware(CORSMiddleware, allow_origins=[])  # with one in place, Gradio adds none of its own
    app.add_middleware(SameOrigin)
    if doors.token:
        app.add_middleware(AccessToken, token=doors.token)
    else:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(doors.hosts))
    return app


async def _answer(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EaselError)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    return problem_response(status, error.as_problem)
