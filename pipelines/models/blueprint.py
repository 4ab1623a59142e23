"""All that must be known to build a model: which file holds each network, and how the networks go together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core.model import Family, Prediction, Task
from pipelines.models.architecture import Part
from pipelines.models.headers import Header

LATENT_CHANNELS = 4
"""Of every Stable Diffusion up to SDXL."""
PIXELS_PER_LATENT = 8


@dataclass(frozen=True, slots=True)
class Network:
    """A network and the file that holds its weights."""

    file: Path
    header: Header
    part: Part

    @property
    def bytes(self) -> int:
        """Of its weights, as they are stored; of the whole file where networks share one."""
        return self.header.size


@dataclass(frozen=True, slots=True)
class Tower:
    """A text encoder, its tokenizer, and what the UNet takes of it."""

    network: Network
    tokenizer: Path | None
    """A folder; None: CLIP's vocabulary, with `pad`."""
    pad: str
    last_layer: int
    """Counted from the end: which layer CLIP skip 1 takes."""
    normed: bool
    """Whether the encoder's last norm follows whatever layer is taken."""
    projects: bool
    """Whether it sums up the whole text, too."""
    merges: tuple[str, ...] = ()
    """Of a vocabulary of its own in CLIP's order, where there is no folder for it."""

    @property
    def width(self) -> int:
        return int(self.network.part.config["hidden_size"])


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A model that can be built."""

    family: Family
    task: Task
    native_size: int
    """Pixels."""
    unet: Network
    vae: Network
    towers: tuple[Tower, ...]
    scheduler: Mapping[str, Any]
    """scheduler_config.json as it stands: betas, prediction type, timestep spacing."""

    @property
    def vae_overflows(self) -> bool:
        """Whether its VAE is known not to work in fp16, as the one SDXL was published with (`force_upcast`)."""
        upcast = bool(self.vae.part.config.get("force_upcast", False))
        return upcast and self.family in {Family.SDXL, Family.SDXL_REFINER}

    @property
    def prediction(self) -> Prediction:
        return Prediction(self.scheduler.get("prediction_type", Prediction.EPSILON))
