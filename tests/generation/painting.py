"""Shorthands for tests that paint: small, quick pictures as arrays."""

from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.generation.generate import Painted, generate
from pipelines.models.loading import LoadedModel

PROMPT = "a red house on a green meadow"


def ask(**fields: Any) -> GenerateRequest:
    """A quick request: 64 px, 3 steps."""
    return GenerateRequest(**{"prompt": PROMPT, "width": 64, "height": 64, "steps": 3, "seed": 3, **fields})


def paint(model: LoadedModel, *, first: int = 0, **fields: Any) -> list[np.ndarray]:
    """The pictures of `ask(**fields)`, (h, w, 3) as int so that they can be subtracted."""
    events = generate(ask(**fields), model, StopSignal(), first=first)
    return [np.asarray(e.image).astype(int) for e in events if isinstance(e, Painted)]


def difference(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of any channel of any pixel, of 255."""
    return int(np.abs(one - other).max())


def configured(model: LoadedModel, config: dict[str, Any]) -> LoadedModel:
    """The same networks, said to have been trained as `config` says."""
    return replace(model, scheduler_config=config)
