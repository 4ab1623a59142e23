"""python -m pipelines.training STAGE --run FOLDER: make a starter model, stage by stage.

Every stage can be cut (Ctrl-C, kill, power) and started again: it goes on where it stopped.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from transformers.utils import logging as transformers_logging

from pipelines.core.error import EaselError
from pipelines.core.presets import PRESETS, STARTER_MODELS
from pipelines.training import enlarged, evaluate, stages
from pipelines.training.checkers.judge import JUDGE_FILE, open_judge
from pipelines.training.curves import curves_sheet
from pipelines.training.evaluate import Appraisal
from pipelines.training.exam import Score
from pipelines.training.family import Family
from pipelines.training.loop import Report, loss_curve
from pipelines.training.model import open_model
from pipelines.training.pictures import PictureSet
from pipelines.training.recipe import RECIPES, LoraName, RecipeName
from pipelines.training.run import Run
from pipelines.training.stages import Product
from pipelines.training.superres import MAX_LEVEL, open_superres
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Style

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)

RunOption = Annotated[Path, typer.Option("--run", help="Folder of the run's state.")]
RecipeOption = Annotated[RecipeName, typer.Option("--recipe", help="All numbers of the run; `toy` takes seconds.")]
UntilOption = Annotated[int | None, typer.Option("--until", min=1, help="Stop after this step; go on another time.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Where to train: cpu, cuda, cuda:1, ...")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="CPU threads, and processes that draw.")]
CompileOption = Annotated[bool, typer.Option("--compile", help="torch.compile the UNet: pays on a GPU.")]
OutOption = Annotated[Path, typer.Option("-o", "--out", help="Where the picture goes.")]
UnfinishedOption = Annotated[bool, typer.Option("--unfinished", help="Also what has not been trained to its end.")]
ProductsOption = Annotated[
    Path | None, typer.Option("-o", "--out", help="Where models go; if left out, among the shipped ones.")
]
StyleOption = Annotated[Style, typer.Option(help="The hand that draws.")]
SizeOption = Annotated[str, typer.Option(help="WIDTHxHEIGHT of one picture in pixels.")]
ModelOption = Annotated[Path, typer.Option("--model", help="A model folder.")]
JudgeOption = Annotated[Path, typer.Option("--judge", help="Who looks at the pictures: a file of `export judge`.")]
FamilyOption = Annotated[Path, typer.Option("--family", help="The folder of all starter models.")]

RUN = PRESETS.parent / "runs" / "starter"
FAMILY = STARTER_MODELS
MODEL = FAMILY / "flat"
ENLARGING = FAMILY / "enlarge"
JUDGE = FAMILY / "judge" / JUDGE_FILE
HELD_OUT_SEED = 79
PICTURES = (".png", ".webp", ".jpg", ".jpeg")


def _run(folder: Path, recipe: RecipeName, device: str, threads: int, *, compiled: bool = False) -> Run:
    torch.set_num_threads(threads)
    return Run(RECIPES[recipe], folder, _device(device), processes=threads, compiled=compiled)


def _device(name: str) -> str:
    """`name`, if this machine has it."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EaselError(f"There is no device {name!r}", fix="use cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EaselError(f"There is no device {name!r} here", fix="use --device cpu")
    return name


def _picture(out: Path) -> Path:
    """`out`, if a picture can be written there: asked before an hour of painting, not after it."""
    if out.suffix.lower() not in PICTURES:
        raise EaselError(f"{out.name!r} is no name for a picture", fix=f"end it with {', '.join(PICTURES)}")
    if not out.absolute().parent.is_dir():
        raise EaselError(f"There is no folder {str(out.parent)!r}", fix="make it first, or name another with -o")
    return out


def _follow(name: str, reports: Iterator[Report]) -> None:
    """Show a stage's progress until it ends: a bar on a terminal, now and then a line in a log."""
    report = None
    with Progress(*_columns(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=None, loss=float("nan"))
        for report in reports:
            progress.update(task, completed=report.step, total=report.steps, loss=report.loss)
            if not console.is_terminal and (report.step % 100 == 0 or report.step == report.steps):
                console.print(f"{datetime.now():%H:%M:%S} {name} {report.step}/{report.steps} loss {report.loss:.4f}")
    if report is None:
        console.print(f"{name}: nothing left to do")


def _columns() -> tuple[ProgressColumn, ...]:
    loss = TextColumn("loss {task.fields[loss]:.4f}")
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        loss,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


@app.command()
def world(
    out: OutOption = Path("world.png"),
    style: StyleOption = Style.FLAT,
    size: SizeOption = "128x128",
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 40,
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
) -> None:
    """Draw a sheet of scenes, to see what the models will be shown."""
    (width, height), out = _size(size), _picture(out)
    rng = random.Random(seed)
    pictures = [draw(random_scene(rng), seed + i, width=width, height=height, style=style).image for i in range(count)]
    evaluate.sheet(pictures, columns=min(count, 10)).save(out)


@app.command()
def tokenizer(run: RunOption = RUN, recipe: RecipeOption = RecipeName.STARTER) -> None:
    """Learn the world's words (seconds)."""
    _follow("tokenizer", stages.make_tokenizer(_run(run, recipe, "cpu", 1)))


def _training_stage(group: typer.Typer, name: str, start: Callable[..., Iterator[Report]], help_text: str) -> None:
    """Make a command of a stage that reports its steps, named by the last word of its name."""

    def command(
        run: RunOption = RUN,
        recipe: RecipeOption = RecipeName.STARTER,
        until: UntilOption = None,
        device: DeviceOption = "cpu",
        threads: ThreadsOption = 1,
        compiled: CompileOption = False,
    ) -> None:
        _follow(name, start(_run(run, recipe, device, threads, compiled=compiled), until=until))

    group.command(name.rsplit(maxsplit=1)[-1], help=help_text)(command)


unet = typer.Typer(help="Train the UNet of a style.", no_args_is_help=True)
lora = typer.Typer(help="Train a LoRA on the flat UNet.", no_args_is_help=True)
superres = typer.Typer(help="Train the model that enlarges by diffusion.", no_args_is_help=True)
app.add_typer(unet, name="unet")
app.add_typer(lora, name="lora")
app.add_typer(superres, name="superres")

_training_stage(app, "text", stages.train_text, "Teach the text tower what captions say.")
_training_stage(app, "vae", stages.train_vae, "Train the VAE, and bring its latents to SD's units.")
_training_stage(app, "refine", stages.train_refine, "Train the VAE further, on the subjects' details.")
_training_stage(app, "polish", stages.train_polish, "Train the VAE's decoder further; its latents stay as they are.")
_training_stage(unet, "unet flat", stages.train_unet, "Train the flat UNet, from noise.")
_training_stage(unet, "unet ink", partial(stages.train_unet, style=Style.INK), "Train the ink UNet, from the flat one.")
_training_stage(app, "inpaint", stages.train_inpaint, "Train the inpainting UNet, from the flat one.")
_training_stage(lora, "lora glow", partial(stages.train_lora, name=LoraName.GLOW), "A golden glow about every subject.")
_training_stage(lora, "lora snowfall", partial(stages.train_lora, name=LoraName.SNOWFALL), "Snow in the air.")
_training_stage(app, "embedding", stages.train_embedding, "Find a new word's vector by textual inversion.")
_training_stage(app, "judge", stages.train_judge, "Train the reader of pictures that `evaluate` needs.")
_training_stage(app, "upscaler", stages.train_upscaler, "Train the network that makes pictures four times as large.")
_training_stage(superres, "superres vae", stages.train_superres_vae, "Train its VAE: 4 pixels to a latent.")
_training_stage(superres, "superres unet", stages.train_superres_unet, "Train its UNet, which sees the small picture.")


@app.command()
def adopt(model: ModelOption = MODEL, run: RunOption = RUN, recipe: RecipeOption = RecipeName.STARTER) -> None:
    """Take the words of a finished model, in place of `tokenizer` and `text`, for what is trained beside it."""
    stages.adopt_words(_run(run, recipe, "cpu", 1), model)


@app.command(name="all")
def everything(
    run: RunOption = RUN,
    recipe: RecipeOption = RecipeName.STARTER,
    out: ProductsOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    compiled: CompileOption = False,
) -> None:
    """The whole family, from nothing to finished files: every stage in order, each from where it stopped."""
    on = _run(run, recipe, device, threads, compiled=compiled)
    for name, start in stages.ORDER.items():
        _follow(name, start(on))
    _export(on, tuple(Product), out or _home(on))


@app.command()
def export(
    products: Annotated[list[Product] | None, typer.Argument(help="What to write; if none is named, all.")] = None,
    run: RunOption = RUN,
    recipe: RecipeOption = RecipeName.STARTER,
    out: ProductsOption = None,
    unfinished: UnfinishedOption = False,
) -> None:
    """Write finished models, LoRAs and the embedding in fp16, as other tools open them."""
    on = replace(_run(run, recipe, "cpu", 1), unfinished=unfinished)
    _export(on, tuple(products or Product), out or _home(on))


def _home(run: Run) -> Path:
    """Where products go if nobody says: only those of the real recipe among the shipped ones."""
    return FAMILY if run.recipe is RECIPES[RecipeName.STARTER] else run.folder / "models"


def _export(run: Run, products: tuple[Product, ...], out: Path) -> None:
    for product in products:
        path = stages.export(run, product, out)
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        console.print(f"{sum(file.stat().st_size for file in files) / 1e6:.2f} MB in {path}")


@app.command()
def curves(run: RunOption = RUN, out: OutOption = Path("curves.png")) -> None:
    """The loss of every training stage so far, as a picture."""
    out = _picture(out)
    drawn = {file.stem: loss_curve(file) for file in sorted(run.glob("*.pt"))}
    if not drawn:
        raise EaselError(f"There is no training state in {run}", fix="run a training stage first, or name its --run")
    curves_sheet(drawn).save(out, optimize=True)


@app.command(name="evaluate")
def examine(  # noqa: PLR0913, PLR0917, one for each option
    model: ModelOption = MODEL,
    judge: JudgeOption = JUDGE,
    style: Annotated[Style | None, typer.Option(help="The hand it learnt; if left out, told by its name.")] = None,
    size: SizeOption = "192x192",
    count: Annotated[int, typer.Option(min=1, help="Prompts per topic.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 20,
    guidance: Annotated[float, typer.Option(help="Classifier-free guidance.")] = 4.0,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
) -> None:
    """Mark the model's pictures, next to drawings and VAE reconstructions of the same scenes, and compare the sets."""
    torch.set_num_threads(threads)
    hand = style or (Style(model.name) if model.name in list(Style) else Style.FLAT)
    manner = evaluate.Manner(*_size(size), hand, steps=steps, guidance=guidance)
    looks = open_judge(judge)
    appraisal = evaluate.appraise(open_model(model).to(_device(device)), looks, manner, count)
    _show(appraisal)
    typer.echo(json.dumps(asdict(appraisal), indent=1))


@app.command()
def grid(
    model: ModelOption = MODEL,
    out: OutOption = Path("grid.png"),
    size: SizeOption = "192x192",
    count: Annotated[int, typer.Option(min=1, help="How many held-out prompts.")] = 64,
    columns: Annotated[int, typer.Option(min=1, help="Pictures in a row.")] = 8,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
) -> None:
    """A labelled sheet of the model's pictures of held-out scenes, first come, none chosen."""
    torch.set_num_threads(threads)
    manner, out = evaluate.Manner(*_size(size)), _picture(out)
    asked = evaluate.mixed(count, seed=1)
    artist = evaluate.model(open_model(model).to(_device(device)), manner)
    pictures = [picture for _, picture in evaluate.answers(artist, asked)]
    labels = [evaluate.short_label(q.scene) for q in asked]
    evaluate.sheet(pictures, columns=columns, labels=labels).save(out, optimize=True)


@app.command()
def effects(
    family: FamilyOption = FAMILY,
    judge: JudgeOption = JUDGE,
    size: SizeOption = "192x192",
    count: Annotated[int, typer.Option(min=2, help="Pictures for each reading.")] = 50,
    out: OutOption = Path("effects.png"),
    threads: ThreadsOption = 1,
) -> None:
    """Mix the styles, use the LoRAs, the new word and the inpainting model: figures as JSON, and a sheet to look at."""
    torch.set_num_threads(threads)
    tried, out = Family(family, evaluate.Manner(*_size(size))), _picture(out)
    looks = open_judge(judge)
    tried.sheet().save(out, optimize=True)
    typer.echo(json.dumps(asdict(tried.measure(looks, count)), indent=1))


@app.command(name="enlarged")
def enlarge(  # noqa: PLR0913, PLR0917, one for each option
    model: ModelOption = ENLARGING,
    out: OutOption = Path("enlarged.png"),
    size: SizeOption = "128x128",
    style: StyleOption = Style.FLAT,
    count: Annotated[int, typer.Option(min=1, help="How many held-out drawings.")] = 6,
    shown: Annotated[int, typer.Option(min=1, help="How many of them on the sheet.")] = 6,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 20,
    guidance: Annotated[float, typer.Option(help="Classifier-free guidance; 1 is none.")] = 1.0,
    noise_level: Annotated[int, typer.Option(min=0, max=MAX_LEVEL, help="Noise on the small picture.")] = 20,
    threads: ThreadsOption = 1,
) -> None:
    """Enlarge drawings that were made small, beside Lanczos: figures as JSON, and a sheet to look at."""
    torch.set_num_threads(threads)
    (width, height), out = _size(size), _picture(out)
    wanted = PictureSet(HELD_OUT_SEED, count, width, height, style, held_out=True)
    manner = enlarged.Manner(steps, guidance, noise_level)
    tried = list(enlarged.trials(open_superres(model), wanted, manner))
    enlarged.trial_sheet(tried[:shown]).save(out)
    typer.echo(json.dumps({way: asdict(found) for way, found in enlarged.measures(tried).items()}, indent=1))


def _show(found: Appraisal) -> None:
    table = Table("", *(field.name for field in fields(Score)))
    for name, score in found.scores.items():
        pictures, *shares = astuple(score)
        table.add_row(name, str(pictures), *(f"{share:.3f}" for share in shares))
    console.print(table)
    for name, distance in found.fid.items():
        console.print(f"FID {distance:.2f}: {name}, {found.fid_pictures} of each")
    for style, decibels in found.psnr.items():
        console.print(f"PSNR {decibels:.2f} dB: {style} drawings through the VAE and back")
    for style, trust in found.judge.items():
        console.print(f"The judge on {style}: kind {trust.kind:.3f}, worn {trust.worn:.3f}, none {trust.none:.3f}")
    console.print(f"{found.seconds:.2f} s per picture")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise EaselError(f"{text!r} is no size", fix="write WIDTHxHEIGHT, such as 192x192")
    sides = int(width), int(height)
    if any(side % 8 or not 64 <= side <= 1024 for side in sides):
        raise EaselError(f"{text!r} cannot be painted", fix="use multiples of 8 from 64 to 1024")
    return sides


def main() -> None:
    """Run one command; a person's error is one line on stderr and exit code 2."""
    transformers_logging.disable_progress_bar()
    try:
        app()
    except EaselError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
