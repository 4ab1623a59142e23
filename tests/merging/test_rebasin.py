"""Re-basin tries only orders that change nothing, and finds the one that was hidden."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.model import Family
from pipelines.core.recipe import Mix
from pipelines.merging.merge import Merge
from pipelines.merging.plan import plan
from pipelines.merging.rebasin import moves_of, units_of
from pipelines.merging.sources import opened
from pipelines.models.loading import Manner, load
from pipelines.models.reading import read_model
from pipelines.models.rounding import Rounding
from tests.generation.painting import difference, paint
from tests.models.synthetic import networks, write_single

FAMILIES = [Family.SD1, Family.SDXL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def original(folder: Path, family: Family) -> Path:
    file = folder / f"{family.name}.safetensors"
    return file if file.exists() else write_single(file, networks(family, small=True))


def shuffled(folder: Path, family: Family) -> Path:
    """The same model, its neurons in another order: blocks among blocks, and each inside itself."""
    file = folder / f"{family.name}-shuffled.safetensors"
    if file.exists():
        return file
    chance = np.random.default_rng(0)
    tensors: dict[str, Tensor] = load_file(original(folder, family))
    with opened(read_model(original(folder, family), "a")) as source:
        units = list(units_of(source))
    for unit in units:
        size = len(unit.tracks[0][0].rows(tensors[unit.tracks[0][0].name])[0]) // unit.blocks
        outer = chance.permutation(unit.blocks)
        orders = [np.concatenate([block * size + chance.permutation(size) for block in outer]) for _ in unit.tracks]
        for name, member, order in moves_of(unit, orders):
            tensors[name] = member.put(tensors[name], order)
    assert len(units) > 60
    save_file({name: t.contiguous() for name, t in tensors.items()}, file)
    return file


def mixed(files: list[Path], alpha: float, method: str) -> Mapping[str, Tensor]:
    with ExitStack() as stack:
        sources = [stack.enter_context(opened(read_model(file, file.stem))) for file in files]
        mix = Mix(method=method, parameters={"alpha": alpha}, vae="B")
        merge = Merge(mix, plan(mix, sources), Rounding(None))
        looked = sum(merge.look())
        assert looked == merge.bytes_to_look_at
        return {step.name: merge.tensor(step) for step in merge.plan.steps}


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_the_orders_that_are_tried_change_no_picture(family: Family, folder: Path) -> None:
    manner = Manner(torch.device("cpu"), torch.float32)
    pictures = [paint(load(read_model(make(folder, family), "m"), manner))[0] for make in (original, shuffled)]
    assert difference(*pictures) <= 1
    a, b = load_file(original(folder, family)), load_file(shuffled(folder, family))
    moved = sum(not torch.equal(a[name], b[name]) for name in a)
    assert moved > 150, "nothing was shuffled"


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_the_order_that_was_hidden_is_found(family: Family, folder: Path) -> None:
    files = [original(folder, family), shuffled(folder, family)]
    a = load_file(files[0])
    half = mixed(files, 0.5, "rebasin")
    for name in a:
        torch.testing.assert_close(half[name], a[name], rtol=1e-5, atol=1e-6, msg=name)
    plain = mixed(files, 0.5, "weighted_sum")
    assert any(not torch.allclose(plain[name], a[name], atol=1e-3) for name in a if a[name].is_floating_point())


def test_all_of_b_is_still_b(folder: Path, tmp_path: Path) -> None:
    """Whatever A is: with alpha 1 the result paints as B."""
    other = write_single(tmp_path / "other.safetensors", networks(Family.SD1, small=True, seed=4))
    made = mixed([original(folder, Family.SD1), other], 1.0, "rebasin")
    save_file({name: t.contiguous() for name, t in made.items()}, tmp_path / "made.safetensors")
    manner = Manner(torch.device("cpu"), torch.float32)
    pictures = [paint(load(read_model(file, "m"), manner))[0] for file in (other, tmp_path / "made.safetensors")]
    assert difference(*pictures) <= 1
