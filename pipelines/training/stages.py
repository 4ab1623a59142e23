"""The stages of a run. Each takes up what the stages before it left in the run's folder.

tokenizer -> text -> vae -> refine -> unet flat -> unet ink, inpaint, loras, embedding -> export -> evaluate
                                  `-> polish ---------------------------------------------'
                  `-> superres vae -> superres unet -> export

`polish` leaves the latents as they are and may run beside the UNets.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from pipelines.core.error import EaselError
from pipelines.training import autoencoder, networks, superres
from pipelines.training.autoencoder import VaeObjective
from pipelines.training.checkers.judge import JUDGE_FILE, Judge, save_judge
from pipelines.training.checkers.lessons import JudgeObjective
from pipelines.training.diffusion import UnetObjective
from pipelines.training.embedding import learn_word, save_word, with_colour
from pipelines.training.enlarging import EnlargeObjective, new_upscaler, save_upscaler
from pipelines.training.examples import Bucket, ExampleStream, Say, spoken
from pipelines.training.latents import encode
from pipelines.training.loop import Job, Pace, Report, finish, train
from pipelines.training.lora import add_lora, save_lora
from pipelines.training.model import open_model, save_model
from pipelines.training.patches import PatchStream, patches
from pipelines.training.pictures import PictureSet
from pipelines.training.recipe import LoraName, UnetPlan
from pipelines.training.run import VAE_STAGES, Run, new_superres_unet, new_text_task, new_unet
from pipelines.training.superres import SuperresObjective, save_superres
from pipelines.training.text import TextObjective
from pipelines.training.tokenizer import save_tokenizer, train_tokenizer, world_texts
from pipelines.training.whole import replace_folder
from pipelines.training.world.scene import Style

FOLDED_ON = 512  # pictures whose latents give the statistics folded into the VAE


def make_tokenizer(run: Run) -> Iterator[Report]:
    """Stage `tokenizer`: learn the world's words, in one step."""
    if not (run.folder / "tokenizer" / "vocab.json").is_file():
        tokenizer = train_tokenizer(world_texts(run.recipe.seed, run.recipe.texts))
        save_tokenizer(tokenizer, run.folder / "tokenizer")
    yield Report(1, 1, 0.0)


def adopt_words(run: Run, model: Path) -> None:
    """Take the tokenizer and the text tower of a finished model, in place of the stages `tokenizer` and `text`."""
    if run.checkpoint("text").is_file():
        raise EaselError(f"The run in {run.folder} has learnt its words already", fix="name another run folder")
    words = open_model(model)
    save_tokenizer(words.tokenizer, run.folder / "tokenizer")
    task = new_text_task(run)
    task.encoder.load_state_dict(words.text_encoder.state_dict())
    finish(run.job("text", task, TextObjective(task, words.tokenizer, batch=1, seed=0), run.recipe.text))


def train_text(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `text`: what the words mean, from captions alone."""
    task = new_text_task(run).to(run.device)
    objective = TextObjective(task, run.tokenizer(), batch=run.recipe.text_batch, seed=run.recipe.seed)
    return train(run.job("text", task, objective, run.recipe.text), until=until)


def train_vae(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `vae`: pictures to latents and back; at its end the latents are brought to SD's units."""
    recipe, vae = run.recipe, _begun(run, networks.new_vae)
    objective = VaeObjective(vae, run.crops(recipe.vae_sets, recipe.vae_crops, recipe.seed), seed=recipe.seed)
    return _train_vae(run, vae, run.job("vae", vae, objective, recipe.vae), recipe.vae_sets, until)


def _begun(run: Run, new: Callable[[], AutoencoderKL]) -> AutoencoderKL:
    """A VAE that has learnt nothing but passes colours through."""
    torch.manual_seed(run.recipe.seed)
    vae = new()
    autoencoder.start_as_identity(vae)
    return vae.to(run.device, memory_format=torch.channels_last)


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
    crops = run.crops(run.recipe.vae_sets, run.recipe.detail_crops, seed)
    objective = VaeObjective(vae, crops, seed=seed, unit=networks.SCALING_FACTOR)
    return _train_vae(run, vae, run.job(stage, vae, objective, pace), run.recipe.vae_sets, until)


def _train_vae(
    run: Run, vae: AutoencoderKL, job: Job, sets: tuple[PictureSet, ...], until: int | None
) -> Iterator[Report]:
    """Train; at the end bring the latents to SD's units, if they have moved, and store the VAE."""
    folder = run.folder / job.checkpoint.stem
    moved = not (folder / "config.json").is_file()
    for report in train(job, until=until):
        moved = True
        yield report
    if moved and (until is None or until >= job.pace.steps):
        if next(vae.encoder.parameters()).requires_grad:
            _fold(run, vae, sets)
        replace_folder(folder, vae.save_pretrained)


def train_unet(run: Run, style: Style = Style.FLAT, *, until: int | None = None) -> Iterator[Report]:
    """Stage `unet`: from noise and words to latents. The flat UNet begins with chance, the ink one with the flat."""
    plan, unet = (run.recipe.flat, new_unet(run)) if style is Style.FLAT else (run.recipe.ink, run.unet())
    objective = _objective(run, unet, plan)
    return train(run.job(f"unet-{style}", unet, objective, plan.pace), until=until)


def train_inpaint(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `inpaint`: the flat UNet learns to paint in a mask only, so that it fits what is around."""
    plan, unet = run.recipe.inpaint, networks.for_inpainting(run.unet())
    objective = _objective(run, unet, plan)
    return train(run.job("inpaint", unet, objective, plan.pace), until=until)


def train_lora(run: Run, name: LoraName, *, until: int | None = None) -> Iterator[Report]:
    """Stage `lora`: an adapter beside the frozen flat UNet learns what no prompt asks for."""
    plan, unet = run.recipe.loras[name], run.unet()
    torch.manual_seed(run.recipe.seed)
    add_lora(unet, plan.rank, plan.alpha)
    objective = _objective(run, unet, plan.shown)
    return train(run.job(f"lora-{name}", unet, objective, plan.shown.pace), until=until)


def train_embedding(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `embedding`: a vector for a colour that has no word yet."""
    plan, unet = run.recipe.word, run.unet().requires_grad_(False)
    encoder, tokenizer = run.text_encoder(), run.tokenizer()
    word = learn_word(encoder, tokenizer, plan.word, plan.like)
    objective = UnetObjective(
        _placed(run, unet), encoder, tokenizer, _examples(run, plan.shown, with_colour(plan.word)), seed=run.recipe.seed
    )
    return train(run.job("embedding", word, objective, plan.shown.pace), until=until)


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
    return train(run.job("judge", judge, objective, run.recipe.judge), until=until)


def train_upscaler(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `upscaler`: pictures that were made small become large again."""
    network = new_upscaler(run.recipe.seed).to(run.device)
    crops = run.crops(run.recipe.vae_sets, run.recipe.upscaler_crops, run.recipe.seed)
    objective = EnlargeObjective(network, crops, seed=run.recipe.seed)
    return train(run.job("upscaler", network, objective, run.recipe.upscaler), until=until)


def train_superres_vae(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `superres vae`: pictures to latents a quarter as large and back."""
    plan, seed, vae = run.recipe.superres, run.recipe.seed, _begun(run, superres.new_vae)
    objective = VaeObjective(vae, run.crops(plan.sets, plan.vae_crops, seed), seed=seed)
    return _train_vae(run, vae, run.job("superres-vae", vae, objective, plan.vae), plan.sets, until)


def train_superres_unet(run: Run, *, until: int | None = None) -> Iterator[Report]:
    """Stage `superres unet`: from noise, words and a small picture to the latents of the large one."""
    plan, seed = run.recipe.superres, run.recipe.seed
    crops = run.crops(plan.sets, plan.patches, seed + 1)
    source = patches(run.vae("superres-vae"), crops, plan.kept, run.folder / "latents")
    unet = new_superres_unet(run)
    stream = PatchStream(source, plan.patches.batch, seed)
    objective = SuperresObjective(_placed(run, unet), run.text_encoder(), run.tokenizer(), stream, seed=seed)
    return train(run.job("superres-unet", unet, objective, plan.unet), until=until)


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
    "superres vae": train_superres_vae,
    "superres unet": train_superres_unet,
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
    ENLARGE = "enlarge"


PLACES: dict[Product, str] = {
    **{product: product.value for product in (Product.FLAT, Product.INK, Product.INPAINT, Product.ENLARGE)},
    **{product: f"loras/{product}.safetensors" for product in (Product.GLOW, Product.SNOWFALL)},
    Product.TEAL: "embeddings/teal.safetensors",
    Product.JUDGE: f"judge/{JUDGE_FILE}",
    Product.UPSCALER: "upscalers/starter-x4.safetensors",
}
"""The folder or file of a product, among all others."""


def export(run: Run, product: Product, folder: Path) -> Path:
    """Stage `export`: write `product` under `folder` as other tools open it; returns where."""
    path = folder / PLACES[product]
    match product:
        case Product.FLAT | Product.INK:
            _export_model(run, path, run.unet(Style(product)))
        case Product.INPAINT:
            _export_model(run, path, run.inpaint_unet())
        case Product.GLOW | Product.SNOWFALL:
            plan = run.recipe.loras[LoraName(product)]
            save_lora(path, run.lora_unet(LoraName(product)), rank=plan.rank, alpha=plan.alpha, title=product.title())
        case Product.TEAL:
            save_word(path, run.word())
        case Product.JUDGE:
            save_judge(path, run.judge())
        case Product.UPSCALER:
            save_upscaler(path, run.upscaler())
        case Product.ENLARGE:
            vae, unet = run.vae("superres-vae"), run.superres_unet()
            save_superres(path, vae=vae, text_encoder=run.text_encoder(), tokenizer=run.tokenizer(), unet=unet)
    return path


def _export_model(run: Run, folder: Path, unet: UNet2DConditionModel) -> None:
    save_model(folder, vae=run.vae(), text_encoder=run.text_encoder(), tokenizer=run.tokenizer(), unet=unet)


def _fold(run: Run, vae: AutoencoderKL, sets: tuple[PictureSet, ...]) -> None:
    """Both styles count the same, so that neither is at home in the latents more than the other."""
    single = dict.fromkeys(sets)
    latents = [encode(vae, run.pictures(wanted).pixels[: FOLDED_ON // len(single)]) for wanted in single]
    autoencoder.fold_statistics(vae, [torch.from_numpy(some).float() / vae.config.scaling_factor for some in latents])
