"""How large a LoRA may be. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Size:
    """Of each of its modules."""

    rank: int | None = None
    energy: float | None = None
    """Which share of the squared singular values stays, module by module; within `rank`, if that is given, too."""

    @property
    def is_open(self) -> bool:
        """Everything stays."""
        return self.rank is None and self.energy is None

    def of(self, squares: Sequence[float]) -> int:
        """The rank for squared singular values, the largest first; at least 1."""
        rank = len(squares) if self.rank is None else min(self.rank, len(squares))
        if self.energy is not None:
            wanted = self.energy * sum(squares)
            rank = min(rank, 1 + sum(kept < wanted for kept in accumulate(squares)))
        return max(rank, 1)
