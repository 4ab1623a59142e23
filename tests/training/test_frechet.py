"""The Fréchet distance: right where the answer is known, and a measure of what people see."""

import numpy as np
import pytest

from pipelines.core.error import EaselError
from pipelines.training.frechet import Gaussian, fitted, frechet_distance

NOISE = np.random.default_rng(5)


def test_a_set_is_no_distance_from_itself() -> None:
    features = NOISE.normal(size=(300, 16))
    assert frechet_distance(fitted(features), fitted(features)) == pytest.approx(0, abs=1e-9)


def test_gaussians_with_independent_features_are_as_far_apart_as_the_formula_says() -> None:
    (m1, s1), (m2, s2) = (NOISE.uniform(0, 3, size=(2, 8)) for _ in range(2))
    # With diagonal covariances it is the distance of the means plus that of the standard deviations.
    expected = np.square(m1 - m2).sum() + np.square(s1 - s2).sum()
    a, b = (Gaussian(mean, np.diag(np.square(std))) for mean, std in ((m1, s1), (m2, s2)))
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_turning_both_sets_alike_changes_nothing() -> None:
    turn = np.linalg.qr(NOISE.normal(size=(8, 8)))[0]
    a, b = NOISE.normal(size=(200, 8)), NOISE.normal(0.5, 2, size=(200, 8))
    plain, turned = (frechet_distance(fitted(x), fitted(y)) for x, y in ((a, b), (a @ turn, b @ turn)))
    assert turned == pytest.approx(plain)


def test_it_does_not_matter_which_set_comes_first() -> None:
    a, b = fitted(NOISE.normal(size=(50, 12))), fitted(NOISE.normal(1, 3, size=(70, 12)))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_fewer_pictures_than_features_are_compared_too() -> None:
    a, b = (fitted(NOISE.normal(shift, 1, size=(6, 64))) for shift in (0, 2))
    assert 100 < frechet_distance(a, b) < 1000


def test_one_picture_is_no_set() -> None:
    with pytest.raises(EaselError, match="at least two"):
        fitted(np.zeros((1, 4)))
