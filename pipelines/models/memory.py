"""How running out of memory is told from every other error."""

import torch


def is_memory_error(error: BaseException) -> bool:
    """Whether `error`, or one that it hides, says that memory ran out.

    Only CUDA has a class of its own for this: the CPU's allocator and the file system say it in a sentence, and
    diffusers raises an OSError about the file on top of whatever ended its reading.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
