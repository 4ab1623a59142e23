"""The outer web application: gates, error answers and the REST routes. The page is mounted into it by `app.py`."""

from dataclasses import dataclass
from threading import Semaphore

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from pipelines.core.error import (
    Conflict,
    EaselError,
    InvalidRequest,
    ModelUnusable,
    OutOfMemory,
    Problem,
    StorageProblem,
    TooLarge,
    UnknownName,
    WorkerLost,
)
from pipelines.jobs.fetching import Fetcher
from pipelines.jobs.queue import JobQueue, QueueFull
from pipelines.jobs.searching import Searcher
from pipelines.storage.images import ImageStore
from pipelines.storage.sources import SourceStore
from ui.rest import desk, downloads, forecast, images, jobs, loras, models, searches, sources, upscale
from ui.rest.security import AccessToken, KnownHost, SameOrigin, problem_response

LOOKS = 2
"""Large pictures that are decoded at once for whoever looks at a part of them."""
STATUS: dict[type[EaselError], int] = {
    UnknownName: 404,
    Conflict: 409,
    TooLarge: 413,
    QueueFull: 429,
    InvalidRequest: 422,
    ModelUnusable: 422,
    OutOfMemory: 507,
    StorageProblem: 507,
    WorkerLost: 503,
}


@dataclass(frozen=True)
class RestServices:
    """What the routes read and act on."""

    queue: JobQueue
    images: ImageStore
    sources: SourceStore
    models: models.Models
    fetcher: Fetcher
    desk: desk.Desk
    searcher: Searcher


@dataclass(frozen=True)
class Doors:
    """Who is let in."""

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Accepted Host headers, against DNS rebinding; with a token any host name may be used."""
    token: str | None = None
    """The access token that a studio open to the network asks for."""


def build(services: RestServices, doors: Doors) -> FastAPI:
    """The application with its REST routes."""
    # No docs page: FastAPI's loads its scripts from other hosts.
    app = FastAPI(title="Easel", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.add_exception_handler(EaselError, _answer)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.include_router(jobs.routes(services.queue))
    app.include_router(forecast.routes(services.queue, services.models.library))
    looking = Semaphore(LOOKS)
    app.include_router(images.routes(services.images, services.sources, looking))
    app.include_router(sources.routes(services.sources, services.images, looking))
    app.include_router(models.routes(services.models))
    app.include_router(loras.routes(services.models.library))
    app.include_router(searches.routes(services.searcher, services.images))
    app.include_router(desk.routes(services.desk))
    app.include_router(upscale.routes(services.queue, services.models.library, services.images, services.sources))
    app.include_router(downloads.routes(services.fetcher, at_hand=services.models.at_hand))

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/api/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    def no_such_route(rest: str) -> None:
        raise UnknownName(f"There is no address /api/{rest} for this method", fix="see /api/openapi.json")

    app.add_middleware(CORSMiddleware, allow_origins=[])  # with one in place, Gradio adds none of its own
    app.add_middleware(SameOrigin)
    if doors.token:
        app.add_middleware(AccessToken, token=doors.token)
    else:
        app.add_middleware(KnownHost, hosts=doors.hosts)
    return app


async def _answer(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EaselError)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    return problem_response(status, error.as_problem)


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    """What FastAPI itself refuses (broken JSON, a parameter out of range) in the one envelope."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return problem_response(422, Problem(problem=f"{where}: {first['msg']}", fix="correct it", field=where))


async def _answer_http(_: Request, error: Exception) -> JSONResponse:
    """What the framework refuses: a body that is no text, a method that a route does not know."""
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, Problem(problem=str(error.detail), fix="see /api/openapi.json"))
