"""The two hashes that people know a safetensors file by, taken while its bytes pass by."""

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

from pipelines.core.event import Hashed
from pipelines.models.folder import files_of

Bytes = bytes | memoryview
AHEAD = 16
"""Slices that may wait to be hashed: a few MB."""
AT_ONCE = 8 * 1024 * 1024
"""Bytes."""


class Hashing:
    """Told the bytes of one file in their order, those before the first weight apart."""

    def __init__(self) -> None:
        self._whole, self._weights = hashlib.sha256(), hashlib.sha256()

    def head(self, raw: Bytes) -> None:
        """The header and what leads to it."""
        self._whole.update(raw)

    def weights(self, raw: Bytes) -> None:
        """What follows."""
        self._whole.update(raw)
        self._weights.update(raw)

    @property
    def found(self) -> Hashed:
        """Of all that was told so far."""
        return Hashed(sha256=self._whole.hexdigest(), weights=self._weights.hexdigest())


class HashingBeside:
    """As Hashing, in a thread beside the one that tells: hashing takes as long as mixing and writing together.

    What is told must stay as it is. Use it as a context; ask for what was `found` within.
    """

    def __init__(self) -> None:
        self._hashing = Hashing()
        self._told: queue.Queue[Callable[[], None] | None] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._work, name="hashing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._told.put(None)
        self._thread.join()

    def head(self, raw: Bytes) -> None:
        self._told.put(partial(self._hashing.head, raw))

    def weights(self, raw: Bytes) -> None:
        self._told.put(partial(self._hashing.weights, raw))

    @property
    def found(self) -> Hashed:
        """Of all that was told so far."""
        self._told.join()
        return self._hashing.found

    def _work(self) -> None:
        while (update := self._told.get()) is not None:
            update()
            self._told.task_done()


def read_through(model: Path, hashing: Hashing) -> Iterator[int]:
    """Hash a model's file, or all weights of its folder in the order of their names; telling the bytes read.

    A file is one hash of its bytes, as everybody counts it. A folder's is ours: of its weights one after the other.
    """
    files = [model] if model.is_file() else sorted(file for file, _ in files_of(model) if file.suffix == ".safetensors")
    for path in files:
        with path.open("rb") as file:
            length = file.read(8)
            hashing.head(length)
            left = min(int.from_bytes(length, "little"), path.stat().st_size)
            yield len(length)
            while left and (part := file.read(min(left, AT_ONCE))):
                hashing.head(part)
                left -= len(part)
                yield len(part)
            while part := file.read(AT_ONCE):
                hashing.weights(part)
                yield len(part)
