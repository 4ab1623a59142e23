"""What has been worked out from a model's weights once and may be asked for again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor

MOST_BYTES = 64 * 1024 * 1024
"""About 250 encoded prompts of an SD 1.5."""


class Recall:
    """A bounded memo of tensors; the one used longest ago goes first. It dies with the model that owns it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._tensors: OrderedDict[Hashable, tuple[Tensor, ...]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """The tensors kept under `key`, made by `make` when there are none."""
        tensors = self._tensors.pop(key, None)
        if tensors is None:
            tensors = make()
        self._tensors[key] = tensors
        while self.nbytes > self._most_bytes and len(self._tensors) > 1:
            self._tensors.popitem(last=False)
        return tensors

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for tensors in self._tensors.values() for t in tensors)
