"""A recipe: how a model was mixed, as a plain value that the file carries, and from which it can be mixed again."""

import json
import math
import string
from collections.abc import Mapping
from functools import cached_property
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.core.error import InvalidRequest
from pipelines.core.ingredient import Ingredient
from pipelines.core.methods import METHODS, Method, Parameter
from pipelines.core.plain import Plain
from pipelines.core.registry import unknown
from pipelines.core.request import NumberFormat

METADATA_KEY = "easel_recipe"
"""Where a safetensors file carries it."""
BASE_WEIGHT = "base"
"""The VAE is mixed with the weight of block BASE."""
FROM_FILE = "file"
"""The VAE comes from a file of its own."""
MOST_TEXT = 100_000
"""Characters of anything that is written down."""


class LoraUse(BaseModel):
    """A LoRA that went in."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lora: Ingredient
    unet: float = Field(1.0, ge=-10, le=10)
    text: float = Field(1.0, ge=-10, le=10)
    blocks: tuple[float, ...] = ()
    """12, 17, 20 or 26 numbers that both are multiplied by; empty: none."""


class Mix(Plain):
    """What to do with the models, whichever they are. Raises InvalidRequest or UnknownName when it cannot be done."""

    method: str = "weighted_sum"
    parameters: dict[str, float | tuple[float, ...]] = Field(default_factory=dict)
    """By name, as `pipelines/core/methods.py` describes them; what is left out is as there."""
    blocks: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Of `alpha` or `beta`: a number for each block, BASE first."""
    elemental: str = Field("", max_length=MOST_TEXT)
    """`BLOCKS:ELEMENTS:ratio` rules for alpha."""
    vae: str = "A"
    """Whose VAE: a model's letter, `base`, a number (its own weight), or `file`."""
    dtype: NumberFormat | None = None
    """What numbers are rounded to; None: as in A."""
    pruned: bool = False
    """Without what painting does not need: copies kept for training."""

    @field_validator("method")
    @classmethod
    def _known(cls, name: str) -> str:
        return METHODS.find(name, field="method").key

    @model_validator(mode="after")
    def _fits_the_method(self) -> Self:
        method = METHODS.find(self.method)
        for name, value in self.parameters.items():
            _check(_parameter(method, name), value)
        for name, weights in self.blocks.items():
            parameter = _parameter(method, name)
            if not parameter.by_block:
                raise InvalidRequest(
                    f"{parameter.label} is the same for all blocks", fix="give one number", field="blocks"
                )
            for weight in weights:
                _check(parameter, weight)
        alpha = method.parameter("alpha")
        if self.vae_weight is not None:
            if alpha is None or not alpha.by_block:
                raise InvalidRequest(
                    f"{method.label} knows no weight for the VAE", fix="use A, B, base, or a file", field="vae"
                )
            _check(alpha, self.vae_weight)
        if self.elemental and not any(one.key == "alpha" and one.by_block for one in method.parameters):
            raise InvalidRequest(f"{method.label} has no weights for elements", fix="leave them out", field="elemental")
        return self

    @property
    def described(self) -> Method:
        """The method."""
        return METHODS.find(self.method)

    @cached_property
    def values(self) -> Mapping[str, float | tuple[float, ...]]:
        """Every parameter of the method."""
        return {one.key: self.parameters.get(one.key, one.default) for one in self.described.parameters}

    def for_models(self, count: int) -> "Mix":
        """Itself, when the method takes `count` models (the base counted). Raises InvalidRequest."""
        method = self.described
        low, high = method.inputs
        if count < low or (high is not None and count > high):
            wanted = f"{low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"
            last = ", the base last" if method.needs_base else ""
            raise InvalidRequest(
                f"{method.label} mixes {wanted} models{last}, and {count} {'is' if count == 1 else 'are'} given",
                fix="give so many, or choose another method", field="method",
            )  # fmt: skip
        for one in method.parameters:
            value = self.values[one.key]
            if one.per_model and isinstance(value, tuple) and len(value) != count - method.needs_base:
                raise InvalidRequest(
                    f"There are {len(value)} {one.key} for {count - method.needs_base} models",
                    fix="give one number for each model but the base, or one for all", field=one.key,
                )  # fmt: skip
        if self.vae in string.ascii_uppercase and self.vae not in letters(count):
            raise InvalidRequest(
                f"There is no model {self.vae} to take the VAE from", fix=f"use one of {', '.join(letters(count))}",
                field="vae",
            )  # fmt: skip
        return self

    @property
    def vae_weight(self) -> float | None:
        """The VAE's own weight; None: it has none."""
        return None if self.vae in {*string.ascii_uppercase, BASE_WEIGHT, FROM_FILE} else float(self.vae)

    @field_validator("vae")
    @classmethod
    def _known_vae(cls, text: str) -> str:
        spelled = text.strip()
        if len(spelled) == 1 and spelled.isascii() and spelled.isalpha():
            return spelled.upper()
        if spelled.lower() in {BASE_WEIGHT, FROM_FILE}:
            return spelled.lower()
        try:
            weight = float(spelled)
        except ValueError:
            weight = math.nan
        if not -10 <= weight <= 10:  # NaN is neither
            raise InvalidRequest(f"{text!r} says no VAE", fix="use A, B, base, a number, or a file", field="vae")
        return repr(weight)


class Recipe(BaseModel):
    """A mix and the files it was made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(1, ge=1, le=1)
    easel: str
    """The program that mixed it."""
    mix: Mix
    models: tuple[Ingredient, ...] = Field(min_length=1)
    """In the order of the method; the base last."""
    vae_from: Ingredient | None = None
    loras: tuple[LoraUse, ...] = ()
    """Added when all is mixed, in this order."""
    notes: str = Field("", max_length=MOST_TEXT)
    """For whoever has the model."""


def read_recipe(text: str | bytes, name: str) -> Recipe:
    """The recipe that `text` is, found in `name`. Raises InvalidRequest, or UnknownName for a method nobody knows."""
    try:
        return Recipe.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The recipe in {name} cannot be read", fix="use the file as Easel wrote it", field="recipe",
            detail=str(error),
        ) from error  # fmt: skip


def letters(count: int) -> str:
    """`ABC` for three models."""
    return string.ascii_uppercase[:count]


def _parameter(method: Method, name: str) -> Parameter:
    parameter = method.parameter(name)
    if parameter is None:
        raise unknown(name, (one.key for one in method.parameters), noun=f"setting of {method.label}", field=name)
    return parameter


def _check(parameter: Parameter, value: float | tuple[float, ...]) -> None:
    if isinstance(value, tuple) and not parameter.per_model:
        raise InvalidRequest(f"{parameter.label} is one number", fix="give one", field=parameter.key)
    for number in value if isinstance(value, tuple) else (value,):
        if not parameter.low <= number <= parameter.high:
            raise InvalidRequest(
                f"{parameter.label} cannot be {number:g}", fix=f"use {parameter.low:g} to {parameter.high:g}",
                field=parameter.key,
            )  # fmt: skip


def ingredients_of(recipe: Recipe) -> tuple[Ingredient, ...]:
    """Every file that goes in: the models in their order, the VAE, the LoRAs."""
    vae = (recipe.vae_from,) if recipe.vae_from else ()
    return (*recipe.models, *vae, *(use.lora for use in recipe.loras))
