"""`app.py lora` and `generate --lora`, as they are typed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pipelines.core.model import Family
from tests.cli.running import Easel, assert_complains
from tests.models.synthetic import networks, write_single

KEY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
WEIGHT = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SD 1.x, the same with more in it, and two LoRAs."""
    made = tmp_path_factory.mktemp("models")
    write_single(made / "base.safetensors", networks(Family.SD1, small=True))
    tensors = load_file(made / "base.safetensors")
    tensors[WEIGHT] = tensors[WEIGHT] + 0.5
    save_file(tensors, made / "tuned.safetensors")
    for name, amount in (("one", 1.0), ("two", 2.0)):
        pair = {f"{KEY}.lora_up.weight": torch.full((64, 2), amount), f"{KEY}.lora_down.weight": torch.ones(2, 64)}
        save_file(pair, made / f"{name}.safetensors", {"ss_base_model_version": "sd_v1"})
    return made


def test_loras_are_baked_with_strengths_and_block_weights(inside: Easel, folder: Path, tmp_path: Path) -> None:
    target, blocks = tmp_path / "baked.safetensors", ",".join("0.5" if n == 1 else "0" for n in range(17))
    specs = [f"{folder / 'one.safetensors'}:0.5", f"{folder / 'two.safetensors'}:1:0@{blocks}"]
    done = inside("lora", "bake", str(folder / "base.safetensors"), *specs, "-o", str(target))
    assert (done.returncode, done.stdout) == (0, f"{target}\n")
    base, baked = load_file(folder / "base.safetensors"), load_file(target)
    torch.testing.assert_close(baked[WEIGHT], base[WEIGHT] + 0.5 * 2 + 0.5 * 4)
    others = [name for name in base if name != WEIGHT]
    assert all(torch.equal(base[name], baked[name]) for name in others)
    again = tmp_path / "again.safetensors"
    done = inside("merge", "--recipe", str(target), "--models", str(folder), "-o", str(again))
    assert done.returncode == 0 and again.read_bytes() == target.read_bytes()


def test_a_lora_tells_how_it_fits(inside: Easel, folder: Path) -> None:
    done = inside(
        "lora", "show", str(folder / "one.safetensors"), "--model", str(folder / "base.safetensors"), "--json"
    )
    report = json.loads(done.stdout)
    assert report["matched"] == {"unet": 1, "text": 0} and report["unmatched"] == [] and report["ranks"] == [2]
    assert report["effect"] > 0
    done = inside("lora", "bake", str(folder / "base.safetensors"), str(folder / "one.safetensors"), "--dry-run")
    assert json.loads(done.stdout)["loras"][0]["matched"] == {"unet": 1, "text": 0}


def test_loras_are_added_resized_and_extracted(inside: Easel, folder: Path, tmp_path: Path) -> None:
    one, two = (str(folder / f"{name}.safetensors") for name in ("one", "two"))
    made = {name: tmp_path / f"{name}.safetensors" for name in ("sum", "small", "out")}
    assert inside("lora", "merge", f"{one}:0.5", f"{two}:-1", "-o", str(made["sum"]), "--dtype", "fp32").returncode == 0
    tensors = load_file(made["sum"])
    assert tensors[f"{KEY}.lora_up.weight"].shape == (64, 4) and float(tensors[f"{KEY}.alpha"]) == 4
    product = tensors[f"{KEY}.lora_up.weight"] @ tensors[f"{KEY}.lora_down.weight"]
    torch.testing.assert_close(product, torch.full((64, 64), 0.5 * 2 - 4.0))
    assert inside("lora", "resize", str(made["sum"]), "--rank", "1", "-o", str(made["small"])).returncode == 0
    small = load_file(made["small"])
    torch.testing.assert_close(
        small[f"{KEY}.lora_up.weight"].float() @ small[f"{KEY}.lora_down.weight"].float(), product, rtol=2e-3, atol=2e-3
    )
    models = [str(folder / f"{name}.safetensors") for name in ("tuned", "base")]
    assert inside("lora", "extract", *models, "--rank", "4", "-o", str(made["out"])).returncode == 0
    out = load_file(made["out"])
    assert {name.rsplit(".", 2)[0] for name in out if "lora_up" in name} == {KEY}
    found = out[f"{KEY}.lora_up.weight"].float() @ out[f"{KEY}.lora_down.weight"].float()
    torch.testing.assert_close(found, torch.full((64, 64), 0.5), rtol=2e-3, atol=2e-3)


def test_a_picture_is_painted_with_a_lora_and_remembers_it(inside: Easel, tmp_path: Path) -> None:
    settings = ["a red house", "--model", "flat", "--seed", "3", "--steps", "4", "--size", "64x64"]
    plain, glowing = tmp_path / "plain.png", tmp_path / "glowing.png"
    assert inside("generate", *settings, "-o", str(plain)).returncode == 0
    done = inside("generate", *settings, "--lora", "glow:0.8:0.5", "-o", str(glowing), "--json")
    assert json.loads(done.stdout)["request"]["loras"] == [{"name": "glow", "unet": 0.8, "text": 0.5, "blocks": []}]
    pictures = [np.asarray(Image.open(file).convert("RGB")).astype(int) for file in (plain, glowing)]
    assert np.abs(pictures[0] - pictures[1]).max() > 10


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["bake", "BASE", "nobody"], "no model named 'nobody'"),
        (["bake", "BASE", "ONE:half"], "names no LoRA and its strengths"),
        (["bake", "BASE", "ONE:nan"], "cannot be used at nan"),
        (["bake", "BASE", "ONE@1,2"], "There are 2 block weights for a LoRA"),
        (["bake", "BASE", "BASE"], "is no LoRA (checkpoint)"),
        (["merge", "ONE", "--rank", "0"], "A rank of 0 cannot be"),
        (["merge", "ONE", "--method", "concat", "--rank", "3"], "leave out --rank"),
        (["merge", "ONE", "--method", "average"], "no method 'average'"),
        (["merge", "ONE", "--dtype", "fp8"], "A LoRA is not written as 'fp8'"),
        (["resize", "ONE"], "give --rank or --energy"),
        (["extract", "BASE", "BASE", "--rank", "2"], "differs nowhere"),
        (["extract", "BASE", "TUNED"], "give --rank or --energy"),
    ],
)
def test_what_cannot_work_is_one_line(
    words: list[str], complaint: str, inside: Easel, folder: Path, tmp_path: Path
) -> None:
    def spelled(word: str) -> str:
        for name in ("BASE", "TUNED", "ONE"):
            if word.startswith(name):
                return str(folder / f"{name.lower()}.safetensors") + word.removeprefix(name)
        return word

    target = tmp_path / "out.safetensors"
    assert_complains(inside("lora", *map(spelled, words), "-o", str(target)), complaint)
    assert not target.exists()
