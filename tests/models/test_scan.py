"""Which models there are, and what is wrong with those that cannot be used."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from pipelines.core.error import ModelUnusable, UnknownName
from pipelines.core.model import Kind, Task
from pipelines.core.presets import STARTER_MODELS
from pipelines.models.reading import read_model
from pipelines.models.scan import ModelLibrary
from tests.models.folders import copy_of, cut, edit


def test_the_starter_model_is_known_without_loading_it(starter_folder: Path) -> None:
    info = ModelLibrary([STARTER_MODELS]).usable("flat")
    assert (info.kind, info.family, info.dtype, info.prediction) == ("checkpoint", "SD 1.x", "fp16", "v_prediction")
    assert info.starter and info.problem is None
    assert info.path == str(starter_folder)
    assert info.native_size % 64 == 0 and info.size > 1_000_000


def test_listing_models_loads_no_torch() -> None:
    code = (
        "import sys; from pipelines.models.scan import ModelLibrary; from pipelines.core.presets import STARTER_MODELS;"
        "assert ModelLibrary([STARTER_MODELS]).list(); assert not {'torch', 'numpy', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_models_lie_up_to_eight_folders_deep(tmp_path: Path, starter_folder: Path) -> None:
    copy_of(starter_folder, tmp_path / "near")
    copy_of(starter_folder, tmp_path / "a" / "b" / "far")
    copy_of(starter_folder, tmp_path.joinpath(*"abcdefghi", "too far"))
    assert [m.name for m in ModelLibrary([tmp_path]).list()] == ["far", "near"]


def test_every_model_has_a_name_of_its_own(tmp_path: Path, starter_folder: Path) -> None:
    for place in ("one/same", "two/same", "same"):
        copy_of(starter_folder, tmp_path / place)
    names = [m.name for m in ModelLibrary([tmp_path]).list()]
    assert len(set(names)) == 3 and {"same"} < set(names)


def test_a_folder_given_twice_or_linked_is_listed_once(tmp_path: Path, starter_folder: Path) -> None:
    copy_of(starter_folder, tmp_path / "mine")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(ModelLibrary([tmp_path, tmp_path]).list()) == 1


def test_a_folder_that_is_not_there_holds_no_models(tmp_path: Path) -> None:
    assert ModelLibrary([tmp_path / "nowhere"]).list() == []


def test_models_added_later_appear_on_a_rescan(tmp_path: Path, starter_folder: Path) -> None:
    library = ModelLibrary([tmp_path])
    assert library.list() == []
    copy_of(starter_folder, tmp_path / "new")
    library.rescan()
    assert library.find("new").name == "new"


def test_a_name_spelled_otherwise_is_found_and_a_wrong_one_gets_the_nearest(starter_folder: Path) -> None:
    library = ModelLibrary([starter_folder.parent])
    assert library.find("FLAT").name == "flat"
    with pytest.raises(UnknownName, match=r"no model named 'flatt'; use 'flat'") as refused:
        library.find("flatt")
    assert refused.value.as_problem.field == "model"


def test_a_name_that_is_a_path_leads_nowhere(starter_folder: Path) -> None:
    library = ModelLibrary([starter_folder.parent])
    for name in (str(starter_folder), "/etc/passwd", "flat/../flat", ""):
        with pytest.raises(UnknownName):
            library.find(name)


def test_a_part_that_may_not_be_entered_is_a_problem_and_the_other_models_are_listed(
    tmp_path: Path, starter_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_of(starter_folder, tmp_path / "good")
    closed = copy_of(starter_folder, tmp_path / "mine") / "unet"
    look = os.stat

    def forbidden(path: Any, **options: Any) -> os.stat_result:  # as for a user who is not root
        if isinstance(path, Path | str) and closed in Path(path).parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, **options)

    monkeypatch.setattr(os, "stat", forbidden)
    good, mine = ModelLibrary([tmp_path]).list()
    assert good.problem is None and 0 < mine.size < good.size
    assert mine.problem is not None
    assert mine.problem.problem == "The model 'mine' cannot be read (unet/config.json: Permission denied)"


def test_a_folder_whose_name_is_not_text_is_listed_with_a_problem(tmp_path: Path, starter_folder: Path) -> None:
    copy_of(starter_folder, tmp_path / "good")
    odd = tmp_path / os.fsdecode(b"m\xe4rchen")
    try:
        copy_of(starter_folder, odd)
    except OSError:
        pytest.skip("this file system keeps only names that are text")
    good, other = ModelLibrary([tmp_path]).list()
    assert good.problem is None
    assert other.name == "m?rchen"
    assert other.model_dump_json()
    assert other.problem is not None
    assert other.problem.fix == "rename the folder"


def test_half_a_character_in_a_config_is_a_problem(tmp_path: Path, starter_folder: Path) -> None:
    folder = copy_of(starter_folder, tmp_path / "mine")
    edit(folder / "model_index.json", lambda index: index.update(_class_name="\ud800"))
    (info,) = ModelLibrary([tmp_path]).list()
    assert info.problem is not None and "cannot run yet (?)" in info.problem.problem


FILES = {p.relative_to(STARTER_MODELS / "flat").as_posix() for p in (STARTER_MODELS / "flat").rglob("*.*")}
TWICE = {f"tokenizer/{name}" for name in ("tokenizer.json", "vocab.json", "merges.txt")}
"""A tokenizer may be kept in its new form, its old one, or both, as the starter's is."""


@pytest.mark.parametrize("file", sorted(FILES - TWICE))
def test_every_file_of_the_folder_is_missed_by_its_name(file: str, tmp_path: Path, starter_folder: Path) -> None:
    folder = copy_of(starter_folder, tmp_path / "mine")
    (folder / file).unlink()
    info = read_model(folder, "mine")
    assert info.problem is not None
    assert info.problem.problem == f"The model 'mine' lacks {file}"


@pytest.mark.parametrize("file", sorted(TWICE))
def test_a_tokenizer_that_is_kept_twice_may_lose_one_form(file: str, tmp_path: Path, starter_folder: Path) -> None:
    folder = copy_of(starter_folder, tmp_path / "mine")
    (folder / file).unlink()
    assert read_model(folder, "mine").problem is None
    whole, rest = (CLIPTokenizer.from_pretrained(f / "tokenizer") for f in (starter_folder, folder))
    assert rest("a red house, zebra").input_ids == whole("a red house, zebra").input_ids


def without(*files: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return spoil


def not_json(file: str) -> Callable[[Path], None]:
    return lambda folder: cut(folder / file)


def named(part: str, kind: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "model_index.json", lambda index: index.update({part: ["evil", kind]}))


def scheduled(**change: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "scheduler/scheduler_config.json", lambda config: config.update(change))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            without("unet/diffusion_pytorch_model.safetensors"),
            r"'mine' lacks unet/diffusion_pytorch_model.safetensors; copy the folder again",
        ),
        (without("vae/config.json"), r"lacks vae/config.json; copy"),
        (without("text_encoder/model.safetensors"), r"lacks text_encoder/model.safetensors; copy"),
        (without("scheduler/scheduler_config.json"), r"lacks scheduler/scheduler_config.json; copy"),
        (without(*TWICE), r"lacks tokenizer/tokenizer.json; copy"),
        (not_json("unet/config.json"), r"unet/config.json is not JSON; copy"),
        (not_json("model_index.json"), r"model_index.json is not JSON; copy"),
        (
            lambda folder: cut(folder / "unet/diffusion_pytorch_model.safetensors"),
            r"unet/diffusion_pytorch_model.safetensors ends early: [\d.]+ of [\d.]+ MB; copy",
        ),
        (lambda folder: cut(folder / "vae/diffusion_pytorch_model.safetensors", 0), r"ends early: it has 0 bytes"),
        (named("unet", "EvilUNet"), r"names an unknown unet \(EvilUNet\); in model_index.json use UNet2DCondition"),
        (named("tokenizer", "EvilTokenizer"), r"names an unknown tokenizer"),
        (named("_class_name", "x"), r"is of a kind that cannot run yet"),
        (scheduled(prediction_type="sample"), r"predicts 'sample'.*set prediction_type .* epsilon or v_prediction"),
    ],
)
def test_a_spoiled_model_is_listed_with_what_to_do(
    spoil: Callable[[Path], None], message: str, tmp_path: Path, starter_folder: Path
) -> None:
    spoil(copy_of(starter_folder, tmp_path / "mine"))
    library = ModelLibrary([tmp_path])
    (info,) = library.list()
    assert info.problem is not None
    with pytest.raises(ModelUnusable, match=message):
        library.usable("mine")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("text_encoder/config.json", {"hidden_size": 768}, r"mixes two families: its UNet reads 96 .* writes 768"),
        ("vae/config.json", {"block_out_channels": [16, 32]}, r"VAE does not reduce pictures eightfold"),
        ("scheduler/scheduler_config.json", {"beta_start": "much"}, r"beta_start .* is 'much', no number"),
        ("unet/config.json", {"sample_size": {"odd": 1}}, ""),
    ],
)
def test_parts_that_do_not_go_together_are_found_before_loading(
    file: str, change: dict[str, object], message: str, tmp_path: Path, starter_folder: Path
) -> None:
    folder = copy_of(starter_folder, tmp_path / "mine")
    edit(folder / file, lambda config: config.update(change))
    (info,) = ModelLibrary([tmp_path]).list()
    if message:
        with pytest.raises(ModelUnusable, match=message):
            ModelLibrary([tmp_path]).usable("mine")
    else:
        assert info.problem is None and info.native_size == 512


@pytest.mark.parametrize("length", [0x180, 0x0280, 0x0480, 0x20880])
def test_a_header_whose_length_begins_like_a_pickle_is_a_header(length: int, tmp_path: Path) -> None:
    file, key = tmp_path / "m.safetensors", "lora_unet_mid_block_attentions_0_proj_in"
    pair = {f"{key}.lora_down.weight": torch.ones(1, 8), f"{key}.lora_up.weight": torch.ones(8, 1)}
    save_file(pair, file, {"note": ""})
    bare = int.from_bytes(file.read_bytes()[:8], "little")
    save_file(pair, file, {"note": "x" * (length - bare)})
    assert file.read_bytes()[:2] == length.to_bytes(8, "little")[:2] and file.read_bytes()[0] == 0x80
    [info] = ModelLibrary([tmp_path]).list()
    assert (info.kind, info.problem) == (Kind.LORA, None)


def test_weights_as_pickles_only_are_not_opened(tmp_path: Path, starter_folder: Path) -> None:
    folder = copy_of(starter_folder, tmp_path / "mine")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelUnusable, match=r"lacks unet/diffusion_pytorch_model.safetensors"):
        ModelLibrary([tmp_path]).usable("mine")


def test_an_inpainting_model_says_that_it_is_one(tmp_path: Path, starter_folder: Path) -> None:
    folder = copy_of(starter_folder, tmp_path / "mine")
    edit(folder / "unet/config.json", lambda config: config.update(in_channels=9))
    assert ModelLibrary([tmp_path]).usable("mine").task is Task.INPAINTING


def test_a_model_that_wants_a_picture_as_well_says_so(tmp_path: Path, starter_folder: Path) -> None:
    folder = copy_of(starter_folder, tmp_path / "mine")
    edit(folder / "unet/config.json", lambda config: config.update(in_channels=8))
    with pytest.raises(ModelUnusable, match=r"its UNet takes 8 channels; use one that takes 4 or 9"):
        ModelLibrary([tmp_path]).usable("mine")


@pytest.mark.parametrize("text", ["x = 2024-01-01", "x = " + "[" * 5000, "[", "easel = 1", ""])
def test_a_document_that_is_no_recipe_costs_no_other_model(text: str, tmp_path: Path, starter_folder: Path) -> None:
    copy_of(starter_folder, tmp_path / "good")
    (tmp_path / "odd.recipe.toml").write_text(text)
    found = {info.name: info.problem for info in ModelLibrary([tmp_path]).list()}
    assert found["good"] is None
    problem = found["odd"]
    assert problem is not None and "cannot be read" in problem.problem
