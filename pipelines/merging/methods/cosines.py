"""Cosine merges: how alike A and B are at each place, on the scale of the whole model; two passes.

supermerger's "cosineA" and "cosineB". How alike: the mean of the columns' cosine (along the first axis) and of the
whole tensor's. The scale is from the smallest to the largest likeness of all tensors but the VAE's, once those below
the 1st percentile are left out, and of the others those above the 99th. sd-mecha and model-mixer mean other things by
the same name.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize


@dataclass(frozen=True, slots=True)
class Scale:
    """From which likeness to which."""

    low: float
    high: float


def likeness_a(a: Tensor, b: Tensor) -> Tensor:
    """Compared by unit columns: every column counts as much. (columns...), without the first axis."""
    return _likeness(normalize(_rows(a), dim=0), normalize(_rows(b), dim=0))


def likeness_b(a: Tensor, b: Tensor) -> Tensor:
    """Compared as they are: large columns count for more in the whole."""
    return _likeness(_rows(a), _rows(b))


LIKENESS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cosine_a": likeness_a, "cosine_b": likeness_b}


def _rows(tensor: Tensor) -> Tensor:
    return tensor.reshape(1) if tensor.ndim == 0 else tensor


def _likeness(a: Tensor, b: Tensor) -> Tensor:
    whole = cosine_similarity(a.flatten(), b.flatten(), dim=0)
    return (cosine_similarity(a, b, dim=0) + whole) / 2


def scale_of(likenesses: Iterable[Tensor]) -> Scale:
    """The scale over all tensors. Likenesses that are none are left out."""
    found = np.concatenate([one.flatten().cpu().numpy() for one in likenesses] or [np.zeros(1, np.float32)])
    found = found[~np.isnan(found)]
    found = found[found >= np.percentile(found, 1, method="midpoint")]
    found = found[found <= np.percentile(found, 99, method="midpoint")]
    return Scale(float(found.min()), float(found.max()))


def mixed_by(likeness: Tensor, a: Tensor, b: Tensor, scale: Scale, alpha: float) -> Tensor:
    """k A + (1 - k) B, k = clip((likeness - low) / (high - low) - alpha, 0, 1)."""
    span = scale.high - scale.low
    place = (likeness - scale.low) / span if span > 0 else torch.zeros_like(likeness)
    return torch.lerp(b, a, (place - alpha).clamp(0, 1).nan_to_num(0.0)).reshape(a.shape)
