"""The tensors of a file, without reading it; or of a model that is in no file."""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from pipelines.models.headers import Header, read_header
from pipelines.models.writing import format_of


class Tensors(Protocol):
    """What networks are filled from."""

    def below(self, root: str) -> Iterator[str]:
        """The names that begin with `root`."""

    def __contains__(self, name: str) -> bool: ...
    def __getitem__(self, name: str) -> Tensor: ...


class HeldTensors:
    """Tensors in memory, by name."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def below(self, root: str) -> Iterator[str]:
        return (name for name in self._tensors if name.startswith(root))

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]


class OpenTensors:
    """The tensors of one file as views into it: the system reads what is used, and takes the memory back at need."""

    def __init__(self, file: Path, header: Header | None = None) -> None:
        """`header`: of this file, if it has been read already. Raises DamagedFile, OSError."""
        self._entries = (header or read_header(file)).tensors
        with file.open("rb") as opened:
            # A private mapping: torch wants memory it may write to, and nothing it wrote would reach the file.
            self._mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)

    def below(self, root: str) -> Iterator[str]:
        """The names that begin with `root`."""
        return (name for name in self._entries if name.startswith(root))

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Tensor:
        entry = self._entries[name]
        dtype = format_of(entry)
        if not entry.numel:
            return torch.empty(entry.shape, dtype=dtype)
        flat = torch.frombuffer(self._mapped, dtype=dtype, count=entry.numel, offset=entry.start)
        return flat.reshape(entry.shape)
