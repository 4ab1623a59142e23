"""Every kind of request there is; a new one joins the union here."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field

from pipelines.core.desk import AddLorasRequest, CompareRequest, ExtractRequest, MergeRequest, PreviewRequest
from pipelines.core.error import InvalidRequest
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.request import BaseRequest, GenerateRequest, NumberFormat, Precision
from pipelines.core.segment import SegmentRequest
from pipelines.core.sheet import SheetRequest
from pipelines.core.upscale import UpscaleRequest


class LoadRequest(BaseRequest):
    """Bring a model into memory, so that its first picture is quick."""

    kind: Literal["load"] = "load"
    model: str = Field(title="Model", min_length=1, max_length=1000)
    precision: Precision = Field(Precision.AUTO, title="Precision", strict=False)


class UnloadRequest(BaseRequest):
    """Give the memory of whatever model is loaded back."""

    kind: Literal["unload"] = "unload"
    model: str = Field("", title="Model", max_length=240)


class VerifyRequest(BaseRequest):
    """Read every number of a model, and work out its hashes."""

    kind: Literal["verify"] = "verify"
    model: str = Field(title="Model", min_length=1, max_length=1000)


class ConvertRequest(BaseRequest):
    """Write a model in another form, beside the others, under a new name."""

    kind: Literal["convert"] = "convert"
    model: str = Field(title="Model", min_length=1, max_length=1000)
    name: str = Field(title="Name", min_length=1, max_length=240)
    as_folder: bool = Field(False, title="As a diffusers folder")
    """Instead of one safetensors file."""
    dtype: NumberFormat | None = Field(None, title="Precision", strict=False)
    """None: as it is."""
    pruned: bool = Field(False, title="Pruned")
    """Without what painting does not need."""


LoraWork = AddLorasRequest | ExtractRequest
"""What makes LoRAs."""
ModelRequest = LoadRequest | UnloadRequest | VerifyRequest | ConvertRequest | MergeRequest | CompareRequest | LoraWork
"""What is done to models."""
AnyPainting = GenerateRequest | PreviewRequest | InpaintRequest | UpscaleRequest
Painting = Annotated[AnyPainting, Discriminator("kind")]
"""What a picture is made by, and carries."""
Request = Annotated[
    AnyPainting | SheetRequest | SegmentRequest | ModelRequest,
    Discriminator("kind"),
]

PAINTINGS: Mapping[str, type[AnyPainting]] = {
    "generate": GenerateRequest,
    "preview": PreviewRequest,
    "inpaint": InpaintRequest,
    "upscale": UpscaleRequest,
}
KINDS: Mapping[str, type[AnyPainting | SheetRequest | SegmentRequest | ModelRequest]] = {
    **PAINTINGS,
    "sheet": SheetRequest,
    "segment": SegmentRequest,
    "load": LoadRequest,
    "unload": UnloadRequest,
    "verify": VerifyRequest,
    "convert": ConvertRequest,
    "merge": MergeRequest,
    "compare": CompareRequest,
    "add_loras": AddLorasRequest,
    "extract": ExtractRequest,
}


def read_request(data: Mapping[str, Any]) -> Request:
    """A request from parsed JSON; without a `kind` it generates. Raises InvalidRequest or UnknownName."""
    made: Request = _of_kind(KINDS, data).model_validate(dict(data))
    return made


def read_painting(data: Mapping[str, Any]) -> Painting:
    """A request for pictures from parsed JSON. Raises InvalidRequest or UnknownName."""
    made: Painting = _of_kind(PAINTINGS, data).model_validate(dict(data))
    return made


def _of_kind(kinds: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    kind = data.get("kind", "generate")
    if kind not in kinds:
        raise InvalidRequest(f"There is no kind of request {kind!r}", fix=f"use {', '.join(kinds)}", field="kind")
    return kinds[kind]
