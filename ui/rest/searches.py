"""Searches for a mix over HTTP."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.error import EaselError, InvalidRequest
from pipelines.core.search import Search
from pipelines.jobs.searching import MOST_AT_ONCE, Better, Searcher, SearchView
from pipelines.storage.images import ImageStore
from ui.rest.images import describe


class AnswerOrder(BaseModel):
    """Which of the two is better."""

    model_config = ConfigDict(extra="forbid")

    better: Better


class GoOrder(BaseModel):
    """How many more trials."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(20, ge=1, le=MOST_AT_ONCE)


def routes(searcher: Searcher, images: ImageStore) -> APIRouter:
    """`/api/desk/searches` and below."""
    router = APIRouter(prefix="/api/desk/searches", tags=["desk"])

    @router.get("")
    def every_search() -> dict[str, Any]:
        return {"searches": searcher.all(), "scorer": searcher.has_scorer}

    @router.post("", status_code=202)
    def begin(search: dict[str, Any]) -> dict[str, Any]:
        return told(searcher.begin(read_search(search)), images)

    @router.get("/{key}")
    def one(key: str) -> dict[str, Any]:
        return told(searcher.view(key), images)

    @router.post("/{key}/answer")
    def answer(key: str, order: AnswerOrder) -> dict[str, Any]:
        return told(searcher.answer(key, order.better), images)

    @router.post("/{key}/go")
    def go_on(key: str, order: GoOrder) -> dict[str, Any]:
        return told(searcher.go_on(key, order.count), images)

    @router.post("/{key}/stop")
    def stop(key: str) -> dict[str, Any]:
        return told(searcher.stop(key), images)

    return router


def read_search(data: dict[str, Any]) -> Search:
    """Raises InvalidRequest, or UnknownName for a method nobody knows."""
    try:
        return Search.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "search"
        raise InvalidRequest(f"{where}: {first['msg']}", fix="correct it", field=where.split(".")[0]) from None


def told(view: SearchView, images: ImageStore) -> dict[str, Any]:
    """With the pictures; one that is gone is left out."""
    rows = {}
    for trial in view.trials:
        if trial.image is not None:
            try:
                rows[str(trial.number)] = describe(images.get(trial.image))
            except EaselError:
                continue
    return {**view.model_dump(mode="json"), "pictures": rows}
