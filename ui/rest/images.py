"""Pictures by id: never by path, always with the type we wrote, never run as a page."""

from io import BytesIO
from threading import Semaphore
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, Response
from PIL import Image

from pipelines.core.error import InvalidRequest
from pipelines.core.inpaint import InpaintRequest
from pipelines.jobs.differences import difference
from pipelines.storage.images import ImageRow, ImageStore
from pipelines.storage.looks import look
from pipelines.storage.sources import SourceStore

MAX_ID = 2**63 - 1
"""The largest number SQLite takes."""
Width = Annotated[int, Query(ge=16, le=4096)]
Box = Annotated[str, Query()]
ImageId = Annotated[int, PathParameter(ge=1, le=MAX_ID)]

TYPES = {".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".avif": "image/avif"}
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=31536000, immutable"}


def read_box(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    try:
        left, top, right, bottom = (int(number) for number in text.split(","))
    except ValueError:
        raise InvalidRequest(f"{text[:40]!r} is no box", fix="give left,top,right,bottom in pixels") from None
    return left, top, right, bottom


def jpeg_of(image: Image.Image) -> Response:
    """What is looked at, as it is sent."""
    held = BytesIO()
    _on_white(image).save(held, "JPEG", quality=92)
    return Response(held.getvalue(), media_type="image/jpeg", headers=HEADERS)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def describe(row: ImageRow) -> dict[str, Any]:
    """What the page and REST clients know of a picture."""
    # Ids begin again in every new database, and browsers keep pictures for long: the time tells two apart.
    version = f"{row.created.timestamp():.3f}"
    url, thumb = f"/api/images/{row.id}?v={version}", f"/api/images/{row.id}/thumb?v={version}"
    return {**row.model_dump(mode="json"), "url": url, "thumb": thumb}


def routes(images: ImageStore, sources: SourceStore, looking: Semaphore) -> APIRouter:
    """`/api/images` and below. `looking`: how many may look at large pictures at once."""
    router = APIRouter(prefix="/api/images", tags=["images"])

    @router.get("")
    def recent(
        limit: Annotated[int, Query(ge=1, le=200)] = 60,
        before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
        kind: Literal["preview"] | None = None,
    ) -> dict[str, list[dict[str, Any]]]:
        """Newest first, those of the mixing desk only when asked for; `before` an id continues a listing."""
        return {"images": [describe(row) for row in images.recent(limit, before, kind)]}

    @router.get("/{image}")
    def picture(image: ImageId) -> FileResponse:
        path = images.path_of(image)
        kind = TYPES.get(path.suffix, "image/png")
        return FileResponse(path, media_type=kind, filename=path.name, content_disposition_type="inline",
                            headers=HEADERS)  # fmt: skip

    @router.get("/{image}/look")
    def looked_at(image: ImageId, width: Width, box: Box = "") -> Response:
        """A JPEG of the picture in at most `width` x `width` pixels; `box`: of the part left,top,right,bottom."""
        with looking:
            return jpeg_of(look(images.path_of(image), width, read_box(box)))

    @router.get("/{image}/facts")
    def facts(image: ImageId) -> dict[str, Any]:
        return describe(images.get(image))

    @router.get("/{image}/difference")
    def difference_to_source(image: ImageId) -> Response:
        """A PNG of what differs from the picture that was painted over: black where nothing does, red where nothing
        should. The headers `Easel-Changed` and `Easel-Outside` count pixels: all that differ, and those beyond the
        mask and its soft edge."""
        request = images.get(image).request
        if not isinstance(request, InpaintRequest):
            raise InvalidRequest(
                "This picture was painted from nothing", fix="choose one that was painted over another"
            )
        found = difference(request, images.path_of(image), sources)
        counts = {"Easel-Changed": str(found.changed), "Easel-Outside": str(found.outside)}
        held = BytesIO()
        found.image.save(held, "PNG")
        return Response(held.getvalue(), media_type="image/png", headers=HEADERS | counts)

    @router.get("/{image}/thumb")
    def thumbnail(image: ImageId) -> Response:
        return Response(images.thumbnail(image), media_type="image/webp", headers=HEADERS)

    return router
