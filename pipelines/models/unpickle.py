"""The converter's child: reads one pickle in a process of its own and writes its tensors as safetensors.

Run as a script with `python -I`, with nothing of Easel imported: whatever a hostile file does to this process, it does
to an empty folder, without secrets, within limits, and it may only fail. Three gates, each enough against code:

1. the file is a zip of torch.save, or its older form; never a tar, never TorchScript;
2. every opcode is on a list, and every global it names is on another, before anything is unpickled;
3. `torch.load(weights_only=True)`, which has a list of its own.

Arguments: the file, the file to write, the most bytes of memory. What is wrong is printed as one line of JSON.
"""

import io
import json
import os
import pickletools
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

MOST_PICKLE = 64 * 1024 * 1024
"""Bytes of opcodes; a checkpoint's have 0.3 MB."""
MOST_OPCODES = 4_000_000
MOST_DEPTH = 200
"""Open marks: how deep things may lie in each other."""
MOST_SECONDS = 600
"""Of processor time."""
REFUSED = 2
OLD_STREAMS = 5
"""Pickles one after the other in the older form: magic number, protocol, system, the object, keys of its storages."""

OPCODES = frozenset((
    "PROTO", "STOP", "MARK", "POP", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET", "DICT", "LIST", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT", "PUT",
    "MEMOIZE", "BINGET", "LONG_BINGET", "GET", "GLOBAL", "REDUCE", "BUILD", "NEWOBJ", "BINPERSID", "NONE", "NEWTRUE",
    "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "FRAME",
))  # fmt: skip
STORAGES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
GLOBALS = frozenset(
    {
        "collections OrderedDict",
        "collections defaultdict",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch.nn.parameter Parameter",
        "torch Size",
        "torch Tensor",
        "torch device",
        "numpy dtype",
        "numpy ndarray",
        "numpy.core.multiarray scalar",
        "numpy.core.multiarray _reconstruct",
        "numpy._core.multiarray scalar",
        "numpy._core.multiarray _reconstruct",
        "_codecs encode",
        "__builtin__ dict",
        "__builtin__ set",
        "builtins dict",
        "builtins set",
        "__builtin__ long",
        *(f"torch {name}Storage" for name in STORAGES),
        *(f"torch {name}" for name in ("float16", "float32", "float64", "bfloat16", "int64")),
    }
)
TRAINERS = ("pytorch_lightning.", "lightning.")
"""What a trainer left beside the weights: replaced by a thing that can do nothing, and thrown away."""

WRAPPERS = ("state_dict", "params_ema", "params", "model", "module", "net", "generator")
"""Where trainers keep the weights in what they save."""


class Inert:
    """Stands for a trainer's object."""

    def __setstate__(self, state: object) -> None:
        pass


def main(source: Path, target: Path, most_memory: int) -> None:
    """Write the tensors in `source` to `target`."""
    limit(most_memory, source.stat().st_size)
    globals_named = set(checked(source))
    tensors = weights(source, globals_named)
    if not tensors:
        refuse("holds no weights", "choose another file")
    save(tensors, target)


def limit(most_memory: int, size: int) -> None:
    """Time, memory and bytes written, by the system itself."""
    import resource  # noqa: PLC0415, Windows has none

    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (most_memory, most_memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size + 2**26, 2 * size + 2**26))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def checked(source: Path) -> Iterator[str]:
    """The globals that the file names, all of them harmless; whatever else it is, it is refused."""
    with source.open("rb") as file:
        first = file.read(512)
        file.seek(0)
        if first[257:262] == b"ustar":
            refuse("is in a format that can run code (tar)", "save it again with a newer PyTorch, or download another")
        if first.startswith(b"PK\x03\x04"):
            yield from walked(io.BytesIO(pickle_of_zip(file)))
            return
        for _ in range(OLD_STREAMS):
            yield from walked(file)


def pickle_of_zip(file: IO[bytes]) -> bytes:
    """`data.pkl` of a zip that is whole."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [info.filename for info in archive.infolist()]
            if len(set(names)) != len(names):
                refuse("has two entries of one name in its archive", "download it again")
            if any("/code/" in name or name.endswith(("/constants.pkl", "/bytecode.pkl")) for name in names):
                refuse("is a program (TorchScript)", "download the weights instead")
            pickles = [info for info in archive.infolist() if info.filename.endswith(".pkl")]
            if len(pickles) != 1 or not pickles[0].filename.endswith("data.pkl"):
                refuse("has not one list of its weights", "download it again")
            if pickles[0].file_size > MOST_PICKLE:
                refuse("has a list of weights larger than any model's", "download it again")
            if broken := archive.testzip():
                refuse(f"is damaged: {broken}", "download it again")
            return archive.read(pickles[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        refuse(f"is damaged: {error}", "download it again")


def walked(file: IO[bytes]) -> Iterator[str]:
    """The globals of the pickle that begins here; `file` stands behind it then."""
    depth = 0
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if opcode.name not in OPCODES:
                refuse(f"holds an instruction that weights do not need ({opcode.name})", "download another")
            depth += (opcode.name == "MARK") - (opcode.name in CLOSING)
            if count > MOST_OPCODES or depth > MOST_DEPTH:
                refuse("has a list of weights larger than any model's", "download another")
            if opcode.name == "GLOBAL":
                named = str(argument)
                if named not in GLOBALS and not named.startswith(TRAINERS):
                    refuse(f"wants to run {named.replace(' ', '.')}", "do not use it; download another")
                yield named
    except (ValueError, EOFError, UnicodeDecodeError, IndexError, MemoryError) as error:
        refuse(f"is damaged: {error}", "download it again")


CLOSING = frozenset({"APPENDS", "SETITEMS", "TUPLE", "LIST", "DICT"})


def weights(source: Path, globals_named: set[str]) -> dict[str, Any]:
    """Name -> tensor of the weights in the file."""
    import torch  # noqa: PLC0415, after the limits are set and the file has passed

    stands_for: list[Any] = [
        (Inert, name.replace(" ", ".")) for name in sorted(globals_named) if name.startswith(TRAINERS)
    ]
    try:
        with torch.serialization.safe_globals(stands_for):
            loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=False)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001, a hostile file ends in whatever error it likes, and in this message
        refuse("cannot be read as weights", "download it again, or ask its author for safetensors", str(error))
    return named_tensors(loaded)


def named_tensors(loaded: Any) -> dict[str, Any]:
    """The tensors of a state dict, however a trainer wrapped it."""
    import torch  # noqa: PLC0415

    if not isinstance(loaded, Mapping):
        refuse("holds no named weights", "choose another file")
    if isinstance(words := loaded.get("string_to_param"), Mapping):  # an embedding of AUTOMATIC1111
        loaded = {"emb_params": next(iter(words.values()), None)}
    while not any(isinstance(value, torch.Tensor) for value in loaded.values()):
        inner = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            return {}
        loaded = inner
    return {str(name): value.detach() for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def save(tensors: Mapping[str, Any], target: Path) -> None:
    """As safetensors; tensors that share their numbers each get their own."""
    from safetensors.torch import save_file  # noqa: PLC0415

    seen: set[int] = set()
    own: dict[str, Any] = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        if tensor.numel() * tensor.element_size() > storage.nbytes():
            refuse("holds a tensor larger than its numbers", "do not use it; download another", name)
        at = storage.data_ptr()
        own[name] = tensor.clone().contiguous() if at in seen else tensor.contiguous()
        seen.add(at)
    save_file(own, target)


def refuse(problem: str, fix: str, detail: str = "") -> NoReturn:
    """Say why, and end."""
    print(json.dumps({"problem": problem, "fix": fix, "detail": detail}))  # noqa: T201, the parent reads it
    sys.stdout.flush()
    os._exit(REFUSED)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
