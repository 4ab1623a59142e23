"""Mixing by place or by rank: each number comes from one of the models, none is averaged."""

import math

import torch
from torch import Tensor

from pipelines.merging.methods.described import merge_method


@merge_method
def tensor_sum(a: Tensor, b: Tensor, *, alpha: float, beta: float) -> Tensor:
    """Rows n beta to n (alpha + beta) of the first axis from B, the rest from A (supermerger's "Tensor").

    A window beyond the end goes on at the beginning: then rows n (alpha + beta - 1) to n beta stay A's. Cut to whole
    rows as supermerger does; a tensor of one number is B's from alpha 0.5 on.
    """
    if a.ndim == 0:
        return b.clone() if alpha >= 0.5 else a.clone()
    rows = a.shape[0]
    if alpha + beta <= 1:
        mixed, begin, end, other = a.clone(), int(rows * beta), int(rows * (alpha + beta)), b
    else:
        mixed, begin, end, other = b.clone(), int(rows * (alpha + beta - 1)), int(rows * beta), a
    mixed[begin:end] = other[begin:end]
    return mixed


@merge_method
def top_k_tensor_sum(a: Tensor, b: Tensor, *, alpha: float, beta: float) -> Tensor:
    """A's numbers in the order of B's, where the number that would come is of a size within the window (s1dlx/meh).

    The window covers the ranks n beta to n (alpha + beta) of |A|, from the smallest; beyond the end it goes on at the
    beginning.
    """
    flat, count = a.flatten(), a.numel()
    begin, end, inside = _window(alpha, beta, count)
    sizes = flat.abs().sort().values
    low, high = (sizes[k - 1] if k > 0 else torch.tensor(-1.0, device=a.device) for k in (begin, end))
    ranks = b.flatten().argsort(stable=True).argsort()
    moved = flat.sort().values[ranks]
    within = (low < moved.abs()) & (moved.abs() <= high)
    return torch.where(within if inside else ~within, moved, flat).reshape(a.shape)


def _window(width: float, offset: float, count: int) -> tuple[int, int, bool]:
    """(first rank, rank after the last, whether what lies between is inside) of a window that may wrap around."""
    width, offset = min(width, 1.0), math.fmod(offset, 1.0)
    if width + offset <= 1:
        return round(offset * count), round((width + offset) * count), True
    return round((width + offset - 1) * count), round(offset * count), False


@merge_method
def distribution_crossover(a: Tensor, b: Tensor, c: Tensor, *, alpha: float, beta: float) -> Tensor:
    """A's low and B's high frequencies, the numbers being taken in the order of C's (s1dlx/meh).

    The share of B rises from 0 to 1 around frequency alpha (of all), over the width beta.
    """
    if a.numel() == 1:
        return torch.lerp(b, a, alpha)
    order = c.flatten().argsort(stable=True)
    low, high = torch.fft.rfft(a.flatten()[order]), torch.fft.rfft(b.flatten()[order])
    frequencies = torch.arange(low.numel(), device=a.device, dtype=a.dtype) / low.numel()
    share = ((frequencies - alpha) / beta + 0.5).clamp(0, 1) if beta > 0 else (frequencies >= alpha).to(a.dtype)
    mixed = torch.fft.irfft(torch.lerp(low, high, share.to(low.dtype)), n=a.numel())
    return torch.empty_like(mixed).scatter_(0, order, mixed).reshape(a.shape)
