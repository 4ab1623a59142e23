"""A merge from its models to its file: looked through first, mixed slice by slice, in its place whole or not at all."""

import math
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from pipelines.core.blocks import blocks_of
from pipelines.core.error import Conflict, InvalidRequest, StorageProblem
from pipelines.core.event import Hashed, Noted, Worked
from pipelines.core.ingredient import Ingredient
from pipelines.core.model import ModelInfo
from pipelines.core.program import program
from pipelines.core.recipe import LoraUse, Recipe
from pipelines.jobs.hashes import HashBook
from pipelines.jobs.orders import Order
from pipelines.merging.merge import Merge
from pipelines.merging.metadata import ingredient_of, metadata_of
from pipelines.merging.plan import Plan, counts, plan
from pipelines.merging.sources import Source, opened
from pipelines.models.hashing import Hashing, HashingBeside, read_through
from pipelines.models.headers import SUFFIX
from pipelines.models.lora.changes import Changes, changes_of
from pipelines.models.lora.file import read_lora
from pipelines.models.lora.fit import Fit, fit, model_of, warnings
from pipelines.models.lora.strength import Strength
from pipelines.models.recipes import is_recipe
from pipelines.models.rounding import rounding_to
from pipelines.models.scan import stamp_of
from pipelines.models.writing import BYTES_A_WORD, Planned, size_of, write_tensors
from pipelines.storage.files import atomic_write, make_folder, storage_problem, whole_file

SPARE_BYTES = 64 * 1024 * 1024
"""Left on the disk when all is written."""
BYTES_A_SECOND = 400e6
"""Read and written together, by two cores of a few years ago: what the forecast of the time goes by."""


@dataclass(frozen=True)
class Kitchen:
    """An order with its models opened."""

    order: Order
    sources: tuple[Source, ...]
    vae: Source | None
    plan: Plan
    merge: Merge
    fits: tuple[Fit, ...] = ()
    """Of the LoRAs."""
    notes: tuple[str, ...] = ()

    @property
    def planned(self) -> list[Planned]:
        return self.merge.planned()

    @property
    def bytes_to_read(self) -> int:
        return self.merge.bytes_to_look_at + sum(step.nbytes for step in self.plan.steps)


@contextmanager
def prepared(order: Order) -> Iterator[Kitchen]:
    """Everything that can be known before a number is read. Raises what `merge` does."""
    check_target(order)
    with ExitStack() as stack:
        sources = tuple(stack.enter_context(opened(info)) for info in order.models)
        vae = stack.enter_context(opened(order.vae_from)) if order.vae_from else None
        yield kitchen_of(order, sources, vae)


def kitchen_of(order: Order, sources: tuple[Source, ...], vae: Source | None) -> Kitchen:
    """An order whose models are open. Raises what `plan` does, ModelUnusable."""
    made = plan(order.mix, sources, vae)
    fits = [(_fitted(info, sources[0], made), strength) for info, strength in order.loras]
    changes = changes_of(fits, made.blocks) if fits else None
    merge_ = Merge(order.mix, made, rounding_to(order.mix.dtype), changes)
    notes = (*made.notes, *(note for fitted, _ in fits for note in warnings(fitted)))
    return Kitchen(order, sources, vae, made, merge_, tuple(fitted for fitted, _ in fits), notes)


def _fitted(info: ModelInfo, source: Source, made: Plan) -> Fit:
    model = model_of(source.name, source.family, {step.name: step.shape for step in made.steps})
    return fit(read_lora(Path(info.path), info.name), model)


def check_target(order: Order) -> None:
    """Raises Conflict for a name that is taken, InvalidRequest for a file of another kind."""
    check_name(order.target, order.files, overwrite=order.overwrite)


def check_name(target: Path, inputs: Iterable[ModelInfo], *, overwrite: bool) -> None:
    """Whether a file may be written to `target`. Raises Conflict, InvalidRequest."""
    if target.suffix != SUFFIX and not is_recipe(target):
        raise InvalidRequest(
            f"Models are written as {SUFFIX}, not {target.suffix or 'a folder'}",
            fix=f"use -o {target.stem or 'mix'}{SUFFIX}", field="output",
        )  # fmt: skip
    paths = [Path(info.path) for info in inputs]
    if target.exists() and any(path.exists() and _is_part_of(target, path) for path in paths):
        raise Conflict(f"{target.name} is one of the models that are mixed", fix="choose another name", field="output")
    alike = [one for one in _names_in(target.parent) if one.casefold() == target.name.casefold()]
    if alike and not (overwrite and alike == [target.name]):
        raise _taken(alike[0])


def _is_part_of(target: Path, model: Path) -> bool:
    """Whether `target` is the model's file, or lies in its folder."""
    return target.samefile(model) or target.resolve().is_relative_to(model.resolve())


def _names_in(folder: Path) -> list[str]:
    try:
        return [one.name for one in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage_problem(error, folder / "it") from error


def preflight(kitchen: Kitchen) -> dict[str, Any]:
    """What the merge will read, write and need, as plain JSON."""
    order, size = kitchen.order, size_of(kitchen.planned, {})
    models = zip(order.models, kitchen.sources, strict=True)
    largest = max((max(one.numel for one in step.weights) * 4 * (len(step.weights) + 2)
                   for step in kitchen.plan.steps if step.is_mixed), default=0)  # fmt: skip
    return {
        "method": order.mix.method,
        "models": [
            {"name": info.name, "family": source.family, "dtype": info.dtype, "size": info.size,
             "tensors": len(source.weights)}
            for info, source in models
        ],
        "blocks": list(kitchen.plan.blocks.names),
        "tensors": counts(kitchen.plan),
        "loras": [fitted.report for fitted in kitchen.fits],
        "notes": list(kitchen.notes),
        "output": {"file": str(order.target), "size": size, "dtype": order.mix.dtype or order.models[0].dtype},
        "space": {"needed": size, "free": _free(order.target)},
        "memory": min(largest, 64 * 1024 * 1024) if order.mix.described.pointwise else largest,
        "seconds": round((kitchen.bytes_to_read + size) / BYTES_A_SECOND, 1),
    }  # fmt: skip


def _free(target: Path) -> int:
    folder = next(one for one in target.absolute().parents if one.exists())
    return shutil.disk_usage(folder).free


def merge(order: Order, book: HashBook) -> Generator[Worked | Noted | Hashed]:
    """Carry `order` out, telling how far it is; whoever stops asking leaves nothing behind.

    Raises InvalidRequest for what does not go together, Conflict for a name that is taken or models that were changed
    meanwhile, ModelUnusable for numbers that the result cannot hold, StorageProblem. Nothing is written then.
    """
    with prepared(order) as kitchen:
        stamps = stamps_of(info for info, _ in order.loras)
        for note in kitchen.notes:
            yield Noted(text=note)
        recipe = order.recipe or (yield from recipe_of(kitchen, book))
        metadata = metadata_of(recipe, kitchen.sources)
        size = size_of(kitchen.planned, metadata)
        make_folder(order.target.parent)
        if _free(order.target) < size + SPARE_BYTES:
            raise StorageProblem(f"The disk has no room for {size / 1e9:.1f} GB more", fix="free some space")
        total = kitchen.merge.bytes_to_look_at + size
        looked = told = 0
        for read in kitchen.merge.look():
            looked += read
            yield Worked(done=looked, total=total)
        with HashingBeside() as hashing, in_place(order.target, overwrite=order.overwrite) as file:
            for done in write_tensors(file, kitchen.planned, metadata, hashing):
                if done - told >= BYTES_A_WORD or done == size:
                    told = done
                    yield Worked(done=looked + done, total=total)
            for source in (*kitchen.sources, *([kitchen.vae] if kitchen.vae else [])):
                source.check_unchanged()
            check_stamps(stamps)
            found = hashing.found
        yield found


def keep_recipe(order: Order, book: HashBook) -> Generator[Worked | Noted]:
    """Write only how `order` is carried out, to its target. Raises what `merge` does."""
    with prepared(order) as kitchen:
        for note in kitchen.notes:
            yield Noted(text=note)
        recipe = yield from recipe_of(kitchen, book)
        try:
            atomic_write(order.target, recipe.model_dump_json(indent=2, exclude_defaults=True).encode())
        except FileExistsError as error:
            raise _taken(order.target.name) from error


def stamps_of(infos: Iterable[ModelInfo]) -> dict[str, str]:
    """What changes whenever one of these files does, by path."""
    return {info.path: stamp_of(Path(info.path)) for info in infos}


def check_stamps(stamps: Mapping[str, str]) -> None:
    """Raises Conflict when a file is no longer as it was."""
    for path, stamp in stamps.items():
        if stamp_of(Path(path)) != stamp:
            raise Conflict(f"{Path(path).name} was changed or removed meanwhile", fix="begin again", field="model")


@contextmanager
def in_place(target: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """The file to be written; another that came to its name meanwhile stays."""
    try:
        with whole_file(target, replace=overwrite) as file:
            yield file
    except FileExistsError as error:
        raise _taken(target.name) from error


def _taken(name: str) -> Conflict:
    return Conflict(
        f"There is already a {name}", fix="choose another name, or replace it with --overwrite", field="output"
    )


def recipe_of(kitchen: Kitchen, book: HashBook) -> Generator[Worked, None, Recipe]:
    """The recipe of an order, every file named by its hash; those not known yet are read, telling how far that is."""
    order = kitchen.order
    hashes = {info.path: book.known(info) for info in order.files}
    total, done = sum(info.size for info in order.files if hashes[info.path] is None), 0
    for info in order.files:
        if hashes[info.path] is None:
            hashing = Hashing()
            for read in read_through(Path(info.path), hashing):
                done += read
                yield Worked(done=done, total=max(total, done))
            book.keep(info, hashing.found)
            hashes[info.path] = hashing.found.sha256
    models = tuple(
        ingredient_of(source, hashes[info.path] or "")
        for source, info in zip(kitchen.sources, order.models, strict=True)
    )
    vae = ingredient_of(kitchen.vae, hashes[order.vae_from.path] or "") if kitchen.vae and order.vae_from else None
    uses = tuple(
        LoraUse(
            lora=Ingredient(name=info.name, sha256=hashes[info.path] or "", size=info.size),
            unet=strength.unet, text=strength.text, blocks=strength.blocks,
        )
        for info, strength in order.loras
    )  # fmt: skip
    return Recipe(easel=program(), mix=order.mix, models=models, vae_from=vae, loras=uses, notes=order.notes)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch: slices are small, and several threads for each would only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit_report(lora: ModelInfo, model: ModelInfo | None) -> dict[str, object]:
    """What a LoRA is, and how it fits `model`: what is matched, what is not, and how large its effect is.

    Raises ModelUnusable when nothing fits, or it is for another family.
    """
    read = read_lora(Path(lora.path), lora.name)
    if model is None:
        return {
            "lora": read.name, "family": lora.family, "kinds": list(read.kinds), "ranks": list(read.ranks),
            "modules": len(read.modules), "unread": list(read.unread),
        }  # fmt: skip
    with opened(model) as source:
        shapes = {name: weight.shape for name, weight in source.weights.items()}
        fitted = fit(read, model_of(source.name, source.family, shapes))
        blocks = blocks_of(source.family)
        changes = changes_of([(fitted, Strength())], blocks)
        return {**fitted.report, "effect": effect_of(changes, source), "notes": list(warnings(fitted))}


def effect_of(changes: Changes, source: Source) -> float:
    """|W' - W| / |W| over all weights that are changed."""
    moved = size = 0.0
    for name in changes.by_weight:
        whole = source.weights[name].whole().float()
        moved += float((changes.on_original(name, whole) - whole).square().sum())
        size += float(whole.square().sum())
    return round(math.sqrt(moved / size), 6) if size else 0.0
