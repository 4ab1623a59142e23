"""Renaming a model and throwing one away, with everything that belongs to it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import typer
from send2trash import send2trash

from pipelines.core.error import Conflict, ModelUnusable, StorageProblem
from pipelines.core.model import ModelInfo
from pipelines.models.recipes import ending_of, stem_of
from pipelines.models.scan import ModelLibrary
from pipelines.models.sidecars import belongings_of
from pipelines.storage.files import safe_name, storage_problem
from pipelines.storage.shelf import Shelf


def key_of(info: ModelInfo) -> str:
    """Tells a model from another that has its name at another time; says nothing about where it lies."""
    return hashlib.sha256(info.path.encode()).hexdigest()[:16]


class Tidier:
    """Moves model files about, and keeps the list of models true to it."""

    def __init__(self, models: ModelLibrary, shelf: Shelf) -> None:
        self._models, self._shelf = models, shelf

    def rename(self, name: str, to: str, key: str | None = None) -> str:
        """Give a model another file name, its picture and texts as well; returns what it is called then.

        `key`: of the model that is meant, as `key_of` gave it. Raises UnknownName, InvalidRequest for a name that no
        file can have, Conflict when that is taken or another model is called `name` by now, StorageProblem.
        """
        path = Path(self._own(name, key).path)
        stem = safe_name(to, noun="name", field="name")
        target = path.with_name(f"{stem}{ending_of(path)}")
        if target == path:
            return name
        moves = [(path, target), *_moves(path, stem)] if self._stands_alone(path) else [(path, target)]
        if taken := next((new for _, new in moves if new.exists()), None):
            raise Conflict(f"There is already a {taken.name}", fix="choose another name", field="name")
        try:
            for old, new in moves:
                old.rename(new)
        except OSError as error:
            raise storage_problem(error, target, verb="renamed") from error
        self._shelf.move(str(path), str(target))
        self._models.rescan()
        called = next(info.name for info in self._models.list() if info.path == str(target))
        if self._shelf.default == name:
            self._shelf.choose_default(called)
        return called

    def throw_away(self, name: str, key: str | None = None) -> None:
        """Put a model into the system's trash, with its picture and texts.

        `key`: as for `rename`. Raises UnknownName, Conflict, StorageProblem.
        """
        path = Path(self._own(name, key).path)
        belongings = belongings_of(path) if self._stands_alone(path) else ()
        try:
            for one in (*belongings, path):
                send2trash(one)
        except OSError as error:
            raise StorageProblem(
                f"{path.name} could not be put into the trash", fix="delete it in your file manager", detail=str(error)
            ) from error
        self._shelf.forget(str(path))
        self._models.rescan()

    def reveal(self, name: str) -> None:
        """Show a model's file in this machine's file manager. Raises UnknownName, StorageProblem for want of one."""
        path = Path(self._models.find(name).path)
        if typer.launch(str(path), wait=True, locate=True):
            raise StorageProblem(
                "This machine has no file manager to open", fix=f"look into the folder {path.parent.name!r} yourself"
            )

    def _stands_alone(self, path: Path) -> bool:
        """Whether the picture and texts beside it belong to no other model as well: `a.ckpt` and `a.safetensors`."""
        paths = (Path(info.path) for info in self._models.list())
        return not any(one != path and one.parent == path.parent and stem_of(one) == stem_of(path) for one in paths)

    def _own(self, name: str, key: str | None) -> ModelInfo:
        """A model that may be changed: those that come with Easel may not, nor what Hugging Face's programs keep."""
        info = self._models.exactly(name)
        if key is not None and key != key_of(info):
            raise Conflict(f"Another model is called {name!r} by now", fix="look at the list again", field="model")
        if _is_cached(Path(info.path)):
            raise ModelUnusable(
                f"{info.name!r} lies in Hugging Face's cache, which other programs use too",
                fix="remove it there: hf cache delete", field="model",
            )  # fmt: skip
        if info.starter:
            raise ModelUnusable(
                f"{info.name!r} belongs to Easel and stays as it is", fix="change a copy", field="model"
            )
        return info


def _moves(path: Path, stem: str) -> Iterator[tuple[Path, Path]]:
    was = stem_of(path)
    for beside in belongings_of(path):
        yield beside, beside.with_name(stem + beside.name.removeprefix(was))


def _is_cached(path: Path) -> bool:
    """Whether Hugging Face's programs keep it: `models--author--name/snapshots/...`."""
    return any(above.parent.name.startswith("models--") and above.name == "snapshots" for above in path.parents)
