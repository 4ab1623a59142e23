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
        self._tensors: OrderedDict[Hashable, Tensor] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The tensor kept under `key`, made by `make` when there is none."""
        tensor = self._tensors.pop(key, None)
        if tensor is None:
            tensor = make()
        self._tensors[key] = tensor
        while self.nbytes > self._most_bytes and len(self._tensors) > 1:
            self._tensors.popitem(last=False)
        return tensor

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self._tensors.values())
