"""A safetensors file written tensor by tensor: its header is known before the first number is."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import torch
from torch import Tensor

FORMATS: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
"""safetensors' words for the formats that weights come in."""
SPELLED: Mapping[torch.dtype, str] = {dtype: word for word, dtype in FORMATS.items()}
ALIGNED = 8
"""Bytes: the header is filled up with spaces to a multiple of this, as the reference implementation does."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor that will be written."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[], Tensor]
    """Called once, when its turn has come; may give another format, which is then rounded once."""

    @property
    def nbytes(self) -> int:
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def write_tensors(file: BinaryIO, planned: Sequence[Planned], metadata: Mapping[str, str]) -> int:
    """Write the whole file; never more than one tensor is in memory. Returns its bytes."""
    header = _header(planned, metadata)
    file.write(len(header).to_bytes(8, "little") + header)
    for one in planned:
        tensor = one.make().to(one.dtype)
        if tuple(tensor.shape) != one.shape:
            raise ValueError(f"{one.name} was planned as {one.shape} and is {tuple(tensor.shape)}")
        file.write(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return 8 + len(header) + sum(one.nbytes for one in planned)


def _header(planned: Sequence[Planned], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for one in planned:
        end = at + one.nbytes
        entries[one.name] = {"dtype": SPELLED[one.dtype], "shape": list(one.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % ALIGNED)
