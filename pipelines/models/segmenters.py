"""Models that find in a picture what a text names: their folders, as transformers saves them. No torch here.

A new architecture is a row of `ARCHITECTURES`, and a file such as `clipseg.py` that computes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.models.architecture import Part
from pipelines.models.blueprint import Network
from pipelines.models.folder import FolderFiles
from pipelines.models.names import Origin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

CONFIG, WEIGHTS, PICKLE = "config.json", "model.safetensors", "pytorch_model.bin"
PROCESSOR, WHOLE_PROCESSOR = "preprocessor_config.json", "processor_config.json"
LONGEST_CONFIG = 1_000_000
"""Bytes; what is longer is no config."""


class Finder(Protocol):
    """A network in memory that finds what a text names."""

    network: "nn.Module"
    """Computes where its weights are, in their number format."""

    def __call__(self, picture: "NDArray[np.uint8]", text: str) -> "Tensor":
        """(h, w) float32 on the CPU, of the network's own size: above 0 where `picture` (h, w, 3) shows it.

        The sigmoid of it is how sure the network is. Raises InvalidRequest for a text too long.
        """


@dataclass(frozen=True, slots=True)
class Architecture:
    """A kind of segmenter."""

    label: str
    """What people call it."""
    mark: str
    """A tensor that its weights have and others do not."""
    build: Callable[["SegmenterPlan"], Finder]


@dataclass(frozen=True, slots=True)
class SegmenterPlan:
    """A segmenter that can be built."""

    architecture: Architecture
    network: Network
    processor: Mapping[str, Any]
    """How a picture becomes what the network sees, as transformers' image processors say it."""
    tokenizer: Path
    """A folder."""

    @property
    def native_size(self) -> int:
        """Pixels of the side it was trained at; 0 where the config does not say."""
        vision = self.network.part.config.get("vision_config")
        size = vision.get("image_size") if isinstance(vision, dict) else None
        return size if isinstance(size, int) else 0


def _clipseg(plan: SegmenterPlan) -> Finder:
    from pipelines.models.clipseg import ClipSeg  # noqa: PLC0415, torch: only who looks at pictures needs it

    return ClipSeg(plan)


ARCHITECTURES: Mapping[str, Architecture] = {"clipseg": Architecture("CLIPSeg", "decoder.film_mul.weight", _clipseg)}
"""By what config.json calls it (`model_type`)."""


def is_segmenter(folder: Path) -> bool:
    """Whether the config in `folder` says so."""
    return _architecture_of(folder) is not None


def segmenter_at(folder: Path, name: str) -> SegmenterPlan:
    """How to build the segmenter in `folder`. Raises ModelUnusable, naming the file at fault."""
    return _Reader(folder, name).plan()


def _architecture_of(folder: Path) -> Architecture | None:
    file = folder / CONFIG
    try:
        said = json.loads(file.read_bytes()) if file.stat().st_size <= LONGEST_CONFIG else None
    except (OSError, ValueError, RecursionError):
        return None
    return ARCHITECTURES.get(str(said.get("model_type"))) if isinstance(said, dict) else None


class _Reader(FolderFiles):
    """Reads the folder of a segmenter."""

    def plan(self) -> SegmenterPlan:
        try:
            return self._plan()
        except OSError as error:
            raise self._unreadable(error) from error

    def _plan(self) -> SegmenterPlan:
        architecture, config = _architecture_of(self.folder), self._json(CONFIG)
        if architecture is None:
            known = ", ".join(one.label for one in ARCHITECTURES.values())
            raise self._unusable("is of a kind that cannot look at pictures yet", fix=f"use one of {known}")
        file = self._weights()
        header = self._header(file)
        if architecture.mark not in header.tensors:
            raise self._unusable(f"cannot be used: {WEIGHTS} holds no {architecture.label}")
        self._check_tokenizer("")
        network = Network(file, header, Part(config, Origin))
        return SegmenterPlan(architecture, network, self._processor(), self.folder)

    def _weights(self) -> Path:
        file = self.folder / WEIGHTS
        if not file.is_file() and (self.folder / PICKLE).is_file():
            raise self._unusable(
                f"lacks {WEIGHTS}: its {PICKLE} is a pickle, and opening it can run code",
                fix=f"convert that with app.py models convert, to {WEIGHTS} beside it",
            )
        return self._must_exist(file)

    def _processor(self) -> Mapping[str, Any]:
        """In a file of its own, or in that of the whole processor, as newer releases save it."""
        if (self.folder / PROCESSOR).is_file() or not (self.folder / WHOLE_PROCESSOR).is_file():
            return self._json(PROCESSOR)
        found = self._json(WHOLE_PROCESSOR).get("image_processor")
        if not isinstance(found, dict):
            raise self._unusable(f"cannot be used: {WHOLE_PROCESSOR} says nothing of pictures")
        return found
