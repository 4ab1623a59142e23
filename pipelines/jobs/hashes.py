"""The hashes of models, remembered on the shelf from one reading to the next."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.core.event import Hashed
from pipelines.core.model import ModelInfo
from pipelines.models.scan import stamp_of
from pipelines.storage.shelf import Hashes, Shelf


class HashBook(Protocol):
    """What is known of files' hashes from earlier readings."""

    def known(self, info: ModelInfo) -> str | None:
        """The sha256 of a model as it is now."""
        ...

    def keep(self, info: ModelInfo, found: Hashed) -> None: ...


class NoBook:
    """Knows nothing and keeps nothing."""

    def known(self, info: ModelInfo) -> str | None:
        return None

    def keep(self, info: ModelInfo, found: Hashed) -> None:
        pass


class OwnBook:
    """What this process has worked out."""

    def __init__(self) -> None:
        self._by_stamp: dict[str, str] = {}

    def known(self, info: ModelInfo) -> str | None:
        return self._by_stamp.get(stamp_of(Path(info.path)))

    def keep(self, info: ModelInfo, found: Hashed) -> None:
        self._by_stamp[stamp_of(Path(info.path))] = found.sha256


@dataclass(frozen=True, slots=True)
class ShelfBook:
    """What the shelf knows; of a file that has changed, nothing."""

    shelf: Shelf

    def known(self, info: ModelInfo) -> str | None:
        """The sha256 of a model as it is now."""
        found = self.shelf.hashes(info.path, stamp_of(Path(info.path)))
        return found.sha256 if found else None

    def keep(self, info: ModelInfo, found: Hashed) -> None:
        """Remember it until the file changes."""
        self.shelf.keep_hashes(info.path, stamp_of(Path(info.path)), Hashes(found.sha256, found.weights))
