"""`app.py lora`: LoRAs into checkpoints, LoRAs with LoRAs, LoRAs out of checkpoints."""

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.core.block_presets import block_weights
from pipelines.core.error import InvalidRequest, ModelUnusable
from pipelines.core.model import Kind, ModelInfo
from pipelines.core.recipe import Mix
from pipelines.jobs.orders import Order, blocks_in
from pipelines.models.lora.strength import Strength
from ui.cli.merge import NO_FILE, Ways, carry_out, hash_book, print_json
from ui.cli.models import pick
from ui.cli.options import Folders


@dataclass(frozen=True, slots=True)
class Spec:
    """`FILE[:unet[:text]][@PRESET|v1,v2,...]`, taken apart."""

    file: str
    unet: float
    text: float
    blocks: str
    """A preset's name, or numbers; empty: none."""


def read_spec(text: str) -> Spec:
    """Raises InvalidRequest. A file of that very name comes first: names may hold colons."""
    if Path(text).exists():
        return Spec(text, 1.0, 1.0, "")
    rest, _, blocks = text.partition("@")
    parts = rest.split(":")
    strengths: list[float] = []
    while len(parts) > 1 and len(strengths) < 2 and (number := _number(parts[-1])) is not None:
        strengths.insert(0, number)
        parts.pop()
    file = ":".join(parts)
    if not file or (len(parts) > 1 and not Path(file).exists()):
        raise InvalidRequest(
            f"{text!r} names no LoRA and its strengths", fix="write FILE, FILE:0.8 or FILE:0.8:0.5", field="lora"
        )
    unet = strengths[0] if strengths else 1.0
    return Spec(file, unet, strengths[1] if len(strengths) > 1 else unet, blocks)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def pick_lora(name: str, folders: Folders) -> ModelInfo:
    """The LoRA meant by a name or path. Raises UnknownName, ModelUnusable."""
    info = pick(name, folders).info
    if info.problem is not None:
        p = info.problem
        raise ModelUnusable(p.problem, fix=p.fix, field=p.field, detail=p.detail)
    if info.kind not in {Kind.LORA, Kind.UNKNOWN}:
        raise ModelUnusable(f"{info.name!r} is no LoRA ({info.kind})", fix="choose a LoRA", field="lora")
    return info


@dataclass(frozen=True, kw_only=True)
class Baking:
    """What `lora bake` shall do, as typed."""

    checkpoint: str
    specs: tuple[str, ...]
    dtype: str | None = None
    pruned: bool = False


def bake(asked: Baking, ways: Ways, folders: Folders) -> None:
    """LoRAs into a checkpoint. Raises EaselError."""
    if ways.output is None and not ways.dry_run:
        raise InvalidRequest("Nothing says where the result shall lie", fix="give a file with -o", field="output")
    model = pick(asked.checkpoint, folders).info
    specs = [read_spec(text) for text in asked.specs]
    blocks = blocks_in(model)
    weights = [block_weights(one.blocks, blocks) if one.blocks else () for one in specs]
    loras = tuple(
        (pick_lora(one.file, folders), Strength(one.unet, one.text, own))
        for one, own in zip(specs, weights, strict=True)
    )
    if not loras:
        raise InvalidRequest("No LoRA is named", fix="name at least one", field="lora")
    dtype = None if asked.dtype in {None, "source"} else asked.dtype
    mix = Mix.model_validate({"method": "keep", "dtype": dtype, "pruned": asked.pruned})
    target = (ways.output or NO_FILE).absolute()
    order = Order(mix, (model,), target, overwrite=ways.overwrite, loras=loras)
    from pipelines.jobs.merging import preflight, prepared  # noqa: PLC0415, torch takes its time

    with hash_book(folders) as book:
        if ways.dry_run:
            with prepared(order) as kitchen:
                print_json(preflight(kitchen))
            return
        carry_out(order, book, as_json=ways.as_json)


def show(lora: str, model: str | None, folders: Folders, *, as_json: bool) -> None:
    """What a LoRA is, and how it fits a model. Raises EaselError."""
    from pipelines.jobs.merging import fit_report  # noqa: PLC0415, as above

    info = pick_lora(lora, folders)
    report = fit_report(info, pick(model, folders).info if model else None)
    if as_json:
        print_json(report)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in report.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(Text(key), Text(shown))
    Console(file=sys.stdout).print(table)
