"""The header of a safetensors file, against the library that wrote it, and against damage."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.models.headers import DamagedFile, read_header


def test_it_says_what_the_library_wrote(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.zeros(4), "c": torch.zeros(5, 5)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"note": "hello"})
    header = read_header(tmp_path / "x.safetensors")
    assert header.shapes == {name: tuple(t.shape) for name, t in tensors.items()}
    assert header.dtypes == {"a": "BF16", "b": "F32", "c": "F32"}
    assert header.dtype == "fp32"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        (2**60).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{",
        (2).to_bytes(8, "little") + b"[]",
        (13).to_bytes(8, "little") + json.dumps({"a": {"b": 1}}).encode(),
        b"PK\x03\x04 a pickle in a zip, as torch.save writes",
    ],
)
def test_anything_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(DamagedFile):
        read_header(tmp_path / "x.safetensors")
