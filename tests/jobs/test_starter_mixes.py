"""Two styles mixed block by block: what comes out lies visibly between them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core.block_presets import block_presets, block_weights
from pipelines.core.blocks import SD
from pipelines.core.model import ModelInfo
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.recipe import Mix
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.merging import merge
from pipelines.jobs.orders import Order
from pipelines.models.loading import Manner, load
from pipelines.models.reading import read_model
from pipelines.models.scan import ModelLibrary
from tests.generation.painting import paint

SEEN = 5.0
"""Levels of 255 that pictures differ by on average: nobody has to look for it."""


def painted(info: ModelInfo) -> np.ndarray:
    model = load(info, Manner(torch.device("cpu"), torch.float32))
    return paint(model, prompt="a red house on a hill under a night sky", steps=8, width=128, height=128, seed=5)[0]


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


@pytest.fixture(scope="module")
def styles() -> tuple[ModelInfo, ModelInfo]:
    library = ModelLibrary([STARTER_MODELS])
    return library.usable("flat"), library.usable("ink")


@pytest.fixture(scope="module")
def pictures(styles: tuple[ModelInfo, ModelInfo]) -> tuple[np.ndarray, np.ndarray]:
    return painted(styles[0]), painted(styles[1])


def mixed(styles: tuple[ModelInfo, ModelInfo], mix: Mix, target: Path) -> np.ndarray:
    for _ in merge(Order(mix, styles, target), NoBook()):
        pass
    return painted(read_model(target, target.stem))


def test_the_more_of_ink_the_nearer_to_it(
    styles: tuple[ModelInfo, ModelInfo], pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    flat, ink = pictures
    shares = (0.25, 0.5, 0.75)
    mixes = [mixed(styles, Mix(parameters={"alpha": share}), tmp_path / f"{share}.safetensors") for share in shares]
    row = [flat, *mixes, ink]
    assert all(apart(one, other) > SEEN for one, other in pairwise(row))
    from_flat, from_ink = [apart(one, flat) for one in row], [apart(one, ink) for one in row]
    assert from_flat == sorted(from_flat) and from_ink == sorted(from_ink, reverse=True)


@pytest.mark.parametrize(("curve", "like"), [("SMOOTHSTEP", "ink"), ("REVERSE-SMOOTHSTEP", "flat")])
def test_the_late_blocks_carry_the_style(
    curve: str, like: str, styles: tuple[ModelInfo, ModelInfo], pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """Half of the weights are the same in both curves; which half, the picture shows."""
    weights = block_weights(curve, SD, block_presets())
    made = mixed(styles, Mix(blocks={"alpha": weights}), tmp_path / "mix.safetensors")
    near, far = pictures if like == "flat" else reversed(pictures)
    assert SEEN < apart(made, near) < apart(made, far) / 2
