"""What the screen's handlers answer: plain functions from services and values, without Gradio."""

import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.error import EaselError, Problem
from pipelines.core.request import random_seed, read_request
from ui.web.services import WebServices
from ui.web.show import View, show_problem
from ui.web.words import Words

NOT_IN_PRESETS = frozenset({"prompt", "seed", "count"})
"""A preset says how to paint; what, how many and which one stay with the person."""


class Answer(BaseModel):
    """To a press of Generate: the job that was made, or the problem as the stage shows it."""

    model_config = ConfigDict(frozen=True)

    job: str | None = None
    seed: int | None = None
    view: View | None = None
    turn: int = Field(default_factory=time.monotonic_ns)
    """Makes two equal answers two answers: the page acts on each."""


def submit(services: WebServices, values: Mapping[str, Any], words: Words, *, fresh_seed: bool) -> Answer:
    """Puts the fields' request in the queue."""
    values = {**values, "seed": random_seed()} if fresh_seed else dict(values)
    try:
        job = services.queue.submit(read_request(values))
    except EaselError as error:
        return Answer(view=show_problem(error.as_problem, values, words))
    return Answer(job=job.id, seed=job.request.seed)


class PresetOrder(BaseModel):
    """What the preset picker asks for."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    act: Literal["save", "delete"]
    name: str = Field(max_length=200)
    version: int | None
    """Of the preset that is replaced; None: a new one."""


def obey_preset_order(services: WebServices, order: PresetOrder, values: Mapping[str, Any]) -> Problem | None:
    """Saves the fields under a name, or deletes the preset of that name. Returns why not."""
    try:
        if order.act == "delete":
            services.presets.delete(order.name)
        else:
            settings = read_request(values).model_dump(mode="json", exclude={*NOT_IN_PRESETS, "kind"})
            services.presets.save(order.name, settings, version=order.version)
    except EaselError as error:
        return error.as_problem
    return None
