"""Who is in memory: the models used last, as many as there is room for."""

import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.error import InvalidRequest, ModelUnusable
from pipelines.core.model import ModelInfo
from pipelines.core.request import Precision
from pipelines.models.devices import resolve_device
from pipelines.models.reading import read_model
from pipelines.models.recall import Recall
from pipelines.models.residency import Residency
from tests.models.folders import copy_of, cut


@pytest.fixture
def two(tmp_path: Path, starter_folder: Path) -> tuple[ModelInfo, ModelInfo]:
    return read_model(starter_folder, "flat"), read_model(copy_of(starter_folder, tmp_path / "other"), "other")


def stored(info: ModelInfo) -> list[torch.Tensor]:
    """All weights of a folder, as they are stored."""
    return [weight for file in Path(info.path).rglob("*.safetensors") for weight in load_file(file).values()]


def test_the_same_model_is_lent_again_at_once(two: tuple[ModelInfo, ModelInfo]) -> None:
    residency = Residency("cpu")
    assert not residency.is_lent(two[0])
    model = residency.lend(two[0])
    assert residency.lend(two[0]) is model
    assert residency.lend(two[0], Precision.FP32) is model  # what auto means on a CPU
    assert residency.loaded == ("flat",) and residency.is_lent(two[0])


def test_models_stay_while_there_is_room(two: tuple[ModelInfo, ModelInfo]) -> None:
    residency = Residency("cpu")
    first = residency.lend(two[0])
    second = residency.lend(two[1])
    assert residency.loaded == ("other", "flat")
    assert residency.lend(two[0]) is first and residency.lend(two[1]) is second


def test_the_model_used_longest_ago_makes_room(two: tuple[ModelInfo, ModelInfo]) -> None:
    size = sum(weights.nbytes for weights in stored(two[0]))
    residency = Residency("cpu", limit=int(1.5 * size))
    first = weakref.ref(residency.lend(two[0]).unet)
    second = weakref.ref(residency.lend(two[1]).unet)
    assert first() is None and second() is not None
    assert residency.loaded == ("other",)


def test_a_job_that_needs_much_frees_the_others_but_not_its_own_model(two: tuple[ModelInfo, ModelInfo]) -> None:
    size = sum(weights.nbytes for weights in stored(two[0]))
    residency = Residency("cpu", limit=3 * size)
    residency.lend(two[0])
    kept = residency.lend(two[1])
    assert residency.lend(two[1], work=2 * size) is kept
    assert residency.loaded == ("other",)


def test_another_format_takes_the_place_of_the_same_model(two: tuple[ModelInfo, ModelInfo]) -> None:
    residency = Residency("cpu")
    second = weakref.ref(residency.lend(two[1]).unet)
    assert residency.lend(two[1], Precision.BF16).dtype == torch.bfloat16
    assert second() is None


def test_one_model_or_all_can_be_freed(two: tuple[ModelInfo, ModelInfo]) -> None:
    residency = Residency("cpu")
    networks = [weakref.ref(residency.lend(info).unet) for info in two]
    residency.free("flat")
    assert [network() is None for network in networks] == [True, False]
    residency.free()
    assert [network() is None for network in networks] == [True, True]


def test_switching_models_leaks_nothing(two: tuple[ModelInfo, ModelInfo]) -> None:
    size = sum(weights.nbytes for weights in stored(two[0]))
    residency = Residency("cpu", limit=int(1.5 * size))
    gone = [weakref.ref(residency.lend(two[turn % 2]).unet) for turn in range(4)]
    assert [network() is None for network in gone] == [True] * 3 + [False]


def test_weights_overwritten_by_others_of_the_same_size_are_loaded(two: tuple[ModelInfo, ModelInfo]) -> None:
    residency, info = Residency("cpu"), two[1]
    model = residency.lend(info)
    file = Path(info.path) / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["conv_in.bias"] += 1
    save_file(tensors, file, metadata={"format": "pt"})
    assert read_model(Path(info.path), "other") == info
    assert not residency.is_lent(info)
    assert torch.allclose(residency.lend(info).unet.conv_in.bias, model.unet.conv_in.bias + 1, atol=1e-2)
    assert residency.is_lent(info)


def test_a_model_that_fails_to_load_leaves_the_others_as_they_are(two: tuple[ModelInfo, ModelInfo]) -> None:
    residency = Residency("cpu")
    residency.lend(two[0])
    cut(Path(two[1].path) / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ModelUnusable):
        residency.lend(two[1])
    assert residency.loaded == ("flat",)
    assert residency.is_lent(two[0])


def test_the_device_says_how_full_it_is(two: tuple[ModelInfo, ModelInfo]) -> None:
    residency = Residency("cpu")
    residency.lend(two[0])
    status = residency.device_status()
    assert status.label.startswith("CPU") and 0 < status.used < status.total
    assert status.models == ("flat",) and status.problem is None


def test_auto_is_a_device_of_this_machine() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert resolve_device("auto").type == expected


@pytest.mark.parametrize("wanted", ["cuda:99", "gpu", "cuda:x", "", "cpu:0:1", "cuda:-1"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(wanted: str) -> None:
    with pytest.raises(InvalidRequest, match=r"There is no device .* here; use auto, cpu"):
        resolve_device(wanted)


def test_what_is_remembered_stays_within_its_bound() -> None:
    recall = Recall(most_bytes=4 * 100)
    made = []

    def make() -> tuple[torch.Tensor]:
        made.append(1)
        return (torch.zeros(40),)

    for key in ("a", "b", "a", "c", "a", "b"):
        recall.get(key, make)
    assert len(made) == 4  # b went when c came, since a had been asked for again
    assert recall.nbytes <= 400


def test_a_single_thing_larger_than_the_bound_is_still_remembered() -> None:
    recall = Recall(most_bytes=10)
    assert recall.get("a", lambda: (torch.zeros(40),)) is recall.get("a", lambda: (torch.ones(40),))
