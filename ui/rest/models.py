"""Models over HTTP: what there is, what is known of each, and what is done to one. Never by path, always by name."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.error import Conflict, EaselError, UnknownName
from pipelines.core.model import ModelInfo
from pipelines.core.request import GenerateRequest
from pipelines.core.samplers import SAMPLERS, SCHEDULES
from pipelines.jobs.desk import lineage
from pipelines.jobs.tidying import Tidier, key_of
from pipelines.models.recipes import ending_of, recipe_at
from pipelines.models.scan import ModelLibrary, stamp_of
from pipelines.models.sidecars import preview_of, sidecar_of
from pipelines.storage.images import ImageStore, ModelUse, thumbnail_of
from pipelines.storage.shelf import Note, Shelf
from ui.rest.images import HEADERS

PRIVATE = {"path", "vae_from", "text_from"}
"""Where a model lies on this machine is nobody's business on the network."""


@dataclass(frozen=True)
class Models:
    """What the routes read and act on."""

    library: ModelLibrary
    shelf: Shelf
    images: ImageStore
    tidier: Tidier
    at_hand: bool = False
    """Whoever looks at the page sits at this machine: nobody else can reach it."""


class NoteOrder(BaseModel):
    """What a person adds to a model; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    favourite: bool | None = None
    hidden: bool | None = None
    tags: list[str] | None = Field(None, max_length=50)
    notes: str | None = Field(None, max_length=20_000)


class RenameOrder(BaseModel):
    """Another name for a model."""

    model_config = ConfigDict(extra="forbid")

    name: str
    to: str = Field(max_length=240)
    key: str | None = None
    """Of the card that was looked at."""


class TrashOrder(BaseModel):
    """A model to throw away."""

    model_config = ConfigDict(extra="forbid")

    name: str
    key: str | None = None
    """Of the card that was looked at."""


class NameOrder(BaseModel):
    """The model that something is done to."""

    model_config = ConfigDict(extra="forbid")

    name: str


def routes(models: Models) -> APIRouter:
    """`/api/models` and below, `/api/samplers`, `/api/schema`."""
    router = APIRouter(prefix="/api", tags=["models"])

    @router.get("/models")
    def every_model() -> list[dict[str, Any]]:
        return listed(models)

    @router.post("/models/scan")
    def scan() -> list[dict[str, Any]]:
        models.library.rescan()
        return listed(models)

    @router.get("/models/detail")
    def detail(name: str) -> dict[str, Any]:
        return detailed(models, models.library.find(name))

    @router.get("/models/preview")
    def preview(name: str, _version: str = Query("", alias="v")) -> Response:
        picture = preview_of(Path(models.library.find(name).path))
        if picture is None:
            raise UnknownName(f"The model {name!r} has no picture", fix="put NAME.preview.png beside its file")
        return Response(thumbnail_of(picture), media_type="image/webp", headers=HEADERS)

    @router.put("/models/note")
    def note(order: NoteOrder) -> dict[str, Any]:
        info = models.library.find(order.name)
        said = {key: value for key, value in order.model_dump(exclude={"name"}).items() if value is not None}
        if "tags" in said:
            said["tags"] = tuple(dict.fromkeys(tag.strip()[:60] for tag in said["tags"] if tag.strip()))
        models.shelf.keep_note(info.path, said)
        return detailed(models, info)

    @router.put("/models/default")
    def default(order: NameOrder) -> list[dict[str, Any]]:
        models.shelf.choose_default(models.library.usable(order.name).name)
        return listed(models)

    @router.post("/models/rename")
    def rename(order: RenameOrder) -> dict[str, Any]:
        return {"name": models.tidier.rename(order.name, order.to, order.key), "models": listed(models)}

    @router.post("/models/trash")
    def trash(order: TrashOrder) -> list[dict[str, Any]]:
        models.tidier.throw_away(order.name, order.key)
        return listed(models)

    @router.post("/models/reveal")
    def reveal(order: NameOrder) -> dict[str, str]:
        if not models.at_hand:
            raise Conflict("This studio runs on another machine", fix="open the folder there")
        models.tidier.reveal(order.name)
        return {"shown": order.name}

    @router.get("/samplers")
    def samplers() -> dict[str, list[dict[str, Any]]]:
        return {"samplers": [asdict(s) for s in SAMPLERS], "schedules": [asdict(s) for s in SCHEDULES]}

    @router.get("/schema")
    def schema() -> dict[str, Any]:
        return GenerateRequest.model_json_schema()

    return router


def listed(models: Models) -> list[dict[str, Any]]:
    """Every model, as cards show them."""
    notes, used, default = models.shelf.notes(), models.images.by_model(), models.shelf.default
    return [_card(info, notes.get(info.path, Note()), used.get(info.name), default) for info in models.library.list()]


def _card(info: ModelInfo, note: Note, use: ModelUse | None, default: str | None) -> dict[str, Any]:
    return {
        **info.model_dump(mode="json", exclude=PRIVATE),
        "key": key_of(info),
        "favourite": note.favourite,
        "hidden": note.hidden,
        "tags": note.tags,
        "pictures": use.pictures if use else 0,
        "picture": _picture(info, use),
        "default": info.name == default,
    }


def _mixed(models: Models, info: ModelInfo) -> dict[str, Any] | None:
    """The tree of what went into it; None for a model that carries no recipe."""
    tree = lineage(info, models.library)
    return asdict(tree) if tree.parents else None


def _picture(info: ModelInfo, use: ModelUse | None) -> str | None:
    """What to show on the card: the picture beside the file, else the latest that was painted with it."""
    preview = preview_of(Path(info.path))
    if preview is not None:
        return f"/api/models/preview?{urlencode({'name': info.name, 'v': f'{preview.stat().st_mtime:.0f}'})}"
    return f"/api/images/{use.latest}/thumb" if use else None


def _notes_within(path: Path) -> str:
    """What whoever mixed it wrote into it."""
    try:
        return recipe_at(path).notes
    except EaselError:
        return ""


def detailed(models: Models, info: ModelInfo) -> dict[str, Any]:
    """All that is known of one model."""
    path = Path(info.path)
    beside, note = sidecar_of(path), models.shelf.note(info.path)
    hashes = models.shelf.hashes(info.path, stamp_of(path))
    return {
        **_card(info, note, models.images.by_model().get(info.name), models.shelf.default),
        "notes": note.notes,
        "description": beside.description or _notes_within(path),
        "triggers": beside.triggers or info.triggers,
        "hashes": {"short": hashes.short, "auto_v3": hashes.auto_v3, "sha256": hashes.sha256} if hashes else None,
        "file": path.name,
        "at_hand": models.at_hand,
        "mixed": _mixed(models, info),
        "form": "folder" if path.is_dir() else ending_of(path).removeprefix("."),
    }
