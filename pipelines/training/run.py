"""A run: a recipe, the folder where its state lies, and what the stages have left there."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from spandrel.architectures.Compact import Compact
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.core.error import EaselError
from pipelines.training import networks, superres
from pipelines.training.checkers.judge import Judge
from pipelines.training.embedding import NewWord, learn_word
from pipelines.training.enlarging import FACTOR, new_upscaler
from pipelines.training.latents import LatentSet, encoded
from pipelines.training.loop import Job, Objective, Pace, averaged, steps_done
from pipelines.training.lora import add_lora
from pipelines.training.pictures import CropStream, Pictures, PictureSet, drawn
from pipelines.training.recipe import Crops, LoraName, Recipe
from pipelines.training.text import TextTask
from pipelines.training.world.scene import Style

VAE_STAGES = ("vae", "refine", "polish")


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe and the folder where its long-run state lies."""

    recipe: Recipe
    folder: Path
    device: str = "cpu"
    processes: int = 1  # that draw pictures
    compiled: bool = False  # whether UNets train compiled
    unfinished: bool = False  # whether stages may be built on, or written out, before they have ended

    def checkpoint(self, stage: str) -> Path:
        """Where a training stage keeps its state."""
        return self.folder / f"{stage}.pt"

    def pictures(self, wanted: PictureSet) -> Pictures:
        """A set drawn for the VAE; drawn now if it is not there yet."""
        return drawn(wanted, self.folder / "vae-pictures", processes=self.processes)

    def tokenizer(self) -> CLIPTokenizer:
        """The tokenizer of the stage of that name."""
        folder = self.folder / "tokenizer"
        if not (folder / "vocab.json").is_file():
            raise EaselError(f"There is no tokenizer in {folder}", fix="run the stage `tokenizer` first")
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def text_encoder(self) -> CLIPTextModel:
        """The trained text tower."""
        task = new_text_task(self)
        self._take(task, "text", self.recipe.text)
        return task.encoder.to(self.device).requires_grad_(False)

    def vae(self, *stages: str) -> AutoencoderKL:
        """The VAE in SD's units as the last finished of `stages` left it, by default of all there are."""
        for stage in reversed(stages or VAE_STAGES):
            folder = self.folder / stage
            if (folder / "config.json").is_file():
                vae = AutoencoderKL.from_pretrained(folder, local_files_only=True)
                return vae.eval().to(self.device, memory_format=torch.channels_last)  # a fifth faster on CPUs
        stage = (stages or VAE_STAGES)[0]
        raise EaselError(
            f"There is no finished VAE in {self.folder}", fix=f"run the stage `{stage.replace('-', ' ')}` to its end"
        )

    def latents(self, wanted: PictureSet, *, masked: bool = False) -> LatentSet:
        """The latents of a picture set. `polish` leaves them as they are, so they are those of `refine`."""
        return encoded(self.vae("refine"), wanted, self.folder / "latents", masked=masked, processes=self.processes)

    def unet(self, style: Style = Style.FLAT) -> UNet2DConditionModel:
        """The trained UNet of `style`."""
        unet = new_unet(self)
        plan = self.recipe.flat if style is Style.FLAT else self.recipe.ink
        self._take(unet, f"unet-{style}", plan.pace)
        return unet.eval()

    def inpaint_unet(self) -> UNet2DConditionModel:
        """The trained inpainting UNet."""
        unet = networks.for_inpainting(new_unet(self))
        self._take(unet, "inpaint", self.recipe.inpaint.pace)
        return unet.eval()

    def lora_unet(self, name: LoraName) -> UNet2DConditionModel:
        """The flat UNet with a trained LoRA beside it."""
        plan = self.recipe.loras[name]
        unet = new_unet(self)
        add_lora(unet, plan.rank, plan.alpha)
        self._take(unet, f"lora-{name}", plan.shown.pace)
        return unet.eval()

    def word(self) -> NewWord:
        """The new word's vector."""
        plan = self.recipe.word
        word = learn_word(self.text_encoder(), self.tokenizer(), plan.word, plan.like)
        self._take(word, "embedding", plan.shown.pace)
        return word

    def judge(self) -> Judge:
        """The trained judge of pictures."""
        judge = Judge()
        self._take(judge, "judge", self.recipe.judge)
        return judge.eval()

    def upscaler(self) -> Compact:
        """The trained upscaler."""
        network = new_upscaler(self.recipe.seed)
        self._take(network, "upscaler", self.recipe.upscaler)
        return network.eval()

    def superres_unet(self) -> UNet2DConditionModel:
        """The trained UNet of the enlarging model."""
        unet = new_superres_unet(self)
        self._take(unet, "superres-unet", self.recipe.superres.unet)
        return unet.eval()

    def job(self, stage: str, module: nn.Module, objective: Objective, pace: Pace) -> Job:
        """What a training stage does, with its state in this run's folder."""
        told = _told(self.recipe, stage)
        return Job(module=module, objective=objective, pace=pace, checkpoint=self.checkpoint(stage), recipe=told)

    def crops(self, sets: tuple[PictureSet, ...], crops: Crops, seed: int) -> CropStream:
        """Squares of the pictures of `sets`."""
        opened = tuple(self.pictures(wanted) for wanted in sets)
        return CropStream(opened, crops.batch, crops.side, seed, crops.on_subject, self.device)

    def _take(self, module: nn.Module, stage: str, pace: Pace) -> None:
        """Give `module` the weights that a stage handed over. Raises EaselError for one that has not ended."""
        averaged(module, self.checkpoint(stage))
        done = steps_done(self.checkpoint(stage))
        if done < pace.steps and not self.unfinished:
            raise EaselError(f"The stage {stage} has done {done} of {pace.steps} steps", fix="run it to its end first")


def new_text_task(run: Run) -> TextTask:
    """The untrained text tower and its heads, the same for the same seed."""
    torch.manual_seed(run.recipe.seed)
    return TextTask(networks.new_text_encoder(len(run.tokenizer())))


def new_unet(run: Run) -> UNet2DConditionModel:
    """The untrained UNet, the same for the same seed."""
    torch.manual_seed(run.recipe.seed)
    return networks.new_unet(run.recipe.native_side // networks.PIXELS_PER_LATENT)


def new_superres_unet(run: Run) -> UNet2DConditionModel:
    """The untrained UNet of the enlarging model, the same for the same seed."""
    torch.manual_seed(run.recipe.seed)
    return superres.new_unet(run.recipe.superres.patches.side // FACTOR)


def _told(recipe: Recipe, stage: str) -> str:
    """All numbers of a recipe that the outcome of a stage depends on, in words."""
    common = (recipe.seed, recipe.native_side, recipe.texts)
    vae = (recipe.vae_sets, recipe.vae, recipe.vae_crops)
    details = (recipe.refine, recipe.polish, recipe.detail_crops)
    enlarged = recipe.superres
    own: dict[str, object] = {
        "text": (recipe.text, recipe.text_batch),
        "vae": vae,
        "refine": (vae, details),
        "polish": (vae, details),
        "unet-flat": (recipe.duos, recipe.flat),
        "unet-ink": (recipe.duos, recipe.flat, recipe.ink),
        "inpaint": (recipe.duos, recipe.flat, recipe.inpaint),
        "embedding": (recipe.duos, recipe.flat, recipe.word),
        "judge": (recipe.judge, recipe.judge_batch),
        "upscaler": (recipe.vae_sets, recipe.upscaler, recipe.upscaler_crops),
        "superres-vae": (enlarged.sets, enlarged.vae, enlarged.vae_crops),
        "superres-unet": enlarged,
        **{f"lora-{name}": (recipe.duos, recipe.flat, plan) for name, plan in recipe.loras.items()},
    }
    return repr((common, own[stage]))
