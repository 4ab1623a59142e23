"""`app.py lora`: LoRAs into checkpoints, LoRAs with LoRAs, LoRAs out of checkpoints."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.core.block_presets import block_weights
from pipelines.core.blocks import SD, XL, Blocks
from pipelines.core.error import InvalidRequest, ModelUnusable
from pipelines.core.event import Hashed, Noted, Worked
from pipelines.core.model import Family, Kind, ModelInfo
from pipelines.core.recipe import Mix
from pipelines.core.request import NumberFormat
from pipelines.jobs.orders import Order, blocks_in
from pipelines.merging.sizes import Size
from pipelines.models.lora.strength import Strength, check_strength
from ui.cli.merge import NO_FILE, Ways, carry_out, hash_book, print_json
from ui.cli.models import pick
from ui.cli.options import Folders
from ui.cli.progress import count_bar

MOST_RANK = 4096
AUTO_ENERGY = 0.95
"""What `--auto` keeps."""


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


def block_weights_of(spec: Spec, blocks: Blocks, folders: Folders) -> tuple[float, ...]:
    """What stands after its @; nothing: none. Raises UnknownName, InvalidRequest."""
    return block_weights(spec.blocks, blocks, folders.block_presets().list()) if spec.blocks else ()


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
    weights = [block_weights_of(one, blocks, folders) for one in specs]
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


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large a LoRA may become, as typed."""

    rank: int | None = None
    energy: float | None = None
    conv_rank: int | None = None
    dtype: str = "fp16"


def add(specs: tuple[str, ...], method: str | None, sizes: Sizes, ways: Ways, folders: Folders) -> None:
    """LoRAs with LoRAs; one alone is resized. Raises EaselError."""
    from pipelines.jobs.making_loras import Place, add_loras  # noqa: PLC0415, as above

    size = _size(sizes.rank, sizes.energy)
    if method not in {None, "concat", "svd"}:
        raise InvalidRequest(f"There is no method {method!r} for LoRAs", fix="use concat or svd", field="method")
    if (method == "concat" and not size.is_open) or (method == "svd" and size.is_open):
        fix = "leave out --rank and --energy" if method == "concat" else "give --rank or --energy"
        raise InvalidRequest(f"{method} and these sizes do not go together", fix=fix, field="method")
    read = [read_spec(text) for text in specs]
    weights = [block_weights_of(one, XL if _is_xl(one, folders) else SD, folders) for one in read]
    loras = tuple(
        (pick_lora(one.file, folders), Strength(one.unet, one.text, own))
        for one, own in zip(read, weights, strict=True)
    )
    for info, strength in loras:
        check_strength(strength, info.name)
    place = Place(_target(ways), ways.overwrite, NumberFormat(_dtype(sizes.dtype)))
    _make(add_loras(loras, size, place), place.target, as_json=ways.as_json)


def extract(tuned: str, base: str, sizes: Sizes, ways: Ways, folders: Folders) -> None:
    """A LoRA out of a tuned model and what it was trained from. Raises EaselError."""
    from pipelines.jobs.making_loras import Place, extract_lora  # noqa: PLC0415, as above
    from pipelines.merging.lora import Extraction  # noqa: PLC0415, as above

    linear = _size(sizes.rank, sizes.energy)
    if linear.is_open:
        raise InvalidRequest("Nothing says how large the LoRA may be", fix="give --rank or --energy", field="rank")
    convolutions = _size(sizes.conv_rank, sizes.energy if sizes.conv_rank else None) if sizes.conv_rank else None
    place = Place(_target(ways), ways.overwrite, NumberFormat(_dtype(sizes.dtype)))
    work = extract_lora(pick(tuned, folders).info, pick(base, folders).info, Extraction(linear, convolutions), place)
    _make(work, place.target, as_json=ways.as_json)


def _make(work: Iterator[Worked | Noted | Hashed], target: Path, *, as_json: bool) -> None:
    from pipelines.jobs.merging import one_thread  # noqa: PLC0415, as above

    hashes = None
    with count_bar(target.name, quiet=as_json) as tell, one_thread():
        for event in work:
            if isinstance(event, Worked):
                tell(event)
            elif isinstance(event, Hashed):
                hashes = event
    assert hashes is not None
    if as_json:
        print_json({"file": str(target), "size": target.stat().st_size, "sha256": hashes.sha256,
                    "sshs_model_hash": hashes.weights})  # fmt: skip
    else:
        sys.stdout.write(f"{target}\n")


def _target(ways: Ways) -> Path:
    if ways.output is None:
        raise InvalidRequest("Nothing says where the result shall lie", fix="give a file with -o", field="output")
    return ways.output.absolute()


def _size(rank: int | None, energy: float | None) -> Size:
    if rank is not None and not 1 <= rank <= MOST_RANK:
        raise InvalidRequest(f"A rank of {rank} cannot be", fix=f"use 1 to {MOST_RANK}", field="rank")
    if energy is not None and not 0 < energy <= 1:
        raise InvalidRequest(f"An energy of {energy:g} cannot be", fix="use a share above 0, up to 1", field="energy")
    return Size(rank, energy)


def _dtype(text: str) -> str:
    known = [one.value for one in NumberFormat if one is not NumberFormat.FP8]
    if text not in known:
        raise InvalidRequest(f"A LoRA is not written as {text!r}", fix=f"use {', '.join(known)}", field="dtype")
    return text


def _is_xl(spec: Spec, folders: Folders) -> bool:
    return pick_lora(spec.file, folders).family is Family.SDXL
