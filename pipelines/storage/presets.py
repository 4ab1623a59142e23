"""The user's own presets: one small JSON file each, in the data folder, beside those that ship with Easel."""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Generic

from pipelines.core.error import Conflict, EaselError, InvalidRequest
from pipelines.core.presets import Kept, P, read_preset
from pipelines.core.registry import unknown
from pipelines.storage.files import atomic_write, safe_name, storage_problem

log = logging.getLogger(__name__)

MAX_BYTES = 262_144
"""A larger file is no preset."""


class PresetStore(Generic[P]):
    """Presets of one kind by name; two names that differ only in case are one. Used from any thread."""

    def __init__(self, folder: Path, kind: type[P], factory: Iterable[P]) -> None:
        self._folder = folder
        self._kind = kind
        self._factory = tuple(factory)
        self._lock = threading.Lock()

    def list(self) -> list[P]:
        """Those that ship with Easel, then the user's, by name. A file that cannot be read is left out and logged."""
        own = self._own()
        return [*self._factory, *(own[name] for name in sorted(own))]

    def save(self, preset: P, *, version: int | None = None) -> P:
        """Keep it under its name.

        `version` is that of the preset to be replaced; None for a new one. Raises InvalidRequest for a name that cannot
        be, Conflict when the name is taken or the preset was changed or deleted meanwhile, StorageProblem.
        """
        name = safe_name(preset.name, noun="preset name", field="name")
        if name.casefold() in {spelling.casefold() for one in self._factory for spelling in (one.name, *one.aliases)}:
            raise Conflict(f"The preset {name!r} ships with Easel", fix="choose another name", field="name")
        with self._lock:
            there = self._own().get(name.casefold())
            _check_version(name, there, version)
            made = preset.model_copy(update={"name": name, "version": (version or 0) + 1, "factory": False})
            path = self._path(there.name if there else name)
            try:
                text = made.model_dump_json(indent=2, exclude={"factory", "aliases"})
                atomic_write(path, text.encode(), replace=there is not None)
            except FileExistsError:  # a file we could not read: not ours to overwrite
                raise Conflict(f"There is a file {path.name} that is no preset", fix="choose another name") from None
        return made.model_copy(update={"name": path.stem})

    def delete(self, name: str) -> None:
        """Raises UnknownName, or Conflict for one that ships with Easel."""
        with self._lock:
            own = self._own()
            preset = own.get(name.casefold())
            if preset is None:
                if any(name == one.name for one in self._factory):
                    raise Conflict(f"The preset {name!r} ships with Easel", fix="leave it; it takes no room")
                raise unknown(name, (p.name for p in own.values()), noun="preset")
            path = self._path(preset.name)
            try:
                path.unlink()
            except OSError as error:
                raise storage_problem(error, path, verb="deleted") from error

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _own(self) -> dict[str, P]:
        """The user's presets by casefolded name."""
        found: dict[str, P] = {}
        for file in sorted(self._folder.glob("[!.]*.json")):
            try:
                preset = self._read(file)
            except EaselError as error:
                log.warning("%s", error)
            else:
                found[preset.name.casefold()] = preset
        return found

    def _read(self, file: Path) -> P:
        name = safe_name(file.stem, noun="preset file")
        try:
            with file.open("rb") as opened:
                text = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise storage_problem(error, file, verb="read") from error
        if len(text) > MAX_BYTES:
            raise InvalidRequest(f"The preset {name!r} is too large", fix="correct or delete its file")
        preset = read_preset(self._kind, text, name=name)
        return preset.model_copy(update={"name": name})  # a copied file has a name of its own


def _check_version(name: str, there: Kept | None, version: int | None) -> None:
    if there is None and version is not None:
        raise Conflict(f"The preset {name!r} was deleted meanwhile", fix="save it as a new one", field="name")
    if there is not None and version is None:
        raise Conflict(
            f"There is a preset {there.name!r} already", fix="choose another name, or replace it", field="name"
        )
    if there is not None and version != there.version:
        raise Conflict(f"The preset {name!r} was changed meanwhile", fix="open it again, then save your changes")
