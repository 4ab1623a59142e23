"""A sheet of pictures: one mixture varied along columns and rows."""

from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.core.blocks import SD, XL
from pipelines.core.desk import DeskRequest, Mixture, PreviewRequest
from pipelines.core.error import InvalidRequest
from pipelines.core.recipe import Mix
from pipelines.core.request import GenerateRequest

MOST_CELLS = 400
MOST_LABEL = 200
"""Characters."""


class Variation(BaseModel):
    """What is otherwise in one column or row; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label: str = Field(max_length=MOST_LABEL)
    models: tuple[str, ...] | None = None
    method: str | None = None
    parameters: dict[str, float] = Field(default_factory=dict)
    blocks: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """By parameter: a number for every block."""
    weights: dict[str, dict[str, float]] = Field(default_factory=dict)
    """By parameter: a number for some blocks, by name; the others keep theirs. Of SDXL, where the mixture has the same
    for all blocks, `blocks` is needed."""
    picture: dict[str, str | int | float] = Field(default_factory=dict)
    """Fields of the picture: seed, prompt, ..."""

    def on(self, mixture: Mixture, picture: GenerateRequest) -> tuple[Mixture, GenerateRequest]:
        """Both, varied. Raises InvalidRequest or UnknownName for what cannot be."""
        mix = mixture.mix.model_dump()
        if self.method is not None and self.method != mix["method"]:
            mix |= {"method": self.method, "parameters": {}, "blocks": {}}
        mix["parameters"] |= self.parameters
        mix["blocks"] |= self.blocks
        for parameter, some in self.weights.items():
            mix["blocks"][parameter] = _with(mix["blocks"].get(parameter) or _even(mixture.mix, parameter, some), some)
        varied = {**mixture.model_dump(), "mix": mix, "models": self.models or mixture.models}
        return (
            Mixture.model_validate(varied),
            GenerateRequest.model_validate({**picture.model_dump(), **self.picture}),
        )


def _even(mix: Mix, parameter: str, some: dict[str, float]) -> tuple[float, ...]:
    """The weights of blocks that are all alike; as many as the names tell of."""
    value = mix.values.get(parameter)
    if not isinstance(value, float | int):
        raise InvalidRequest(f"{mix.described.label} has no {parameter} for blocks", fix="choose another", field="x")
    return (float(value),) * len(XL if set(some) == set(XL.names) else SD)


def _with(weights: tuple[float, ...], some: dict[str, float]) -> tuple[float, ...]:
    names = SD.names if len(weights) == len(SD) else XL.names
    if unknown := set(some) - set(names):
        raise InvalidRequest(f"There is no block {min(unknown)}", fix=f"use {names[0]} to {names[-1]}", field="x")
    return tuple(some.get(name, weight) for name, weight in zip(names, weights, strict=True))


class SheetRequest(DeskRequest):
    """Pictures of `mixture`, one for each column in each row."""

    kind: Literal["sheet"] = "sheet"
    picture: GenerateRequest = Field(strict=False)
    columns: tuple[Variation, ...] = Field(min_length=1, max_length=MOST_CELLS, strict=False)
    rows: tuple[Variation, ...] = Field((), max_length=MOST_CELLS, strict=False)

    @model_validator(mode="after")
    def _every_cell_can_be(self) -> Self:
        if self.pictures > MOST_CELLS:
            raise InvalidRequest(
                f"The sheet has {self.pictures} pictures", fix=f"use at most {MOST_CELLS}", field="columns"
            )
        _ = self.cells
        return self

    @property
    def pictures(self) -> int:
        return len(self.columns) * max(1, len(self.rows))

    @cached_property
    def cells(self) -> tuple[PreviewRequest, ...]:
        """Row by row, each with all its settings."""
        made = []
        for row in self.rows or (None,):
            for column in self.columns:
                mixture, picture = column.on(self.mixture, self.picture)
                label = column.label
                if row is not None:
                    mixture, picture = row.on(mixture, picture)
                    label = f"{label} · {row.label}"
                picture = picture.model_copy(update={"count": 1, "batch_size": 1})
                made.append(PreviewRequest(mixture=mixture, picture=picture, label=label))
        return tuple(made)

    @property
    def painted(self) -> GenerateRequest:
        """What is common to all cells."""
        return self.picture.model_copy(update={"model": self.mixture.name[:240], "count": self.pictures})

    def seed_of(self, index: int) -> int:
        """The seed of picture `index` (from 0)."""
        return self.cells[index].seed_of(0)
