"""A model brought into another form and put in its place, whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.error import Conflict, ModelUnusable
from pipelines.core.event import Worked
from pipelines.core.model import Kind, ModelInfo
from pipelines.core.request import NumberFormat
from pipelines.models.convert import unpickled
from pipelines.models.enlargers import reader_of
from pipelines.models.forms import folder_as_file, write_as_folder
from pipelines.models.headers import SUFFIX
from pipelines.models.opening import blueprint_of
from pipelines.models.peculiar import peculiar_of
from pipelines.models.pickles import looks_like_pickle
from pipelines.models.rounding import Rounding, rounding_to, same_file
from pipelines.models.single import read_single
from pipelines.models.writing import BYTES_A_WORD, Planned, size_of, write_tensors
from pipelines.storage.files import OURS, make_folder, whole_file


@dataclass(frozen=True, slots=True)
class Form:
    """What a model shall become."""

    dtype: NumberFormat | None = None
    """None: as it is."""
    pruned: bool = False
    """Without what painting does not need."""

    @property
    def rounding(self) -> Rounding:
        return rounding_to(self.dtype)


def convert(info: ModelInfo, form: Form, target: Path) -> Iterator[Worked]:
    """Write `info` to `target`: a `.safetensors` file, or a diffusers folder. Nothing is ever replaced.

    Tells how far it is; whoever stops asking leaves nothing behind. Raises Conflict when the name is taken,
    ModelUnusable for a model that cannot be converted, StorageProblem.
    """
    if target.exists():
        raise Conflict(f"There is already a {target.name}", fix="choose another name", field="output")
    source = Path(info.path)
    if source.is_file() and looks_like_pickle(source):
        with unpickled(source, info.name) as weights:
            yield from _convert_file(weights, info, form, target)
        return
    if info.problem is not None:
        p = info.problem
        raise ModelUnusable(p.problem, fix=p.fix, field=p.field, detail=p.detail)
    if info.kind is Kind.SEGMENTER:
        raise ModelUnusable(
            f"{info.name!r} looks at pictures and has only one form", fix="use it as it is", field="model"
        )
    if source.is_dir() and target.suffix == SUFFIX:
        blueprint = reader_of(source, info.name).blueprint()
        yield from _write_file(folder_as_file(blueprint, form.rounding), peculiar_of(blueprint).metadata, target)
    else:
        yield from _convert_file(source, info, form, target)


def _convert_file(source: Path, info: ModelInfo, form: Form, target: Path) -> Iterator[Worked]:
    if target.suffix != SUFFIX:
        yield Worked(done=0, total=info.size)
        _write_folder(info.model_copy(update={"path": str(source)}), form, target)
        return
    single = read_single(source, info.name)
    yield from _write_file(same_file(single, form.rounding, pruned=form.pruned), single.header.metadata, target)


def _write_file(planned: list[Planned], metadata: Mapping[str, str], target: Path) -> Iterator[Worked]:
    size, told = size_of(planned, metadata), 0
    with whole_file(target) as file:
        for done in write_tensors(file, planned, metadata):
            if done - told >= BYTES_A_WORD or done == size:
                told = done
                yield Worked(done=done, total=size)


def _write_folder(info: ModelInfo, form: Form, target: Path) -> None:
    blueprint = blueprint_of(info)
    make_folder(target.parent)
    fresh = Path(tempfile.mkdtemp(prefix=OURS, dir=target.parent))
    try:
        write_as_folder(blueprint, form.rounding, fresh)
        fresh.chmod(0o755)  # mkdtemp's is private to its owner
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
