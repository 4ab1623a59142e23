"""What can be told of a mixture before it is mixed, from headers alone. No torch here: the page asks at each change."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from pipelines.core.desk import Mixture
from pipelines.core.error import Conflict, EaselError, InvalidRequest, StorageProblem
from pipelines.core.ingredient import Ingredient
from pipelines.core.model import ModelInfo
from pipelines.core.recipe import Recipe, ingredients_of
from pipelines.core.request import LoraChoice, NumberFormat
from pipelines.jobs.orders import ordered
from pipelines.models.asked import parts as parts_of_mixture
from pipelines.models.folder import FolderReader
from pipelines.models.recipes import recipe_at, stem_of
from pipelines.models.scan import ModelLibrary
from pipelines.models.single import read_single
from pipelines.storage.files import safe_name

BYTES = {NumberFormat.FP32: 4, NumberFormat.FP16: 2, NumberFormat.BF16: 2, NumberFormat.FP8: 1}
AT_ONCE = 64 * 1024 * 1024
"""Bytes that a merge works with, where numbers are mixed place by place."""
BYTES_A_SECOND = 400e6
"""Read and written together, by two cores of a few years ago."""
SPARE = 64 * 1024 * 1024
"""Left on the disk."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Check:
    """How it stands with a mixture."""

    family: str
    tensors: int
    """Of the first model."""
    matched: int | None
    """Those that all models have, in the same shape; None: they are spelled differently, and cannot be counted here."""
    size: int
    """Bytes of the file."""
    free: int
    memory: int
    seconds: float
    problem: Any = None
    """Why it cannot be kept, as a Problem."""


def check(mixture: Mixture, name: str, models: ModelLibrary, folder: Path, *, only_recipe: bool) -> Check:
    """What keeping `mixture` in `folder` will take. Raises EaselError when it cannot even be mixed."""
    parts = parts_of_mixture(models, mixture)
    order = ordered(mixture, parts)
    shapes = [_shapes(info) for info in order.models]
    _check_families(order.models)
    first = shapes[0]
    shared = sum(all(other.get(key) == shape for other in shapes[1:]) for key, shape in first.items())
    size = _size(mixture, order.models[0], first)
    pointwise = mixture.mix.described.pointwise
    largest = max(map(prod, first.values()), default=0) * 4 * (len(shapes) + 2)
    free = shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists())).free
    problem = None
    try:
        wanted = check_name(name, folder)
        if taken := [one.name for one in models.list() if one.name.casefold() == wanted.casefold()]:
            raise Conflict(f"There is already a model {taken[0]}", fix="choose another name", field="name")
        if not only_recipe and free < size + SPARE:
            raise StorageProblem(f"The disk has no room for {size / 1e9:.1f} GB more", fix="free some space")
    except EaselError as error:
        problem = error.as_problem
    read = sum(info.size for info in order.models)
    return Check(
        family=str(order.models[0].family or ""), tensors=len(first), matched=shared or None, size=size, free=free,
        memory=min(largest, AT_ONCE) if pointwise else largest, seconds=round((read + size) / BYTES_A_SECOND, 1),
        problem=problem,
    )  # fmt: skip


def check_name(name: str, folder: Path) -> str:
    """The name of a new model in `folder`, as its file shall have it. Raises InvalidRequest, Conflict."""
    if not name.strip():
        raise InvalidRequest("It has no name yet", fix="name it", field="name")
    wanted = safe_name(name, noun="name", field="name")
    if taken := [one.name for one in folder.glob("*") if stem_of(one).casefold() == wanted.casefold()]:
        raise Conflict(f"There is already a {taken[0]}", fix="choose another name", field="name")
    return wanted


@dataclass(frozen=True, slots=True)
class Opened:
    """A recipe, brought back to the desk."""

    mixture: Mixture
    missing: tuple[str, ...]
    """Ingredients that are not here as they were then."""


def opened(recipe: Recipe, models: ModelLibrary) -> Opened:
    """The mixture that `recipe` was made of, its files by the names they have now."""
    here = {(info.name, info.size): info.name for info in models.list()}
    missing: list[str] = []

    def name_of(wanted: Ingredient) -> str:
        if (wanted.name, wanted.size) not in here:
            missing.append(wanted.name)
        return wanted.name

    names = tuple(name_of(one) for one in recipe.models)
    vae = name_of(recipe.vae_from) if recipe.vae_from else ""
    loras = tuple(
        LoraChoice(name=name_of(use.lora), unet=use.unet, text=use.text, blocks=use.blocks) for use in recipe.loras
    )
    return Opened(Mixture(models=names, mix=recipe.mix, vae_from=vae, loras=loras), tuple(missing))


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A model in a family tree."""

    name: str
    sha256: str = ""
    method: str = ""
    """How it was mixed; empty: it was not, or nobody knows."""
    here: bool = True
    parents: tuple["Ancestor", ...] = ()


GENERATIONS = 12


def lineage(info: ModelInfo, models: ModelLibrary, depth: int = GENERATIONS) -> Ancestor:
    """The tree of what went into a model, as far as recipes tell."""
    try:
        recipe = recipe_at(Path(info.path)) if depth and not Path(info.path).is_dir() else None
    except InvalidRequest:
        recipe = None
    if recipe is None:
        return Ancestor(info.name)
    here = {(one.name, one.size): one for one in models.list()}
    parents = []
    for wanted in ingredients_of(recipe):
        found = here.get((wanted.name, wanted.size))
        known = lineage(found, models, depth - 1) if found else Ancestor(wanted.name, here=False)
        parents.append(replace(known, sha256=wanted.sha256))
    return Ancestor(info.name, method=recipe.mix.described.label, parents=tuple(parents))


def _check_families(infos: tuple[ModelInfo, ...]) -> None:
    first = infos[0]
    for letter, other in zip("BCDEFGHIJKLMNOPQRSTUVWXYZ", infos[1:], strict=False):
        if other.family != first.family:
            raise InvalidRequest(
                f"{letter} is {other.family or 'of an unknown kind'}, A is {first.family or 'of an unknown kind'}",
                fix=f"choose an {first.family} model for {letter}", field="models",
            )  # fmt: skip


def _shapes(info: ModelInfo) -> Shapes:
    """Of every tensor, as its files spell it."""
    path = Path(info.made_of[0] if info.made_of else info.path)
    if not path.is_dir():
        return {name: entry.shape for name, entry in read_single(path, info.name).header.tensors.items()}
    drawn = FolderReader(path, info.name).blueprint()
    networks = {"unet": drawn.unet, "vae": drawn.vae}
    networks |= {f"text{number}": tower.network for number, tower in enumerate(drawn.towers)}
    return {
        f"{part} {name}": entry.shape
        for part, network in networks.items()
        for name, entry in network.header.tensors.items()
    }


def _size(mixture: Mixture, first: ModelInfo, shapes: Shapes) -> int:
    dtype = mixture.mix.dtype
    return first.size if dtype is None else BYTES[dtype] * sum(map(prod, shapes.values()))
