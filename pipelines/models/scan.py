"""Which models there are: every diffusers folder below the models folders, known from configs and headers alone.

No torch here: the page lists models within milliseconds, in a process that never loads one.
"""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.core.error import EaselError, ModelUnusable
from pipelines.core.model import ModelInfo
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.registry import fold, unknown
from pipelines.models.folder import INDEX, FolderReader, as_text, files_of

DEPTH = 3
"""How many folders deep a model may lie below a models folder."""


class ModelLibrary:
    """The models in `folders`, earlier folders first; scanned when first asked, and again on `rescan`."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._lock = threading.Lock()
        self._models: dict[str, ModelInfo] | None = None

    def list(self) -> list[ModelInfo]:
        """All models, usable or not, in the order of their names; the starter models first."""
        return sorted(self._scanned().values(), key=lambda m: (not m.starter, m.name.casefold()))

    def find(self, name: str) -> ModelInfo:
        """The model called `name`. Raises UnknownName with the nearest."""
        models = self._scanned()
        if name in models:
            return models[name]
        alike = [m for m in models.values() if fold(m.name) == fold(name)]
        if len(alike) == 1:
            return alike[0]
        raise unknown(name, models, noun="model", field="model")

    def usable(self, name: str) -> ModelInfo:
        """The model called `name`, ready to load. Raises UnknownName, or ModelUnusable with its problem."""
        info = self.find(name)
        if info.problem is not None:
            p = info.problem
            raise ModelUnusable(p.problem, fix=p.fix, field=p.field, detail=p.detail)
        return info

    def rescan(self) -> None:
        """Look at the folders again; a model added or removed meanwhile appears or goes."""
        found: dict[str, ModelInfo] = {}
        for folder in _model_folders(self._folders):
            name = _free_name(folder, found)
            found[name] = read_model(folder, name)
        with self._lock:
            self._models = found

    def _scanned(self) -> dict[str, ModelInfo]:
        if self._models is None:
            self.rescan()
        with self._lock:
            return dict(self._models or {})


def read_model(folder: Path, name: str) -> ModelInfo:
    """What `folder` says about itself; a folder that cannot be used says why in `problem`."""
    facts, problem = None, None
    path = str(folder.resolve())
    try:
        if path != as_text(path):
            raise ModelUnusable(
                f"The model {as_text(name)!r} lies in a folder whose name is not text",
                fix="rename the folder", field="model",
            )  # fmt: skip
        facts = FolderReader(folder, name).facts()
    except EaselError as error:
        problem = error.as_problem
    return ModelInfo(
        name=as_text(name),
        kind="checkpoint",
        path=as_text(path),
        size=sum(state.st_size for _, state in files_of(folder)),
        starter=folder.resolve().is_relative_to(STARTER_MODELS),
        family=facts.family if facts else "",
        dtype=facts.dtype if facts else "",
        native_size=facts.native_size if facts else 0,
        prediction=facts.prediction if facts else "",
        problem=problem,
    )


def _model_folders(roots: Iterable[Path]) -> Iterable[Path]:
    seen: set[Path] = set()
    for root in roots:
        for at, below, files in os.walk(root, followlinks=True):
            here = Path(at)
            below.sort(key=str.casefold)
            if len(here.relative_to(root).parts) >= DEPTH or here.resolve() in seen:
                below.clear()
            if INDEX in files and here.resolve() not in seen:
                below.clear()  # a model's parts are no models
                yield here
            seen.add(here.resolve())


def _free_name(folder: Path, taken: dict[str, ModelInfo]) -> str:
    """The folder's name; `parent/name` when another model has it already; numbered when that is taken too."""
    own, parent = as_text(folder.name), as_text(folder.parent.name)
    candidates = [own, f"{parent}/{own}"]
    candidates += [f"{own} {number}" for number in range(2, len(taken) + 3)]
    return next(name for name in candidates if name not in taken)
