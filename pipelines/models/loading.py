"""From a blueprint to networks on a device, offline: weights are views into their files as far as that will do."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import CLIPTokenizer

from pipelines.core.attention import AUTO
from pipelines.core.error import ModelUnusable
from pipelines.core.model import ModelInfo, Task
from pipelines.core.placement import Placement
from pipelines.core.request import Precision
from pipelines.models.architecture import Part
from pipelines.models.assemble import Misfit, makers_of, refill, text_encoder_of, vq_of
from pipelines.models.attention import set_attention
from pipelines.models.blueprint import Blueprint, Network, Tower
from pipelines.models.enlargers import EnlargerPlan
from pipelines.models.folder import COPY_AGAIN
from pipelines.models.memory import is_memory_error
from pipelines.models.on_use import BroughtOnUse
from pipelines.models.opening import blueprint_of, enlarger_of
from pipelines.models.recall import Recall
from pipelines.models.segmenters import Finder, segmenter_at
from pipelines.models.single import DOWNLOAD_AGAIN
from pipelines.models.tensors import OpenTensors, Tensors
from pipelines.models.vocabulary import clip_tokenizer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NARROW = (torch.float8_e4m3fn, torch.float8_e5m2)
"""Formats that weights are kept in and nothing is computed in."""
SMALL = 64 * 1024 * 1024
"""Bytes: networks up to this size are widened once; larger ones stay in their file and are widened as they run."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is to be in memory."""

    device: torch.device
    dtype: torch.dtype
    """The number format to compute in."""
    placement: Placement = Placement.WHOLE
    attention: str = AUTO
    """A key of `ATTENTIONS`."""


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
    """A model in memory, in evaluation mode, computing on one device and in one number format."""

    info: ModelInfo
    towers: tuple[TextTower, ...]
    unet: Any
    vae: Any
    task: Task
    scheduler_config: Mapping[str, Any]
    """scheduler_config.json as it stands: betas, prediction type, timestep spacing."""
    manner: Manner
    vae_dtype: torch.dtype
    """What the VAE computes in: fp32 for one that is known to overflow in fp16."""
    recall: Recall = field(default_factory=Recall, repr=False)
    """Encoded texts and the like; gone with the model."""
    blueprint: Blueprint | None = field(default=None, repr=False)
    behind: object = field(default=None, repr=False)
    """Whoever must live as long as the model: of one that is in no file, what holds its tensors."""

    @property
    def device(self) -> torch.device:
        return self.manner.device

    @property
    def dtype(self) -> torch.dtype:
        return self.manner.dtype


@dataclass(kw_only=True)
class LoadedEnlarger(LoadedModel):
    """A model in memory that was trained to enlarge pictures."""

    plan: EnlargerPlan

    @property
    def factor(self) -> int:
        """How much wider and higher its pictures become."""
        return self.plan.factor

    @property
    def takes_noise(self) -> bool:
        """Whether its picture is given noise that it is told of."""
        return bool(self.plan.low_res)

    @property
    def most_noise(self) -> int:
        """0 where it takes none."""
        return self.plan.most_noise

    @property
    def takes_words(self) -> bool:
        return bool(self.towers)


@dataclass(frozen=True)
class LoadedSegmenter:
    """A model in memory that finds in a picture what a text names."""

    info: ModelInfo
    manner: Manner
    find: Finder


def refresh(model: LoadedModel, tensors: Tensors, changed: Collection[str]) -> None:
    """Bring `model` up to date with `tensors`, of which some have `changed`; those are all in one spelling."""
    drawn = model.blueprint
    assert drawn
    towers = [(tower.encoder, of.network.part) for tower, of in zip(model.towers, drawn.towers, strict=True)]
    with torch.inference_mode(mode=False), torch.no_grad():
        for network, part in ((model.unet, drawn.unet.part), (model.vae, drawn.vae.part), *towers):
            refill(network, part, tensors, changed)
    model.recall = Recall()  # texts may be read otherwise now


def chosen_dtype(info: ModelInfo, device: torch.device, precision: Precision) -> torch.dtype:
    """The number format to compute in: as asked; for `auto` the file's, on a CPU fp32 (halves gain little there)."""
    if precision is not Precision.AUTO:
        return DTYPES[precision.value]
    return torch.float32 if device.type == "cpu" else DTYPES.get(info.dtype, torch.float16)


def load(info: ModelInfo, manner: Manner) -> LoadedModel:
    """The networks of `info`, in that manner. Opens its files only; never asks the network.

    Raises ModelUnusable, naming the file, when something is missing, cut or does not fit together, and
    MemoryError when there is no room: only the caller knows what could make some.
    """
    return build(info, blueprint_of(info), manner)  # read again: files may have changed since the scan


def load_segmenter(info: ModelInfo, manner: Manner) -> LoadedSegmenter:
    """The segmenter `info`, in that manner. Raises as `load`."""
    plan = segmenter_at(Path(info.path), info.name)
    with _explained(info, "network"):
        find = plan.architecture.build(plan)
    nn.Module.to(find.network, manner.device, manner.dtype)  # what fails here is no fault of the file
    return LoadedSegmenter(info, manner, find)


def build(
    info: ModelInfo, blueprint: Blueprint, manner: Manner, held: Mapping[Path, Tensors] | None = None
) -> LoadedModel:
    """As `load`, after `blueprint`; `held`: tensors that are in memory, by the file that they stand for."""
    return LoadedModel(**_parts(info, blueprint, manner, held or {}))


def load_enlarger(info: ModelInfo, manner: Manner) -> LoadedEnlarger:
    """The model `info`, which enlarges, in that manner. Raises as `load`."""
    plan = enlarger_of(info)
    return LoadedEnlarger(**_parts(info, plan, manner, {}), plan=plan)


def _parts(info: ModelInfo, blueprint: Blueprint, manner: Manner, held: Mapping[Path, Tensors]) -> dict[str, Any]:
    """What every model in memory has."""
    loader, (make_unet, make_vae) = _Loader(info, manner, held), makers_of(blueprint)
    vae_dtype = torch.float32 if blueprint.vae_overflows and manner.dtype is torch.float16 else manner.dtype
    towers = tuple(loader.tower(tower) for tower in blueprint.towers)
    unet = loader.network("unet", blueprint.unet, make_unet, waits=manner.placement is Placement.STREAMED)
    later = manner.placement is not Placement.WHOLE
    whole = make_vae is vq_of  # its codebook is read by others than the module that holds it
    vae = loader.network("vae", blueprint.vae, make_vae, waits=later, dtype=vae_dtype, whole=whole)
    set_attention(unet, vae, manner.attention, manner.device, manner.dtype)
    return {
        "info": info, "towers": towers, "unet": unet, "vae": vae, "task": blueprint.task,
        "scheduler_config": blueprint.scheduler, "manner": manner, "vae_dtype": vae_dtype, "blueprint": blueprint,
    }  # fmt: skip


class _Loader:
    """Brings the networks of one model to their places; a file that several share is opened once."""

    def __init__(self, info: ModelInfo, manner: Manner, held: Mapping[Path, Tensors]) -> None:
        self._info, self._manner = info, manner
        self._open: dict[Path, Tensors] = dict(held)

    def tower(self, tower: Tower) -> TextTower:
        with _explained(self._info, "tokenizer"):
            tokenizer = (
                CLIPTokenizer.from_pretrained(tower.tokenizer, local_files_only=True)
                if tower.tokenizer
                else clip_tokenizer(pad=tower.pad, merges=tower.merges)
            )
        build = partial(text_encoder_of, projects=tower.projects)
        waits = self._manner.placement is not Placement.WHOLE
        encoder = self.network("text encoder", tower.network, build, waits=waits)
        return TextTower(tokenizer, encoder, tower.last_layer, tower.normed, tower.projects)

    def network(
        self, part: str, network: Network, build: Callable[[Part, Tensors], Any], *, waits: bool,
        dtype: torch.dtype | None = None, whole: bool = False,
    ) -> Any:  # fmt: skip
        """The network. `waits`: its weights stay in their file, and come to the device layer by layer; never if it is
        to be there `whole`.
        """
        with _explained(self._info, part):
            if network.file not in self._open:
                self._open[network.file] = OpenTensors(network.file, network.header)
            built: nn.Module = build(network.part, self._open[network.file])
        if whole:
            return nn.Module.to(built, self._manner.device, dtype or self._manner.dtype)
        return self._placed(built, dtype or self._manner.dtype, waits=waits)  # what fails here is no fault of the file

    def _placed(self, network: nn.Module, dtype: torch.dtype, *, waits: bool) -> nn.Module:
        device = self._manner.device
        stored = sum(weight.nbytes for weight in network.parameters())
        narrow = any(weight.dtype in NARROW for weight in network.parameters())
        if waits or (device.type == "cpu" and stored > SMALL):
            BroughtOnUse(network, device, dtype)
            return network
        if narrow and device.type != "cpu":  # half the memory, and no worse than the file is
            BroughtOnUse(nn.Module.to(network, device), device, dtype)
            return network
        # torch's own `to`: the one of diffusers logs a warning about modules kept in float32, of which there are none.
        return nn.Module.to(network, device, dtype)


UNFIT = (OSError, ValueError, TypeError, KeyError, RuntimeError, NotImplementedError, StrictDataclassError)
"""What the libraries raise for configs and weights that make no network."""


@contextmanager
def _explained(info: ModelInfo, part: str) -> Iterator[None]:
    """Whatever the libraries say about a part that cannot be built, as ModelUnusable."""
    try:
        yield
    except UNFIT as error:
        if is_memory_error(error):
            raise MemoryError(str(error)) from error
        said = str(error) if isinstance(error, Misfit) else "does not fit its config"
        raise ModelUnusable(
            f"The model {info.name!r} cannot be loaded: its {part} {said}",
            fix=COPY_AGAIN if Path(info.path).is_dir() else DOWNLOAD_AGAIN, field="model",
            detail=f"{type(error).__name__}: {error}",
        ) from error  # fmt: skip
