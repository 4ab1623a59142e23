"""Recipes as documents: JSON or TOML, or inside the model they made."""

import json
import tomllib
from pathlib import Path

from pipelines.core.error import InvalidRequest
from pipelines.core.recipe import METADATA_KEY, Recipe, read_recipe
from pipelines.models.headers import DamagedFile, read_header

MOST_BYTES = 4 * 1024 * 1024
"""Of a document."""
MODEL = ".safetensors"
ENDINGS = (".recipe.json", ".recipe.toml")
"""How documents among the models end that are models themselves, mixed when they are wanted."""


def is_recipe(path: Path) -> bool:
    """Whether a file among the models is a recipe."""
    return path.name.casefold().endswith(ENDINGS)


def ending_of(path: Path) -> str:
    """What follows a model's name in its file's: `.safetensors`, `.recipe.json`; nothing of a folder."""
    if path.is_dir():
        return ""
    return path.name[-len(ENDINGS[0]) :] if is_recipe(path) else path.suffix


def stem_of(path: Path) -> str:
    """A model's name, as its file or folder has it."""
    return path.name.removesuffix(ending_of(path))


def recipe_at(path: Path) -> Recipe:
    """The recipe in a document, or the one that a model carries. Raises InvalidRequest for a file that has none."""
    try:
        is_model = path.suffix.casefold() == MODEL
        text = read_header(path).metadata.get(METADATA_KEY) if is_model else _document(path)
    except (OSError, DamagedFile, ValueError, TypeError, RecursionError) as error:  # TOML has dates, JSON has none
        raise InvalidRequest(
            f"{path.name} cannot be read as a recipe", fix="use a file that Easel wrote", field="recipe",
            detail=str(error),
        ) from error  # fmt: skip
    if text is None:
        raise InvalidRequest(f"{path.name} carries no recipe", fix="use a model that Easel mixed", field="recipe")
    return read_recipe(text, path.name)


def _document(path: Path) -> str:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("it is too large")
    text = path.read_text(encoding="utf-8")
    return json.dumps(tomllib.loads(text)) if path.suffix.casefold() == ".toml" else text
