"""`app.py merge`, as it is typed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines.core.block_presets import BlockPreset
from pipelines.core.blocks import SD
from pipelines.core.model import Family
from pipelines.core.recipe import METADATA_KEY
from pipelines.models.headers import read_header
from pipelines.storage.folder import DataFolder
from pipelines.storage.presets import PresetStore
from tests.cli.running import Easel, assert_complains
from tests.models.synthetic import networks, write_single

NAME = "model.diffusion_model.middle_block.1.proj_in.weight"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Paths of three small SD 1.x."""
    folder = tmp_path_factory.mktemp("models")
    made = [networks(Family.SD1, small=True, seed=seed) for seed in range(3)]
    return [str(write_single(folder / f"{n}.safetensors", one)) for n, one in zip("abc", made, strict=True)]


def test_a_merge_is_typed_and_its_recipe_repeats_it(
    easel: Easel, inside: Easel, files: list[str], tmp_path: Path
) -> None:
    first, again = tmp_path / "mix.safetensors", tmp_path / "again.safetensors"
    done = easel("merge", *files[:2], "--blocks", "GRAD_V", "--vae", "B", "--dtype", "fp16", "-o", str(first))
    assert (done.returncode, done.stdout) == (0, f"{first}\n")
    a, b, mixed = (load_file(file) for file in (*files[:2], first))
    torch.testing.assert_close(mixed[NAME], a[NAME].half())  # M00 is where GRAD_V is 0
    vae = "first_stage_model.decoder.conv_in.weight"
    assert torch.equal(mixed[vae], b[vae].half())
    done = inside("merge", "--recipe", str(first), *files[:2], "-o", str(again), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["file"] == str(again)
    assert again.read_bytes() == first.read_bytes()


def test_block_weights_of_ones_own_are_found_by_name(inside: Easel, files: list[str], tmp_path: Path) -> None:
    kept = PresetStore(DataFolder(tmp_path / "data").block_presets, BlockPreset, ())
    kept.save(BlockPreset(name="Only the middle", sd=tuple(float(name == "M00") for name in SD.names)))
    mix = tmp_path / "mix.safetensors"
    assert inside("merge", *files[:2], "--blocks", "only the middle", "-o", str(mix)).returncode == 0
    a, b, mixed = (load_file(file) for file in (*files[:2], mix))
    changed = {name for name in a if not torch.equal(mixed[name], a[name])}
    assert changed and all(".middle_block." in name and torch.equal(mixed[name], b[name]) for name in changed)


def test_a_recipe_finds_its_models_by_their_hashes(inside: Easel, files: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "renamed"
    folder.mkdir()
    for number, file in enumerate(files[:2]):
        (folder / f"another name {number}.safetensors").write_bytes(Path(file).read_bytes())
    mix, again = tmp_path / "mix.safetensors", tmp_path / "again.safetensors"
    assert inside("merge", *files[:2], "-o", str(mix)).returncode == 0
    done = inside("merge", "--recipe", str(mix), "-o", str(again), "--models", str(folder))
    assert done.returncode == 0 and again.read_bytes() == mix.read_bytes()
    again.unlink()
    done = inside("merge", "--recipe", str(mix), "-o", str(again))
    assert_complains(done, "The recipe wants 'a' (sha256 ", "put it into a models folder")


def test_a_recipe_may_be_written_by_hand(inside: Easel, files: list[str], tmp_path: Path) -> None:
    mix = tmp_path / "mix.safetensors"
    assert inside("merge", *files[:2], "--alpha", "0.25", "-o", str(mix)).returncode == 0
    header = mix.read_bytes()
    begin = header.index(b'"easel_recipe":') + len(b'"easel_recipe":')
    recipe = json.loads(json.JSONDecoder().raw_decode(header[begin : begin + 20_000].decode("latin-1"))[0])
    lines = [f"easel = {json.dumps(recipe['easel'])}"]
    lines += ["[mix.parameters]", "alpha = 0.25"]
    for one in recipe["models"]:
        lines += ["[[models]]", *(f"{key} = {json.dumps(value)}" for key, value in one.items())]
    document = tmp_path / "recipe.toml"
    document.write_text("\n".join(lines))
    again = tmp_path / "again.safetensors"
    done = inside("merge", "--recipe", str(document), *files[:2], "-o", str(again))
    assert done.returncode == 0 and again.read_bytes() == mix.read_bytes()


def test_the_base_is_an_option_or_the_last_model(inside: Easel, files: list[str], tmp_path: Path) -> None:
    made = [tmp_path / f"{n}.safetensors" for n in range(2)]
    settings = ["--method", "ties", "--set", "weights=0.7,0.5", "--set", "density=0.6", "-o"]
    assert inside("merge", *files, *settings, str(made[0])).returncode == 0
    assert inside("merge", *files[:2], "--base", files[2], *settings, str(made[1])).returncode == 0
    assert made[0].read_bytes() == made[1].read_bytes()


def test_a_dry_run_tells_and_writes_nothing(inside: Easel, files: list[str], tmp_path: Path) -> None:
    done = inside("merge", *files[:2], "--dry-run", "--dtype", "bf16")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert [model["name"] for model in report["models"]] == ["a", "b"]
    assert report["output"]["dtype"] == "bf16" and report["tensors"]["mixed"] > 700
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "There is nothing to mix"),
        (["A"], "Weighted sum mixes 2 models, and 1 is given"),
        (["A", "B", "--method", "weighted_some"], "use 'Weighted sum'"),
        (["A", "B", "--alpha", "nan"], "alpha"),
        (["A", "B", "--alpha", "half"], "alpha 'half' is no number"),
        (["A", "B", "--blocks", "GRADV"], "use 'GRAD_V'"),
        (["A", "B", "--blocks", "0.1,0.2"], "There are 2 block weights, and 26 blocks"),
        (["A", "B", "--elemental", "IN99::1"], "names a block 'IN99'"),
        (["A", "B", "--set", "alpha"], "write --set name=value"),
        (["A", "B", "--set", "density=0.5"], "no setting of Weighted sum named 'density'"),
        (["A", "B", "--base", "C"], "Weighted sum has no base"),
        (["A", "nobody"], "no model named 'nobody'"),
        (["A", "flat"], "has"),
        (["A", "B", "--dtype", "fp12"], "dtype"),
        (["A", "B", "--recipe", "x.json"], "no model named 'x.json'"),
        (["--recipe", "A"], "a.safetensors carries no recipe"),
        (["--recipe", "A", "--alpha", "1"], "A recipe says --alpha itself"),
    ],
)
def test_what_cannot_work_is_one_line(
    words: list[str], complaint: str, inside: Easel, files: list[str], tmp_path: Path
) -> None:
    named = dict(zip("ABC", files, strict=True))
    target = tmp_path / "mix.safetensors"
    done = inside("merge", *(named.get(word, word) for word in words), "-o", str(target))
    assert_complains(done, complaint)
    assert not target.exists()


def test_a_recipe_is_mixed_before_it_goes_into_another_mix(inside: Easel, files: list[str], tmp_path: Path) -> None:
    mix, target = tmp_path / "mix.safetensors", tmp_path / "out.safetensors"
    assert inside("merge", *files[:2], "-o", str(mix)).returncode == 0
    (folder := tmp_path / "models").mkdir()
    (folder / "later.recipe.json").write_text(read_header(mix).metadata[METADATA_KEY], encoding="utf-8")
    for file in files[:2]:
        (folder / Path(file).name).symlink_to(file)
    done = inside("merge", "later", files[2], "--models", str(folder), "-o", str(target))
    assert_complains(done, "'later' is a recipe, and no file yet", "mix it into one first")
    assert not target.exists()


def test_the_result_is_not_written_nowhere_or_over_another(inside: Easel, files: list[str], tmp_path: Path) -> None:
    assert_complains(inside("merge", *files[:2]), "give a file with -o")
    assert_complains(inside("merge", *files[:2], "-o", files[0], "--overwrite"), "is one of the models")
    assert_complains(inside("merge", *files[:2], "-o", files[2]), "There is already a c.safetensors")
