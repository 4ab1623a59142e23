"""Other forms of a model: a pickle as safetensors, another number format, without what painting does not need,
a folder as a single file and back.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.core.error import ModelUnusable
from pipelines.models import unpickle
from pipelines.models.headers import DamagedFile, read_header

SECONDS = 120.0
BYTES_A_SECOND = 20e6
"""What a slow disk still does; a file that takes longer than this is given up."""
LIBRARIES = 24 * 2**30
"""Bytes of address space that PyTorch itself maps; hardly any of them are memory."""


@contextmanager
def unpickled(source: Path, name: str) -> Iterator[Path]:
    """The tensors of the pickle at `source` as a safetensors file, which is gone when the context ends.

    Raises ModelUnusable, saying why, for everything that is not the sound weights of a model.
    """
    if os.name == "nt":
        raise _refused(
            name, "cannot be converted safely on Windows", "convert it on Linux or macOS, or download another"
        )
    with tempfile.TemporaryDirectory(prefix="easel-convert-") as folder:
        empty = Path(folder) / "work"
        empty.mkdir()
        target = Path(folder) / "weights.safetensors"
        _run(source, target, empty, name)
        try:
            read_header(target)
        except (DamagedFile, OSError) as error:
            raise _refused(name, "could not be converted", "download it again", str(error)) from error
        yield target


def _run(source: Path, target: Path, empty: Path, name: str) -> None:
    """The child, within limits and without anything it could steal."""
    size = source.stat().st_size
    if shutil.disk_usage(empty).free < 2 * size:
        raise _refused(
            name, "needs as much free space again to be converted", f"free some space in {empty.parent.parent}"
        )
    words = [str(Path(unpickle.__file__)), str(source.resolve()), str(target), str(LIBRARIES + 4 * size)]
    environment = {"PATH": os.defpath, "HOME": str(empty), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", *words], cwd=empty, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=SECONDS + size / BYTES_A_SECOND, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _refused(name, "takes longer to read than weights can", "do not use it; download another") from error
    if done.returncode == unpickle.REFUSED:
        said = json.loads(done.stdout.splitlines()[-1])
        raise _refused(name, said["problem"], said["fix"], said["detail"])
    if done.returncode:
        problem = "takes more time or memory than weights can" if done.returncode < 0 else "cannot be read as weights"
        raise _refused(name, problem, "do not use it; download another", done.stderr.decode(errors="replace")[-2000:])


def _refused(name: str, problem: str, fix: str, detail: str = "") -> ModelUnusable:
    return ModelUnusable(f"The file of {name!r} {problem}", fix=fix, field="model", detail=detail or None)
