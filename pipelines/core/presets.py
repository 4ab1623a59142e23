"""What stands in `presets/`, read into frozen values: the starter models' folder and the factory's settings."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipelines.core.error import InvalidRequest
from pipelines.core.registry import Catalogue
from pipelines.core.request import read_generate

PRESETS = Path(__file__).resolve().parents[2] / "presets"
STARTER_MODELS = PRESETS / "starter"
"""The models that ship with Easel: a models folder like any other."""


class Kept(BaseModel):
    """What is kept under a name, one file each: those that ship with Easel, and the user's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    aliases: tuple[str, ...] = ()
    """Other spellings the field uses."""
    meaning: str = ""
    """One line that says when to choose it."""
    version: int = Field(1, ge=1)
    """Grows by one with every change, so that two open pages cannot overwrite each other unseen."""
    factory: bool = False
    """Ships with Easel; cannot be changed or deleted."""

    @property
    def key(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        return self.name


P = TypeVar("P", bound=Kept)


class Preset(Kept):
    """Kept settings for a generate request: only those it means to set, the rest stays as it is."""

    settings: dict[str, Any]
    """Request field -> value, as JSON."""

    @field_validator("settings")
    @classmethod
    def _can_work(cls, settings: dict[str, Any]) -> dict[str, Any]:
        read_generate(settings)
        return settings


def read_preset(kind: type[P], text: str | bytes, *, name: str, factory: bool = False) -> P:
    """A preset from its JSON file, called `name`.

    Raises InvalidRequest when the text is not JSON of that shape, or a setting cannot work (UnknownName for a
    sampler or schedule that does not exist).
    """
    try:
        data = json.loads(text, parse_constant=_no_constant)
        if not isinstance(data, Mapping):
            raise ValueError("it is not an object")
        return kind.model_validate({**data, "name": data.get("name", name), "factory": factory})
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
    return Catalogue("preset", (read_preset(Preset, f.read_bytes(), name=f.stem, factory=True) for f in files))
