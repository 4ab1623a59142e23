"""The stages of a run. Each takes up what the stages before it left in the run's folder.

tokenizer -> text -> vae -> refine -> unet flat -> unet ink, inpaint, loras, embedding -> export -> evaluate
                                  `-> polish ---------------------------------------------'

`polish` leaves the latents as they are and may run beside the UNets.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from spandrel.architectures.Compact import Compact
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.core.error import EaselError
from pipelines.training import autoencoder, networks
from pipelines.training.autoencoder import VaeObjective
from pipelines.training.checkers.judge import JUDGE_FILE, Judge, save_judge
from pipelines.training.checkers.lessons import JudgeObjective
from pipelines.training.diffusion import UnetObjective
from pipelines.training.embedding import NewWord, learn_word, save_word, with_colour
from pipelines.training.enlarging import EnlargeObjective, new_upscaler, save_upscaler
from pipelines.training.examples import Bucket, ExampleStream, Say, spoken
from pipelines.training.latents import LatentSet, encode, encoded
from pipelines.training.loop import Job, Objective, Pace, Report, averaged, steps_done, train
from pipelines.training.lora import add_lora, save_lora
from pipelines.training.model import save_model
from pipelines.training.pictures import CropStream, Pictures, PictureSet, drawn
from pipelines.training.recipe import Crops, LoraName, Recipe, UnetPlan
from pipelines.training.text import TextObjective, TextTask
from pipelines.training.tokenizer import save_tokenizer, train_tokenizer, world_texts
from pipelines.training.whole import replace_folder
from pipelines.training.world.scene import Style

VAE_STAGES = ("vae", "refine", "polish")
FOLDED_ON = 512  # pictures whose latents give the statistics folded into the VAE


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
        raise EaselError(f"There is no finished VAE in {self.folder}", fix=f"run the stage `{stage}` to its end")

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

    def _take(self, module: nn.Module, stage: str, pace: Pace) -> None:
        """Give `module` the weights that a stage handed over. Raises EaselError for one that has not ended."""
        averaged(module, self.checkpoint(stage))
        done = steps_done(self.checkpoint(stage))
        if done < pace.steps and not self.unfinished:
            raise EaselError(f"The stage {stage} has done {done} of {pace.steps} steps", fix="run it to its end first")


def make_tokenizer(run: Run) -> Iterator[Report]:
    """Stage `tokenizer`: learn the world's words, in one step."""
    if not (run.folder / "tokenizer" / "vocab.json").is_file():
        tokenizer = train_tokenizer(world_texts(run.recipe.seed, run.recipe.texts))
        save_tokenizer(tokenizer, run.folder / "tokenizer")
    yield Report(1, 1, 0.0)


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
    objective = VaeObjective(vae, _crops(run, run.recipe.vae_crops, run.recipe.seed), seed=run.recipe.seed)
    return _train_vae(run, vae, _job(run, "vae", vae, objective, run.recipe.vae), until)


def train_refine(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `refine`: the VAE goes on, on larger crops and mostly on the subjects, for windows and faces."""
    return _go_on(run, "refine", run.vae("vae"), run.recipe.refine, until)


def train_polish(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `polish`: the decoder alone goes on, so that the UNet's latents stay true."""
    vae = run.vae("refine")
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(False)
    return _go_on(run, "polish", vae, run.recipe.polish, until)


def _go_on(run: Run, stage: str, vae: AutoencoderKL, pace: Pace, until: int | None) -> Iterator[Report]:
    seed = run.recipe.seed + list(VAE_STAGES).index(stage)
    crops = _crops(run, run.recipe.detail_crops, seed)
    objective = VaeObjective(vae, crops, seed=seed, unit=networks.SCALING_FACTOR)
    return _train_vae(run, vae, _job(run, stage, vae, objective, pace), until)


def _train_vae(run: Run, vae: AutoencoderKL, job: Job, until: int | None) -> Iterator[Report]:
    """Train; at the end bring the latents to SD's units, if they have moved, and store the VAE."""
    folder = run.folder / job.checkpoint.stem
    moved = not (folder / "config.json").is_file()
    for report in train(job, until=until):
        moved = True
        yield report
    if moved and (until is None or until >= job.pace.steps):
        if next(vae.encoder.parameters()).requires_grad:
            _fold(run, vae)
        replace_folder(folder, vae.save_pretrained)


def train_unet(run: Run, style: Style = Style.FLAT, *, until: int | None = None) -> Iterator[Report]:
    """Stage `unet`: from noise and words to latents. The flat UNet begins with chance, the ink one with the flat."""
    plan, unet = (run.recipe.flat, new_unet(run)) if style is Style.FLAT else (run.recipe.ink, run.unet())
    objective = _objective(run, unet, plan)
    return train(_job(run, f"unet-{style}", unet, objective, plan.pace), until=until)


def train_inpaint(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `inpaint`: the flat UNet learns to paint in a mask only, so that it fits what is around."""
    plan, unet = run.recipe.inpaint, networks.for_inpainting(run.unet())
    objective = _objective(run, unet, plan)
    return train(_job(run, "inpaint", unet, objective, plan.pace), until=until)


def train_lora(run: Run, name: LoraName, *, until: int | None = None) -> Iterator[Report]:
    """Stage `lora`: an adapter beside the frozen flat UNet learns what no prompt asks for."""
    plan, unet = run.recipe.loras[name], run.unet()
    torch.manual_seed(run.recipe.seed)
    add_lora(unet, plan.rank, plan.alpha)
    objective = _objective(run, unet, plan.shown)
    return train(_job(run, f"lora-{name}", unet, objective, plan.shown.pace), until=until)


def train_embedding(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `embedding`: a vector for a colour that has no word yet."""
    plan, unet = run.recipe.word, run.unet().requires_grad_(False)
    encoder, tokenizer = run.text_encoder(), run.tokenizer()
    word = learn_word(encoder, tokenizer, plan.word, plan.like)
    objective = UnetObjective(
        _placed(run, unet), encoder, tokenizer, _examples(run, plan.shown, with_colour(plan.word)), seed=run.recipe.seed
    )
    return train(_job(run, "embedding", word, objective, plan.shown.pace), until=until)


def _objective(run: Run, unet: UNet2DConditionModel, plan: UnetPlan) -> UnetObjective:
    examples = _examples(run, plan)
    return UnetObjective(_placed(run, unet), run.text_encoder(), run.tokenizer(), examples, seed=run.recipe.seed)


def _placed(run: Run, unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """`unet` where and as it trains fastest."""
    unet.to(run.device, memory_format=torch.channels_last)  # an eighth faster on CPUs
    if run.device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # with so small heads plain products train faster than SDPA
    compiled: UNet2DConditionModel = torch.compile(unet) if run.compiled else unet
    return compiled


def _examples(run: Run, plan: UnetPlan, say: Say = spoken) -> ExampleStream:
    buckets = tuple(
        Bucket(partial(run.latents, run.recipe.picture_set(plan, b), masked=plan.masked), b.batch, b.weight, b.enters)
        for b in plan.buckets
    )
    return ExampleStream(buckets, steps=plan.pace.steps, seed=run.recipe.seed, say=say)


def train_judge(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `judge`: who looks at pictures in the examination; it learns from drawings only."""
    torch.manual_seed(run.recipe.seed)
    judge = Judge().to(run.device)
    objective = JudgeObjective(judge, run.recipe.judge_batch, run.recipe.seed)
    return train(_job(run, "judge", judge, objective, run.recipe.judge), until=until)


def train_upscaler(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `upscaler`: pictures that were made small become large again."""
    network = new_upscaler(run.recipe.seed).to(run.device)
    objective = EnlargeObjective(network, _crops(run, run.recipe.upscaler_crops, run.recipe.seed), seed=run.recipe.seed)
    return train(_job(run, "upscaler", network, objective, run.recipe.upscaler), until=until)


ORDER: dict[str, Callable[[Run], Iterator[Report]]] = {
    "tokenizer": make_tokenizer,
    "text": train_text,
    "vae": train_vae,
    "refine": train_refine,
    "unet flat": train_unet,
    "polish": train_polish,
    "unet ink": partial(train_unet, style=Style.INK),
    "inpaint": train_inpaint,
    **{f"lora {name}": partial(train_lora, name=name) for name in LoraName},
    "embedding": train_embedding,
    "judge": train_judge,
    "upscaler": train_upscaler,
}


class Product(StrEnum):
    """What a run makes, by the name it is shipped under."""

    FLAT = "flat"
    INK = "ink"
    INPAINT = "inpaint"
    GLOW = "glow"
    SNOWFALL = "snowfall"
    TEAL = "teal"
    JUDGE = "judge"
    UPSCALER = "upscaler"


def export(run: Run, product: Product, folder: Path) -> Path:
    """Stage `export`: write `product` under `folder` as other tools open it; returns where."""
    match product:
        case Product.FLAT | Product.INK:
            return _export_model(run, folder / product, run.unet(Style(product)))
        case Product.INPAINT:
            return _export_model(run, folder / product, run.inpaint_unet())
        case Product.GLOW | Product.SNOWFALL:
            file, plan = folder / "loras" / f"{product}.safetensors", run.recipe.loras[LoraName(product)]
            save_lora(file, run.lora_unet(LoraName(product)), rank=plan.rank, alpha=plan.alpha, title=product.title())
            return file
        case Product.TEAL:
            file = folder / "embeddings" / f"{product}.safetensors"
            save_word(file, run.word())
            return file
        case Product.JUDGE:
            file = folder / "judge" / JUDGE_FILE
            save_judge(file, run.judge())
            return file
        case Product.UPSCALER:
            file = folder / "upscalers" / "starter-x4.safetensors"
            save_upscaler(file, run.upscaler())
            return file


def _export_model(run: Run, folder: Path, unet: UNet2DConditionModel) -> Path:
    save_model(folder, vae=run.vae(), text_encoder=run.text_encoder(), tokenizer=run.tokenizer(), unet=unet)
    return folder


def new_text_task(run: Run) -> TextTask:
    """The untrained text tower and its heads, the same for the same seed."""
    torch.manual_seed(run.recipe.seed)
    return TextTask(networks.new_text_encoder(len(run.tokenizer())))


def new_unet(run: Run) -> UNet2DConditionModel:
    """The untrained UNet, the same for the same seed."""
    torch.manual_seed(run.recipe.seed)
    return networks.new_unet(run.recipe.native_side // networks.PIXELS_PER_LATENT)


def _job(run: Run, stage: str, module: nn.Module, objective: Objective, pace: Pace) -> Job:
    checkpoint = run.checkpoint(stage)
    return Job(module=module, objective=objective, pace=pace, checkpoint=checkpoint, recipe=_told(run.recipe, stage))


def _told(recipe: Recipe, stage: str) -> str:
    """All numbers of a recipe that the outcome of a stage depends on, in words."""
    common = (recipe.seed, recipe.native_side, recipe.texts)
    vae = (recipe.vae_sets, recipe.vae, recipe.vae_crops)
    details = (recipe.refine, recipe.polish, recipe.detail_crops)
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
        **{f"lora-{name}": (recipe.duos, recipe.flat, plan) for name, plan in recipe.loras.items()},
    }
    return repr((common, own[stage]))


def _crops(run: Run, crops: Crops, seed: int) -> CropStream:
    sets = tuple(run.pictures(wanted) for wanted in run.recipe.vae_sets)
    return CropStream(sets, crops.batch, crops.side, seed, crops.on_subject, run.device)


def _fold(run: Run, vae: AutoencoderKL) -> None:
    """Both styles count the same, so that neither is at home in the latents more than the other."""
    sets = dict.fromkeys(run.recipe.vae_sets)
    latents = [encode(vae, run.pictures(wanted).pixels[: FOLDED_ON // len(sets)]) for wanted in sets]
    autoencoder.fold_statistics(vae, [torch.from_numpy(some).float() / networks.SCALING_FACTOR for some in latents])
