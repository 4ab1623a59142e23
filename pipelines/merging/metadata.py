"""What a mixed model says about itself: its recipe in our words, and in those that other programs read.

Nothing here depends on the day, the machine or the name of the file: the same recipe gives the same bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.ingredient import Ingredient
from pipelines.core.recipe import FROM_FILE, METADATA_KEY, Recipe
from pipelines.merging.sources import Source
from pipelines.models import peculiar

KEPT = (
    "modelspec.sai_model_spec", "modelspec.architecture", "modelspec.resolution", "modelspec.prediction_type",
    "modelspec.license", "modelspec.author", "modelspec.encoder_layer", peculiar.KEY,
)  # fmt: skip
"""Of A's own words: what stays true of a mix."""
MERGED, PARENTS = "sd_merge_recipe", "sd_merge_models"
"""AUTOMATIC1111's keys."""
LEGACY_AT, LEGACY_BYTES = 0x100000, 0x10000
PLACES = ("primary", "secondary", "tertiary")
MOST_PARENTS = 1_000_000
"""Characters of what parents say of theirs; more is left out."""


def metadata_of(recipe: Recipe, sources: Sequence[Source]) -> Mapping[str, str]:
    """Of the file that `recipe` makes of `sources`."""
    told = kept_of(sources[0])
    names = ", ".join(one.name for one in recipe.models)
    return {
        "format": "pt",
        **told,
        "modelspec.title": f"{names} ({recipe.mix.described.label})",
        "modelspec.merged_from": names,
        **({"modelspec.description": recipe.notes} if recipe.notes else {}),
        METADATA_KEY: recipe.model_dump_json(exclude_defaults=True),
        MERGED: _json(_recipe_for_others(recipe)),
        PARENTS: _json(_parents(recipe, sources)),
    }


def kept_of(first: Source) -> Mapping[str, str]:
    """What A says of itself and stays true of the mix."""
    return {key: first.metadata[key] for key in KEPT if key in first.metadata}


def _recipe_for_others(recipe: Recipe) -> Mapping[str, Any]:
    """As AUTOMATIC1111's merger words it."""
    mix = recipe.mix
    hashes = {f"{place}_model_hash": one.sha256 for place, one in zip(PLACES, recipe.models, strict=False)}
    return {
        "type": "easel", **hashes, "interp_method": mix.described.label, "multiplier": mix.values.get("alpha"),
        "save_as_half": mix.dtype == "fp16", "custom_name": None, "config_source": 0,
        "bake_in_vae": recipe.vae_from.name if mix.vae == FROM_FILE and recipe.vae_from else None,
        "discard_weights": "model_ema" if mix.pruned else None, "easel": json.loads(mix.model_dump_json()),
    }  # fmt: skip


def _parents(recipe: Recipe, sources: Sequence[Source]) -> Mapping[str, Any]:
    """By sha256: each model that went in, with its own recipe, and those that had gone into it."""
    told: dict[str, Any] = {}
    for ingredient, source in zip(recipe.models, sources, strict=True):
        told |= _object(source.metadata.get(PARENTS, ""))
        told[ingredient.sha256] = {
            "name": ingredient.name,
            "legacy_hash": _legacy_hash(source.path),
            MERGED: _object(source.metadata.get(MERGED, "")) or None,
        }
    return told


def _legacy_hash(path: Path) -> str | None:
    """AUTOMATIC1111's first hash: of 64 KiB at 1 MiB."""
    if path.is_dir():
        return None
    with path.open("rb") as file:
        file.seek(LEGACY_AT)
        return hashlib.sha256(file.read(LEGACY_BYTES)).hexdigest()[:8]


def _object(text: str) -> dict[str, Any]:
    """The JSON object that `text` is; an empty one for anything else: other programs wrote it."""
    try:
        read = json.loads(text) if len(text) <= MOST_PARENTS else {}
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def ingredient_of(source: Source, sha256: str) -> Ingredient:
    """How a recipe names a model."""
    return Ingredient(name=source.name, sha256=sha256, size=sum(size for _, _, size in source.states))
