"""Ties a formula to its description, so that neither can say what the other does not."""

import inspect
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from pipelines.core.methods import METHODS

Formula = Callable[..., Tensor]
F = TypeVar("F", bound=Formula)
GENERATOR = "generator"
"""What a formula that draws lots is given besides its parameters."""


def merge_method(formula: F) -> F:
    """Marks a formula: tensors of one shape in the order of the models (the base last), parameters by name, in fp32.

    Raises ValueError, at import, when `pipelines/core/methods.py` describes it otherwise.
    """
    method = METHODS.find(formula.__name__)
    signature = inspect.signature(formula).parameters.values()
    asked = {one.name for one in signature if one.kind is one.KEYWORD_ONLY}
    described = {one.key for one in method.parameters} - {"seed"} | ({GENERATOR} if method.random else set())
    if asked != described or method.key != formula.__name__:
        raise ValueError(f"{formula.__name__} asks for {sorted(asked)}, and is described with {sorted(described)}")
    return formula
