"""Models fetched from elsewhere, when a person asks for it."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.error import InvalidRequest
from pipelines.jobs.fetching import DownloadView, Fetcher


class DownloadOrder(BaseModel):
    """What to fetch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: str = Field(max_length=2_000)
    """`author/model`, `author/model/file.safetensors`, or an https address."""
    name: str | None = Field(None, max_length=240)


def routes(fetcher: Fetcher, *, at_hand: bool) -> APIRouter:
    """`/api/downloads`. Unless `at_hand`, only the hub is asked: this machine may see what the person may not."""
    router = APIRouter(prefix="/api/downloads", tags=["downloads"])

    @router.get("")
    def every_download() -> list[DownloadView]:
        return fetcher.views()

    @router.post("")
    def begin(order: DownloadOrder) -> DownloadView:
        if "://" in order.source and not at_hand:
            raise InvalidRequest(
                "A studio that is open to the network fetches from the hub only", fix="give author/model",
                field="source",
            )  # fmt: skip
        return fetcher.begin(order.source, order.name)

    @router.delete("/{download}")
    def stop(download: str) -> DownloadView:
        return fetcher.stop(download)

    return router
