"""`app.py generate`: options to a request, events to a progress bar, pictures to files."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, assert_never

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.core import event as events
from pipelines.core.error import EaselError, InvalidRequest, StorageProblem
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.model import ModelInfo
from pipelines.core.request import GenerateRequest, random_seed, read_generate
from pipelines.core.stop import StopSignal
from pipelines.jobs.orders import blocks_in
from pipelines.jobs.setup import PainterSetup
from pipelines.jobs.worker import Work
from pipelines.models.asked import model_of, parts_of
from pipelines.storage.sources import SourceStore
from ui.cli.lora import Spec, block_weights_of, pick_lora, read_spec
from ui.cli.models import Pick, pick
from ui.cli.options import Folders, Hardware
from ui.cli.over import NOTHING_THERE, Over, own_fields, painted_over, sized

TEXT_FIELDS = frozenset(name for name, field in GenerateRequest.model_fields.items() if field.annotation is str)


def read_size(text: str) -> tuple[int, int]:
    """`512x768` as (width, height)."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX×]\s*(\d{1,6})\s*", text)
    if not match:
        raise InvalidRequest(f"The size {text!r} is not WIDTHxHEIGHT", fix="write it like 512x768", field="size")
    return int(match[1]), int(match[2])


def read_value(text: str) -> Any:
    """A setting as typed: JSON where it reads as JSON, else text; the request says what is wrong with it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, a bottomless list
        return text


def read_fields(
    texts: Mapping[str, str | None], numbers: Mapping[str, str | None], size: str | None, settings: list[str]
) -> dict[str, Any]:
    """The request fields that were given, by name. `settings` are `--set KEY=VALUE` pairs and win."""
    fields: dict[str, Any] = {key: text for key, text in texts.items() if text is not None}
    fields |= {key: read_value(text) for key, text in numbers.items() if text is not None}
    if size is not None:
        fields["width"], fields["height"] = read_size(size)
    for pair in settings:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidRequest(f"--set {pair!r} has no value", fix="write it like --set clip_skip=2")
        outer, dot, inner = key.partition(".")
        if dot and isinstance(held := fields.get(outer) or {}, dict):  # hires.factor=2
            fields[outer] = {**held, inner: read_value(value)}
        else:
            fields[key] = value if key in TEXT_FIELDS else read_value(value)
    return fields


def build_request(fields: Mapping[str, Any], info: ModelInfo) -> GenerateRequest:
    """The request of the fields given. Size defaults to what the model was trained on, the seed to a new one."""
    own = {"width": info.native_size, "height": info.native_size, "seed": random_seed()}
    drawn = {key: value for key, value in fields.items() if not (key == "seed" and value == -1)}
    return read_generate({**own, **drawn, "model": info.name})


def targets(output: Path | None, request: GenerateRequest) -> tuple[Path, ...] | None:
    """Where each picture goes: None for the outputs folder, one FILE (replaced), or a free name for each in a DIR."""
    if output is None:
        return None
    if is_folder(output):
        return tuple(_free_name(output, request.seed_of(i)) for i in range(request.count))
    if output.suffix.lower() != ".png":
        raise InvalidRequest(
            f"Pictures are written as PNG, not {output.suffix}", fix=f"use -o {output.with_suffix('.png').name}"
        )
    if request.count > 1:
        raise InvalidRequest(f"{request.count} pictures do not fit in one file", fix="give a folder with -o")
    return (output,)


def is_folder(output: Path) -> bool:
    """Whether somebody who says `-o` so means a folder."""
    return output.is_dir() or not output.suffix


def _free_name(folder: Path, seed: int) -> Path:
    """`<seed>.png`, or `<seed>-2.png`, ... when that is taken: only a file that is named is ever replaced."""
    names = chain([f"{seed}.png"], (f"{seed}-{number}.png" for number in count(2)))
    return next(folder / name for name in names if not (folder / name).exists())


def check_writable(folder: Path) -> None:
    """Make `folder` and try it, before minutes of painting. Raises StorageProblem."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageProblem(
            f"Easel cannot write in {str(folder)!r}: {error.strerror}", fix="choose another folder with -o or --data"
        ) from error


def follow(work: Iterator[events.Event], *, quiet: bool) -> Iterator[events.PictureSaved]:
    """Draws the progress bar on stderr and passes finished pictures on. Raises the EaselError a job failed with."""
    console = Console(file=sys.stderr, quiet=quiet)
    # Without markup: the name of a model may hold [what looks like] it.
    said, aside = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[note]}"))
    columns = (said, BarColumn(), aside, TimeRemainingColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=hidden) as bar:
        task = bar.add_task("Starting", total=None, note="")
        for event in work:
            match event:
                case events.Loading(model=model):
                    bar.update(task, description=f"Loading {model}")
                case events.Progress(picture=picture, count=count, step=step, steps=steps):
                    done, total = (picture - 1) * steps + step, count * steps
                    note = f"step {step} of {steps}"
                    bar.update(
                        task, description=f"Picture {picture} of {count}", completed=done, total=total, note=note
                    )
                case events.PictureSaved():
                    yield event
                case events.Failed(problem=p):
                    raise EaselError(p.problem, fix=p.fix, field=p.field, detail=p.detail)
                case events.Noted(text=text):
                    console.print(text, markup=False, highlight=False, soft_wrap=True)
                case events.Worked() | events.Compared() | events.Hashed() | events.Masked():
                    pass
                case events.Preview() | events.Queued() | events.Restarted() | events.Finished() | events.Stopped():
                    pass
                case _:
                    assert_never(event)


@dataclass(frozen=True)
class Surroundings:
    """Everything `generate` needs besides the request."""

    folders: Folders
    hardware: Hardware
    output: Path | None
    as_json: bool
    loras: tuple[str, ...] = ()
    """`FILE[:unet[:text]][@BLOCKS]`, as typed."""
    over: Over = NOTHING_THERE
    own_settings: bool = False
    """Those of each picture that is painted over count where nothing else was said."""


def chosen(spec: Spec, info: ModelInfo, model: ModelInfo, folders: Folders) -> dict[str, Any]:
    """A LoRA as the request names it. Raises InvalidRequest, UnknownName."""
    blocks = block_weights_of(spec, blocks_in(model), folders) if spec.blocks else ()
    return {"name": info.name, "unet": spec.unet, "text": spec.text, "blocks": blocks}


@dataclass(frozen=True)
class Means:
    """What paints."""

    models: Pick
    loras: tuple[ModelInfo, ...]
    choices: tuple[dict[str, Any], ...]
    """The LoRAs as the request names them."""


def means(model: str, around: Surroundings) -> Means:
    """The model of that name or path, and the LoRAs asked for. Raises UnknownName, InvalidRequest, ModelUnusable."""
    models = pick(model, around.folders)
    specs = [read_spec(text) for text in around.loras]
    loras = tuple(pick_lora(spec.file, around.folders) for spec in specs)
    pairs = zip(specs, loras, strict=True)
    return Means(models, loras, tuple(chosen(spec, info, models.usable, around.folders) for spec, info in pairs))


def ready(fields: Mapping[str, Any], over: Over, by: Means, sources: SourceStore) -> Work:
    """The work that `fields` ask for. Raises EaselError."""
    if "prompt" not in fields:
        raise InvalidRequest("There is no prompt", fix="say what to paint", field="prompt")
    own = own_fields(fields)
    given = {name: value for name, value in fields.items() if name not in own}
    given |= {"loras": list(by.choices)} if by.loras else {}
    picture = build_request(sized(given, over, sources), by.models.usable)
    request = painted_over(picture, own, over, sources)
    # A LoRA that a request names otherwise (--set) is one of the library.
    parts = by.loras or parts_of(by.models.library, request)
    return Work(request, model=model_of(by.models.library, request), parts=parts)


def setup_of(by: Means, around: Surroundings) -> PainterSetup:
    """How the painter is made."""
    data = around.folders.data
    return PainterSetup(
        models=by.models.folders, outputs=data.outputs, sources=data.sources, own_models=data.models,
        device=around.hardware.device, attention=around.hardware.attention,
    )  # fmt: skip


def made_of(saved: events.PictureSaved, outputs: Path) -> dict[str, Any]:
    """A finished picture, as JSON tells it."""
    file = outputs / saved.file  # an absolute `saved.file` (from -o) stays as it is
    return {"file": str(file), "seed": saved.seed, "seconds": round(saved.seconds, 3)}


def named_model(fields: Mapping[str, Any]) -> str:
    """The model that is asked for, or the usual one."""
    return str(fields.get("model", GenerateRequest.model_fields["model"].default))


def run(fields: Mapping[str, Any], around: Surroundings) -> None:
    """Paint, and say where the pictures are. Raises EaselError."""
    by, sources = means(named_model(fields), around), SourceStore(around.folders.data.sources)
    work = ready(fields, around.over, by, sources)
    assert isinstance(work.request, GenerateRequest | InpaintRequest)
    work = replace(work, targets=targets(around.output, work.request.painted))
    setup = setup_of(by, around)
    check_writable(work.targets[0].parent if work.targets else setup.outputs)
    made = []
    for saved in follow(setup().perform(work, StopSignal()), quiet=around.as_json):
        made.append(made_of(saved, setup.outputs))
        if not around.as_json:
            say(made[-1]["file"])
    if around.as_json:
        told = {"request": work.request.model_dump(mode="json"), "pictures": made}
        say(json.dumps(told, indent=2))


def say(text: str) -> None:
    """A line for whoever waits for it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
