"""From a models folder to networks on a device, offline: the only place that builds diffusers and CLIP modules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from pipelines.core.error import ModelUnusable
from pipelines.core.model import ModelInfo
from pipelines.core.request import Precision
from pipelines.models.folder import COPY_AGAIN, Facts, FolderReader
from pipelines.models.memory import is_memory_error
from pipelines.models.recall import Recall

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class LoadedModel:
    """A model in memory, in evaluation mode, on one device and in one number format."""

    info: ModelInfo
    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler_config: Mapping[str, Any]
    """scheduler_config.json as it stands: betas, prediction type, timestep spacing."""
    device: torch.device
    dtype: torch.dtype
    recall: Recall = field(default_factory=Recall, repr=False)
    """Encoded texts and the like; gone with the model."""


def chosen_dtype(info: ModelInfo, device: torch.device, precision: Precision) -> torch.dtype:
    """The number format to compute in: as asked; for `auto` the file's, on a CPU fp32 (halves gain little there)."""
    if precision is not Precision.AUTO:
        return DTYPES[precision.value]
    return torch.float32 if device.type == "cpu" else DTYPES[info.dtype]


def load(info: ModelInfo, device: torch.device, precision: Precision) -> LoadedModel:
    """The networks of `info` on `device`. Opens files below `info.path` only; never asks the network.

    Raises ModelUnusable, naming the file, when something is missing, cut or does not fit together, and
    MemoryError when there is no room: only the caller knows what could make some.
    """
    folder = Path(info.path)
    facts = FolderReader(folder, info.name).facts()  # again: files may have changed since the scan
    dtype = chosen_dtype(info, device, precision)
    networks = {}
    for part in facts.weights:
        with _quiet(), _explained(info.name, part):
            networks[part] = _network(part, folder, facts, dtype).to(device)
    with _explained(info.name, "tokenizer"):
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    return LoadedModel(
        info=info, tokenizer=tokenizer, scheduler_config=facts.scheduler, device=device, dtype=dtype, **networks
    )


def _network(part: str, folder: Path, facts: Facts, dtype: torch.dtype) -> Any:
    variant = "fp16" if facts.weights[part].name.endswith(".fp16.safetensors") else None
    common = {"local_files_only": True, "use_safetensors": True, "variant": variant, "output_loading_info": True}
    if part == "text_encoder":
        network, report = CLIPTextModel.from_pretrained(folder / part, dtype=dtype, **common)
    else:
        kind = UNet2DConditionModel if part == "unet" else AutoencoderKL
        network, report = kind.from_pretrained(folder / part, torch_dtype=dtype, **common)
    missing = sorted(report["missing_keys"])
    if missing:  # the libraries fill these with chance, with no more than a log line
        raise ValueError(f"{len(missing)} tensors are missing, {missing[0]} the first of them")
    return network.eval().requires_grad_(False)


@contextmanager
def _explained(name: str, part: str) -> Iterator[None]:
    """Whatever the libraries say about a part that does not fit its config, as ModelUnusable."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, NotImplementedError, SafetensorError) as error:
        if is_memory_error(error):
            raise MemoryError(str(error)) from error
        raise ModelUnusable(
            f"The model {name!r} cannot be loaded: its {part} does not fit its config", fix=COPY_AGAIN, field="model",
            detail=f"{type(error).__name__}: {error}",
        ) from error  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar on the terminal while transformers reads weights."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
