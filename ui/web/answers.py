"""What the screen's handlers answer: plain functions from services and values, without Gradio."""

import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.error import Conflict, EaselError, ModelUnusable, Problem, UnknownName
from pipelines.core.presets import Preset
from pipelines.core.request import random_seed, read_generate
from ui.web.services import WebServices
from ui.web.show import View, show_problem
from ui.web.words import Words

NOT_IN_PRESETS = frozenset({"prompt", "seed", "count", "vae"})
"""A preset says how to paint; what, how many and which one stay with the person."""


class Answer(BaseModel):
    """To a press of Generate, or the choice of a model: the job that was made, or the problem as the stage shows it."""

    model_config = ConfigDict(frozen=True)

    job: str | None = None
    seed: int | None = None
    view: View | None = None
    field: str | None = None
    """The one field this is about, if it is no answer to Generate: the problem of another field stays on the stage."""
    turn: int = Field(default_factory=time.monotonic_ns)
    """Makes two equal answers two answers: the page acts on each."""


def submit(services: WebServices, values: Mapping[str, Any], words: Words, *, fresh_seed: bool) -> Answer:
    """Puts the fields' request in the queue."""
    values = {**values, "seed": random_seed()} if fresh_seed else dict(values)
    try:
        request = read_generate(values)
        _check_model(services, request.model)
        job = services.queue.submit(request)
    except EaselError as error:
        return Answer(view=show_problem(error.as_problem, values, words))
    return Answer(job=job.id, seed=request.seed)


def choose_model(services: WebServices, name: str | None, words: Words) -> Answer:
    """Says at once why a model cannot be used; a person need not press Generate to learn it."""
    try:
        if name is not None:
            _check_model(services, name)
    except EaselError as error:
        return Answer(view=show_problem(error.as_problem, {"model": name}, words), field="model")
    return Answer(field="model")


def _check_model(services: WebServices, name: str) -> None:
    """Raises UnknownName or ModelUnusable, with the folders as they are now: it may just have been put there."""
    try:
        services.models.usable(name)
    except (UnknownName, ModelUnusable):
        services.models.rescan()
        services.models.usable(name)


class PresetOrder(BaseModel):
    """What the preset picker asks for."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    act: Literal["save", "delete"]
    name: str = Field(max_length=200)
    version: int | None
    """Of the preset that is replaced or deleted, as the page knew it; None: a new one."""


def obey_preset_order(services: WebServices, order: PresetOrder, values: Mapping[str, Any]) -> Problem | None:
    """Saves the fields under a name, or deletes the preset of that name. Returns why not."""
    try:
        if order.act == "delete":
            _check_unchanged(services, order)
            services.presets.delete(order.name)
        else:
            kept = {name: value for name, value in values.items() if name not in NOT_IN_PRESETS}
            settings = read_generate(kept).model_dump(mode="json", exclude={*NOT_IN_PRESETS, "kind"})
            services.presets.save(Preset(name=order.name, settings=settings), version=order.version)
    except EaselError as error:
        return error.as_problem
    return None


def _check_unchanged(services: WebServices, order: PresetOrder) -> None:
    """Raises Conflict when another page changed the preset after this one listed it."""
    own = (preset for preset in services.presets.list() if not preset.factory)
    there = next((preset for preset in own if preset.name.casefold() == order.name.casefold()), None)
    if there is not None and there.version != order.version:
        fix = "look at it again, then delete it if you still want to"
        raise Conflict(f"The preset {there.name!r} was changed meanwhile", fix=fix)
