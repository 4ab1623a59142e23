"""Every formula is what its source says, to one rounding of fp32's sums."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.core.methods import METHODS
from pipelines.merging.methods import cosines
from pipelines.merging.methods.formulas import FORMULAS
from tests.merging import references

SHAPES = [(), (1,), (7,), (6, 10), (8, 5, 3, 3), (6, 4, 1, 1)]
LOOKS_FIRST = {"cosine_a", "cosine_b", "rebasin"}
NO_FORMULA = {"keep"}
BY_LOT = {"dare", "dare_ties", "della"}
SETTINGS: Mapping[str, list[dict[str, Any]]] = {
    "weighted_sum": [{"alpha": a} for a in (0.0, 0.3, 1.0, -0.5, 1.7)],
    "add_difference": [{"alpha": a} for a in (0.0, 0.6, 1.0, -1.0)],
    "train_difference": [{"alpha": a} for a in (0.0, 0.6, 1.0)],
    "smooth_add": [{"alpha": 0.8}],
    "multiply_difference": [{"alpha": 0.4, "beta": 0.7}, {"alpha": 0.0, "beta": 0.0}, {"alpha": 1.0, "beta": 1.0}],
    "similarity_add_difference": [{"alpha": 0.7, "beta": 0.6}, {"alpha": 1.0, "beta": 1.0}],
    "triple_sum": [{"alpha": 0.2, "beta": 0.5}],
    "sum_twice": [{"alpha": 0.2, "beta": 0.5}],
    "tensor_sum": [{"alpha": a, "beta": b} for a, b in ((0.5, 0.0), (0.3, 0.4), (0.6, 0.7), (1.0, 0.0), (0.0, 0.3))],
    "top_k_tensor_sum": [{"alpha": a, "beta": b} for a, b in ((0.5, 0.0), (0.3, 0.4), (0.6, 0.7), (1.0, 0.0))],
    "distribution_crossover": [{"alpha": 0.4, "beta": b} for b in (0.0, 0.1, 0.8)],
    "slerp": [{"alpha": a} for a in (0.0, 0.3, 1.0)],
    "geometric": [{"alpha": a} for a in (0.25, 0.5)],
    "rotate": [{"alpha": 0.0, "beta": 1.0}, {"alpha": 0.4, "beta": 0.0}, {"alpha": 0.4, "beta": 1.0}],
    "task_arithmetic": [{"alpha": 0.8, "weights": (0.7, 0.5)}],
    "ties": [{"alpha": 1.0, "weights": (1.0, 1.0), "density": d} for d in (0.0, 0.3, 1.0)]
    + [{"alpha": 0.7, "weights": (0.7, 0.5), "density": 0.6}],
    "breadcrumbs": [{"alpha": 0.8, "weights": (0.7, 0.5), "density": 0.6, "gamma": 0.2}],
    "model_stock": [{}],
}


def tensors(count: int, shape: tuple[int, ...], *, alike: float = 0.0) -> list[Tensor]:
    """Of chance, the same every time; with zeros among them, and numbers that two models share."""
    generator = torch.Generator().manual_seed(count * 1000 + len(shape))
    made = [torch.randn(shape, generator=generator) for _ in range(count)]
    if shape and shape[0] > 1:
        made[0][0] = 0
        made[-1][1] = made[0][1]
    return [torch.lerp(one, made[0], alike) for one in made]


def inputs(method: str) -> int:
    described = METHODS.find(method)
    return max(described.inputs[0], 3 if described.models[1] is None else 0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("method", "settings"), [(m, s) for m, several in SETTINGS.items() for s in several], ids=str)
def test_a_method_is_its_formula(method: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    given = tensors(inputs(method), shape)
    reference: Callable[..., Any] = getattr(references, method)
    expected = reference(*(one.double().numpy() for one in given), **settings)
    mixed = FORMULAS[method](*(one.clone() for one in given), **settings)
    assert mixed.shape == shape and mixed.dtype is torch.float32
    np.testing.assert_allclose(mixed.numpy(), expected, rtol=2e-5, atol=2e-5 if method in {"rotate"} else 4e-6)


def test_every_method_that_is_offered_has_a_formula_and_is_tested() -> None:
    offered = {method.key for method in METHODS}
    assert offered - LOOKS_FIRST - NO_FORMULA == set(FORMULAS)
    assert set(FORMULAS) == set(SETTINGS) | BY_LOT


@pytest.mark.parametrize("method", sorted(SETTINGS))
def test_no_method_changes_what_it_was_given(method: str) -> None:
    given = tensors(inputs(method), (6, 10))
    before = [one.clone() for one in given]
    FORMULAS[method](*given, **SETTINGS[method][0])
    assert all(torch.equal(one, was) for one, was in zip(given, before, strict=True))


@pytest.mark.parametrize("method", [m.key for m in METHODS if m.pointwise and m.key not in NO_FORMULA])
def test_a_pointwise_method_mixes_any_slice_by_itself(method: str) -> None:
    given, settings = tensors(inputs(method), (40,)), SETTINGS[method][0]
    whole = FORMULAS[method](*given, **settings)
    parts = [FORMULAS[method](*(one[at : at + 7] for one in given), **settings) for at in range(0, 40, 7)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("unit_columns", [True, False])
@pytest.mark.parametrize("alpha", [-0.2, 0.0, 0.4])
def test_cosine_merges_measure_likeness_over_the_whole_model(unit_columns: bool, alpha: float) -> None:
    pairs = [tensors(2, shape, alike=0.5) for shape in SHAPES if shape]
    likeness = cosines.likeness_a if unit_columns else cosines.likeness_b
    scale = cosines.scale_of(likeness(a, b) for a, b in pairs)
    arrays = [tuple(one.double().numpy() for one in pair) for pair in pairs]
    expected = [references.cosine_likeness(a, b, unit_columns=unit_columns) for a, b in arrays]
    whole = references.cosine_scale(expected)
    assert (scale.low, scale.high) == pytest.approx(whole, abs=1e-5)
    for (a, b), (x, y), alike in zip(pairs, arrays, expected, strict=True):
        mixed = cosines.mixed_by(likeness(a, b), a, b, scale, alpha)
        np.testing.assert_allclose(mixed.numpy(), references.cosine(x, y, alike, whole, alpha), atol=2e-4)


class TestByLot:
    """DARE, DARE TIES and DELLA: the lots follow from the seed, and the average is what they promise."""

    base, tuned = torch.zeros(40, 500), torch.ones(40, 500)

    def drawn(self, method: str, seed: int = 1, **settings: Any) -> Tensor:
        settings = {"alpha": 1.0, "weights": (1.0,), "density": 0.3, **settings}
        generator = torch.Generator().manual_seed(seed)
        return FORMULAS[method](self.tuned, self.base, generator=generator, **settings)

    @pytest.mark.parametrize("method", ["dare", "dare_ties"])
    def test_what_stays_is_scaled_up_by_what_goes(self, method: str) -> None:
        mixed = self.drawn(method)
        assert sorted(set(mixed.flatten().tolist())) == pytest.approx([0.0, 1 / 0.3])
        assert float((mixed != 0).float().mean()) == pytest.approx(0.3, abs=0.01)

    def test_the_same_seed_draws_the_same_lots(self) -> None:
        assert torch.equal(self.drawn("dare"), self.drawn("dare"))
        assert not torch.equal(self.drawn("dare"), self.drawn("dare", seed=2))

    def test_all_or_nothing_needs_no_lots(self) -> None:
        for method in ("dare", "dare_ties"):
            assert torch.equal(self.drawn(method, density=1.0), self.tuned)
            assert torch.equal(self.drawn(method, density=0.0), self.base)

    def test_dare_adds_and_dare_ties_averages(self) -> None:
        two = {"alpha": 1.0, "weights": (1.0, 1.0), "density": 1.0, "generator": torch.Generator()}
        assert torch.equal(FORMULAS["dare"](self.tuned, self.tuned, self.base, **two), 2 * self.tuned)
        assert torch.equal(FORMULAS["dare_ties"](self.tuned, self.tuned, self.base, **two), self.tuned)

    def test_della_keeps_large_changes_more_often_and_keeps_the_mean(self) -> None:
        rows = torch.arange(1.0, 101.0).repeat(4000, 1)
        settings = {"alpha": 1.0, "weights": (1.0,), "density": 0.5, "epsilon": 0.4}
        mixed = FORMULAS["della"](rows, torch.zeros_like(rows), generator=torch.Generator().manual_seed(0), **settings)
        kept = (mixed != 0).float().mean(0)
        np.testing.assert_allclose(kept.numpy(), np.linspace(0.3, 0.7, 100), atol=0.04)
        np.testing.assert_allclose(mixed.mean(0).numpy() / rows[0].numpy(), 1.0, atol=0.1)


def test_half_a_turn_twice_is_a_whole_one() -> None:
    a, b = tensors(2, (20, 6))
    half = FORMULAS["rotate"](a, b, alpha=0.0, beta=0.5)
    assert not torch.allclose(half, a, atol=0.01)
    lengths = [(one - one.mean(0)).norm(dim=1) for one in (a, half)]
    torch.testing.assert_close(*lengths)  # a rotation changes no lengths
