"""The mixing desk over HTTP: what it offers, how it stands with a mixture, and what was mixed before."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.block_presets import BlockPreset, Weight
from pipelines.core.blocks import SD, XL, blocks_of
from pipelines.core.desk import CompareRequest, Mixture, PreviewRequest
from pipelines.core.error import EaselError, InvalidRequest, UnknownName
from pipelines.core.methods import METHODS
from pipelines.core.model import Family
from pipelines.core.sheet import SheetRequest
from pipelines.jobs import desk
from pipelines.jobs.librarian import stamps_of
from pipelines.jobs.queue import JobQueue
from pipelines.merging.elemental import read_rules
from pipelines.models.recipes import recipe_at
from pipelines.models.scan import ModelLibrary
from pipelines.storage.images import ImageStore
from pipelines.storage.presets import PresetStore
from pipelines.storage.sheets import contact_sheet
from pipelines.storage.shelf import Shelf
from ui.rest.images import describe


@dataclass(frozen=True)
class Desk:
    """What the routes read and act on."""

    queue: JobQueue
    library: ModelLibrary
    images: ImageStore
    shelf: Shelf
    presets: PresetStore[BlockPreset]
    folder: Path
    """Where new models go."""


class CheckOrder(BaseModel):
    """A mixture that somebody thinks of keeping."""

    model_config = ConfigDict(extra="forbid")

    mixture: dict[str, Any]
    name: str = Field("", max_length=1000)
    only_recipe: bool = False


class PresetOrder(BaseModel):
    """Block weights to keep under a name."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    weights: tuple[Weight, ...] = Field(min_length=1, max_length=len(SD))
    version: int | None = None
    """Of the preset that is replaced; None: a new one."""


class PairOrder(BaseModel):
    """Two models to be compared."""

    model_config = ConfigDict(extra="forbid")

    a: str = Field(max_length=1000)
    b: str = Field(max_length=1000)


class RulesOrder(BaseModel):
    """Elemental weights, as typed."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=100_000)
    layout: Literal["sd", "xl"] = "sd"


def routes(services: Desk) -> APIRouter:
    """`/api/desk` and below."""
    router = APIRouter(prefix="/api/desk", tags=["desk"])

    @router.get("")
    def offers() -> dict[str, Any]:
        return {"methods": [_method(one.key) for one in METHODS], "blocks": {"sd": SD.names, "xl": XL.names},
                "layouts": _layouts(), "presets": _presets(services)}  # fmt: skip

    @router.post("/check")
    def check(order: CheckOrder) -> dict[str, Any]:
        mixture = Mixture.model_validate(order.mixture)
        found = desk.check(mixture, order.name, services.library, services.folder, only_recipe=order.only_recipe)
        return asdict(found) | {"problem": found.problem and found.problem.model_dump()}

    @router.post("/rules")
    def rules(order: RulesOrder) -> dict[str, int]:
        return {"rules": len(read_rules(order.text, SD if order.layout == "sd" else XL))}

    @router.post("/distances")
    def distances(pair: PairOrder) -> dict[str, Any]:
        known = services.shelf.comparison(stamps_of(services.library, pair.a, pair.b))
        if known is not None:
            return {"blocks": known}
        request = CompareRequest(model=pair.a, other=pair.b)
        running = next((job for job in services.queue.active() if job.request == request), None)
        return {"job": (running or services.queue.submit(request)).id}

    @router.put("/presets")
    def keep_preset(order: PresetOrder) -> list[dict[str, Any]]:
        layout = {len(SD): "sd", len(XL): "xl"}.get(len(order.weights))
        if layout is None:
            raise InvalidRequest(f"There are {len(order.weights)} weights", fix="give 26, or 20", field="weights")
        kept = BlockPreset.model_validate({"name": order.name, layout: order.weights})
        services.presets.save(kept, version=order.version)
        return _presets(services)

    @router.delete("/presets/{name}")
    def drop_preset(name: str) -> list[dict[str, Any]]:
        services.presets.delete(name)
        return _presets(services)

    @router.get("/sheets/{job}")
    def sheet(job: str) -> dict[str, Any]:
        return _sheet(services, job)

    @router.get("/sheets/{job}/picture")
    def sheet_picture(job: str) -> Response:
        asked = _asked_for(services, job)
        rows = [row for row in services.images.of_job(job) if not row.missing]
        png = contact_sheet(
            [one.label for one in asked.columns], [one.label for one in asked.rows],
            {row.index: services.images.path_of(row.id) for row in rows},
        )  # fmt: skip
        return Response(png, media_type="image/png", headers={"Content-Disposition": f'inline; filename="{job}.png"'})

    @router.get("/recipe")
    def recipe(model: str | None = None, image: int | None = None) -> dict[str, Any]:
        return _of_picture(services, image) if image is not None else _of_model(services, model or "")

    @router.get("/lineage")
    def lineage(model: str) -> dict[str, Any]:
        return asdict(desk.lineage(services.library.find(model), services.library))

    return router


def _asked_for(services: Desk, job: str) -> SheetRequest:
    request = services.queue.job(job).request
    if not isinstance(request, SheetRequest):
        raise UnknownName(f"The job {job!r} is no sheet", fix="choose another")
    return request


def _sheet(services: Desk, job: str) -> dict[str, Any]:
    """The labels, and the cells painted so far by their place."""
    asked, view = _asked_for(services, job), services.queue.job(job)
    cells = {row.index: describe(row) for row in services.images.of_job(job) if not row.missing}
    return {
        "job": job, "state": view.state, "columns": [one.label for one in asked.columns],
        "rows": [one.label for one in asked.rows], "cells": cells,
        "problem": view.problem and view.problem.model_dump(),
    }  # fmt: skip


def _method(key: str) -> dict[str, Any]:
    method = METHODS.find(key)
    low, high = method.inputs
    return asdict(method) | {"low": low, "high": high}


def _layouts() -> dict[str, str]:
    """Family -> which blocks it has."""
    found = {}
    for family in Family:
        try:
            found[str(family)] = "sd" if blocks_of(family) == SD else "xl"
        except EaselError:
            continue
    return found


def _presets(services: Desk) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "own": not one.factory, "version": one.version, "sd": one.sd, "xl": one.xl}
        for one in services.presets.list()
    ]


def _of_model(services: Desk, name: str) -> dict[str, Any]:
    recipe = recipe_at(Path(services.library.find(name).path))
    found = desk.opened(recipe, services.library)
    mixture = found.mixture.model_dump(mode="json")
    return {"mixture": mixture, "missing": found.missing, "picture": None, "notes": recipe.notes}


def _of_picture(services: Desk, image: int) -> dict[str, Any]:
    """Of a preview, its mixture and how it was painted; of another picture, the recipe of its model."""
    request = services.images.get(image).request
    if request is None:
        raise UnknownName("This picture does not say how it was made", fix="open another")
    if isinstance(request, PreviewRequest):
        told = request.model_dump(mode="json", include={"mixture", "picture"})
        return {**told, "missing": (), "notes": ""}
    return {**_of_model(services, request.model), "picture": request.model_dump(mode="json")}
