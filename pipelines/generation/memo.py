"""What a long walk has found out so far, kept where it outlives the process.

A walk that is interrupted is walked again from its beginning with the same request: what it finds here is not worked
out a second time, and the solver's own memory comes back by itself.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Memo(Protocol):
    """Tensors by name. Belongs to one request over one picture: nothing here says whose answers they are."""

    def recall(self, key: str) -> Tensor | None:
        """As it was kept, to the bit, on the CPU; None when there is none."""
        ...

    def keep(self, key: str, tensor: Tensor) -> None: ...

    def forget(self, keys: Iterable[str]) -> None:
        """What is not there is no matter."""
        ...


class FolderMemo:
    """Tensors as .npy files of a folder, each whole or not there; the folder is made with the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def below(self, name: str) -> "FolderMemo":
        """For one of several walks."""
        return FolderMemo(self._folder / name)

    def recall(self, key: str) -> Tensor | None:
        """None also for a file that is damaged: it is worked out anew."""
        try:
            return torch.from_numpy(np.load(self._path(key), allow_pickle=False))
        except (FileNotFoundError, ValueError, EOFError):
            return None

    def keep(self, key: str, tensor: Tensor) -> None:
        """Raises OSError, as of a full disk."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                np.save(file, tensor.detach().cpu().numpy())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npy"
