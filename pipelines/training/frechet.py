"""How far one set of pictures is from another: the Fréchet distance between Gaussians (Heusel et al. 2017, eq. 6).

Heusel et al. take the features of a network trained on photographs; ours is the examination's own judge (see
`checkers.judge`), so the numbers compare with one another and with no published FID. It is never below zero, and with
few pictures it is too large: compare sets of the same size.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.core.error import EaselError


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A normal distribution of features: `mean` (d), `covariance` (d, d), both float64."""

    mean: np.ndarray
    covariance: np.ndarray


def fitted(features: np.ndarray) -> Gaussian:
    """The Gaussian with the mean and the covariance of `features` (n, d)."""
    if len(features) < 2:
        raise EaselError(f"{len(features)} picture cannot tell how pictures vary", fix="compare at least two")
    features = features.astype(np.float64)
    return Gaussian(features.mean(0), np.cov(features, rowvar=False).reshape(features.shape[1], -1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)).

    C1 C2 is not symmetric, but has the eigenvalues of C1^(1/2) C2 C1^(1/2), which is; the trace of its root is the sum
    of their roots.
    """
    root = _root(a.covariance)
    shared = np.linalg.eigvalsh(root @ b.covariance @ root).clip(min=0)  # rounding takes zeros below zero
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(shared).sum()
    return max(0.0, float(np.square(a.mean - b.mean).sum() + spread))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    root: np.ndarray = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    return root
