"""What is asked of the mixing desk: models by name and how to mix them; to be seen, kept, or compared."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic_core import ErrorDetails

from pipelines.core.error import InvalidRequest
from pipelines.core.plain import Plain
from pipelines.core.recipe import FROM_FILE, Mix
from pipelines.core.request import BaseRequest, GenerateRequest, LoraChoice, NumberFormat

MOST_MODELS = 20
MOST_RANK = 1024
MOST_NOTES = 20_000
"""Characters."""


class Mixture(Plain):
    """What stands on the desk."""

    model_config = ConfigDict(strict=True)

    models: tuple[str, ...] = Field(min_length=1, max_length=MOST_MODELS, strict=False)
    """Names, as the method wants them; the base last."""
    mix: Mix = Field(default_factory=Mix, strict=False)
    vae_from: str = Field("", max_length=1000)
    """The file that the VAE comes from, where the mix says so."""
    loras: tuple[LoraChoice, ...] = Field((), max_length=50, strict=False)
    """Added to the mix, in this order."""

    @classmethod
    def explain(cls, error: ErrorDetails) -> InvalidRequest:
        said = super().explain(error).as_problem
        return InvalidRequest(said.problem, fix=said.fix, field="mixture")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        self.mix.for_models(len(self.models))
        if (self.mix.vae == FROM_FILE) != bool(self.vae_from):
            raise InvalidRequest("It is not clear whose VAE is meant", fix="name its file, or a model", field="vae")
        return self

    @property
    def name(self) -> str:
        """For people: what goes in."""
        return " + ".join((*self.models, *(one.name for one in self.loras)))

    @property
    def parts(self) -> tuple[str, ...]:
        """Everything that goes in, by name: the models, the VAE's file, the LoRAs."""
        vae = (self.vae_from,) if self.vae_from else ()
        return (*self.models, *vae, *(one.name for one in self.loras))


class DeskRequest(BaseRequest):
    """About a mixture."""

    model: str = ""
    """The mixture, for people; whatever is said, it is worked out anew."""
    mixture: Mixture = Field(strict=False)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if name != "model"} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _call_it(self) -> Self:
        object.__setattr__(self, "model", self.mixture.name)
        return self


class PreviewRequest(DeskRequest):
    """A picture of a mixture, which is mixed in memory."""

    kind: Literal["preview"] = "preview"
    picture: GenerateRequest = Field(strict=False)
    """How; its model is the mixture."""
    label: str = Field("", max_length=500)
    """Of a cell of a sheet: what is otherwise in it."""

    @property
    def pictures(self) -> int:
        return self.picture.count

    @property
    def painted(self) -> GenerateRequest:
        """What every request for pictures comes down to."""
        return self.picture.model_copy(update={"model": self.mixture.name[:240], "loras": ()})

    def seed_of(self, index: int) -> int:
        """The seed of picture `index` (from 0)."""
        return self.picture.seed_of(index)


class MergeRequest(DeskRequest):
    """A mixture kept: as a file beside the other models, or as a recipe that is mixed when it is wanted."""

    kind: Literal["merge"] = "merge"
    name: str = Field(title="Name", min_length=1, max_length=240)
    only_recipe: bool = Field(False, title="Only the recipe")
    notes: str = Field("", title="Notes", max_length=MOST_NOTES)
    """They travel with the file."""


class LoraRequest(BaseRequest):
    """A LoRA to be made."""

    name: str = Field(title="Name", min_length=1, max_length=240)
    rank: int | None = Field(None, title="Rank", ge=1, le=MOST_RANK)
    """At most; None: whatever it takes."""
    energy: float | None = Field(None, title="Energy", gt=0, le=1)
    """The share of the squared singular values that stays, module by module."""
    dtype: NumberFormat = Field(NumberFormat.FP16, title="Precision", strict=False)

    @field_validator("dtype")
    @classmethod
    def _is_written(cls, dtype: NumberFormat) -> NumberFormat:
        if dtype is NumberFormat.FP8:
            raise InvalidRequest("A LoRA is not written as fp8", fix="use fp16, bf16 or fp32", field="dtype")
        return dtype


class AddLorasRequest(LoraRequest):
    """One LoRA of several: their sum, at their strengths; of one, the same at another rank."""

    kind: Literal["add_loras"] = "add_loras"
    model: str = ""
    """Those that go in, for people; worked out anew."""
    loras: tuple[LoraChoice, ...] = Field(title="LoRAs", min_length=1, max_length=50, strict=False)

    @model_validator(mode="after")
    def _call_it(self) -> Self:
        object.__setattr__(self, "model", " + ".join(one.name for one in self.loras))
        return self


class ExtractRequest(LoraRequest):
    """What a tuned model learnt beyond its base, as a LoRA."""

    kind: Literal["extract"] = "extract"
    model: str = Field(title="Tuned model", min_length=1, max_length=1000)
    base: str = Field(title="Base", min_length=1, max_length=1000)
    conv_rank: int | None = Field(None, title="Rank of convolutions", ge=1, le=MOST_RANK)
    """Of kernels larger than 1x1; None: they are left out, as most trainers leave them."""

    @model_validator(mode="after")
    def _has_a_size(self) -> Self:
        if self.rank is None and self.energy is None:
            raise InvalidRequest("Nothing says how large the LoRA may be", fix="give a rank or an energy", field="rank")
        return self


class CompareRequest(BaseRequest):
    """How far two models lie apart, block by block."""

    kind: Literal["compare"] = "compare"
    model: str = Field(title="Model", min_length=1, max_length=1000)
    other: str = Field(title="Other model", min_length=1, max_length=1000)
