"""The header of a safetensors file, against the library that wrote it, and against damage of every kind."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load, save, save_file

from pipelines.models.headers import CutShort, DamagedFile, Header, parse_header, read_header

A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
B = {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}


def whole(header: object, data: bytes = b"") -> bytes:
    """A file of `header`, JSON or its text, with `data` after it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def read(content: bytes, tmp_path: Path) -> Header:
    (tmp_path / "x.safetensors").write_bytes(content)
    return read_header(tmp_path / "x.safetensors")


def test_it_says_what_the_library_wrote(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.ones(4), "c": torch.zeros(5, 5)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"note": "hello"})
    header = read_header(tmp_path / "x.safetensors")
    assert {name: entry.shape for name, entry in header.tensors.items()} == {
        n: tuple(t.shape) for n, t in tensors.items()
    }
    assert {name: entry.dtype for name, entry in header.tensors.items()} == {"a": "BF16", "b": "F32", "c": "F32"}
    assert (header.dtype, header.metadata) == ("fp32", {"note": "hello"})
    at = header.tensors["b"]
    assert (tmp_path / "x.safetensors").read_bytes()[at.start : at.end] == struct.pack("<4f", 1, 1, 1, 1)


def test_every_number_format_of_the_library_is_known(tmp_path: Path) -> None:
    formats = [torch.float64, torch.float8_e4m3fn, torch.float8_e5m2, torch.bool, torch.uint16, torch.complex64]
    save_file({str(n): torch.zeros(8, dtype=n) for n in formats}, tmp_path / "x.safetensors")
    assert len(read_header(tmp_path / "x.safetensors").tensors) == len(formats)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends early"),
        (b"\x01", "ends early"),
        (b"\0" * 7, "ends early"),
        (struct.pack("<Q", 0), "no safetensors file"),
        (struct.pack("<Q", 2**63) + b"{}", "no safetensors file"),
        (struct.pack("<Q", 100_000_001) + b"{}", "no safetensors file"),
        (struct.pack("<Q", 99) + b'{"a"', "ends early, within its header"),
        (b"PK\x03\x04 a pickle in a zip, as torch.save writes", "no safetensors file"),
        (whole(b"{"), "no safetensors file"),
        (whole([A]), "no safetensors file"),
        (whole(b'{"a":' + b"[" * 100_000), "damaged header"),
        (whole(b'{"a\xff": 1}'), "damaged header"),
        (whole({"a": {"b": 1}}), "damaged header at a"),
        (whole({"a": {**A, "more": 1}}, bytes(8)), "damaged header at a"),
        (whole(b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 8]}}', bytes(8)), "says NaN"),
        (whole({"a": A}, bytes(7)), "ends early"),
        (whole({"a": A, "b": B}, bytes(8)), "ends early"),
        (whole({"a": A}, bytes(9)), "1 bytes that belong to no tensor"),
        (whole({"a": A}, bytes(8) + b"PK\x03\x04"), "belong to no tensor"),
        (whole({"a": A, "b": A}, bytes(8)), "do not follow"),
        (whole({"a": A, "b": {**B, "data_offsets": [4, 8]}}, bytes(8)), "do not follow"),
        (whole({"b": B}, bytes(12)), "do not follow"),
        (whole({"a": {**A, "data_offsets": [8, 0]}}, bytes(8)), "does not fit"),
        (whole({"a": {**A, "data_offsets": [-8, 0]}}, bytes(8)), "does not fit"),
        (whole({"a": {**A, "data_offsets": [0.0, 8.0]}}, bytes(8)), "damaged header at a"),
        (whole({"a": {**A, "data_offsets": [False, 8]}}, bytes(8)), "damaged header at a"),
        (whole({"a": {**A, "shape": [3]}}, bytes(8)), "does not fit"),
        (whole({"a": {**A, "shape": [2**62, 2**62]}}, bytes(8)), "does not fit"),
        (whole({"a": {**A, "shape": [-1, -2]}}, bytes(8)), "the shape of a is none"),
        (whole({"a": {**A, "shape": [10**9] * 100_000}}, bytes(8)), "the shape of a is none"),
        (whole({"a": {**A, "dtype": "F31"}}, bytes(8)), "an unknown number format"),
        (whole(f'{{"a": {json.dumps(A)}, "a": {json.dumps(A)}}}'.encode(), bytes(8)), "names 'a' twice"),
        (whole({"../../x": A}, bytes(8)), "no name for a tensor"),
        (whole({"/etc/x": A}, bytes(8)), "no name for a tensor"),
        (whole({"": A}, bytes(8)), "no name for a tensor"),
        (whole({"a\0b": A}, bytes(8)), "no name for a tensor"),
        (whole({"a" * 513: A}, bytes(8)), "no name for a tensor"),
        (whole({"a": A, "__metadata__": {"x": 1}}, bytes(8)), "not all text"),
        (whole({"a": A, "__metadata__": []}, bytes(8)), "not all text"),
        (whole({f"t{n}": {**A, "shape": [0], "data_offsets": [0, 0]} for n in range(65_537)}), "65,537 tensors"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_said(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=said) as refused:
        read(content, tmp_path)
    assert isinstance(refused.value, CutShort) == ("ends early" in said)


def test_a_long_text_in_the_metadata_is_no_damage(tmp_path: Path) -> None:
    header = read(whole({"a": A, "__metadata__": {"notes": "x" * 2_000_000}}, bytes(8)), tmp_path)
    assert len(header.metadata["notes"]) == 2_000_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BOOL", "x"]),
        "shape": st.lists(st.integers(-1, 3), max_size=3),
        "data_offsets": st.lists(st.integers(-1, 24), min_size=1, max_size=3),
    }
)
HEADERS = st.dictionaries(st.sampled_from(["a", "b", "__metadata__", "../c"]), ENTRIES | JSON, max_size=3)


@settings(max_examples=400, deadline=None)
@given(HEADERS, st.binary(max_size=24))
def test_what_it_accepts_the_library_accepts_too(header: dict[str, Any], data: bytes) -> None:
    content = whole(header, data)
    try:
        mine = parse_header(content[8 : len(content) - len(data)], len(content))
    except DamagedFile:
        return
    tensors = load(content)
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {n: e.shape for n, e in mine.tensors.items()}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_flipped_byte_is_refused_or_read_as_the_library_reads_it(data: st.DataObject) -> None:
    content = bytearray(save({"a": torch.arange(3.0), "b": torch.zeros(2, 2)}, metadata={"note": "x"}))
    length = struct.unpack("<Q", content[:8])[0]
    content[data.draw(st.integers(8, 7 + length))] = data.draw(st.integers(0, 255))
    try:
        mine = parse_header(bytes(content[8 : 8 + length]), len(content))
    except DamagedFile:
        return
    try:
        library = load(bytes(content))
    except SafetensorError:  # more is refused there than here: a format that torch lacks
        return
    assert {name: tuple(t.shape) for name, t in library.items()} == {n: e.shape for n, e in mine.tensors.items()}
