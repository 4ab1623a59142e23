"""The two hashes that people know a safetensors file by, taken while its bytes pass by."""

import hashlib

from pipelines.core.event import Hashed


class Hashing:
    """Told the bytes of one file in their order, those before the first weight apart."""

    def __init__(self) -> None:
        self._whole, self._weights = hashlib.sha256(), hashlib.sha256()

    def head(self, raw: bytes | memoryview) -> None:
        """The header and what leads to it."""
        self._whole.update(raw)

    def weights(self, raw: bytes | memoryview) -> None:
        """What follows."""
        self._whole.update(raw)
        self._weights.update(raw)

    @property
    def found(self) -> Hashed:
        """Of all that was told so far."""
        return Hashed(sha256=self._whole.hexdigest(), weights=self._weights.hexdigest())
