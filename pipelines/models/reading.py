"""What one file or folder says about itself, read from headers and configs alone."""

import time
from pathlib import Path

from pipelines.core.error import EaselError, ModelUnusable, Problem
from pipelines.core.model import PAINTS, Kind, ModelInfo, Task
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.recipe import ingredients_of
from pipelines.models.enlargers import is_enlarger, reader_of
from pipelines.models.folder import as_text, files_of
from pipelines.models.headers import CutShort, DamagedFile, read_header
from pipelines.models.pickles import looks_like_pickle
from pipelines.models.recipes import is_recipe, recipe_at, stem_of
from pipelines.models.recognise import Recognised, recognise
from pipelines.models.segmenters import is_segmenter, segmenter_at
from pipelines.models.sidecars import triggers_in
from pipelines.models.single import SingleFile

NAMELESS = ("diffusion_pytorch_model", "model", "pytorch_model", "diffusion_pytorch_model.fp16", "model.fp16")
"""File names that say nothing: such a file is called after its folder."""
SETTLED = 30
"""Seconds since its last change after which a file that ends early is no longer taken for one still being written."""


def read_model(path: Path, name: str) -> ModelInfo:
    """What the file or folder at `path` says about itself; one that cannot be used says why in `problem`."""
    info = ModelInfo(
        name=as_text(name), kind=Kind.UNKNOWN, family=None, path=as_text(str(path.absolute())), size=0, dtype="",
        native_size=0, prediction=None, starter=path.resolve().is_relative_to(STARTER_MODELS),
    )  # fmt: skip
    try:
        if str(path.absolute()) != info.path:
            raise ModelUnusable(
                f"The model {info.name!r} lies at a path that is not text", fix="rename the folder", field="model"
            )
        facts = _folder_facts(path, name) if path.is_dir() else _file_facts(path, info.name)
    except EaselError as error:
        facts = {"problem": error.as_problem, "damaged": True}
        if path.is_dir():
            facts["kind"] = Kind.SEGMENTER if is_segmenter(path) else Kind.CHECKPOINT
            facts["task"] = Task.UPSCALING if is_enlarger(path) else Task.TEXT_TO_IMAGE
    return info.model_copy(update={"size": size_on_disk(path), **facts})


def _folder_facts(folder: Path, name: str) -> dict[str, object]:
    if is_segmenter(folder):
        plan = segmenter_at(folder, name)
        told = {"kind": Kind.SEGMENTER, "detail": plan.architecture.label, "native_size": plan.native_size}
        return {**told, "dtype": plan.network.header.dtype}
    blueprint = reader_of(folder, name).blueprint()
    return {
        "kind": Kind.CHECKPOINT,
        "family": blueprint.family,
        "task": blueprint.task,
        "dtype": blueprint.unet.header.dtype,
        "native_size": blueprint.native_size,
        "prediction": blueprint.prediction,
    }


def _recipe_facts(path: Path) -> dict[str, object]:
    """The rest is known when its ingredients are found."""
    recipe = recipe_at(path)
    told = f"recipe, {recipe.mix.described.label.lower()} of {len(recipe.models)}"
    dtype = recipe.mix.dtype or ""
    return {"kind": Kind.CHECKPOINT, "detail": told, "ingredients": ingredients_of(recipe), "dtype": str(dtype)}


def _file_facts(path: Path, name: str) -> dict[str, object]:
    if is_recipe(path):
        return _recipe_facts(path)
    try:
        if looks_like_pickle(path):
            false = path.suffix.casefold() == ".safetensors"
            raise ModelUnusable(
                f"The file of {name!r} is a pickle{' under a false name' if false else ''}: opening it can run code",
                fix="convert it to safetensors", field="model",
            )  # fmt: skip
        header = read_header(path)
    except CutShort as error:
        if time.time() - path.stat().st_mtime < SETTLED:
            raise ModelUnusable(growing(name), fix="wait, then scan again", field="model") from error
        raise ModelUnusable(f"The file of {name!r} {error}", fix="download it again", field="model") from error
    except DamagedFile as error:
        raise ModelUnusable(f"The file of {name!r} {error}", fix="download it again", field="model") from error
    except OSError as error:
        raise ModelUnusable(
            f"The file of {name!r} cannot be read ({error.strerror})",
            fix="allow reading it",
            field="model",
            detail=str(error),
        ) from error
    found = recognise(header)
    facts: dict[str, object] = {
        "kind": found.kind, "family": found.family, "task": found.task, "dtype": header.dtype, "detail": _detail(found),
        "triggers": triggers_in(header.metadata),
    }  # fmt: skip
    if found.kind is Kind.SEGMENTER:
        facts["problem"] = Problem(
            problem=f"The file of {name!r} lies without the rest of its folder",
            fix="put config.json, preprocessor_config.json and the tokenizer's files beside it", field="model",
        )  # fmt: skip
    if found.kind in PAINTS:
        single = SingleFile(path, name, header, found)
        facts |= {"native_size": single.native_size, "prediction": single.prediction, "lacks": single.lacks}
        try:
            single.check()
        except ModelUnusable as error:
            facts |= {"problem": error.as_problem, "damaged": single.can_run}
    return facts


def _detail(found: Recognised) -> str:
    return f"{found.detail}, rank {found.rank}" if found.rank else found.detail


def size_on_disk(path: Path) -> int:
    """Bytes of a model's file, or of its folder's parts; 0 when they cannot be looked at."""
    try:
        return sum(state.st_size for _, state in files_of(path)) if path.is_dir() else path.stat().st_size
    except OSError:
        return 0


def growing(name: str) -> str:
    """What is said of a file that may not be whole yet."""
    return f"The file of {name!r} is still being written"


def own_name(path: Path) -> str:
    """What a model is called after: its file or folder; `author/model` in Hugging Face's cache, named by commits."""
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith("models--"):
        return path.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
    stem = stem_of(path)
    return path.parent.name if stem in NAMELESS and not path.is_dir() else stem
