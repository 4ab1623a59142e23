"""Pickles: sound ones become safetensors in a process of their own; hostile ones are refused, and never run."""

import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipelines.core.error import ModelUnusable
from pipelines.models.convert import unpickled
from pipelines.models.reading import read_model

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16), "n": torch.tensor(7)}


def converted(file: Path) -> dict[str, torch.Tensor]:
    with unpickled(file, file.stem) as weights:
        tensors = load_file(weights)
        return {name: tensor.clone() for name, tensor in tensors.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


@pytest.mark.parametrize("new", [True, False], ids=["zip", "old form"])
@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        OrderedDict,
        lambda w: {"state_dict": w, "global_step": 3, "lr": 0.1},
        lambda w: {"params_ema": w, "params": {}},
        lambda w: {"model": {n: torch.nn.Parameter(t, requires_grad=False) for n, t in w.items()}},
    ],
    ids=["plain", "ordered", "state_dict", "params_ema", "parameters"],
)
def test_sound_weights_keep_every_number(wrap: Callable[[Any], Any], new: bool, tmp_path: Path) -> None:
    file = tmp_path / "m.ckpt"
    torch.save(wrap(WEIGHTS), file, _use_new_zipfile_serialization=new)
    assert equal(converted(file), WEIGHTS)
    assert file.is_file()


def test_views_of_one_tensor_become_tensors_of_their_own(tmp_path: Path) -> None:
    whole = torch.arange(12.0)
    torch.save({"whole": whole, "part": whole[3:7], "turned": whole.reshape(3, 4).T}, tmp_path / "m.pt")
    found = converted(tmp_path / "m.pt")
    assert torch.equal(found["part"], whole[3:7])
    assert torch.equal(found["turned"], whole.reshape(3, 4).T)


def test_an_embedding_keeps_its_vectors(tmp_path: Path) -> None:
    words = torch.randn(3, 768)
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": words}, "name": "x"}, tmp_path / "x.pt")
    assert equal(converted(tmp_path / "x.pt"), {"emb_params": words})


def test_what_a_trainer_left_beside_the_weights_is_thrown_away(tmp_path: Path) -> None:
    code = (
        "import sys, types, torch\n"
        "class ModelCheckpoint:\n    def __init__(self): self.best = 0.5\n"
        "name = 'pytorch_lightning.callbacks.model_checkpoint'\n"
        "for n in ('pytorch_lightning', 'pytorch_lightning.callbacks', name): sys.modules[n] = types.ModuleType(n)\n"
        "ModelCheckpoint.__module__ = name; sys.modules[name].ModelCheckpoint = ModelCheckpoint\n"
        "callbacks = {ModelCheckpoint: ModelCheckpoint()}\n"
        "torch.save({'state_dict': {'a': torch.ones(2)}, 'callbacks': callbacks}, sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.ckpt")], check=True)
    assert equal(converted(tmp_path / "m.ckpt"), {"a": torch.ones(2)})


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made_by = function, arguments

    def __reduce__(self) -> Any:
        return self.made_by


def zipped(file: Path, stream: bytes, *more: tuple[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (("m/data.pkl", stream), ("m/version", b"3"), *more):
            archive.writestr(name, content)


def hostile(mark: Path) -> dict[str, tuple[Callable[[Path], object], str]]:
    """Name -> (how the file is made, what is said of it)."""
    command = f"touch {mark}"
    system = pickle.dumps({"a": Evil(os.system, command)}, protocol=2)
    resolve = b"\x80\x02cpkgutil\nresolve_name\nX\x09\x00\x00\x00os.system\x85R."
    stacked = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command.encode() + b"\x85R."
    memo = b"\x80\x02U\x02osq\x00U\x06systemq\x01h\x00h\x01\x93."
    deep = b"\x80\x02" + b"(" * 200_000 + b"."
    bomb = b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"."

    def tar(file: Path) -> None:
        (file.parent / "pickle").write_bytes(system)
        with tarfile.open(file, "w") as archive:
            archive.add(file.parent / "pickle", "pickle")

    def flipped(file: Path) -> None:
        torch.save(WEIGHTS, file)
        content = bytearray(file.read_bytes())
        content[content.index(struct.pack("<6f", *range(6))) + 3] ^= 0xFF
        file.write_bytes(content)

    def cut(file: Path) -> None:
        torch.save(WEIGHTS, file)
        file.write_bytes(file.read_bytes()[:-200])

    def longer(file: Path) -> None:
        torch.save(WEIGHTS, file)
        inside = zipfile.ZipFile(file)
        entries = {name: inside.read(name) for name in inside.namelist()}
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content[:2] if "/data/" in name else content)

    return {
        "os.system": (lambda f: zipped(f, system), r"wants to run posix.system"),
        "os.system, old form": (lambda f: f.write_bytes(system), r"wants to run posix.system"),
        "eval": (lambda f: zipped(f, pickle.dumps(Evil(eval, "1"), protocol=2)), r"wants to run __builtin__.eval"),
        "resolve_name": (lambda f: zipped(f, resolve), r"wants to run pkgutil.resolve_name"),
        "import_module": (
            lambda f: zipped(f, b"\x80\x02cimportlib\nimport_module\nX\x02\x00\x00\x00os\x85R."),
            r"wants to run importlib.import_module",
        ),
        "a name on the stack": (lambda f: zipped(f, stacked), r"an instruction that weights do not need .STACK_GLOBAL"),
        "a name from the memo": (lambda f: zipped(f, memo), r"an instruction that weights do not need .STACK_GLOBAL"),
        "payload, then a broken stream": (lambda f: zipped(f, system[:-1] + b"\xff"), r"wants to run posix.system"),
        "a broken stream": (lambda f: zipped(f, b"\x80\x02}q\x00(X\xff"), r"is damaged"),
        "two lists": (lambda f: zipped(f, b"\x80\x02}.", ("n/data.pkl", system)), r"has not one list"),
        "TorchScript": (lambda f: zipped(f, b"\x80\x02}.", ("m/code/x.py", b"")), r"is a program"),
        "tar": (tar, r"can run code \(tar\)"),
        "a flipped bit": (flipped, r"is damaged"),
        "cut": (cut, r"is damaged"),
        "storages shorter than they say": (longer, r"cannot be read as weights"),
        "200,000 deep": (lambda f: zipped(f, deep), r"larger than any model's"),
        "1 TiB of bytes": (lambda f: zipped(f, bomb), r"an instruction that weights do not need|is damaged"),
        "a number stretched": (
            lambda f: torch.save({"a": torch.ones(1).expand(1 << 30)}, f),
            r"larger than its numbers",
        ),
        "no weights": (lambda f: torch.save({"epoch": 3}, f), r"holds no weights"),
        "a list": (lambda f: torch.save([torch.ones(2)], f), r"holds no named weights"),
    }


@pytest.mark.parametrize("kind", hostile(Path("x")))
def test_whatever_is_wrong_is_said_and_nothing_is_run(kind: str, tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "m.ckpt"
    make, said = hostile(mark)[kind]
    make(file)
    with pytest.raises(ModelUnusable, match=said):
        converted(file)
    assert not mark.exists()
    assert file.is_file()


def test_a_tower_of_tuples_ends_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Hashing the top of the tower, as a key of a dict, visits every leaf of 2^60.
    tower = b"\x80\x02}(N" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60)) + b"Nu."
    zipped(tmp_path / "m.ckpt", tower)
    monkeypatch.setattr("pipelines.models.convert.SECONDS", 8.0)
    with pytest.raises(ModelUnusable, match=r"takes longer to read|cannot be read|more time or memory"):
        converted(tmp_path / "m.ckpt")


@pytest.mark.parametrize("name", ["m.ckpt", "m.pt", "m.bin"])
def test_a_pickle_is_listed_with_the_offer_to_convert_it(name: str, tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / name)
    problem = read_model(tmp_path / name, "m").problem
    assert problem is not None
    assert (problem.problem, problem.fix) == (
        "The file of 'm' is a pickle: opening it can run code",
        "convert it to safetensors",
    )


@pytest.mark.parametrize("name", ["m.safetensors", "m.SafeTensors"])
def test_a_pickle_under_a_false_name_is_called_one(name: str, tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / name)
    problem = read_model(tmp_path / name, "m").problem
    assert problem is not None and "pickle under a false name" in problem.problem
