"""What stands in `presets/`, read into frozen values: the starter models' folder and the factory's settings.

A preset holds only the settings it means to set; the rest of a request stays as it is.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipelines.core.error import InvalidRequest
from pipelines.core.registry import Catalogue
from pipelines.core.request import read_generate

PRESETS = Path(__file__).resolve().parents[2] / "presets"
STARTER_MODELS = PRESETS / "starter"
"""The models that ship with Easel: a models folder like any other."""


class Preset(BaseModel):
    """Named settings for a generate request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    meaning: str = ""
    """One line that says when to choose it."""
    settings: dict[str, Any]
    """Request field -> value, as JSON; only the fields this preset sets."""
    version: int = Field(1, ge=1)
    """Grows by one with every change, so that two open pages cannot overwrite each other unseen."""
    factory: bool = False
    """Ships with Easel; cannot be changed or deleted."""

    @field_validator("settings")
    @classmethod
    def _can_work(cls, settings: dict[str, Any]) -> dict[str, Any]:
        read_generate(settings)
        return settings

    @property
    def key(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        return self.name

    @property
    def aliases(self) -> tuple[str, ...]:
        return ()


def read_preset(text: str | bytes, *, name: str, factory: bool = False) -> Preset:
    """A preset from its JSON file, called `name`.

    Raises InvalidRequest when the text is not JSON of that shape, or a setting cannot work (UnknownName for a
    sampler or schedule that does not exist).
    """
    try:
        data = json.loads(text, parse_constant=_no_constant)
        if not isinstance(data, Mapping):
            raise ValueError("it is not an object")
        return Preset.model_validate({**data, "name": data.get("name", name), "factory": factory})
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The preset {name!r} cannot be read", fix="correct or delete its file", detail=str(error)
        ) from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a setting's value")


@cache
def factory_presets(folder: Path = PRESETS / "generate") -> Catalogue[Preset]:
    """The presets that ship with Easel, in the order of their file names."""
    files = sorted(folder.glob("*.json"))
    return Catalogue("preset", (read_preset(f.read_bytes(), name=f.stem, factory=True) for f in files))
