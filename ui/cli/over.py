"""`app.py generate --image`: a picture painted over, from the options as they were typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.error import InvalidRequest
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.request import GenerateRequest
from pipelines.storage.sources import Source, SourceStore

LARGEST = 1024
"""Pixels of the longer side that a whole picture is painted at unless somebody asks for more."""
STEP = 8
SMALLEST = 64
BOTH = {"kind", "model"}
"""What a picture that is painted from nothing says as well."""


@dataclass(frozen=True)
class Over:
    """What was said of the picture."""

    image: Path | None
    mask: Path | None
    strength: str | None

    @property
    def is_many(self) -> bool:
        """Whether folders were named."""
        return self.image is not None and (self.image.is_dir() or (self.mask is not None and self.mask.is_dir()))


NOTHING_THERE = Over(None, None, None)


def own_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `fields` that are about painting over: area, content, soft_edge, ..."""
    return {name: value for name, value in fields.items() if name in InpaintRequest.model_fields and name not in BOTH}


def sized(fields: Mapping[str, Any], over: Over, sources: SourceStore) -> dict[str, Any]:
    """`fields` with the size of the picture, where all of it is painted and nobody asked for another."""
    if over.image is None or over.mask is not None or {"width", "height"} & fields.keys():
        return dict(fields)
    return {**fields, **_side(sources.keep_file(over.image))}


def _side(source: Source) -> dict[str, int]:
    scale = min(1.0, LARGEST / max(source.width, source.height))
    sides = (max(SMALLEST, round(side * scale / STEP) * STEP) for side in (source.width, source.height))
    return dict(zip(("width", "height"), sides, strict=True))


def painted_over(
    picture: GenerateRequest, own: Mapping[str, Any], over: Over, sources: SourceStore
) -> GenerateRequest | InpaintRequest:
    """`picture` itself when no picture is named. Raises InvalidRequest, StorageProblem."""
    if over.image is None:
        if own or over.mask is not None or over.strength is not None:
            name = next(iter(own), "mask" if over.mask is not None else "strength")
            raise InvalidRequest(f"There is no picture for {name}", fix="name it with --image", field=name)
        return picture
    given = {"picture": picture, "source": sources.keep_file(over.image).id, **own}
    if over.mask is not None:
        given["mask"] = sources.keep_file(over.mask).id
    if over.strength is not None:
        given["strength"] = _number(over.strength)
    return InpaintRequest.model_validate(given)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequest(f"Strength {text!r} is not a number", fix="use 0 to 1", field="strength") from None
