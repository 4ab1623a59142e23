"""The stages of a run, in order. Each takes up what the stages before it left in the run's folder.

tokenizer -> text -> vae -> refine -> unet -> export -> evaluate (needs judge)
                                  `-> polish -'

`unet` may begin before `refine` ends: what a prompt means is learnt as well from coarser latents, and the refined
ones are near enough to go on with. `polish` leaves the latents as they are and may run beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.core.error import EaselError
from pipelines.training import autoencoder, networks
from pipelines.training.autoencoder import VaeObjective
from pipelines.training.checkers.kinds import KindNet, KindObjective
from pipelines.training.diffusion import UnetObjective
from pipelines.training.examples import Bucket, ExampleStream
from pipelines.training.latents import LatentSet, encode, encoded
from pipelines.training.loop import Job, Objective, Pace, Report, averaged, train
from pipelines.training.model import save_model
from pipelines.training.pictures import CropStream, Pictures, PictureSet, drawn
from pipelines.training.recipe import Crops, Recipe
from pipelines.training.text import TextObjective, TextTask
from pipelines.training.tokenizer import save_tokenizer, train_tokenizer, world_texts

FOLDED_ON = 512  # pictures whose latents give the statistics folded into the VAE


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe and the folder where its long-run state lies."""

    recipe: Recipe
    folder: Path
    device: str = "cpu"
    processes: int = 1  # that draw pictures

    def checkpoint(self, stage: str) -> Path:
        """Where a training stage keeps its state."""
        return self.folder / f"{stage}.pt"

    def pictures(self, wanted: PictureSet, shelf: str = "pictures") -> Pictures:
        """A drawn set; drawn now if it is not there yet."""
        return drawn(wanted, self.folder / shelf, processes=self.processes)

    def tokenizer(self) -> CLIPTokenizer:
        """The tokenizer of the stage of that name."""
        folder = self.folder / "tokenizer"
        if not (folder / "vocab.json").is_file():
            raise EaselError(f"There is no tokenizer in {folder}", fix="run the stage `tokenizer` first")
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def text_encoder(self) -> CLIPTextModel:
        """The trained text tower."""
        task = new_text_task(self)
        averaged(task, self.checkpoint("text"))
        return task.encoder.to(self.device)

    def vae(self) -> AutoencoderKL:
        """The finished VAE in SD's units: polished or refined, if those stages have ended."""
        for stage in ("polish", "refine", "vae"):
            folder = self.folder / stage
            if (folder / "config.json").is_file():
                vae = AutoencoderKL.from_pretrained(folder, local_files_only=True)
                return vae.eval().to(self.device, memory_format=torch.channels_last)  # a fifth faster on CPUs
        raise EaselError(f"There is no finished VAE in {self.folder}", fix="run the stage `vae` to its end")

    def latents(self, wanted: PictureSet) -> LatentSet:
        """The latents of a picture set by the VAE that is finished now."""
        shelf = "latents-refined" if (self.folder / "refine").is_dir() else "latents"
        return encoded(self.vae(), self.pictures(wanted), self.folder / shelf)

    def unet(self) -> UNet2DConditionModel:
        """The UNet, as far as it is trained."""
        unet = new_unet(self)
        averaged(unet, self.checkpoint("unet"))
        return unet.eval()

    def judge(self) -> KindNet:
        """The trained reader of kinds."""
        net = KindNet()
        averaged(net, self.checkpoint("judge"))
        return net.eval()


def make_tokenizer(run: Run) -> CLIPTokenizer:
    """Stage `tokenizer`: learn the world's words."""
    tokenizer = train_tokenizer(world_texts(run.recipe.seed, run.recipe.texts))
    save_tokenizer(tokenizer, run.folder / "tokenizer")
    return tokenizer


def train_text(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `text`: what the words mean, from captions alone."""
    task = new_text_task(run).to(run.device)
    objective = TextObjective(task, run.tokenizer(), batch=run.recipe.text_batch, seed=run.recipe.seed)
    return train(_job(run, "text", task, objective, run.recipe.text), until=until)


def train_vae(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `vae`: pictures to latents and back; at its end the latents are brought to SD's units."""
    torch.manual_seed(run.recipe.seed)
    vae = networks.new_vae()
    autoencoder.start_as_identity(vae)
    vae = vae.to(run.device, memory_format=torch.channels_last)
    objective = VaeObjective(vae, _crops(run, run.recipe.vae_crops), seed=run.recipe.seed)
    return _train_vae(run, vae, _job(run, "vae", vae, objective, run.recipe.vae), until)


def train_refine(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `refine`: the VAE goes on, looking mostly at the subjects, for windows and faces."""
    vae = run.vae()
    crops = _crops(run, run.recipe.refine_crops)
    objective = VaeObjective(vae, crops, seed=run.recipe.seed + 1, unit=networks.SCALING_FACTOR)
    return _train_vae(run, vae, _job(run, "refine", vae, objective, run.recipe.refine), until)


def train_polish(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `polish`: the decoder alone goes on, so that the UNet's latents stay true."""
    vae = run.vae()
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(False)
    crops = _crops(run, run.recipe.refine_crops)
    objective = VaeObjective(vae, crops, seed=run.recipe.seed + 2, unit=networks.SCALING_FACTOR)
    return _train_vae(run, vae, _job(run, "polish", vae, objective, run.recipe.polish), until)


def _train_vae(run: Run, vae: AutoencoderKL, job: Job, until: int | None) -> Iterator[Report]:
    """Train; at the end bring the latents to SD's units, if they have moved, and store the VAE."""
    report = Report(0, job.pace.steps, 0.0)
    for report in train(job, until=until):
        yield report
    if report.step == report.steps:
        if next(vae.encoder.parameters()).requires_grad:
            _fold(run, vae)
        vae.save_pretrained(run.folder / job.checkpoint.stem)


def train_unet(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `unet`: from noise and words to latents."""
    recipe = run.recipe
    buckets = tuple(
        Bucket(partial(run.latents, wanted), plan.batch, plan.weight, plan.enters)
        for wanted, plan in zip(recipe.picture_sets(), recipe.buckets, strict=True)
    )
    unet = new_unet(run).to(run.device)
    if run.device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # with so small heads plain products train faster than SDPA
    examples = ExampleStream(buckets, steps=recipe.unet.steps, seed=recipe.seed)
    objective = UnetObjective(unet, run.text_encoder(), run.tokenizer(), examples, seed=recipe.seed)
    return train(_job(run, "unet", unet, objective, recipe.unet), until=until)


def train_judge(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `judge`: the reader of kinds, which sees drawings only."""
    torch.manual_seed(run.recipe.seed)
    net = KindNet()
    objective = KindObjective(net, run.recipe.judge_batch, run.recipe.seed)
    return train(_job(run, "judge", net, objective, run.recipe.judge), until=until)


def export(run: Run, folder: Path) -> None:
    """Stage `export`: the model as a folder that stock diffusers opens."""
    save_model(folder, vae=run.vae(), text_encoder=run.text_encoder(), tokenizer=run.tokenizer(), unet=run.unet())


def new_text_task(run: Run) -> TextTask:
    """The untrained text tower and its heads, the same for the same seed."""
    torch.manual_seed(run.recipe.seed)
    return TextTask(networks.new_text_encoder(len(run.tokenizer())))


def new_unet(run: Run) -> UNet2DConditionModel:
    """The untrained UNet, the same for the same seed."""
    torch.manual_seed(run.recipe.seed)
    return networks.new_unet(run.recipe.native_side // networks.PIXELS_PER_LATENT)


def _job(run: Run, stage: str, module: nn.Module, objective: Objective, pace: Pace) -> Job:
    return Job(module=module, objective=objective, pace=pace, checkpoint=run.checkpoint(stage))


def _crops(run: Run, crops: Crops) -> CropStream:
    sets = tuple(run.pictures(wanted, "vae-pictures") for wanted in run.recipe.vae_sets)
    return CropStream(sets, crops.batch, crops.side, run.recipe.seed, crops.on_subject, run.device)


def _fold(run: Run, vae: AutoencoderKL) -> None:
    pictures = run.pictures(run.recipe.vae_sets[0], "vae-pictures")
    some = replace(pictures, pixels=pictures.pixels[:FOLDED_ON], boxes=pictures.boxes[:FOLDED_ON])
    autoencoder.fold_statistics(vae, encode(vae, some).float() / networks.SCALING_FACTOR)
