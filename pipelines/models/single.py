"""A model as a single file in the original's spelling: what is in it, and how to build it."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import pstdev
from typing import Any

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family, Kind, Prediction, Task
from pipelines.models.architecture import (
    Architecture,
    Shapeless,
    TextNumbers,
    architectures,
    text_part,
    unet_part,
    vae_part,
)
from pipelines.models.blueprint import LATENT_CHANNELS, PIXELS_PER_LATENT, Blueprint, Network, Tower
from pipelines.models.enlargers import MOST_NOISE, EnlargerPlan, Way
from pipelines.models.headers import DamagedFile, Header, TensorEntry, read_header
from pipelines.models.peculiar import Peculiar, read_peculiar
from pipelines.models.recognise import Found, Recognised, recognise

DOWNLOAD_AGAIN = "download the file again"
EPSILON = Prediction.EPSILON
RUNS = (Task.TEXT_TO_IMAGE, Task.INPAINTING, Task.UPSCALING)
AS_FOLDER = "use it as the folder that diffusers reads"
LOW_RES_BETAS = "low_scale_model.betas"
"""Of a model that enlarges: how noise is added to the picture that it is shown."""
XL = (Family.SDXL, Family.SDXL_REFINER)


@dataclass(frozen=True, slots=True)
class SingleFile:
    """A file that holds at least a denoiser, and what its header says."""

    path: Path
    name: str
    header: Header
    found: Recognised

    @property
    def lacks(self) -> tuple[Kind, ...]:
        """The kinds of parts that another file must bring along."""
        numbers = self._numbers
        towers = len(numbers.text_encoders) if numbers else 0
        lacking = [Kind.VAE] if self.found.vae is None else []
        return (*lacking, Kind.TEXT_ENCODER) if len(self.found.text_encoders) < towers else tuple(lacking)

    @property
    def prediction(self) -> Prediction:
        """What the network answers: as marked; else by the one weight that tells SD 2's two kinds apart."""
        if said := self.peculiar.steps.get("prediction_type"):
            return Prediction(said)
        if self.found.prediction:
            return self.found.prediction
        if self.found.family is Family.SD2 and _answers_velocity(self.path, self.header, self.found):
            return Prediction.V
        return Prediction(self._numbers.scheduler.get("prediction_type", "epsilon")) if self._numbers else EPSILON

    @property
    def native_size(self) -> int:
        """Pixels; 0 where the family's is not known."""
        numbers = self._numbers
        if self.peculiar.native_size:
            return self.peculiar.native_size
        said = self.header.metadata.get("modelspec.resolution", "").partition("x")[0]
        if said.isdecimal() and 64 <= int(said) <= 4096:
            return int(said) // PIXELS_PER_LATENT * PIXELS_PER_LATENT
        if self.found.family is Family.SD2 and self.prediction is Prediction.V:
            return 768
        return numbers.native_size if numbers else 0

    @property
    def peculiar(self) -> Peculiar:
        """What is unusual about it. Raises ModelUnusable."""
        try:
            return read_peculiar(self.header.metadata)
        except ValueError as error:
            raise self.unusable(f"cannot be used: {error}") from error

    @property
    def _numbers(self) -> Architecture | None:
        return architectures().get(self.found.family) if self.found.family else None

    @property
    def can_run(self) -> bool:
        """Whether it is of a kind that Easel can paint with."""
        known = (Prediction.EPSILON, Prediction.V)
        return self._numbers is not None and self.found.task in RUNS and self.prediction in known

    def check(self) -> None:
        """Raises ModelUnusable when this cannot be built, whatever other files bring along."""
        if self._numbers is None:
            fix = AS_FOLDER if self.found.task is Task.UPSCALING else "use another model"
            raise self.unusable(f"is of a kind that cannot run yet ({self.found.family})", fix=fix)
        if self.found.task not in RUNS:
            raise self.unusable(f"is of a kind that cannot run yet ({self.found.task})", fix="use another model")
        if self.prediction not in (Prediction.EPSILON, Prediction.V):
            raise self.unusable(f"predicts {self.prediction}, which cannot run yet", fix="use another model")
        self.unet()

    def blueprint(self, *, vae: Network | None = None, towers: tuple[Tower, ...] | None = None) -> Blueprint:
        """How to build it, with another VAE than its own if there is one, and with `towers` if it has none.

        Raises ModelUnusable.
        """
        self.check()
        numbers, family = self._numbers, self.found.family
        assert numbers and family
        unet, towers = self.unet(), self._own_towers(numbers) or towers
        if towers is None:
            raise self.unusable(
                "has no text encoder of its own", fix=f"put a whole {family} model into the models folder"
            )
        reads, writes = unet.part.config["cross_attention_dim"], sum(tower.width for tower in towers)
        if reads != writes:
            raise self.unusable(f"mixes two families: its UNet reads {reads} numbers a word, its text encoder {writes}")
        blueprint = Blueprint(
            family=family,
            task=self.found.task,
            native_size=self.native_size,
            unet=unet,
            vae=vae or self.vae_for(numbers),
            towers=towers,
            scheduler=self._scheduler(numbers),
        )
        return self._enlarging(blueprint, numbers) if self.found.task is Task.UPSCALING else blueprint

    def _enlarging(self, blueprint: Blueprint, numbers: Architecture) -> EnlargerPlan:
        """As its folder would say it; the noise of its picture as the file itself does."""
        plain = {field.name: getattr(blueprint, field.name) for field in fields(blueprint)}
        betas = self.header.tensors.get(LOW_RES_BETAS)
        said = betas is not None and betas.dtype == "F32" and 1 < betas.numel <= 4096
        trained = {"trained_betas": _numbers_of(self.path, betas)} if said and betas else {}
        takes, levels = (blueprint.unet.part.config[key] for key in ("in_channels", "num_class_embeds"))
        if takes != LATENT_CHANNELS + 3:
            raise self.unusable(f"cannot run yet: its UNet takes {takes} channels", fix="use one that takes 7")
        low_res = {**numbers.low_res_scheduler, **trained}
        return EnlargerPlan(**plain, way=Way.PIXELS, low_res=low_res, most_noise=min(MOST_NOISE, levels - 1))

    def unet(self) -> Network:
        """Raises ModelUnusable when it is not whole."""
        numbers = self._numbers
        assert numbers and self.found.denoiser
        try:
            part = unet_part(self.header.tensors, self.found.denoiser, numbers)
            return Network(self.path, self.header, part.but(self.peculiar.unet))
        except Shapeless as missing:
            raise self.unusable(f"cannot be used: its UNet lacks {missing}") from missing

    def vae_for(self, numbers: Architecture) -> Network:
        """The VAE in this file, for the family of `numbers`. Raises ModelUnusable."""
        if self.found.vae is None:
            raise self.unusable("has no VAE of its own", fix=f"put a VAE for {numbers.family} into the models folder")
        try:
            part = vae_part(self.header.tensors, self.found.vae, numbers).but(self.peculiar.vae)
        except Shapeless as missing:
            raise self.unusable(f"cannot be used: its VAE lacks {missing}") from missing
        if part.config["latent_channels"] != LATENT_CHANNELS:
            raise self.unusable(f"is no VAE for {numbers.family}", fix="choose another VAE")
        return Network(self.path, self.header, part)

    def _own_towers(self, numbers: Architecture) -> tuple[Tower, ...] | None:
        """None when a text encoder is missing."""
        if len(self.found.text_encoders) != len(numbers.text_encoders):
            return None
        pairs = enumerate(zip(self.found.text_encoders, numbers.text_encoders, strict=True))
        return tuple(
            self._tower(found, some, numbers.family, self.peculiar.text(place)) for place, (found, some) in pairs
        )

    def _tower(self, found: Found, numbers: TextNumbers, family: Family, unusual: Mapping[str, Any]) -> Tower:
        try:
            part = text_part(self.header.tensors, found, numbers).but(unusual)
        except Shapeless as missing:
            raise self.unusable(f"cannot be used: its text encoder lacks {missing}") from missing
        xl = family in XL
        return Tower(Network(self.path, self.header, part), None, numbers.pad,
                     last_layer=2 if xl else 1, normed=not xl, projects=numbers.projects,
                     merges=self.peculiar.merges)  # fmt: skip

    def _scheduler(self, numbers: Architecture) -> dict[str, object]:
        zero_snr = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if self.found.zero_snr else {}
        return {**numbers.scheduler, "prediction_type": str(self.prediction), **zero_snr, **self.peculiar.steps}

    def unusable(self, problem: str, *, fix: str = DOWNLOAD_AGAIN) -> ModelUnusable:
        return ModelUnusable(f"The model {self.name!r} {problem}", fix=fix, field="model")


def read_single(path: Path, name: str) -> SingleFile:
    """What the header of the file at `path` says. Raises ModelUnusable for a file that is damaged, or gone."""
    try:
        header = read_header(path)
    except DamagedFile as error:
        raise ModelUnusable(
            f"The model {name!r} cannot be used: it {error}", fix=DOWNLOAD_AGAIN, field="model"
        ) from error
    except OSError as error:
        raise ModelUnusable(
            f"The model {name!r} cannot be read ({error.strerror})", fix="allow reading it, or scan the folders again",
            field="model", detail=str(error),
        ) from error  # fmt: skip
    return SingleFile(path, name, header, recognise(header))


TELLING_BIAS = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
MOST_SWING = 0.09
"""Of that bias in SD 2.x models that answer with the noise; those that answer with v have more."""


def _answers_velocity(path: Path, header: Header, found: Recognised) -> bool:
    """AUTOMATIC1111 and ComfyUI tell SD 2.1 768-v from the 512 base by the spread of this bias, too."""
    entry = header.tensors.get(f"{found.denoiser.root}{TELLING_BIAS}") if found.denoiser else None
    if entry is None or entry.numel > 4096:
        return False
    numbers = _numbers_of(path, entry)
    return bool(numbers) and all(map(math.isfinite, numbers)) and pstdev(numbers) > MOST_SWING


def _numbers_of(path: Path, entry: TensorEntry) -> list[float]:
    """A small tensor, read by hand; empty for formats that do not matter here."""
    with path.open("rb") as file:
        file.seek(entry.start)
        raw = file.read(entry.end - entry.start)
    if entry.dtype == "BF16":  # the upper half of a float32
        raw = b"".join(b"\0\0" + raw[at : at + 2] for at in range(0, len(raw), 2))
    letter = {"F16": "e", "F32": "f", "BF16": "f"}.get(entry.dtype)
    return list(struct.unpack(f"<{entry.numel}{letter}", raw)) if letter else []
