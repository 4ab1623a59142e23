"""Requests: what a person asked for, as frozen plain values, validated once, when they are made.

The journal, the PNG, the REST schema and the tests carry these same values. A request that cannot work cannot exist:
making one raises `InvalidRequest` (or `UnknownName`) with the problem, the fix and the field.
"""

import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from math import ceil
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipelines.core.error import InvalidRequest
from pipelines.core.plain import Plain
from pipelines.core.samplers import SAMPLERS, SCHEDULES

MAX_SEED = 2**32 - 1
MAX_COUNT = 100
"""Pictures of one request."""
MAX_PROMPT = 20_000
"""Characters. About 4,000 words; longer texts are a paste by mistake."""


def random_seed(count: int = MAX_COUNT) -> int:
    """A fresh seed with room for `count` pictures; drawn where the request is made: the journal already knows it."""
    return secrets.randbelow(MAX_SEED + 2 - count)


class Precision(StrEnum):
    """Number format the networks compute in. `auto`: the file's own on a GPU, fp32 on a CPU."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class NumberFormat(StrEnum):
    """What a model's weights can be rounded to."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    FP8 = "fp8"
    """E4M3, for the matrices of the denoiser; the rest fp16."""


class BaseRequest(Plain):
    """What all requests share."""

    model_config = ConfigDict(strict=True)

    model: str
    """Whom it is about: a model by its name in the library."""

    @property
    def pictures(self) -> int:
        """How many it makes."""
        return 0

    @classmethod
    def explain(cls, error: ErrorDetails) -> InvalidRequest:
        return _explain(cls, error)


class LoraChoice(Plain):
    """A LoRA, and how much of it."""

    model_config = ConfigDict(strict=True)

    name: str = Field(title="LoRA", min_length=1, max_length=1000)
    unet: float = Field(1.0, title="Strength in the UNet", ge=-10, le=10)
    text: float = Field(1.0, title="Strength in the text encoders", ge=-10, le=10)
    blocks: tuple[float, ...] = Field((), title="Block weights", max_length=26, strict=False)
    """12, 17, 20 or 26 numbers that both are multiplied by; empty: 1 for all."""

    @classmethod
    def explain(cls, error: ErrorDetails) -> InvalidRequest:
        said = _explain(cls, error).as_problem
        return InvalidRequest(said.problem, fix=said.fix, field="loras")


LATENT = "latent"
"""The name of the upscaler that enlarges latents and no pictures."""
LARGEST_HIRES = 8192
"""Pixels of a side after the second pass."""


class Hires(Plain):
    """A second pass: the picture is enlarged, and painted over at its new size."""

    model_config = ConfigDict(strict=True)

    factor: float = Field(2.0, title="Hires scale", ge=1, le=4)
    """Of both sides, which are rounded to multiples of 8."""
    upscaler: str = Field("lanczos", title="Hires upscaler", min_length=1, max_length=1000)
    """A resampler, `latent`, or a network by its name."""
    strength: float = Field(0.5, title="Hires strength", ge=0, le=1)
    """How much of the enlarged picture is painted anew, as in img2img."""
    steps: int = Field(0, title="Hires steps", ge=0, le=1000)
    """That are walked; 0: as many of the first pass's as the strength leaves."""
    cfg: float | None = Field(None, title="Hires CFG", ge=0, le=30)
    sampler: str | None = Field(None, title="Hires sampler")
    prompt: str = Field("", title="Hires prompt", max_length=MAX_PROMPT)
    negative_prompt: str = Field("", title="Hires avoid", max_length=MAX_PROMPT)
    """These four: None or empty: those of the first pass."""

    @classmethod
    def explain(cls, error: ErrorDetails) -> InvalidRequest:
        said = _explain(cls, error).as_problem
        return InvalidRequest(said.problem, fix=said.fix, field="hires")

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _is_text(cls, text: str, info: ValidationInfo) -> str:
        if "\0" in text:
            raise _not_text(cls.model_fields[info.field_name or "prompt"].title or "Hires prompt", "hires")
        return text

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, name: str | None) -> str | None:
        return None if name is None else SAMPLERS.find(name, field="hires").key

    def steps_of(self, first: int) -> int:
        """What is asked of img2img after `first` steps of the first pass, so that the right number is walked."""
        if not self.steps or not self.strength:
            return first
        steps = ceil(self.steps / self.strength)
        return steps if int(steps * self.strength) >= self.steps else steps + 1

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after the second pass."""
        return int(width * self.factor / 8 + 0.5) * 8, int(height * self.factor / 8 + 0.5) * 8


class GenerateRequest(BaseRequest):
    """Text to image: `count` pictures, seeds `seed`, `seed + 1`, ..."""

    kind: Literal["generate"] = "generate"
    prompt: str = Field("", title="Prompt", max_length=MAX_PROMPT)
    negative_prompt: str = Field("", title="Avoid", max_length=MAX_PROMPT)
    model: str = Field("flat", title="Model", min_length=1, max_length=240)
    vae: str = Field("", title="VAE", max_length=1000)
    """A VAE, or a model whose VAE is to be used, by its name; empty: the model's own."""
    loras: tuple[LoraChoice, ...] = Field((), title="LoRAs", max_length=50, strict=False)
    """Added to the model for this job, in this order."""
    sampler: str = Field("dpmpp_2m", title="Sampler")
    schedule: str = Field("automatic", title="Schedule")
    steps: int = Field(20, title="Steps", ge=1, le=1000)
    cfg: float = Field(5.0, title="CFG", ge=0, le=30)
    """Classifier-free guidance scale w of uncond + w (cond - uncond); 1 switches it off (Ho & Salimans 2022)."""
    seed: int = Field(0, title="Seed", ge=0, le=MAX_SEED)
    width: int = Field(192, title="Width", ge=64, le=4096, multiple_of=8)
    """Pixels; the default is the size of the starter model."""
    height: int = Field(192, title="Height", ge=64, le=4096, multiple_of=8)
    """Pixels; the default is the size of the starter model."""
    count: int = Field(1, title="Count", ge=1, le=MAX_COUNT)
    batch_size: int = Field(1, title="Pictures at once", ge=1, le=16)
    """Pictures painted in one pass: faster on a GPU, needs more memory; the pictures are the same."""
    clip_skip: int = Field(1, title="CLIP skip", ge=1, le=12)
    """1: the text encoder's last layer; 2: the one before; ..."""
    precision: Precision = Field(Precision.AUTO, title="Precision", strict=False)
    preview_every: int = Field(1, title="Preview every (steps)", ge=0, le=1000)
    """Steps between live previews; 0: none."""
    hires: Hires | None = Field(None, title="Hires", strict=False)
    """A second pass over the enlarged picture; None: none."""

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _is_text(cls, text: str, info: ValidationInfo) -> str:
        if "\0" in text:
            name = info.field_name or "prompt"
            raise _not_text(cls.model_fields[name].title or name, name)
        return text

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, name: str) -> str:
        return SAMPLERS.find(name, field="sampler").key

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, name: str) -> str:
        return SCHEDULES.find(name, field="schedule").key

    @model_validator(mode="after")
    def _schedule_suits_the_sampler(self) -> Self:
        sampler = SAMPLERS.find(self.sampler)
        if self.schedule not in sampler.schedules:
            labels = [s.label for s in SCHEDULES if s.key in sampler.schedules]
            raise InvalidRequest(
                f"{sampler.label} cannot follow the {SCHEDULES.find(self.schedule).label} schedule",
                fix=f"use {' or '.join(labels)}",
                field="schedule",
            )
        return self

    @model_validator(mode="after")
    def _every_picture_has_a_seed(self) -> Self:
        highest = MAX_SEED + 1 - self.count
        if self.seed > highest:
            raise InvalidRequest(
                f"Seed {self.seed} leaves no seeds for {self.count} pictures",
                fix=f"use a seed up to {highest}, or fewer pictures",
                field="seed",
            )
        return self

    @model_validator(mode="after")
    def _hires_goes_with_it(self) -> Self:
        if self.hires is None:
            return self
        width, height = self.hires.size_of(self.width, self.height)
        if max(width, height) > LARGEST_HIRES:
            raise InvalidRequest(
                f"With Hires the picture would be {width} x {height}",
                fix=f"lower its scale: up to {LARGEST_HIRES:,} pixels on a side", field="hires",
            )  # fmt: skip
        if int(self.hires.steps_of(self.steps) * self.hires.strength) < 1:
            raise InvalidRequest(
                f"At strength {self.hires.strength:g} the second pass has no step of {self.steps} left",
                fix="raise its strength or its steps", field="hires",
            )  # fmt: skip
        sampler = SAMPLERS.find(self.hires.sampler or self.sampler)
        if self.schedule not in sampler.schedules:
            label = SCHEDULES.find(self.schedule).label
            raise InvalidRequest(
                f"{sampler.label}, of the second pass, cannot follow the {label} schedule",
                fix="use the sampler of the first", field="hires",
            )  # fmt: skip
        return self

    @property
    def second(self) -> Self | None:
        """What the second pass is asked for, as img2img over the enlarged picture; None: there is none."""
        if (hires := self.hires) is None:
            return None
        width, height = hires.size_of(self.width, self.height)
        own = {
            "sampler": hires.sampler, "cfg": hires.cfg, "prompt": hires.prompt or None,
            "negative_prompt": hires.negative_prompt or None, "steps": hires.steps_of(self.steps),
            "width": width, "height": height,
        }  # fmt: skip
        return self.model_copy(update={"hires": None, **{k: v for k, v in own.items() if v is not None}})

    @property
    def final_size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return (self.width, self.height) if self.hires is None else self.hires.size_of(self.width, self.height)

    @property
    def pictures(self) -> int:
        return self.count

    @property
    def painted(self) -> Self:
        """What every request for pictures comes down to."""
        return self

    def seed_of(self, index: int) -> int:
        """The seed of picture `index` (from 0)."""
        return self.seed + index


def read_generate(data: Mapping[str, Any]) -> GenerateRequest:
    """A request for pictures from parsed JSON. Raises InvalidRequest or UnknownName."""
    return GenerateRequest.model_validate(dict(data))


class _Words:
    """Error texts by pydantic's error type; the limits come from the field itself."""

    PLAIN: ClassVar[dict[str, str]] = {
        "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
        "float_type": "a number", "float_parsing": "a number", "finite_number": "a number",
        "string_type": "text", "enum": "one of the choices",
    }  # fmt: skip


def _explain(kind: type[BaseModel], error: ErrorDetails) -> InvalidRequest:
    """`problem; fix` for the first thing pydantic found wrong."""
    name = str(error["loc"][0]) if error["loc"] else ""
    field = kind.model_fields.get(name)
    if error["type"] == "extra_forbidden" or field is None:
        near = get_close_matches(name, kind.model_fields, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(kind.model_fields)}"
        return InvalidRequest(f"There is no setting {name!r}", fix=fix, field=name)
    title = field.title or name
    value, limits = error["input"], _limits(field.metadata)
    span = f"use {_number(limits['ge'])} to {_number(limits['le'])}" if {"ge", "le"} <= limits.keys() else ""
    match error["type"]:
        case "greater_than_equal" | "less_than_equal":
            problem, fix = f"{title} cannot be {value}", span
        case "multiple_of":
            low = int(value) // 8 * 8
            problem, fix = f"{title} {value} is not a multiple of 8", f"use {low} or {low + 8}"
        case "string_unicode":
            return _not_text(title, name)
        case "string_too_short":
            problem, fix = f"{title} is empty", "choose one"
        case "string_too_long":
            length, most = f"{len(value):,}", f"{limits['max_length']:,}"
            problem = f"{title} is {length} characters long ({len(value.split()):,} words)"
            fix = f"shorten it to {most} characters"
        case "enum":
            kinds = (field.annotation, *get_args(field.annotation))  # a choice may be left out
            choices = ", ".join(value for kind in kinds if isinstance(kind, type(StrEnum)) for value in kind)
            problem, fix = f"{title} cannot be {value!r}", f"use {choices}"
        case other:
            wanted = _Words.PLAIN.get(other)
            problem = f"{title} {_short(value)} is not {wanted}" if wanted else f"{title}: {error['msg']}"
            fix = span or "correct it"
    return InvalidRequest(problem, fix=fix, field=name)


def _not_text(title: str, name: str) -> InvalidRequest:
    return InvalidRequest(f"{title} holds characters that are not text", fix="paste it again as plain text", field=name)


def _limits(metadata: list[Any]) -> dict[str, Any]:
    names = ("ge", "le", "max_length")
    return {n: getattr(m, n) for m in metadata for n in names if hasattr(m, n)}


def _number(value: float) -> str:
    return f"{value:,}" if value >= 10_000 and value != MAX_SEED else f"{value}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
