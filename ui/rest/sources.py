"""Pictures and masks that people bring, to be painted over: sent as they are, named by what they hold."""

from dataclasses import asdict
from threading import Semaphore
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from pipelines.storage.images import ImageStore
from pipelines.storage.looks import look
from pipelines.storage.sources import MOST_BYTES, Source, SourceStore
from ui.rest.images import HEADERS, Box, ImageId, Width, jpeg_of, read_box

SourceId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


def routes(sources: SourceStore, images: ImageStore, looking: Semaphore) -> APIRouter:
    """`/api/sources` and below. `looking`: how many may look at large pictures at once."""
    router = APIRouter(prefix="/api/sources", tags=["sources"])

    @router.post("", status_code=201, max_body_size=MOST_BYTES)
    async def bring(request: Request) -> dict[str, Any]:
        """The body is the file itself: PNG, JPEG, WebP or AVIF."""
        content = await request.body()
        return _describe(await run_in_threadpool(sources.keep, content))

    @router.post("/of/{image}", status_code=201)
    def of_picture(image: ImageId) -> dict[str, Any]:
        """A picture that the studio has painted."""
        return _describe(sources.keep_file(images.path_of(image)))

    @router.get("/{source}")
    def picture(source: SourceId) -> FileResponse:
        kind = sources.format_of(source).lower()
        return FileResponse(sources.path_of(source), media_type=f"image/{kind}", headers=HEADERS)

    @router.get("/{source}/look")
    def looked_at(source: SourceId, width: Width, box: Box = "") -> Response:
        """As `/api/images/{image}/look`."""
        with looking:
            return jpeg_of(look(sources.path_of(source), width, read_box(box)))

    @router.get("/{source}/facts")
    def facts(source: SourceId) -> dict[str, Any]:
        return _describe(sources.facts(source))

    return router


def _describe(source: Source) -> dict[str, Any]:
    return asdict(source) | {"url": f"/api/sources/{source.id}"}
