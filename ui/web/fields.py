"""What a field may hold, read from the request itself: the screen and the engine cannot disagree."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Limits:
    """The numbers a request field takes; None: no such limit."""

    low: float | None
    high: float | None
    multiple_of: float | None
    whole: bool

    def nearest(self, value: float) -> list[float]:
        """The allowed numbers next to `value`, below and above; one if it is outside or allowed itself."""
        low = value if self.low is None else max(value, self.low)
        held = low if self.high is None else min(low, self.high)
        step = self.multiple_of or (1 if self.whole else None)
        if step is None:
            return [held]
        below = held // step * step
        return [n for n in dict.fromkeys((below, below + (step if held % step else 0))) if self.allows(n)]

    def allows(self, value: float) -> bool:
        """Whether the request takes `value`."""
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and not (self.multiple_of and value % self.multiple_of)
            and not (self.whole and value % 1)
        )

    def as_props(self) -> dict[str, Any]:
        """For a widget's script."""
        return asdict(self)


def limits(request: type[BaseModel], name: str) -> Limits:
    """The limits of a numeric field."""
    field = request.model_fields[name]
    return Limits(_mark(field, "ge"), _mark(field, "le"), _mark(field, "multiple_of"), field.annotation is int)


def _mark(field: FieldInfo, name: str) -> float | None:
    return next((getattr(mark, name) for mark in field.metadata if hasattr(mark, name)), None)
