"""Buttons that do what an error's fix says: pure, from the problem and the values it is about."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipelines.core.error import Problem
from pipelines.core.request import GenerateRequest
from pipelines.core.samplers import SAMPLERS, SCHEDULES
from ui.web.fields import limits
from ui.web.words import Words


class Fix(BaseModel):
    """A button: it sets these fields and generates."""

    model_config = ConfigDict(frozen=True)

    text: str
    values: dict[str, Any]


def fixes(problem: Problem, values: Mapping[str, Any], words: Words, *, retry: bool) -> tuple[Fix, ...]:
    """What can be pressed. `retry`: the same values may work the next time (a job failed; it was not refused)."""
    field = problem.field
    same = {**values, "fresh_seed": False}
    if field == "batch_size":
        return (Fix(text=words("fix.one_by_one"), values={**same, "batch_size": 1}),)
    if field == "schedule":
        return tuple(
            Fix(text=words("fix.use", value=label), values={"schedule": key})
            for key, label in _schedules_of(values.get("sampler"))
        )
    if field in GenerateRequest.model_fields and isinstance(number := values.get(field), int | float):
        return tuple(
            Fix(text=words("fix.use", value=str(_whole(near))), values={field: _whole(near)})
            for near in limits(GenerateRequest, field).nearest(number)
            if near != number
        )
    return (Fix(text=words("fix.again"), values=same),) if retry else ()


def _schedules_of(sampler: object) -> list[tuple[str, str]]:
    keys = next((s.schedules for s in SAMPLERS if s.key == sampler), ())
    return [(s.key, s.label) for s in SCHEDULES if s.key in keys][:3]


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number
