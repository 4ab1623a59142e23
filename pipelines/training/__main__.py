"""python -m pipelines.training STAGE --run FOLDER: make a starter model, stage by stage.

Every stage can be cut (Ctrl-C, kill, power) and started again: it goes on where it stopped.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
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
from pipelines.training import evaluate, stages
from pipelines.training.exam import Score, Topic, questions
from pipelines.training.loop import Report
from pipelines.training.model import open_model
from pipelines.training.recipe import RECIPES, RecipeName
from pipelines.training.stages import Run
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Style

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)

Stage = Callable[[Run, int | None], Iterator[Report]]

RunOption = Annotated[Path, typer.Option("--run", help="Folder of the run's state.")]
RecipeOption = Annotated[RecipeName, typer.Option("--recipe", help="All numbers of the run; `toy` takes seconds.")]
UntilOption = Annotated[int | None, typer.Option("--until", min=1, help="Stop after this step; go on another time.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Where to train: cpu, cuda, cuda:1, ...")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="CPU threads, and processes that draw.")]
OutOption = Annotated[Path, typer.Option("-o", "--out", help="Where the result goes.")]
SizeOption = Annotated[str, typer.Option(help="WIDTHxHEIGHT of one picture in pixels.")]
ModelOption = Annotated[Path, typer.Option("--model", help="A model folder.")]

RUN = Path("runs/starter")
MODEL = Path("presets/starter/flat")


def _run(folder: Path, recipe: RecipeName, device: str, threads: int) -> Run:
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise EaselError("There is no CUDA device here", fix="use --device cpu")
    torch.set_num_threads(threads)
    return Run(RECIPES[recipe], folder, device, processes=threads)


def _follow(name: str, reports: Iterator[Report]) -> None:
    """Show a stage's progress until it ends: a bar on a terminal, now and then a line in a log."""
    with Progress(*_columns(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=None, loss=float("nan"))
        for report in reports:
            progress.update(task, completed=report.step, total=report.steps, loss=report.loss)
            if not console.is_terminal and (report.step % 100 == 0 or report.step == report.steps):
                console.print(f"{datetime.now():%H:%M:%S} {name} {report.step}/{report.steps} loss {report.loss:.4f}")


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
    style: Annotated[Style, typer.Option(help="The hand that draws.")] = Style.FLAT,
    size: SizeOption = "128x128",
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 40,
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
) -> None:
    """Draw a sheet of scenes, to see what the models will be shown."""
    width, height = _size(size)
    rng = random.Random(seed)
    pictures = [draw(random_scene(rng), seed + i, width=width, height=height, style=style).image for i in range(count)]
    evaluate.sheet(pictures, columns=min(count, 10)).save(out)


@app.command()
def tokenizer(run: RunOption = RUN, recipe: RecipeOption = RecipeName.STARTER) -> None:
    """Learn the world's words (seconds)."""
    learnt = stages.make_tokenizer(_run(run, recipe, "cpu", 1))
    console.print(f"{len(learnt)} tokens in {run / 'tokenizer'}")


def _training_stage(name: str, start: Callable[..., Iterator[Report]], help_text: str) -> None:
    """Make a command of a stage that reports its steps."""

    def command(
        run: RunOption = RUN,
        recipe: RecipeOption = RecipeName.STARTER,
        until: UntilOption = None,
        device: DeviceOption = "cpu",
        threads: ThreadsOption = 1,
    ) -> None:
        _follow(name, start(_run(run, recipe, device, threads), until=until))

    app.command(name, help=help_text)(command)


_training_stage("text", stages.train_text, "Teach the text tower what captions say.")
_training_stage("vae", stages.train_vae, "Train the VAE, and bring its latents to SD's units.")
_training_stage("refine", stages.train_refine, "Train the VAE further, on the subjects' details.")
_training_stage("polish", stages.train_polish, "Train the VAE's decoder further; its latents stay as they are.")
_training_stage("unet", stages.train_unet, "Train the UNet; draws and encodes its pictures when their time comes.")
_training_stage("judge", stages.train_judge, "Train the reader of kinds that `evaluate` needs.")


@app.command()
def export(run: RunOption = RUN, recipe: RecipeOption = RecipeName.STARTER, out: OutOption = MODEL) -> None:
    """Write the model as a folder that stock diffusers opens, in fp16."""
    stages.export(_run(run, recipe, "cpu", 1), out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    console.print(f"{size / 1e6:.2f} MB in {out}")


@app.command(name="evaluate")
def examine(
    model: ModelOption = MODEL,
    run: RunOption = RUN,
    recipe: RecipeOption = RecipeName.STARTER,
    size: SizeOption = "128x128",
    count: Annotated[int, typer.Option(min=1, help="Prompts per topic.")] = 64,
    guidance: Annotated[float, typer.Option(help="Classifier-free guidance.")] = 4.0,
    threads: ThreadsOption = 1,
) -> None:
    """Mark the model's pictures of held-out scenes, next to drawings and VAE reconstructions of the same scenes."""
    torch.set_num_threads(threads)
    width, height = _size(size)
    manner = evaluate.Manner(width, height, guidance=guidance)
    judge, pipeline = Run(RECIPES[recipe], run).judge(), open_model(model)
    artists = {
        "drawing": evaluate.drawings(manner),
        "through the VAE": evaluate.reconstructions(pipeline.vae, manner),
        "model": evaluate.model(pipeline, manner),
    }
    scores = {
        f"{topic}, {name}": evaluate.examine(artist, questions(topic, count, seed=0), judge)
        for topic in Topic
        for name, artist in artists.items()
    }
    _show(scores)
    typer.echo(json.dumps({name: asdict(score) for name, score in scores.items()}, indent=1))


@app.command()
def grid(
    model: ModelOption = MODEL,
    out: OutOption = Path("grid.png"),
    size: SizeOption = "128x128",
    count: Annotated[int, typer.Option(min=1, help="How many held-out prompts.")] = 24,
    columns: Annotated[int, typer.Option(min=1, help="Pictures in a row.")] = 8,
) -> None:
    """A labelled sheet of the model's pictures of held-out scenes, first come, none chosen."""
    width, height = _size(size)
    asked = questions(Topic.COMBINATIONS, count, seed=1)
    artist = evaluate.model(open_model(model), evaluate.Manner(width, height))
    pictures = [picture for _, picture in evaluate.answers(artist, asked)]
    labels = [evaluate.short_label(q.scene) for q in asked]
    evaluate.sheet(pictures, columns=columns, labels=labels).save(out, optimize=True)


def _show(scores: dict[str, Score]) -> None:
    table = Table("", "pictures", "sky", "ground", "colour", "kind")
    for name, score in scores.items():
        shares = (score.sky, score.ground, score.colour, score.kind)
        table.add_row(name, str(score.pictures), *(f"{share:.3f}" for share in shares))
    console.print(table)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise EaselError(f"{text!r} is no size", fix="write WIDTHxHEIGHT, such as 128x128")
    return int(width), int(height)


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
