"""A model brought into another form and put in its place, whole or not at all."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from pipelines.core.error import Conflict, ModelUnusable
from pipelines.core.model import ModelInfo
from pipelines.core.request import NumberFormat
from pipelines.models.convert import unpickled
from pipelines.models.folder import FolderReader
from pipelines.models.forms import Rounding, folder_as_file, same_file, write_as_folder
from pipelines.models.headers import read_header
from pipelines.models.opening import blueprint_of
from pipelines.models.pickles import looks_like_pickle
from pipelines.models.single import read_single
from pipelines.models.writing import Planned, write_tensors
from pipelines.storage.files import OURS, atomic_write, make_folder

DTYPES: Mapping[NumberFormat, torch.dtype] = {
    NumberFormat.FP32: torch.float32,
    NumberFormat.FP16: torch.float16,
    NumberFormat.BF16: torch.bfloat16,
    NumberFormat.FP8: torch.float8_e4m3fn,
}
SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class Form:
    """What a model shall become."""

    dtype: NumberFormat | None = None
    """None: as it is."""
    pruned: bool = False
    """Without what painting does not need."""

    @property
    def rounding(self) -> Rounding:
        return Rounding(DTYPES[self.dtype] if self.dtype else None)


def convert(info: ModelInfo, form: Form, target: Path) -> Path:
    """Write `info` to `target`: a `.safetensors` file, or a diffusers folder. Nothing is ever replaced.

    Raises Conflict when the name is taken, ModelUnusable for a model that cannot be converted, StorageProblem.
    """
    if target.exists():
        raise Conflict(f"There is already a {target.name}", fix="choose another name", field="output")
    source = Path(info.path)
    if source.is_file() and looks_like_pickle(source):
        with unpickled(source, info.name) as weights:
            return _convert_file(weights, info, form, target)
    if info.problem is not None:
        p = info.problem
        raise ModelUnusable(p.problem, fix=p.fix, field=p.field, detail=p.detail)
    if source.is_dir() and target.suffix == SUFFIX:
        planned = folder_as_file(FolderReader(source, info.name).blueprint(), form.rounding)
        return _write_file(planned, {}, target)
    return _convert_file(source, info, form, target)


def _convert_file(source: Path, info: ModelInfo, form: Form, target: Path) -> Path:
    if target.suffix != SUFFIX:
        return _write_folder(info.model_copy(update={"path": str(source)}), form, target)
    single = read_single(source, info.name)
    return _write_file(same_file(single, form.rounding, pruned=form.pruned), single.header.metadata, target)


def _write_file(planned: list[Planned], metadata: Mapping[str, str], target: Path) -> Path:
    def write(file: BinaryIO) -> None:
        write_tensors(file, planned, metadata)

    atomic_write(target, write)
    read_header(target)
    return target


def _write_folder(info: ModelInfo, form: Form, target: Path) -> Path:
    blueprint = blueprint_of(info)
    make_folder(target.parent)
    fresh = Path(tempfile.mkdtemp(prefix=OURS, dir=target.parent))
    try:
        write_as_folder(blueprint, form.rounding, fresh)
        fresh.chmod(0o755)  # mkdtemp's is private to its owner
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target
