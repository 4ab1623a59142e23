"""How work is asked to end: now (within one step), or after the picture at hand."""

import threading
from enum import StrEnum


class StopMode(StrEnum):
    NOW = "now"
    AFTER_PICTURE = "after_picture"


class StopSignal:
    """Set by one thread, read by the denoise loop between steps. Once asked, never unasked; NOW outranks."""

    def __init__(self) -> None:
        self._now = threading.Event()
        self._after_picture = threading.Event()

    def ask(self, mode: StopMode) -> None:
        (self._now if mode is StopMode.NOW else self._after_picture).set()

    @property
    def now(self) -> bool:
        return self._now.is_set()

    @property
    def after_picture(self) -> bool:
        return self._now.is_set() or self._after_picture.is_set()


class WithinPicture(StopSignal):
    """`whole` as it is seen by a part of one picture: the picture at hand is this one, and ends with its last part."""

    def __init__(self, whole: StopSignal) -> None:
        super().__init__()
        self._whole = whole

    @property
    def now(self) -> bool:
        return self._whole.now

    @property
    def after_picture(self) -> bool:
        return self._whole.now
