"""Models that were trained to enlarge pictures by diffusion: what their folders hold, as diffusers saves them.

Three ways are known, one for each pipeline of diffusers. No torch here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipelines.core.model import Family, Prediction, Task
from pipelines.models.blueprint import Blueprint, Network
from pipelines.models.folder import (
    INDEX,
    PREDICTIONS,
    SCHEDULER,
    TOWER,
    UNET,
    VAE,
    FolderReader,
    Piece,
    TowerKind,
    pieces_of,
)
from pipelines.models.recognise import recognise


class Way(StrEnum):
    """How a network is shown the picture that it enlarges."""

    PIXELS = "pixels"
    """Beside its latents, one pixel for each latent, with noise that it is told of (SD x4 upscaler)."""
    LATENTS = "latents"
    """As latents, each twice as wide and high (SD x2 latent upscaler)."""
    PLAIN = "plain"
    """As pixels, without noise and without words (LDM super-resolution, Rombach et al. 2022, section 4.4)."""


MOST_NOISE = 350
"""Of 1000: the x4 upscaler was trained with as much, and no more."""
NOISE_TOLD = 128
"""Numbers by which the latent upscaler is told of noise in its picture."""
MOST_FACTOR = 8
LOW_RES = Piece("low_res_scheduler", frozenset({"DDPMScheduler"}), config="scheduler_config.json")
VQ = Piece("vqvae", frozenset({"VQModel"}), weights="diffusion_pytorch_model")
PLAIN_UNET = Piece("unet", frozenset({"UNet2DModel"}), weights="diffusion_pytorch_model")


@dataclass(frozen=True, slots=True)
class EnlargerPlan(Blueprint):
    """A model that enlarges, and can be built."""

    way: Way
    low_res: Mapping[str, Any]
    """The scheduler config of the noise that its picture is given; empty where it is given none."""
    most_noise: int
    """A training timestep of `low_res`."""

    @property
    def factor(self) -> int:
        """How much wider and higher its pictures become."""
        return 2 if self.way is Way.LATENTS else self.pixels_per_latent

    @property
    def pixels_per_latent(self) -> int:
        """Of its VAE."""
        return reduction_of(self.vae)

    @property
    def multiple(self) -> int:
        """What the sides of its picture must be a multiple of, so that the UNet can halve them at every level."""
        levels = int(2 ** (len(self.unet.part.config["block_out_channels"]) - 1))
        if self.way is not Way.LATENTS:
            return levels
        return self.pixels_per_latent * max(levels // 2, 1)

    @property
    def least(self) -> int:
        """The shortest side of a picture that its UNet can see: at the last level blocks mirror what lies at the edges,
        and norms compare.
        """
        return 2 * self.multiple

    @property
    def vae_overflows(self) -> bool:
        """Those of the x4 upscaler and of LDM are known to."""
        return self.way is not Way.LATENTS

    @property
    def prediction(self) -> Prediction:
        if self.way is Way.LATENTS:
            return Prediction.EDM
        return Prediction(self.scheduler.get("prediction_type", Prediction.EPSILON))


def reduction_of(vae: Network) -> int:
    """Pixels for each latent."""
    return int(2 ** (len(vae.part.config["block_out_channels"]) - 1))


@dataclass(frozen=True, slots=True)
class Kit:
    """What `model_index.json` then names."""

    way: Way
    family: Family
    unet: Piece
    vae: Piece
    towers: tuple[TowerKind, ...]
    predictions: tuple[str, ...]


KITS: Mapping[str, Kit] = {
    "StableDiffusionUpscalePipeline": Kit(Way.PIXELS, Family.X4_UPSCALER, UNET, VAE, (TOWER,), PREDICTIONS),
    "StableDiffusionLatentUpscalePipeline": Kit(
        Way.LATENTS, Family.LATENT_UPSCALER, UNET, VAE,
        # It reads the last layer without the norm that follows.
        (TowerKind(TOWER.encoder, TOWER.tokenizer, last_layer=1, normed=False, projects=False),),
        ("original_sample", "sample"),
    ),
    "LDMSuperResolutionPipeline": Kit(Way.PLAIN, Family.LDM, PLAIN_UNET, VQ, (), PREDICTIONS),
}  # fmt: skip
"""By what `model_index.json` says it is."""


def is_enlarger(folder: Path) -> bool:
    """Whether the index in `folder` says so."""
    try:
        said = json.loads((folder / INDEX).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and str(said.get("_class_name")) in KITS


def reader_of(folder: Path, name: str) -> FolderReader:
    """What reads the model in `folder`."""
    return (EnlargerReader if is_enlarger(folder) else FolderReader)(folder, name)


class EnlargerReader(FolderReader):
    """Reads the folder of a model that enlarges."""

    def _blueprint(self) -> EnlargerPlan:
        index = self._json(INDEX)
        kit = KITS[str(index.get("_class_name"))]
        noisy = (LOW_RES,) if kit.way is Way.PIXELS else ()
        self._check_classes(index, (kit.unet, kit.vae, *pieces_of(kit.towers), SCHEDULER, *noisy))
        unet, vae = self._network(kit.unet), self._network(kit.vae)
        low_res = self._json(f"{LOW_RES.name}/{LOW_RES.config}") if noisy else {}
        blueprint = EnlargerPlan(
            family=kit.family,
            task=Task.UPSCALING,
            native_size=0,
            unet=unet,
            vae=vae,
            towers=tuple(self._tower(kind) for kind in kit.towers),
            scheduler=self._json(f"{SCHEDULER.name}/{SCHEDULER.config}"),
            way=kit.way,
            low_res=low_res,
            most_noise=self._most_noise(index, unet, low_res) if noisy else 0,
        )
        self._check_enlarger(blueprint, kit)
        size = unet.part.config.get("sample_size")
        native = size * blueprint.pixels_per_latent if isinstance(size, int) else 512
        return replace(blueprint, native_size=native)

    def _check_enlarger(self, plan: EnlargerPlan, kit: Kit) -> None:
        self._check_prediction(plan, kit.predictions)
        self._check_numbers(plan)
        self._check_betas(plan.scheduler, SCHEDULER.name)
        self._check_betas(plan.low_res, LOW_RES.name)
        found = recognise(plan.unet.header).family
        if found is not kit.family:
            raise self._unusable(
                f"cannot be used: its UNet is no {kit.family} ({found or 'unknown'})", fix="choose another model"
            )
        if not 2 <= plan.pixels_per_latent <= MOST_FACTOR:
            raise self._unusable(f"cannot be used: its VAE reduces pictures {plan.pixels_per_latent} times")
        config, latents = plan.unet.part.config, plan.vae.part.config.get("latent_channels", 4)
        if type(latents) is not int:
            raise self._unusable(f"cannot be used: its VAE has {latents!r} channels, no number")
        shown = latents if plan.way is Way.LATENTS else 3
        if config.get("in_channels") != latents + shown:
            raise self._unusable(
                f"cannot be used: its UNet takes {config.get('in_channels')} channels, and is shown {latents} of "
                f"latents and {shown} of the picture"
            )
        if plan.way is Way.LATENTS:
            told = NOISE_TOLD + plan.towers[0].network.part.config.get("hidden_size", 512)
            if config.get("time_cond_proj_dim") != told:
                raise self._unusable(f"cannot be used: its UNet is not told {told} numbers with the time")

    def _most_noise(self, index: Mapping[str, Any], unet: Network, low_res: Mapping[str, Any]) -> int:
        """As the index says, within what the network and the scheduler know."""
        said = index.get("max_noise_level", MOST_NOISE)
        counts = unet.part.config.get("num_class_embeds"), low_res.get("num_train_timesteps", 1000)
        if not all(type(number) is int and number > 0 for number in (said, *counts)):
            raise self._unusable("cannot be used: how much noise its pictures may have is no number")
        return min(int(said), *(int(count or 0) - 1 for count in counts))
