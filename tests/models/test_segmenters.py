"""Segmenters in a models folder: listed as what they are, with what is missing or wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.error import ModelUnusable
from pipelines.core.event import Worked
from pipelines.core.model import Kind, ModelInfo
from pipelines.core.presets import STARTER_MODELS
from pipelines.jobs.converting import Form, convert
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.models.verify import verify
from tests.models.folders import copy_of, cut, edit
from tests.models.segmenters import SIDE, write_clipseg


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Leave it as it is."""
    return write_clipseg(tmp_path_factory.mktemp("whole") / "finder", dtype=torch.float16)


@pytest.fixture
def mine(tmp_path: Path, whole: Path) -> Path:
    """A copy to spoil."""
    return copy_of(whole, tmp_path / "mine")


def listed(folder: Path) -> ModelInfo:
    """The only model at `folder`."""
    (info,) = ModelLibrary([folder.parent]).list()
    return info


def problem(folder: Path) -> str:
    info = listed(folder)
    assert (info.kind, info.name) == (Kind.SEGMENTER, folder.name) and info.problem is not None
    return f"{info.problem.problem}; {info.problem.fix}"


def test_its_folder_is_one_model_with_all_that_is_known_of_it(whole: Path) -> None:
    info = listed(whole)
    assert (info.name, info.kind, info.detail, info.family) == ("finder", "segmenter", "CLIPSeg", None)
    assert (info.dtype, info.native_size, info.problem) == ("fp16", SIDE, None)
    assert info.size == sum(file.stat().st_size for file in whole.iterdir())


def test_it_finds_and_does_not_paint(whole: Path) -> None:
    library = ModelLibrary([STARTER_MODELS, whole.parent])
    assert library.segmenter("FINDER").name == "finder"
    with pytest.raises(ModelUnusable, match=r"'finder' is no model to paint with \(segmenter\); choose a checkpoint"):
        library.usable("finder")
    with pytest.raises(ModelUnusable, match=r"'flat' finds nothing in pictures \(checkpoint\); choose a segmenter"):
        library.segmenter("flat")


def test_what_happens_to_its_files_is_noticed(mine: Path) -> None:
    library = ModelLibrary([mine.parent])
    assert library.find("mine").problem is None
    (mine / "tokenizer_config.json").unlink()
    library.rescan()
    assert library.find("mine").problem is not None


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (["model.safetensors"], "The model 'mine' lacks model.safetensors; copy the folder again"),
        (["preprocessor_config.json"], "The model 'mine' lacks preprocessor_config.json; copy the folder again"),
        (["tokenizer_config.json"], "The model 'mine' lacks tokenizer_config.json; copy the folder again"),
        (["tokenizer.json"], "The model 'mine' lacks tokenizer.json; copy the folder again"),
        (["config.json"], "The file of 'mine' lies without the rest of its folder; put config.json, preproc"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_missing_is_named(lost: list[str], said: str, mine: Path) -> None:
    for name in lost:
        (mine / name).unlink()
    assert said in problem(mine)


def test_a_pickle_in_place_of_the_weights_is_not_opened(mine: Path) -> None:
    (mine / "model.safetensors").rename(mine / "pytorch_model.bin")
    assert "lacks model.safetensors: its pytorch_model.bin is a pickle" in problem(mine)


def other_weights(folder: Path) -> None:
    save_file({"unet": torch.zeros(2)}, folder / "model.safetensors")


def test_weights_that_are_cut_or_of_another_model_are_told(mine: Path) -> None:
    other_weights(mine)
    assert "cannot be used: model.safetensors holds no CLIPSeg" in problem(mine)
    cut(mine / "model.safetensors")
    assert "cannot be used: model.safetensors ends early" in problem(mine)


def lacking(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["decoder.reduces.0.weight"]
    save_file(tensors, folder / "model.safetensors")


def narrower(config: dict[str, Any]) -> None:
    config["reduce_dim"] = 8


def worded(config: dict[str, Any]) -> None:
    config["text_config"]["hidden_size"] = "wide"


def unreadable(settings: dict[str, Any]) -> None:
    settings["resample"] = "by hand"
    settings["size"] = [1, 2, 3]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lacking, "its network lacks 1 tensors, decoder.reduces.0.weight the first of them"),
        (lambda at: edit(at / "config.json", narrower), "its network has decoder."),
        (lambda at: edit(at / "config.json", worded), "its network does not fit its config"),
        (lambda at: edit(at / "preprocessor_config.json", unreadable), "its network does not fit its config"),
    ],
)
def test_what_only_loading_shows_is_told_as_well(spoil: Callable[[Path], None], said: str, mine: Path) -> None:
    spoil(mine)
    with pytest.raises(ModelUnusable, match="cannot be loaded") as refused:
        Residency("cpu").lend_segmenter(read_model(mine, "mine"))
    assert said in str(refused.value)


def test_code_that_a_folder_brings_along_is_never_run(mine: Path) -> None:
    mark = mine / "was run"
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    (mine / "trap.py").write_text(code)
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        edit(mine / name, lambda said: said.update(auto_map={"AutoModel": "trap.Trap", "AutoProcessor": "trap.Trap"}))
    Residency("cpu").lend_segmenter(read_model(mine, "mine"))
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"model_type": ["clipseg"]}', '{"model_type": "bert"}', "x" * 2_000_000]
)
def test_other_configs_make_no_segmenter(content: str, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "config.json").write_text(content)
    assert ModelLibrary([tmp_path]).list() == []


def test_it_can_be_verified_and_has_no_other_form(whole: Path, mine: Path, tmp_path: Path) -> None:
    assert any(isinstance(event, Worked) for event in verify(listed(whole)))
    with pytest.raises(ModelUnusable, match="has only one form"):
        list(convert(listed(mine), Form(), tmp_path / "new.safetensors"))
    tensors = load_file(mine / "model.safetensors")
    tensors["clip.logit_scale"] = torch.tensor(float("nan"))
    save_file(tensors, mine / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"clip.logit_scale"):
        list(verify(listed(mine)))


def test_the_folder_of_an_older_release_spells_its_words_in_two_files(mine: Path) -> None:
    spelled = json.loads((mine / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (mine / "tokenizer.json").unlink()
    (mine / "vocab.json").write_text(json.dumps(spelled["vocab"]), encoding="utf-8")
    assert "lacks merges.txt" in problem(mine)
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in spelled["merges"])])
    (mine / "merges.txt").write_text(merges, encoding="utf-8")
    words = Residency("cpu").lend_segmenter(listed(mine)).find
    assert words is not None
