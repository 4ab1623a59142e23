"""How running out of memory is told from every other error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipelines.core.placement import Phase

SAYINGS = ("allocate memory", "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
"""Of the CPU's allocator and the file system; of CUDA and MPS; of cuBLAS; of cuDNN."""


class RanOut(Exception):
    """Memory ran out. Whoever catches it may try again with less."""

    def __init__(self, phase: Phase, detail: str) -> None:
        super().__init__(detail)
        self.phase, self.detail = phase, detail


@contextmanager
def watched(phase: Phase) -> Iterator[None]:
    """Raises RanOut when memory runs out meanwhile."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_memory_error(error):
            raise
        raise RanOut(phase, str(error)) from error


def is_memory_error(error: BaseException) -> bool:
    """Whether `error`, or one that it hides, says that memory ran out.

    Only CUDA's allocator has a class of its own for this: CUDA itself, its libraries, MPS, the CPU's allocator and the
    file system say it in a sentence, and diffusers raises an OSError about the file on top of what ended its reading.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, torch.OutOfMemoryError | MemoryError) or any(say in str(cause) for say in SAYINGS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
