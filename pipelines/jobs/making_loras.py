"""LoRAs made of LoRAs or out of models, and put in their place, whole or not at all."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pipelines.core.error import ModelUnusable
from pipelines.core.event import Hashed, Noted, Worked
from pipelines.core.model import ModelInfo
from pipelines.core.request import NumberFormat
from pipelines.jobs.merging import check_name, check_stamps, in_place, stamps_of
from pipelines.merging.lora import Extraction, MadeLora, combined, extracted, source_of
from pipelines.merging.sizes import Size
from pipelines.merging.sources import opened
from pipelines.models.hashing import Hashing
from pipelines.models.lora.file import read_lora
from pipelines.models.lora.strength import Strength
from pipelines.models.rounding import DTYPES
from pipelines.models.writing import Planned, write_tensors

HASH_KEY = "sshs_model_hash"
"""kohya's, of the tensors alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a LoRA shall lie, and as what."""

    target: Path
    overwrite: bool = False
    dtype: NumberFormat = NumberFormat.FP16


def add_loras(loras: tuple[tuple[ModelInfo, Strength], ...], size: Size, place: Place) -> Generator[Worked | Hashed]:
    """The sum of `loras`. Raises what `combined` does, Conflict, StorageProblem."""
    check_name(place.target, [info for info, _ in loras], overwrite=place.overwrite)
    makers = [(read_lora(Path(info.path), info.name), strength) for info, strength in loras]
    sources = [source_of(Path(info.path), strength) for info, strength in loras]
    stamps = stamps_of(info for info, _ in loras)
    yield from _kept(combined(makers, size), sources, place, lambda: check_stamps(stamps))


def extract_lora(
    tuned: ModelInfo, base: ModelInfo, wanted: Extraction, place: Place
) -> Generator[Worked | Noted | Hashed]:
    """What `tuned` learnt beyond `base`. Raises what `extracted` does, Conflict, StorageProblem."""
    check_name(place.target, [tuned, base], overwrite=place.overwrite)
    with ExitStack() as stack:
        sources = [stack.enter_context(opened(info)) for info in (tuned, base)]
        told: list[tuple[str, object]] = [(name, info.name) for name, info in (("tuned", tuned), ("base", base))]

        def check() -> None:
            for source in sources:
                source.check_unchanged()

        yield from _kept(extracted(sources[0], sources[1], wanted), told, place, check)


def _kept(
    work: Iterator[tuple[int, int] | MadeLora],
    sources: list[tuple[str, object]],
    place: Place,
    check: Callable[[], None],
) -> Generator[Worked | Hashed]:
    made = None
    for event in work:
        if isinstance(event, MadeLora):
            made = event
        else:
            yield Worked(done=event[0], total=event[1])
    assert made is not None
    tensors = made.tensors(DTYPES[place.dtype])
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ModelUnusable(
                f"The result is not finite at {name}", fix="use smaller strengths, or write it as bf16 or fp32",
                field="dtype",
            )  # fmt: skip
    metadata = {**made.metadata(sources), HASH_KEY: _hash_of(tensors)}
    planned = [Planned(name, one.dtype, tuple(one.shape), partial(_whole, one)) for name, one in tensors.items()]
    hashing = Hashing()
    with in_place(place.target, overwrite=place.overwrite) as file:
        for _ in write_tensors(file, planned, metadata, hashing):
            pass
        check()  # what went in is still what it was
    yield hashing.found


def _whole(tensor: Tensor) -> tuple[Tensor]:
    return (tensor,)


def _hash_of(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors.values():
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
