"""Community upscalers: any network that spandrel knows, from tensors that our own reader has read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from spandrel import ImageModelDescriptor, ModelLoader, ModelTiling, UnsupportedModelError

from pipelines.core.error import ModelUnusable
from pipelines.core.model import ModelInfo
from pipelines.models.loading import Manner
from pipelines.models.tensors import OpenTensors
from pipelines.upscaling.tiles import Levels


@dataclass(frozen=True)
class Upscaler:
    """A network in memory that makes pictures larger."""

    info: ModelInfo
    manner: Manner
    network: ImageModelDescriptor
    dtype: torch.dtype
    """What it computes in: as asked, or the next best that it can."""

    @property
    def factor(self) -> int:
        return int(self.network.scale)

    @property
    def multiple(self) -> int:
        """Tiles for it begin at multiples of this: the windows it looks through."""
        return max(1, int(self.network.size_requirements.multiple_of))

    @property
    def wants_all(self) -> bool:
        """Whether it weighs what it sees by all that it sees, so that tiles would differ from the whole."""
        return self.network.tiling is not ModelTiling.SUPPORTED

    def __call__(self, pixels: Levels) -> Levels:
        """(h, w, 3) -> (h * factor, w * factor, 3), 0 to 1. What the network needs of sides is added and taken away."""
        shown = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].to(self.manner.device, self.dtype)
        if self.network.input_channels == 1:  # it knows grey only: each colour by itself
            shown = shown.transpose(0, 1)
        with torch.inference_mode():
            made = self.network(shown)
        if self.network.input_channels == 1:
            made = made.transpose(0, 1)
        large: Levels = made[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return large


def load_upscaler(info: ModelInfo, manner: Manner) -> Upscaler:
    """The network in the file of `info`. Raises ModelUnusable for one that nobody knows."""
    tensors = OpenTensors(Path(info.path))
    weights = {name: tensors[name].float() for name in tensors.below("")}
    try:
        network = ModelLoader(manner.device).load_from_state_dict(weights)
    except UnsupportedModelError as error:
        raise ModelUnusable(
            f"{info.name} is no upscaler that is known here; its first tensors are {', '.join(list(weights)[:3])}",
            fix="choose another; the README lists what is known", detail=str(error),
        ) from error  # fmt: skip
    except torch.OutOfMemoryError:  # no fault of the file
        raise
    except (KeyError, RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        raise ModelUnusable(
            f"{info.name} is damaged: its tensors do not go together", fix="download it again", detail=repr(error)
        ) from error
    if not isinstance(network, ImageModelDescriptor) or network.input_channels not in (1, 3):
        raise ModelUnusable(f"{info.name} makes no picture from a picture alone", fix="choose an upscaler")
    dtype = _next_best(network, manner.dtype)
    network.model.eval().to(manner.device, dtype)
    return Upscaler(info, manner, network, dtype)


def _next_best(network: ImageModelDescriptor, wanted: torch.dtype) -> torch.dtype:
    """The format nearest to the one that is wanted in which the network can compute."""
    if wanted is torch.float16 and not network.supports_half:
        wanted = torch.bfloat16
    if wanted is torch.bfloat16 and not network.supports_bfloat16:
        return torch.float32
    return wanted
