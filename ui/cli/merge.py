"""`app.py merge`: checkpoints with checkpoints, or a recipe once more."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Console

from pipelines.core.block_presets import block_weights
from pipelines.core.error import InvalidRequest, StorageProblem, UnknownName
from pipelines.core.event import Hashed, Noted, Worked
from pipelines.core.ingredient import Ingredient
from pipelines.core.methods import METHODS, Method
from pipelines.core.model import ModelInfo
from pipelines.core.recipe import BASE_WEIGHT, FROM_FILE, Mix, Recipe
from pipelines.jobs.hashes import HashBook, NoBook, ShelfBook
from pipelines.jobs.orders import Order, blocks_in
from pipelines.models.hashing import Hashing, read_through
from pipelines.models.lora.strength import Strength
from pipelines.models.recipes import recipe_at
from pipelines.models.scan import SUFFIXES, ModelLibrary
from pipelines.storage.database import Database
from pipelines.storage.shelf import Shelf
from ui.cli.models import pick
from ui.cli.options import Folders
from ui.cli.progress import byte_bar

NO_FILE = Path("merged.safetensors")
"""Where a dry run looks, when nobody says where the result shall lie."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A merge, as typed."""

    models: tuple[str, ...]
    base: str | None = None
    method: str | None = None
    alpha: str | None = None
    beta: str | None = None
    blocks: str | None = None
    blocks_beta: str | None = None
    elemental: str | None = None
    settings: tuple[str, ...] = ()
    vae: str | None = None
    dtype: str | None = None
    pruned: bool = False


@dataclass(frozen=True, kw_only=True)
class Ways:
    """What to do with it."""

    output: Path | None
    recipe: str | None = None
    overwrite: bool = False
    dry_run: bool = False
    as_json: bool = False


def run(asked: Asked, ways: Ways, folders: Folders) -> None:
    """Merge, or say what a merge would do. Raises EaselError."""
    if ways.output is None and not ways.dry_run:
        raise InvalidRequest("Nothing says where the result shall lie", fix="give a file with -o", field="output")
    with hash_book(folders) as book:
        order = repeated(asked, ways, folders, book) if ways.recipe else ordered(asked, ways, folders)
        # Imported here: torch takes its time, and much is refused without it.
        from pipelines.jobs.merging import preflight, prepared  # noqa: PLC0415

        if ways.dry_run:
            with prepared(order) as kitchen:
                print_json(preflight(kitchen))
            return
        carry_out(order, book, as_json=ways.as_json)


def carry_out(order: Order, book: HashBook, *, as_json: bool) -> None:
    """Do it, and say where the result lies."""
    from pipelines.jobs.merging import merge, one_thread  # noqa: PLC0415

    notes, hashes = [], None
    with byte_bar(order.target.name, quiet=as_json) as tell, one_thread():
        for event in merge(order, book):
            match event:
                case Worked():
                    tell(event)
                case Noted(text=text):
                    notes.append(text)
                case Hashed():
                    hashes = event
    assert hashes is not None
    if as_json:
        told = {"sha256": hashes.sha256, "short_hash": hashes.sha256[:10], "sshs_model_hash": hashes.weights}
        print_json({"file": str(order.target), "size": order.target.stat().st_size, "notes": notes, **told})
        return
    for note in notes:
        Console(stderr=True, highlight=False, soft_wrap=True).print(note, markup=False)
    sys.stdout.write(f"{order.target}\n")


def ordered(asked: Asked, ways: Ways, folders: Folders) -> Order:
    """The order that was typed. Raises InvalidRequest, UnknownName, ModelUnusable."""
    method = METHODS.find(asked.method or "weighted_sum", field="method")
    if asked.base is not None and not method.needs_base:
        raise InvalidRequest(f"{method.label} has no base", fix="leave out --base", field="base")
    names = (*asked.models, asked.base) if asked.base is not None else asked.models
    if not names:
        raise InvalidRequest("There is nothing to mix", fix="name the models, or a --recipe", field="model")
    models = tuple(pick(name, folders).info for name in names)
    vae, vae_from = _vae(asked.vae, folders)
    weights = {}
    if asked.blocks or asked.blocks_beta:
        blocks = blocks_in(models[0])
        presets = folders.block_presets().list()
        given = {"alpha": asked.blocks, "beta": asked.blocks_beta}
        weights = {name: block_weights(text, blocks, presets) for name, text in given.items() if text}
    mix = Mix(
        method=method.key, parameters=_parameters(asked, method), blocks=weights, elemental=asked.elemental or "",
        vae=vae, dtype=None if asked.dtype in {None, "source"} else asked.dtype, pruned=asked.pruned,
    )  # fmt: skip
    return Order(mix, models, (ways.output or NO_FILE).absolute(), vae_from, ways.overwrite)


def _parameters(asked: Asked, method: Method) -> dict[str, float | tuple[float, ...]]:
    given = {name: text for name, text in (("alpha", asked.alpha), ("beta", asked.beta)) if text is not None}
    for setting in asked.settings:
        name, mark, text = setting.partition("=")
        if not mark:
            raise InvalidRequest(f"{setting!r} sets nothing", fix="write --set name=value", field="set")
        given[name.strip()] = text
    return {name: _number_or_several(name, text, method) for name, text in given.items()}


def _number_or_several(name: str, text: str, method: Method) -> float | tuple[float, ...]:
    parameter = method.parameter(name)
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InvalidRequest(f"{name} {text!r} is no number", fix="write a number", field=name) from None
    return numbers if parameter and parameter.per_model else numbers[0] if len(numbers) == 1 else numbers


def _vae(said: str | None, folders: Folders) -> tuple[str, ModelInfo | None]:
    """(what the mix says, the file if it is one)"""
    if said is None:
        return "A", None
    if said.lower() == BASE_WEIGHT or (len(said) == 1 and said.isalpha()):
        return said, None
    try:
        float(said)
    except ValueError:
        return FROM_FILE, pick(said, folders).info
    return said, None


def repeated(asked: Asked, ways: Ways, folders: Folders, book: HashBook) -> Order:
    """The order of a recipe, its files found by their hashes. Raises InvalidRequest, UnknownName, Conflict."""
    told = [f"--{one.name.replace('_', '-')}" for one in fields(asked) if one.name != "models"
            and getattr(asked, one.name) not in (None, (), False)]  # fmt: skip
    if told:
        raise InvalidRequest(f"A recipe says {told[0]} itself", fix=f"leave out {told[0]}", field="recipe")
    recipe, beside = find_recipe(ways.recipe or "", folders)
    pantry = Pantry(recipe, book, [pick(name, folders).info for name in asked.models], folders, beside)
    models = tuple(pantry.find(one) for one in recipe.models)
    vae_from = pantry.find(recipe.vae_from) if recipe.vae_from else None
    loras = tuple((pantry.find(use.lora), Strength(use.unet, use.text, use.blocks)) for use in recipe.loras)
    target = (ways.output or NO_FILE).absolute()
    return Order(recipe.mix, models, target, vae_from, ways.overwrite, loras, recipe=recipe)


def find_recipe(said: str, folders: Folders) -> tuple[Recipe, Path]:
    """The recipe that a document is, or that a model carries, and the folder it was found in."""
    path = Path(said)
    if not (path.is_file() and path.suffix.casefold() not in SUFFIXES):
        path = Path(pick(said, folders).info.path)
    return recipe_at(path), path.absolute().parent


@dataclass(frozen=True)
class Pantry:
    """Where the files of a recipe are looked for: those named, those of the library, those beside it."""

    recipe: Recipe
    book: HashBook
    named: list[ModelInfo]
    folders: Folders
    beside: Path

    def find(self, wanted: Ingredient) -> ModelInfo:
        """The model that `wanted` is, whatever it is called now. Raises UnknownName."""
        for info in self._candidates(wanted):
            if self._hash(info) == wanted.sha256:
                return info
        raise UnknownName(
            f"The recipe wants {wanted.name!r} (sha256 {wanted.sha256[:10]}), which is not here as it was then",
            fix="put it into a models folder, or name it after the recipe", field="model",
        )  # fmt: skip

    def _candidates(self, wanted: Ingredient) -> list[ModelInfo]:
        near = [folder for folder in {self.beside, Path.cwd()} if folder.is_dir()]
        files = [file for folder in near for file in folder.iterdir() if file.suffix.casefold() in SUFFIXES]
        listed = [*self.folders.library().list(), *ModelLibrary(files).list()]
        fitting = [info for info in (*self.named, *listed) if info.size == wanted.size]
        return sorted(fitting, key=lambda info: info.name != wanted.name)

    def _hash(self, info: ModelInfo) -> str:
        if (known := self.book.known(info)) is not None:
            return known
        hashing = Hashing()
        for _ in read_through(Path(info.path), hashing):
            pass
        self.book.keep(info, hashing.found)
        return hashing.found.sha256


@contextmanager
def hash_book(folders: Folders) -> Iterator[HashBook]:
    """What the data folder knows of hashes; nothing while a studio has it."""
    try:
        opened = folders.data.open(worker_seconds=0)
    except StorageProblem:
        yield NoBook()
        return
    database = Database(folders.data.database)
    try:
        yield ShelfBook(Shelf(database))
    finally:
        database.close()
        opened.close()


def print_json(value: object) -> None:
    """On standard output, for programs."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
