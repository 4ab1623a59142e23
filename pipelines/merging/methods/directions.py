"""Mixing by direction: angles between tensors, and rotations of one onto another."""

import torch
from scipy.linalg import fractional_matrix_power
from scipy.ndimage import gaussian_filter, median_filter
from torch import Tensor

from pipelines.merging.methods.described import merge_method

PARALLEL = 0.9995
"""Cosine beyond which an arc is taken for its chord, as mergekit does: the sine in the denominator vanishes."""


@merge_method
def slerp(a: Tensor, b: Tensor, *, alpha: float) -> Tensor:
    """sin((1 - alpha) w) / sin w A + sin(alpha w) / sin w B (Shoemake 1985), w the angle between the whole tensors.

    As mergekit has it, with lengths as they are; sd-mecha mixes the lengths apart from the directions. A chord where
    the two are parallel, or one is 0.
    """
    lengths = a.norm() * b.norm()
    cosine = float((a * b).sum() / lengths) if lengths > 0 else 1.0
    if abs(cosine) > PARALLEL:
        return torch.lerp(a, b, alpha)
    angle = torch.acos(torch.tensor(cosine, dtype=torch.float64))
    of_a, of_b = (float(torch.sin(share * angle) / torch.sin(angle)) for share in (1 - alpha, alpha))
    return of_a * a + of_b * b


@merge_method
def rotate(a: Tensor, b: Tensor, *, alpha: float, beta: float) -> Tensor:
    """(A - a) R^beta + (1 - beta) a + beta b; R the rotation that brings A's rows nearest to B's (ljleb/sd-mecha).

    a and b are the mean rows, R = U V' of the SVD of (A - a)'(B - b), without a reflection (Kabsch 1976). alpha mixes
    B, turned back by R, into A before that. Rows are neurons; a convolution larger than 1x1 is turned within its
    kernels. Vectors have no direction to turn to and are averaged by alpha.
    """
    if a.ndim < 2 or torch.equal(a, b):
        return torch.lerp(a, b, alpha)
    across = a[0, 0].numel() if a.ndim == 4 and a[0, 0].numel() > 1 else a[0].numel()
    rows, others = (one.reshape(-1, across).double() for one in (a, b))
    mean, other_mean = rows.mean(0), others.mean(0)
    rows, others = rows - mean, others - other_mean
    turn = _rotation(rows.T @ others)
    mixed = torch.lerp(rows, others @ turn.T, alpha) @ _power(turn, beta)
    turned: Tensor = mixed + torch.lerp(mean, other_mean, beta)
    return turned.reshape(a.shape).to(a.dtype)


def _rotation(covariance: Tensor) -> Tensor:
    u, _, v = torch.linalg.svd(covariance)
    if torch.linalg.det(u @ v) < 0:
        u[:, -1] *= -1
    turn: Tensor = u @ v
    return turn


def _power(rotation: Tensor, exponent: float) -> Tensor:
    if exponent in (0.0, 1.0):
        return rotation if exponent else torch.eye(len(rotation), dtype=rotation.dtype, device=rotation.device)
    powered = fractional_matrix_power(rotation.cpu().numpy(), exponent)
    return torch.as_tensor(powered.real, dtype=rotation.dtype, device=rotation.device)


@merge_method
def smooth_add(a: Tensor, b: Tensor, c: Tensor, *, alpha: float) -> Tensor:
    """A + alpha gaussian(median(B - C)): supermerger's "smoothAdd", a window of 3 and sigma 1 along every axis."""
    learnt = (b - c).cpu().numpy()
    smooth = gaussian_filter(median_filter(learnt, size=3), sigma=1) if learnt.ndim else learnt
    return torch.add(a, torch.from_numpy(smooth).to(a), alpha=alpha)
