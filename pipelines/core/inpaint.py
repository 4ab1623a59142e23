"""What is asked when a picture is painted over: where, how much of what is there stays, and where painting begins."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pipelines.core.error import InvalidRequest
from pipelines.core.plain import Plain
from pipelines.core.request import MAX_PROMPT, BaseRequest, GenerateRequest

MOST_REGIONS = 16
MOST_BORDER = 8192
"""Pixels."""
SourceId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A picture or mask that the studio keeps: the sha256 of its file."""


class Content(StrEnum):
    """What the painted area begins from."""

    ORIGINAL = "original"
    FILL = "fill"
    """The colours around it, carried on into it."""
    NOISE = "noise"
    """Latent noise."""
    NOTHING = "nothing"
    """Latents of zero."""


class Area(StrEnum):
    """What the network sees."""

    WHOLE = "whole"
    """The picture, at the size asked for."""
    MASKED = "masked"
    """The painted area and what is around it, at the size asked for; pasted back at its own scale."""


class Fit(StrEnum):
    """How a picture of other proportions comes to the size asked for, when all of it is painted anew."""

    STRETCH = "stretch"
    CROP = "crop"
    FILL = "fill"
    """All of it is seen, and what is left over is filled with its colours."""
    LATENT = "latent"
    """Stretched, but its latents and not its pixels."""


class Border(Plain):
    """Pixels that are added on each side."""

    left: int = Field(0, ge=0, le=MOST_BORDER)
    top: int = Field(0, ge=0, le=MOST_BORDER)
    right: int = Field(0, ge=0, le=MOST_BORDER)
    bottom: int = Field(0, ge=0, le=MOST_BORDER)

    @property
    def is_none(self) -> bool:
        return not (self.left or self.top or self.right or self.bottom)


class Region(Plain):
    """A part with a mask, words and strength of its own."""

    model_config = ConfigDict(strict=True)

    mask: SourceId
    prompt: str = Field("", max_length=MAX_PROMPT)
    negative_prompt: str = Field("", max_length=MAX_PROMPT)
    strength: float = Field(1.0, ge=0, le=1)
    """Of that of the request."""

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _is_text(cls, text: str, info: ValidationInfo) -> str:
        if "\0" in text:
            raise InvalidRequest(
                "A region's prompt holds characters that are not text", fix="paste it again as plain text",
                field="regions",
            )  # fmt: skip
        return text


class InpaintRequest(BaseRequest):
    """A picture painted over where the masks say so; without any, all of it (img2img)."""

    model_config = ConfigDict(strict=True)

    kind: Literal["inpaint"] = "inpaint"
    model: str = ""
    """That of `picture`; whatever is said, it is worked out anew."""
    picture: GenerateRequest = Field(strict=False)
    """How: its words, sampler, seed; the size the network works at."""
    source: SourceId
    mask: SourceId | None = None
    """White is painted over, black stays, grey is painted over with less strength."""
    regions: tuple[Region, ...] = Field((), max_length=MOST_REGIONS, strict=False)
    """Painted in the same run, each with its own words; `mask` has those of `picture`."""
    border: Border = Field(default_factory=Border, strict=False)
    """Added and painted (outpainting)."""
    strength: float = Field(0.75, title="Strength", ge=0, le=1)
    """The share of the steps that is walked: 0 changes nothing, 1 begins from noise alone."""
    content: Content = Field(Content.ORIGINAL, title="Begin from", strict=False)
    area: Area = Field(Area.MASKED, title="Area", strict=False)
    padding: int = Field(32, title="Padding", ge=0, le=4096)
    """Pixels of the picture around the painted area that are seen as well, when the area is `masked`."""
    soft_edge: int = Field(8, title="Soft edge", ge=0, le=512)
    """Pixels on either side of the mask's edge over which it fades."""
    invert: bool = Field(False, title="Everything else")
    """What is not painted is painted over."""
    match_colour: bool = Field(True, title="Match colours")
    """The new area takes on what the seam tells of a shift in colour."""
    fit: Fit = Field(Fit.STRETCH, title="Fit", strict=False)

    @model_validator(mode="after")
    def _has_steps(self) -> Self:
        object.__setattr__(self, "model", self.picture.model)
        if self.picture.hires is not None:  # of a picture that was made so; here its size is that of what is painted
            object.__setattr__(self, "picture", self.picture.model_copy(update={"hires": None}))
        if self.walked < 1:
            need = "raise the strength" if self.strength == 0 else f"use {round(1 / self.strength + 0.5)} steps or more"
            raise InvalidRequest(
                f"At strength {self.strength} no step of {self.picture.steps} is left", fix=need, field="strength"
            )
        if self.invert and (self.mask is None or self.regions):
            raise InvalidRequest(
                "Everything else than several masks is not clear", fix="use one mask to turn round", field="invert"
            )
        return self

    @property
    def masks(self) -> tuple[str, ...]:
        """All that go in."""
        return (*([self.mask] if self.mask else []), *(region.mask for region in self.regions))

    @property
    def strengths(self) -> tuple[float, ...]:
        """Of each mask, in their order."""
        own = (1.0,) if self.mask else ()
        return (*own, *(region.strength for region in self.regions))

    @property
    def walked(self) -> int:
        """Steps, of those of `picture`; rounded down, as in diffusers."""
        return int(self.picture.steps * self.strength)

    @property
    def is_all(self) -> bool:
        """Nothing stays as it is: img2img."""
        return not self.masks and self.border.is_none

    @property
    def pictures(self) -> int:
        return self.picture.count

    @property
    def painted(self) -> GenerateRequest:
        """What every request for pictures comes down to."""
        return self.picture

    def seed_of(self, index: int) -> int:
        """The seed of picture `index` (from 0)."""
        return self.picture.seed_of(index)
