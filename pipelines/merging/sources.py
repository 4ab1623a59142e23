"""A model to be mixed: its tensors by their original names, each read when it is wanted, in slices.

Whatever a file calls its tensors (a root of its own, diffusers' spelling, the text encoder of early SD 1.x files
without `text_model`), here they have one name, so that the tensors of two files meet.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from pipelines.core.blocks import UNET, VAE, family_by_names
from pipelines.core.error import Conflict, ModelUnusable
from pipelines.core.model import Family, ModelInfo, Prediction
from pipelines.models.architecture import architectures
from pipelines.models.folder import FolderReader, states_of
from pipelines.models.headers import TensorEntry
from pipelines.models.layouts import OTHER_FIRST, OTHER_VAE
from pipelines.models.peculiar import peculiar_of
from pipelines.models.pickles import looks_like_pickle
from pipelines.models.recognise import MARKS, Found
from pipelines.models.rounding import Rounding
from pipelines.models.single import SingleFile, read_single
from pipelines.models.writing import Planned, format_of

AS_IT_IS = Rounding(None)
States = frozenset[tuple[str, int, int]]
"""(path, time of the last change in ns, bytes) of every file."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that was not read yet."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[int, int], Tensor]
    """Its numbers from one place to another, in the order they lie in the file: a flat tensor of its own memory."""

    @property
    def numel(self) -> int:
        return torch.Size(self.shape).numel()

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize

    def whole(self) -> Tensor:
        """All of it, in its shape and format."""
        return self.read(0, self.numel).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Source:
    """A model, opened."""

    name: str
    path: Path
    family: Family | None
    prediction: Prediction | None
    """None: it does not say."""
    weights: Mapping[str, Weight]
    """By original name, in the order of the file."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    states: States = frozenset()

    def below(self, root: str) -> list[str]:
        """The names that begin with `root`."""
        return [name for name in self.weights if name.startswith(root)]

    def check_unchanged(self) -> None:
        """Raises Conflict when its files are no longer as they were when it was opened."""
        if _states(self.path) != self.states:
            raise Conflict(f"{self.name!r} was changed or removed meanwhile", fix="begin again", field="model")


def _states(path: Path) -> States:
    return frozenset((str(file), state.st_mtime_ns, state.st_size) for file, state in states_of(path))


@contextmanager
def opened(info: ModelInfo) -> Iterator[Source]:
    """The model `info` as long as the context lasts. Raises ModelUnusable."""
    path = Path(info.path)
    if info.ingredients:
        raise ModelUnusable(
            f"{info.name!r} is a recipe, and no file yet", fix="mix it into one first: merge --recipe", field="model"
        )
    if path.is_dir():
        yield _folder(path, info)
        return
    if path.is_file() and looks_like_pickle(path):
        raise ModelUnusable(
            f"The file of {info.name!r} is a pickle: opening it can run code", fix="convert it to safetensors first",
            field="model",
        )  # fmt: skip
    single = read_single(path, info.name)
    with _Reader(path) as reader:
        yield _single(single, reader, info)


def _folder(path: Path, info: ModelInfo) -> Source:
    from pipelines.models.forms import folder_as_file  # noqa: PLC0415, diffusers: seconds that most merges do not need

    blueprint = FolderReader(path, info.name).blueprint()
    weights = {one.name: _of_planned(one) for one in folder_as_file(blueprint, AS_IT_IS)}
    told = peculiar_of(blueprint).metadata
    return Source(info.name, path, blueprint.family, blueprint.prediction, weights, told, _states(path))


def _single(single: SingleFile, reader: "_Reader", info: ModelInfo) -> Source:
    header, found = single.header, single.found
    respelled, roots = _respelled(single)
    weights = {
        _name(name, single): reader.weight(entry)
        for name, entry in header.tensors.items()
        if name in MARKS or not (roots and name.startswith(roots))
    }
    weights |= {one.name: _of_planned(one) for one in respelled}
    family = found.family or family_by_names(header.tensors)
    return Source(info.name, single.path, family, found.prediction, weights, header.metadata, _states(single.path))


def _respelled(single: SingleFile) -> tuple[list[Planned], tuple[str, ...]]:
    """What the file has in diffusers' spelling, by original names, and the roots where it stands."""
    found, roots, planned = single.found, [], []
    is_unet = found.denoiser is not None and OTHER_FIRST in found.denoiser.layout.has
    is_vae = found.vae is not None and OTHER_VAE in found.vae.layout.has
    if is_unet or is_vae:
        from pipelines.models.forms import unet_as_original, vae_as_original  # noqa: PLC0415, as above
    if found.denoiser and is_unet:
        single.check()
        planned += unet_as_original(single.unet(), AS_IT_IS)
        roots.append(found.denoiser.root)
    if found.vae and is_vae:
        planned += vae_as_original(single.vae_for(architectures()[found.family or Family.SD1]), AS_IT_IS)
        roots.append(found.vae.root)
    return planned, tuple(roots)


VAE_TOPS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
TOPS = ("input_blocks.", "middle_block.", "output_blocks.", "out.", "time_embed.", "label_emb.")


def _name(name: str, single: SingleFile) -> str:
    """What the original calls it."""
    found = single.found
    if found.denoiser and found.denoiser.root != UNET:
        root = found.denoiser.root
        if name.startswith(root) and (root or name.startswith(TOPS)):
            return UNET + name.removeprefix(root)
    if found.vae and found.vae.root != VAE and name.startswith(found.vae.root):
        inner = name.removeprefix(found.vae.root)
        if inner.startswith(VAE_TOPS):
            return VAE + inner
    for text, root in _towers(found.text_encoders, found.family):
        own = text.root + ("text_model." if text.layout.has[0].startswith("text_model.") else "")
        if own != root and name.startswith(own):
            return root + name.removeprefix(own)
    return name


def _towers(found: tuple[Found, ...], family: Family | None) -> list[tuple[Found, str]]:
    """The text encoders and where the original has them; none when the file lacks one."""
    known = architectures().get(family) if family else None
    if known is None or len(known.text_encoders) != len(found):
        return []
    return [(text, numbers.root) for text, numbers in zip(found, known.text_encoders, strict=True)]


def _of_planned(one: Planned) -> Weight:
    def read(start: int, stop: int) -> Tensor:
        found, at = [], 0
        for part in one.make():
            low, high = max(start - at, 0), min(stop - at, part.numel())
            if low < high:
                found.append(part.reshape(-1)[low:high])
            at += part.numel()
        return torch.cat(found) if found else torch.empty(0, dtype=one.dtype)

    return Weight(one.dtype, one.shape, read)


class _Reader:
    """Slices of tensors out of one file, by plain reads: what is read does not stay in this process's memory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "_Reader":
        self._file = self._path.open("rb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def weight(self, entry: TensorEntry) -> Weight:
        dtype = format_of(entry)

        def read(start: int, stop: int) -> Tensor:
            raw = torch.empty((stop - start) * dtype.itemsize, dtype=torch.uint8)
            self._file.seek(entry.start + start * dtype.itemsize)
            self._fill(raw.numpy().data)
            return raw.view(dtype)

        return Weight(dtype, entry.shape, read)

    def _fill(self, wanted: memoryview) -> None:
        while wanted:
            got = self._file.readinto(wanted)
            if not got:
                raise Conflict(f"{self._path.name} was changed meanwhile", fix="begin again", field="model")
            wanted = wanted[got:]
