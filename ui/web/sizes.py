"""The sizes a model is offered in: five shapes of about its native area."""

from typing import NamedTuple

RATIOS = {"1:1": 1.0, "4:5": 4 / 5, "2:3": 2 / 3, "3:2": 3 / 2, "16:9": 16 / 9}


class Size(NamedTuple):
    """A size in pixels; the label is its shape."""

    label: str
    width: int
    height: int


def sizes(native: int) -> list[Size]:
    """The shapes of area native x native, in steps the network likes: 1/16 of the native side, at least 8 pixels."""
    step = max(8, native // 16 // 8 * 8)
    return [Size(label, _to(native * r**0.5, step), _to(native / r**0.5, step)) for label, r in RATIOS.items()]


def _to(side: float, step: int) -> int:
    return round(side / step) * step
