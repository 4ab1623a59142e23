"""The header of a safetensors file, read by hand: what a file holds, without loading it and without torch.

Layout (huggingface/safetensors, "Format"): 8 bytes little-endian length N, N bytes of JSON, then the tensors' bytes.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_HEADER = 100_000_000
"""Bytes; the reference implementation refuses longer ones too."""

DTYPES = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64"}


class DamagedFile(ValueError):
    """A file that is not whole, or no safetensors file at all; the text says which."""


@dataclass(frozen=True, slots=True)
class Header:
    """Names, shapes and number formats of the tensors in one file."""

    dtypes: dict[str, str]
    """Tensor name -> safetensors' own spelling (`F16`)."""
    shapes: dict[str, tuple[int, ...]]
    size: int
    """Bytes of the whole file."""

    @property
    def dtype(self) -> str:
        """The commonest number format by number of weights: `fp16`, `bf16`, `fp32`, or the file's own word."""
        weights: Counter[str] = Counter()
        for name, dtype in self.dtypes.items():
            count = 1
            for side in self.shapes[name]:
                count *= side
            weights[dtype] += count
        common = weights.most_common(1)
        return DTYPES.get(common[0][0], common[0][0]) if common else ""


def read_header(path: Path) -> Header:
    """The header of `path`, checked against the file's length.

    Raises DamagedFile for a file that is cut short or no safetensors file; OSError when it cannot be opened.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(LONGEST_HEADER, size - 8):
            raise DamagedFile("is cut short or no safetensors file")
        text = file.read(length)
    try:
        entries = json.loads(text)
        tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        end = 8 + length + max((_end(entry) for entry in tensors.values()), default=0)
        header = Header(
            dtypes={name: str(entry["dtype"]) for name, entry in tensors.items()},
            shapes={name: tuple(map(int, entry["shape"])) for name, entry in tensors.items()},
            size=size,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedFile("has a damaged header") from error
    if end > size:
        raise DamagedFile(f"is cut short: {size:,} of {end:,} bytes are there")
    return header


def _end(entry: Any) -> int:
    return int(entry["data_offsets"][1])
