"""Looking for a mix: which weights may move, and how a picture of them is judged."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.core.blocks import SD, XL
from pipelines.core.desk import Mixture, PreviewRequest
from pipelines.core.error import InvalidRequest
from pipelines.core.request import GenerateRequest
from pipelines.core.sheet import Variation

GROUPS = {"BASE": "BASE", "IN": "IN", "M00": "MID", "OUT": "OUT"}
"""How the names of a group's blocks begin, and what it is called."""


class Search(BaseModel):
    """What is looked for. Raises InvalidRequest for weights that the method does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mixture: Mixture
    """Where it begins, and what stays; every weight spelled out."""
    picture: GenerateRequest
    parameter: str = "alpha"
    blocks: tuple[str, ...] = Field(min_length=1, max_length=len(SD))
    """Those whose weights may move."""
    together: bool = False
    """The blocks of a group move as one."""
    low: float = Field(0.0, ge=-10, le=10)
    high: float = Field(1.0, ge=-10, le=10)
    judge: Literal["person", "likeness", "scorer"] = "person"
    """Who says what is better: a person, pair by pair; likeness to a picture; a program of the person's."""
    reference: int | None = None
    """The picture that is to be come near to."""

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        weights = self.mixture.mix.blocks.get(self.parameter)
        names = {len(SD): SD.names, len(XL): XL.names}.get(len(weights or ()))
        if names is None:
            raise InvalidRequest(
                f"The mixture has no {self.parameter} for each block", fix="choose another method", field="parameter"
            )
        if unknown := set(self.blocks) - set(names):
            raise InvalidRequest(f"There is no block {min(unknown)}", fix="choose others", field="blocks")
        if self.low >= self.high:
            raise InvalidRequest("There is nothing between these weights", fix="let low be below high", field="low")
        if (self.judge == "likeness") != (self.reference is not None):
            raise InvalidRequest("It is not clear which picture is meant", fix="choose one", field="reference")
        return self

    @property
    def sides(self) -> dict[str, tuple[str, ...]]:
        """What moves by itself: its name, and the blocks that follow it."""
        if not self.together:
            return {name: (name,) for name in self.blocks}
        found: dict[str, tuple[str, ...]] = {}
        for begin, title in GROUPS.items():
            if own := tuple(name for name in self.blocks if name.startswith(begin)):
                found[title] = own
        return found

    @property
    def first(self) -> dict[str, float]:
        """Where each side stands on the desk."""
        weights = self.mixture.mix.blocks[self.parameter]
        names = SD.names if len(weights) == len(SD) else XL.names
        at = dict(zip(names, weights, strict=True))
        means = {side: sum(at[name] for name in blocks) / len(blocks) for side, blocks in self.sides.items()}
        return {side: min(self.high, max(self.low, mean)) for side, mean in means.items()}

    def preview(self, at: dict[str, float], label: str) -> PreviewRequest:
        """The picture of the mixture with each side where `at` says."""
        some = {name: round(at[side], 4) for side, blocks in self.sides.items() for name in blocks}
        varied = Variation(label=label, weights={self.parameter: some})
        mixture, picture = varied.on(self.mixture, self.picture)
        return PreviewRequest(
            mixture=mixture, picture=picture.model_copy(update={"count": 1, "batch_size": 1}), label=label
        )
