"""A single file in another number format, or without what painting does not need."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipelines.core.request import NumberFormat
from pipelines.models.recognise import MARKS
from pipelines.models.single import SingleFile
from pipelines.models.tensors import OpenTensors
from pipelines.models.writing import Planned, format_of

UNET_ROOT, VAE_ROOT = "model.diffusion_model.", "first_stage_model."


@dataclass(frozen=True, slots=True)
class Rounding:
    """What weights are rounded to; what is not a float stays as it is."""

    dtype: torch.dtype | None
    """None: as they are."""

    def of(self, name: str, stored: torch.dtype, sides: int) -> torch.dtype:
        """The format of a tensor. 8 bits are enough for the matrices of a denoiser, and for nothing else."""
        if self.dtype is None or not stored.is_floating_point:
            return stored
        if self.dtype.itemsize == 1 and not (name.startswith(UNET_ROOT) and sides >= 2):
            return torch.float16
        return self.dtype


DTYPES: Mapping[NumberFormat, torch.dtype] = {
    NumberFormat.FP32: torch.float32,
    NumberFormat.FP16: torch.float16,
    NumberFormat.BF16: torch.bfloat16,
    NumberFormat.FP8: torch.float8_e4m3fn,
}


def rounding_to(wanted: NumberFormat | None) -> Rounding:
    """To a format; None: none."""
    return Rounding(DTYPES[wanted] if wanted else None)


def same_file(source: SingleFile, rounding: Rounding, *, pruned: bool) -> list[Planned]:
    """The tensors of a single file; `pruned`: only those that painting needs."""
    tensors, found = OpenTensors(source.path, source.header), source.found
    roots = tuple(part.root for part in (found.denoiser, found.vae, *found.text_encoders) if part)
    kept = {
        name: entry
        for name, entry in source.header.tensors.items()
        if not (pruned and roots) or name in MARKS or (name.startswith(roots) and not name.startswith("model_ema."))
    }
    return [
        Planned(name, rounding.of(name, format_of(e), len(e.shape)), e.shape, partial(_read, tensors, name))
        for name, e in kept.items()
    ]


def _read(tensors: OpenTensors, name: str) -> tuple[Tensor]:
    return (tensors[name],)
