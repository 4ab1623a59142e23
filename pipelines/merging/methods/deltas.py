"""Task vectors: what each model learnt beyond a common base, thinned out and added up.

delta_i = M_i - base. Whatever a tensor's shape, its numbers are ranked together unless it is said otherwise; the papers
rank over the whole model, which would ask for all models in memory, and which nobody's merger does.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.merging.methods.described import merge_method


@merge_method
def task_arithmetic(*models: Tensor, alpha: float, weights: Sequence[float]) -> Tensor:
    """base + alpha sum_i w_i delta_i (Ilharco et al. 2022, "Editing Models with Task Arithmetic")."""
    *tuned, base = models
    learnt = torch.zeros_like(base)
    for one, weight in zip(tuned, weights, strict=True):
        learnt.add_(one - base, alpha=weight)
    return torch.add(base, learnt, alpha=alpha)


@merge_method
def ties(*models: Tensor, alpha: float, weights: Sequence[float], density: float) -> Tensor:
    """base + alpha times the mean of the deltas that agree (Yadav et al. 2023, "TIES-Merging").

    Trim: the `density` n largest of each delta stay. Elect: the sign of the weighted sum at each place. Merge: the
    weighted mean of those that have it; where no sign wins, or all are trimmed, the base stays.
    """
    *tuned, base = models
    return torch.add(base, _agreed([_largest(one - base, density) for one in tuned], weights), alpha=alpha)


@merge_method
def dare(*models: Tensor, alpha: float, weights: Sequence[float], density: float, generator: torch.Generator) -> Tensor:
    """base + alpha sum_i w_i drop(delta_i) / density (Yu et al. 2023, "Language Models are Super Mario")."""
    *tuned, base = models
    kept = [_by_lot(one - base, density, generator) for one in tuned]
    return torch.add(base, _weighted(kept, weights).sum(0), alpha=alpha)


@merge_method
def dare_ties(
    *models: Tensor, alpha: float, weights: Sequence[float], density: float, generator: torch.Generator
) -> Tensor:
    """DARE's dropping in the place of TIES's trimming, as the DARE paper combines them."""
    *tuned, base = models
    return torch.add(base, _agreed([_by_lot(one - base, density, generator) for one in tuned], weights), alpha=alpha)


@merge_method
def della(
    *models: Tensor, alpha: float, weights: Sequence[float], density: float, epsilon: float,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """TIES's election after dropping by rank (Deep, Bhardwaj & Poria 2024, "DELLA-Merging").

    In each row the smallest change is dropped with the chance 1 - density + epsilon / 2, the largest with
    1 - density - epsilon / 2, and evenly between; what stays is divided by its own chance to stay.
    """
    *tuned, base = models
    kept = [_by_rank(one - base, density, epsilon, generator) for one in tuned]
    return torch.add(base, _agreed(kept, weights), alpha=alpha)


@merge_method
def breadcrumbs(*models: Tensor, alpha: float, weights: Sequence[float], density: float, gamma: float) -> Tensor:
    """base + alpha sum_i w_i m_i delta_i (Davari & Belilovsky 2023, "Model Breadcrumbs").

    The mask m leaves out the `gamma` n largest changes, and so many of the smallest that `density` n stay.
    """
    *tuned, base = models
    kept = [_between(one - base, density, gamma) for one in tuned]
    return torch.add(base, _weighted(kept, weights).sum(0), alpha=alpha)


@merge_method
def model_stock(*models: Tensor) -> Tensor:
    """base + t mean(delta), t = N cos / (1 + (N - 1) cos) (Jang, Yun & Han 2024, "Model Stock").

    cos is the mean over all pairs of deltas of the whole tensor, and 0 where a delta is; below 0 the base stays.
    """
    *tuned, base = models
    deltas = torch.stack([(one - base).flatten() for one in tuned])
    norms = deltas.norm(dim=1)
    unit = deltas / norms.clamp_min(torch.finfo(deltas.dtype).tiny).unsqueeze(1)
    count = len(tuned)
    pairs = torch.triu_indices(count, count, 1)
    cosine = (unit @ unit.T)[pairs[0], pairs[1]].mean().clamp(0, 1)
    t = count * cosine / (1 + (count - 1) * cosine)
    mixed: Tensor = base + t * deltas.mean(0).reshape(base.shape)
    return mixed


def _weighted(deltas: list[Tensor], weights: Sequence[float]) -> Tensor:
    """(N, ...): each delta times its weight."""
    scale = torch.tensor(weights, dtype=deltas[0].dtype, device=deltas[0].device)
    return torch.stack(deltas) * scale.reshape(-1, *[1] * deltas[0].ndim)


def _agreed(deltas: list[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted mean, at each place, of those that have the elected sign."""
    weighted = _weighted(deltas, weights)
    agrees = (weighted.sign() == weighted.sum(0).sign()) & (weighted != 0)
    counted = _weighted([one.to(weighted.dtype) for one in agrees], weights).abs().sum(0)
    return torch.where(counted == 0, 0.0, (weighted * agrees).sum(0) / counted)


def _largest(delta: Tensor, density: float) -> Tensor:
    """`delta` where it is as large as its int(density n)-th largest number, else 0."""
    return delta * _ranks_from(delta, delta.numel() - int(density * delta.numel()))


def _between(delta: Tensor, density: float, gamma: float) -> Tensor:
    """`delta` without its largest and, as far as `density` asks, its smallest numbers."""
    count = delta.numel()
    left_out = int(gamma * count)
    stay = min(int(density * count), count - left_out)
    ranks = _ranks(delta.abs().flatten()).reshape(delta.shape)
    return delta * ((ranks < count - left_out) & (ranks >= count - left_out - stay))


def _ranks_from(delta: Tensor, smallest: int) -> Tensor:
    """Where the size of `delta` is not among the `smallest` ones; equal sizes go together."""
    if smallest <= 0:
        return torch.ones_like(delta, dtype=torch.bool)
    if smallest >= delta.numel():
        return torch.zeros_like(delta, dtype=torch.bool)
    sizes = delta.abs()
    return sizes >= sizes.flatten().kthvalue(smallest + 1).values


def _ranks(values: Tensor) -> Tensor:
    """The place of each number in the order of the last axis, from 0; of equal ones the first comes first."""
    return values.argsort(stable=True).argsort()


def _by_lot(delta: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Each number kept with the chance `density`, and divided by it."""
    if density <= 0:
        return torch.zeros_like(delta)
    lots = torch.rand(delta.shape, generator=generator).to(delta.device)
    return delta * (lots < density) / density


def _by_rank(delta: Tensor, density: float, epsilon: float, generator: torch.Generator) -> Tensor:
    rows = delta.reshape(delta.shape[0], -1) if delta.ndim > 1 else delta.reshape(1, -1)
    last = max(rows.shape[1] - 1, 1)
    chance = (density + epsilon * (_ranks(rows.abs()) / last - 0.5)).clamp(0, 1)
    lots = torch.rand(rows.shape, generator=generator).to(delta.device)
    kept = torch.where(chance > 0, rows * (lots < chance) / chance, 0.0)
    return kept.reshape(delta.shape)
