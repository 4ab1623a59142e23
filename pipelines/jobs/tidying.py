"""Renaming a model and throwing one away, with everything that belongs to it."""

from collections.abc import Iterator
from pathlib import Path

from send2trash import send2trash

from pipelines.core.error import Conflict, ModelUnusable, StorageProblem
from pipelines.core.model import ModelInfo
from pipelines.models.scan import ModelLibrary
from pipelines.models.sidecars import belongings_of
from pipelines.storage.files import safe_name, storage_problem
from pipelines.storage.shelf import Shelf


class Tidier:
    """Moves model files about, and keeps the list of models true to it."""

    def __init__(self, models: ModelLibrary, shelf: Shelf) -> None:
        self._models, self._shelf = models, shelf

    def rename(self, name: str, to: str) -> str:
        """Give a model another file name, its picture and texts as well; returns what it is called then.

        Raises UnknownName, InvalidRequest for a name that no file can have, Conflict, StorageProblem.
        """
        path = Path(self._own(name).path)
        stem = safe_name(to, noun="name", field="name")
        target = path.with_name(stem if path.is_dir() else f"{stem}{path.suffix}")
        if target == path:
            return name
        moves = [(path, target), *_moves(path, stem)]
        if taken := next((new for _, new in moves if new.exists()), None):
            raise Conflict(f"There is already a {taken.name}", fix="choose another name", field="name")
        try:
            for old, new in moves:
                old.rename(new)
        except OSError as error:
            raise storage_problem(error, target, verb="renamed") from error
        self._shelf.move(str(path), str(target))
        self._models.rescan()
        return next(info.name for info in self._models.list() if info.path == str(target))

    def throw_away(self, name: str) -> None:
        """Put a model into the system's trash, with its picture and texts. Raises UnknownName, StorageProblem."""
        path = Path(self._own(name).path)
        try:
            for one in (*belongings_of(path), path):
                send2trash(one)
        except OSError as error:
            raise StorageProblem(
                f"{path.name} could not be put into the trash", fix="delete it in your file manager", detail=str(error)
            ) from error
        self._models.rescan()

    def _own(self, name: str) -> ModelInfo:
        """A model that may be changed: those that come with Easel may not."""
        info = self._models.find(name)
        if info.starter:
            raise ModelUnusable(
                f"{info.name!r} belongs to Easel and stays as it is", fix="change a copy", field="model"
            )
        return info


def _moves(path: Path, stem: str) -> Iterator[tuple[Path, Path]]:
    was = path.name if path.is_dir() else path.stem
    for beside in belongings_of(path):
        yield beside, beside.with_name(stem + beside.name.removeprefix(was))
