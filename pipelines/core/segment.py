"""What is asked when something shall be found in a picture: its name, and how much of it becomes a mask."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipelines.core.error import InvalidRequest
from pipelines.core.inpaint import SourceId
from pipelines.core.request import BaseRequest

LONGEST = 300
"""Characters."""


class SegmentRequest(BaseRequest):
    """A mask of what a text names in a picture, as large as the picture."""

    model_config = ConfigDict(strict=True)

    kind: Literal["segment"] = "segment"
    model: str = Field(title="Model", min_length=1, max_length=1000)
    source: SourceId
    text: str = Field(title="What to look for", max_length=LONGEST)
    """`the cat`"""
    threshold: float | None = Field(0.5, title="Threshold", ge=0, le=1)
    """How sure the model must be of a pixel, 0 to 1. None: the mask is as white as it is sure (a soft mask)."""
    grow: int = Field(0, title="Grow", ge=0, le=512)
    """Pixels in every direction."""

    @field_validator("text")
    @classmethod
    def _names_something(cls, text: str) -> str:
        if not text.strip():
            raise InvalidRequest("There is nothing to look for", fix='name it, such as "the cat"', field="text")
        if "\0" in text:
            raise InvalidRequest(
                "What to look for holds characters that are not text", fix="paste it again as plain text", field="text"
            )
        return text.strip()

    @model_validator(mode="after")
    def _grows_from_an_edge(self) -> Self:
        if self.grow and self.threshold is None:
            raise InvalidRequest(
                "A soft mask has no edge to grow from", fix="give a threshold, or leave it as it is", field="grow"
            )
        return self
