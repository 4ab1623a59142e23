"""Wear leaves a view what it was; ruin does not."""

import numpy as np
import pytest

from pipelines.training.checkers.damage import RUINS, Ruin, recoloured, worn
from pipelines.training.checkers.judge import VIEW, view
from pipelines.training.world.draw import draw
from pipelines.training.world.scene import Colour, Ground, Kind, Scene, Sky, Subject


@pytest.fixture(scope="module")
def castle() -> np.ndarray:
    drawing = draw(Scene((Subject(Kind.CASTLE, Colour.RED),), Sky.DAY, Ground.MEADOW), 1, width=192, height=192)
    return view(drawing.image, drawing.boxes[0])


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over pixels and channels, 0-255."""
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("seed", range(6))
def test_a_worn_view_is_near_to_the_view(castle: np.ndarray, seed: int) -> None:
    seen = worn(castle, np.random.default_rng(seed))
    assert seen.shape == (VIEW, VIEW, 3)
    assert seen.dtype == np.uint8
    assert 1 < difference(seen, castle) < 30


@pytest.mark.parametrize("ruin", RUINS)
@pytest.mark.parametrize("seed", range(4))
def test_a_ruin_differs_from_the_view_and_invents_hardly_any_colour(castle: np.ndarray, ruin: Ruin, seed: int) -> None:
    seen = ruin(castle, np.random.default_rng(seed))
    assert seen.shape == (VIEW, VIEW, 3)
    assert difference(seen, castle) > 12
    known = castle.reshape(-1, 3)[::7].astype(int)
    nearest = np.abs(seen.reshape(-1, 1, 3)[::7] - known).sum(-1).min(-1)
    assert np.median(nearest) < 30


def test_recolouring_changes_colours_and_no_shape(castle: np.ndarray) -> None:
    seen = [recoloured(castle, np.random.default_rng(seed)) for seed in range(12)]
    assert any(difference(view, castle) > 5 for view in seen)
    assert any(difference(view, castle) == 0 for view in seen)
    assert all(difference(view.sum(-1), castle.sum(-1)) == 0 for view in seen)


def test_the_same_chance_does_the_same_damage(castle: np.ndarray) -> None:
    for damage in (worn, recoloured, *RUINS):
        once, again = (damage(castle, np.random.default_rng(3)) for _ in range(2))
        assert np.array_equal(once, again)
