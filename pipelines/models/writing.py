"""A safetensors file written tensor by tensor: its header is known before the first number is."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import torch
from torch import Tensor

from pipelines.core.error import ModelUnusable
from pipelines.models.hashing import Hashing, HashingBeside
from pipelines.models.headers import Header, TensorEntry, parse_header

FORMATS: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16,
    "U8": torch.uint8, "BOOL": torch.bool, "C64": torch.complex64, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz, "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip
"""safetensors' words for the formats that torch computes with."""
SPELLED: Mapping[torch.dtype, str] = {dtype: word for word, dtype in FORMATS.items()}
BYTES_A_WORD = 32 * 1024 * 1024
"""Written between two words of how far it is."""
ALIGNED = 8
"""Bytes: the header is filled up with spaces to a multiple of this, as the reference implementation does."""


def format_of(entry: TensorEntry) -> torch.dtype:
    """In torch's terms. Raises ModelUnusable for formats that it does not know: F4 and F6."""
    if entry.dtype not in FORMATS:
        raise ModelUnusable(f"Weights kept as {entry.dtype} cannot be read", fix="use a copy in another precision")
    return FORMATS[entry.dtype]


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor that will be written."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[], Iterable[Tensor]]
    """Called once, when its turn has come: its numbers in their order, in one part or in many.

    A part may come in another format, and is then rounded once.
    """

    @property
    def nbytes(self) -> int:
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def header_of(planned: Sequence[Planned], metadata: Mapping[str, str]) -> Header:
    """What the file's header will say."""
    return parse_header(_header(planned, metadata), size_of(planned, metadata))


def size_of(planned: Sequence[Planned], metadata: Mapping[str, str]) -> int:
    """Bytes that the file will have."""
    return 8 + len(_header(planned, metadata)) + sum(one.nbytes for one in planned)


def write_tensors(
    file: BinaryIO,
    planned: Sequence[Planned],
    metadata: Mapping[str, str],
    hashing: Hashing | HashingBeside | None = None,
) -> Iterator[int]:
    """Write the whole file, telling the bytes written so far; never more than one part of a tensor is in memory."""
    header = _header(planned, metadata)
    head = len(header).to_bytes(8, "little") + header
    file.write(head)
    if hashing:
        hashing.head(head)
    done = len(head)
    for one in planned:
        due = done + one.nbytes
        for part in one.make():
            raw = part.to(one.dtype).contiguous().reshape(-1).view(torch.uint8).numpy().data
            file.write(raw)
            if hashing:
                hashing.weights(raw)
            done += len(raw)
            yield done
        if done != due:
            raise ValueError(f"{one.name} was planned as {one.shape}, {one.nbytes} bytes, and has {done - due} more")


def _header(planned: Sequence[Planned], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for one in planned:
        end = at + one.nbytes
        entries[one.name] = {"dtype": SPELLED[one.dtype], "shape": list(one.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % ALIGNED)
