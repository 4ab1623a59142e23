"""Which architecture an upscaler's network has, told from the names of its tensors, without torch.

The names are those by which spandrel 0.4 tells them apart (MIT licence); a test holds them to be spandrel's own.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from pipelines.core.presets import PRESETS

FILE = PRESETS / "upscalers" / "architectures.json"
ARCHITECTURES: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
"""Name -> condition, in the order in which they are tried: `{"all" or "any": [names of tensors, or conditions]}`."""


def architecture_of(names: Collection[str]) -> str:
    """The name of the first whose tensors are there; empty when there is none."""
    return next((name for name, condition in ARCHITECTURES.items() if _holds(condition, names)), "")


def _holds(condition: Any, names: Collection[str]) -> bool:
    if isinstance(condition, str):
        return condition in names
    [(kind, parts)] = condition.items()
    return (all if kind == "all" else any)(_holds(part, names) for part in parts)
