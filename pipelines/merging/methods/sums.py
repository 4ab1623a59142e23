"""Sums: every number follows from the numbers at its own place in the models."""

import torch
from torch import Tensor

from pipelines.merging.methods.described import merge_method

TRAINED = 1.8
"""hako-mikan/sd-webui-supermerger's factor, by which 1 comes out as strong as a training would have been."""


@merge_method
def weighted_sum(a: Tensor, b: Tensor, *, alpha: float) -> Tensor:
    """(1 - alpha) A + alpha B: AUTOMATIC1111's "weighted sum"."""
    return torch.lerp(a, b, alpha)


@merge_method
def add_difference(a: Tensor, b: Tensor, c: Tensor, *, alpha: float) -> Tensor:
    """A + alpha (B - C): AUTOMATIC1111's "add difference"."""
    return torch.add(a, b - c, alpha=alpha)


@merge_method
def triple_sum(a: Tensor, b: Tensor, c: Tensor, *, alpha: float, beta: float) -> Tensor:
    """(1 - alpha - beta) A + alpha B + beta C: supermerger's "triple sum"."""
    return (1 - alpha - beta) * a + alpha * b + beta * c


@merge_method
def sum_twice(a: Tensor, b: Tensor, c: Tensor, *, alpha: float, beta: float) -> Tensor:
    """(1 - beta)((1 - alpha) A + alpha B) + beta C: supermerger's "sum twice"."""
    return torch.lerp(torch.lerp(a, b, alpha), c, beta)


@merge_method
def train_difference(a: Tensor, b: Tensor, c: Tensor, *, alpha: float) -> Tensor:
    """A + 1.8 alpha (B - C) |B - A| / (|B - A| + |B - C|): supermerger's "trainDifference"; A where B is C."""
    learnt, apart = b - c, (b - a).abs()
    share = apart / (apart + learnt.abs())
    return torch.where(learnt == 0, a, a + TRAINED * alpha * learnt * share)


@merge_method
def multiply_difference(a: Tensor, b: Tensor, c: Tensor, *, alpha: float, beta: float) -> Tensor:
    """C + |A - C|^(1 - alpha) |B - C|^alpha, with the sign of (1 - beta) A + beta B - C (s1dlx/meh)."""
    size = (a - c).abs().pow(1 - alpha) * (b - c).abs().pow(alpha)
    return c + torch.copysign(size, torch.lerp(a, b, beta) - c)


@merge_method
def similarity_add_difference(a: Tensor, b: Tensor, c: Tensor, *, alpha: float, beta: float) -> Tensor:
    """Between add difference and an average, by s = beta (A B / max(|A|, |B|)^2 + 1) / 2 (s1dlx/meh).

    s is beta where both are 0.
    """
    largest = torch.maximum(a.abs(), b.abs())
    alike = torch.where(largest == 0, 1.0, (a / largest) * (b / largest))
    added, averaged = torch.add(a, b - c, alpha=alpha), torch.lerp(a, b, alpha / 2)
    return torch.lerp(added, averaged, beta * (alike + 1) / 2)


@merge_method
def geometric(a: Tensor, b: Tensor, *, alpha: float) -> Tensor:
    """The real part of A^(1 - alpha) B^alpha; a negative number to the power of a fraction is complex (ljleb/sd-mecha).

    Angles are 0 or pi, so that is |A|^(1 - alpha) |B|^alpha cos(pi ((1 - alpha) [A < 0] + alpha [B < 0])).
    """
    turns = (1 - alpha) * (a < 0) + alpha * (b < 0)
    return a.abs().pow(1 - alpha) * b.abs().pow(alpha) * torch.cos(torch.pi * turns)
