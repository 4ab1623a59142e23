"""From a blueprint to networks on a device, offline: weights are views into their files as far as that will do."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CLIPTokenizer

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family, ModelInfo, Task
from pipelines.core.request import Precision
from pipelines.models.architecture import Part, architectures
from pipelines.models.assemble import Misfit, OpenTensors, text_encoder_of, unet_of, vae_of
from pipelines.models.blueprint import Blueprint, Network, Tower
from pipelines.models.folder import COPY_AGAIN, FolderReader
from pipelines.models.memory import is_memory_error
from pipelines.models.precision import WidenOnUse
from pipelines.models.recall import Recall
from pipelines.models.single import DOWNLOAD_AGAIN, read_single
from pipelines.models.vocabulary import clip_tokenizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALL = 64 * 1024 * 1024
"""Bytes: networks up to this size are widened once; larger ones stay in their file and are widened as they run."""


@dataclass(frozen=True)
class TextTower:
    """A text encoder with its tokenizer, and what the UNet takes of it."""

    tokenizer: Any
    encoder: Any
    last_layer: int
    """Counted from the end: which layer CLIP skip 1 takes."""
    normed: bool
    projects: bool


@dataclass
class LoadedModel:
    """A model in memory, in evaluation mode, on one device and computing in one number format."""

    info: ModelInfo
    towers: tuple[TextTower, ...]
    unet: Any
    vae: Any
    task: Task
    scheduler_config: Mapping[str, Any]
    """scheduler_config.json as it stands: betas, prediction type, timestep spacing."""
    device: torch.device
    dtype: torch.dtype
    recall: Recall = field(default_factory=Recall, repr=False)
    """Encoded texts and the like; gone with the model."""


def blueprint_of(info: ModelInfo) -> Blueprint:
    """How to build `info`, read from its files as they are now. Raises ModelUnusable."""
    path, vae = Path(info.path), None
    if info.vae_from and info.family:
        vae = _vae_at(Path(info.vae_from), info.family)
    if path.is_dir():
        blueprint = FolderReader(path, info.name).blueprint()
        return replace(blueprint, vae=vae) if vae else blueprint
    lender = Path(info.text_from) if info.text_from else None
    return read_single(path, info.name).blueprint(vae=vae, towers=_whole_at(lender).towers if lender else None)


def _whole_at(path: Path) -> Blueprint:
    """A model that lends its parts."""
    return FolderReader(path, path.name).blueprint() if path.is_dir() else read_single(path, path.stem).blueprint()


def _vae_at(path: Path, family: Family) -> Network:
    """The VAE in a file or folder, with the numbers of `family`."""
    if path.is_dir():
        return FolderReader(path, path.name).blueprint().vae
    return read_single(path, path.stem).vae_for(architectures()[family])


def files_behind(info: ModelInfo) -> tuple[Path, ...]:
    """The files and folders that `info` is built from."""
    return tuple(Path(path) for path in (info.path, info.vae_from, info.text_from) if path)


def chosen_dtype(info: ModelInfo, device: torch.device, precision: Precision) -> torch.dtype:
    """The number format to compute in: as asked; for `auto` the file's, on a CPU fp32 (halves gain little there)."""
    if precision is not Precision.AUTO:
        return DTYPES[precision.value]
    return torch.float32 if device.type == "cpu" else DTYPES.get(info.dtype, torch.float16)


def load(info: ModelInfo, device: torch.device, precision: Precision) -> LoadedModel:
    """The networks of `info` on `device`. Opens its files only; never asks the network.

    Raises ModelUnusable, naming the file, when something is missing, cut or does not fit together, and
    MemoryError when there is no room: only the caller knows what could make some.
    """
    blueprint = blueprint_of(info)  # again: files may have changed since the scan
    dtype = chosen_dtype(info, device, precision)
    loader = _Loader(info, device, dtype)
    return LoadedModel(
        info=info,
        towers=tuple(loader.tower(tower) for tower in blueprint.towers),
        unet=loader.network("unet", blueprint.unet, unet_of),
        vae=loader.network("vae", blueprint.vae, vae_of),
        task=blueprint.task,
        scheduler_config=blueprint.scheduler,
        device=device,
        dtype=dtype,
    )


class _Loader:
    """Brings the networks of one model to a device; a file that several share is opened once."""

    def __init__(self, info: ModelInfo, device: torch.device, dtype: torch.dtype) -> None:
        self._info, self._device, self._dtype = info, device, dtype
        self._open: dict[Path, OpenTensors] = {}

    def tower(self, tower: Tower) -> TextTower:
        with _explained(self._info, "tokenizer"):
            tokenizer = (
                CLIPTokenizer.from_pretrained(tower.tokenizer, local_files_only=True)
                if tower.tokenizer
                else clip_tokenizer(pad=tower.pad)
            )
        build = partial(text_encoder_of, projects=tower.projects)
        encoder = self.network("text encoder", tower.network, build)
        return TextTower(tokenizer, encoder, tower.last_layer, tower.normed, tower.projects)

    def network(self, part: str, network: Network, build: Callable[[Part, OpenTensors], Any]) -> Any:
        with _explained(self._info, part):
            if network.file not in self._open:
                self._open[network.file] = OpenTensors(network.file, network.header)
            built: nn.Module = build(network.part, self._open[network.file])
            return self._placed(built)

    def _placed(self, network: nn.Module) -> nn.Module:
        """On the device and in the number format; on a CPU large networks stay in their file."""
        stored = sum(weight.nbytes for weight in network.parameters())
        if self._device.type == "cpu" and stored > SMALL:
            WidenOnUse(network, self._dtype)
            return network
        # torch's own `to`: the one of diffusers logs a warning about modules kept in float32, of which there are none.
        return nn.Module.to(network, self._device, self._dtype)


@contextmanager
def _explained(info: ModelInfo, part: str) -> Iterator[None]:
    """Whatever the libraries say about a part that cannot be built, as ModelUnusable."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, NotImplementedError) as error:
        if is_memory_error(error):
            raise MemoryError(str(error)) from error
        said = str(error) if isinstance(error, Misfit) else "does not fit its config"
        raise ModelUnusable(
            f"The model {info.name!r} cannot be loaded: its {part} {said}",
            fix=COPY_AGAIN if Path(info.path).is_dir() else DOWNLOAD_AGAIN, field="model",
            detail=f"{type(error).__name__}: {error}",
        ) from error  # fmt: skip
