"""The header of a safetensors file, read by hand: what a file holds, without loading it and without torch.

Layout (huggingface/safetensors, "Format"): 8 bytes little-endian length N, N bytes of JSON, then the tensors' bytes.
Nothing else opens a file before it has passed here: the library accepts a name twice, and names that are paths.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

SUFFIX = ".safetensors"
LONGEST_HEADER = 100_000_000
"""Bytes; the reference implementation refuses longer ones too."""
MOST_TENSORS = 65_536
LONGEST_NAME = 512
"""Bytes of UTF-8."""
MOST_SIDES = 16
"""Of one tensor; torch itself computes with 25 at most."""

BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "C64": 64,
}  # fmt: skip
"""Of one number, by safetensors' own word for the format."""
DTYPES = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64", "F8_E4M3": "fp8", "F8_E5M2": "fp8 e5m2"}
"""People's words for the formats that weights come in."""


class DamagedFile(ValueError):
    """A file that is not whole, or no safetensors file at all; the text says which, after the file's name."""


class CutShort(DamagedFile):
    """The file ends before its header says so: a download that stopped, or still runs."""


class TensorEntry(NamedTuple):
    """One tensor's line in a header. A tuple: a checkpoint has thousands, and a folder thousands of those."""

    dtype: str
    """safetensors' own word: `F16`."""
    shape: tuple[int, ...]
    start: int
    """Of its bytes, counted from the beginning of the file."""
    end: int

    @property
    def numel(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """Names, shapes and number formats of the tensors in one file, in the order of their bytes."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    size: int
    """Bytes of the whole file."""

    @cached_property
    def dtype(self) -> str:
        """The commonest number format by number of weights: `fp16`, `bf16`, `fp32`, or the file's own word."""
        weights: Counter[str] = Counter()
        for entry in self.tensors.values():
            weights[entry.dtype] += entry.numel
        common = weights.most_common(1)
        return DTYPES.get(common[0][0], common[0][0]) if common else ""


def read_header(path: Path) -> Header:
    """The header of `path`, every line of it checked against the file.

    Raises DamagedFile for anything but a whole and sound file; OSError when it cannot be opened.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if size < 8:
            raise CutShort(f"ends early: it has {size} bytes")
        if not 2 <= length <= LONGEST_HEADER:
            raise DamagedFile("is no safetensors file")
        text = file.read(min(length, 1))
        if text != b"{":
            raise DamagedFile("is no safetensors file")
        if length > size - 8:
            raise CutShort(f"ends early, within its header: {_of(size, 8 + length)}")
        text += file.read(length - 1)
    return parse_header(text, size)


def parse_header(text: bytes, size: int) -> Header:
    """The header that `text` is, in a file of `size` bytes. Raises DamagedFile."""
    entries = _json(text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise DamagedFile("has a damaged header: its metadata is not all text")
    if len(entries) > MOST_TENSORS:
        raise DamagedFile(f"has a damaged header: it names {len(entries):,} tensors, not at most {MOST_TENSORS:,}")
    begin = 8 + len(text)
    tensors = {name: _entry(name, entry, begin) for name, entry in entries.items()}
    tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)))
    end = begin
    for name, entry in tensors.items():
        if entry.start != end:
            raise DamagedFile(f"has a damaged header: the bytes of {name} do not follow those before")
        end = entry.end
    if end > size:
        raise CutShort(f"ends early: {_of(size, end)}")
    if end < size:
        raise DamagedFile(f"has {size - end:,} bytes that belong to no tensor")
    return Header(tensors, metadata, size)


def _json(text: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, DamagedFile) else DamagedFile("has a damaged header") from error
    if not isinstance(entries, dict):
        raise DamagedFile("has a damaged header")
    return entries


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise DamagedFile(f"has a damaged header: it names {_shown(name)} twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise DamagedFile(f"has a damaged header: it says {word}")


FIELDS = {"dtype", "shape", "data_offsets"}


def _entry(name: str, entry: Any, begin: int) -> TensorEntry:
    if not name or len(name.encode(errors="replace")) > LONGEST_NAME or not name.isprintable() or _leaves(name):
        raise DamagedFile(f"has a damaged header: {_shown(name)} is no name for a tensor")
    if type(entry) is not dict or entry.keys() != FIELDS:
        raise DamagedFile(f"has a damaged header at {name}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(dtype) is not str or type(shape) is not list or type(offsets) is not list or len(offsets) != 2:
        raise DamagedFile(f"has a damaged header at {name}")
    start, end = offsets
    # `type`, and not `isinstance`: for Python, true is a number
    if type(start) is not int or type(end) is not int:
        raise DamagedFile(f"has a damaged header at {name}")
    if len(shape) > MOST_SIDES or not all(type(side) is int and side >= 0 for side in shape):
        raise DamagedFile(f"has a damaged header: the shape of {name} is none")
    if dtype not in BITS:
        raise DamagedFile(f"keeps {name} as {_shown(dtype)}, an unknown number format")
    bits = math.prod(shape) * BITS[dtype]
    if start < 0 or (end - start) * 8 != bits:
        raise DamagedFile(f"has a damaged header: the shape of {name} does not fit its bytes")
    return TensorEntry(dtype, tuple(shape), begin + start, begin + end)


def _leaves(name: str) -> bool:
    """Whether `name` would be a path out of a folder, should anybody take it for one."""
    return ".." in name.replace("\\", "/").split("/") or name.startswith(("/", "\\"))


def _of(there: int, all_of_it: int) -> str:
    """`1.21 of 2.13 GB`."""
    unit, word = next((u, w) for u, w in ((10**9, "GB"), (10**6, "MB"), (1, "bytes")) if all_of_it >= u)
    digits = 0 if unit == 1 else 2
    return f"{there / unit:,.{digits}f} of {all_of_it / unit:,.{digits}f} {word}"


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:60]}...")
