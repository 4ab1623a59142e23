"""What is unusual about a model and cannot be told from the names and shapes of its tensors.

A diffusers folder says it in its configs. A single file has no place for it but its metadata: there it stands under
one key, for a model that is not built like its family's. Easel's own small models are such.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipelines.core.model import Prediction
from pipelines.models.architecture import Architecture, architectures
from pipelines.models.blueprint import Blueprint, Tower

KEY = "easel_peculiar"
GROUPS = 32
"""Of every norm of Stable Diffusion."""
CLIP_HEAD = 64
"""Width of a head of CLIP."""
SCHEDULED = (
    "prediction_type", "timestep_spacing", "steps_offset", "rescale_betas_zero_snr", "beta_start", "beta_end",
    "beta_schedule",
)  # fmt: skip
MERGES = "merges.txt"
MOST_MERGES = 60_000
CLIP_MERGES = 48_894


class Peculiar(BaseModel):
    """How a model differs from its family; what is left out is as usual."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    native_size: int | None = Field(None, ge=64, le=4096)
    unet_groups: int = Field(GROUPS, ge=1, le=256)
    unet_heads: tuple[int, ...] | None = Field(None, max_length=8)
    """Of each level."""
    vae_groups: int = Field(GROUPS, ge=1, le=256)
    text_heads: tuple[int, ...] = Field((), max_length=4)
    """Of each text encoder."""
    merges: tuple[str, ...] = Field((), max_length=MOST_MERGES)
    """Of the tokenizer, in CLIP's order; empty: CLIP's own."""
    scheduler: dict[str, str | bool | float] = Field(default_factory=dict)

    @field_validator("scheduler")
    @classmethod
    def _known(cls, said: dict[str, str | bool | float]) -> dict[str, str | bool | float]:
        Prediction(str(said.get("prediction_type", Prediction.EPSILON)))
        if unknown := said.keys() - set(SCHEDULED):
            raise ValueError(f"no scheduler has {min(unknown)}")
        return said

    @property
    def unet(self) -> Mapping[str, Any]:
        """What its config says otherwise."""
        heads = {"attention_head_dim": list(self.unet_heads)} if self.unet_heads else {}
        return {**heads, **({"norm_num_groups": self.unet_groups} if self.unet_groups != GROUPS else {})}

    @property
    def vae(self) -> Mapping[str, Any]:
        return {"norm_num_groups": self.vae_groups} if self.vae_groups != GROUPS else {}

    def text(self, number: int) -> Mapping[str, Any]:
        """Of the text encoder `number`, from 0."""
        return {"num_attention_heads": self.text_heads[number]} if number < len(self.text_heads) else {}

    @property
    def steps(self) -> Mapping[str, Any]:
        """What its scheduler's config says otherwise."""
        return self.scheduler

    @property
    def metadata(self) -> Mapping[str, str]:
        """What a single file says of it; nothing for a usual model."""
        return {} if self == Peculiar() else {KEY: self.model_dump_json(exclude_defaults=True)}


def peculiar_of(blueprint: Blueprint) -> Peculiar:
    """What is unusual about the model of `blueprint`."""
    numbers, unet = architectures()[blueprint.family], blueprint.unet.part.config
    widths = unet["block_out_channels"]
    usual = [numbers.heads or width // (numbers.head_width or 1) for width in widths]
    heads = _each(unet.get("attention_head_dim", 8), len(widths))
    texts = [int(tower.network.part.config["num_attention_heads"]) for tower in blueprint.towers]
    return Peculiar(
        native_size=blueprint.native_size if blueprint.native_size != numbers.native_size else None,
        unet_groups=unet.get("norm_num_groups", GROUPS),
        unet_heads=tuple(heads) if heads != usual else None,
        vae_groups=blueprint.vae.part.config.get("norm_num_groups", GROUPS),
        text_heads=tuple(texts) if texts != [max(tower.width // CLIP_HEAD, 1) for tower in blueprint.towers] else (),
        merges=_merges(blueprint.towers),
        scheduler=_scheduler(blueprint.scheduler, numbers),
    )


def read_peculiar(metadata: Mapping[str, str]) -> Peculiar:
    """What a file says of itself. Raises ValueError for what is no such thing."""
    try:
        return Peculiar.model_validate_json(metadata[KEY]) if KEY in metadata else Peculiar()
    except ValidationError as error:
        raise ValueError(f"its {KEY} cannot be read") from error


def _each(value: int | list[int], levels: int) -> list[int]:
    return [value] * levels if isinstance(value, int) else list(value)


def _scheduler(config: Mapping[str, Any], numbers: Architecture) -> dict[str, str | bool | float]:
    usual = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False, **numbers.scheduler}
    return {key: config[key] for key in SCHEDULED if config.get(key) is not None and config[key] != usual.get(key)}


def _merges(towers: tuple[Tower, ...]) -> tuple[str, ...]:
    """Those of a tokenizer of its own; every text encoder of a model reads the same words."""
    file: Path | None = towers[0].tokenizer / MERGES if towers and towers[0].tokenizer else None
    if file is None or not file.is_file():
        return ()
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if len(line.split()) == 2]
    lines = [line for line in lines if not line.startswith("#version")]
    return () if len(lines) >= CLIP_MERGES else tuple(lines)
