"""`generate --image FOLDER`: many pictures painted over, each with its mask; what cannot work is told first."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import GenerateRequest
from pipelines.storage.facts import read_picture
from pipelines.storage.pictures import PictureFiles
from tests.cli.running import Easel, assert_complains
from tests.models.folders import copy_of

QUICK = ("--steps", "2", "--size", "64x64")
SIZE = (72, 64)


def colours(number: int) -> Image.Image:
    down, across = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    return Image.fromarray(np.stack([across + 60 * number, down * 3, across + down], axis=-1).astype(np.uint8))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """`a.jpg`, `b.png`, `c.webp`, and what is none."""
    (folder := tmp_path / "pictures").mkdir()
    for number, name in enumerate(("b.png", "a.jpg", "c.webp")):
        colours(number).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    (folder := tmp_path / "masks").mkdir()
    for place, stem in enumerate("abc"):
        drawn = Image.new("L", SIZE, 0)
        drawn.paste(255, (16 * place, 16, 16 * place + 24, 40))
        drawn.save(folder / f"{stem}.png")
    return folder


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def painted(folder: Path, name: str, **fields: Any) -> None:
    """A picture that tells how it was painted."""
    request = GenerateRequest.model_validate({"model": "flat", "prompt": "a hill", **fields})
    PictureFiles(folder).save(colours(1), request, index=0, to=folder / name)


def test_every_picture_is_painted_where_its_own_mask_says(
    inside: Easel, pictures: Path, masks: Path, tmp_path: Path
) -> None:
    words = ("generate", "a boat", "--image", str(pictures), "--mask", str(masks), "--seed", "7", *QUICK)
    done = inside(*words, "--set", "soft_edge=0", "-o", str(tmp_path / "out"), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [Path(one["image"]).name for one in told["painted"]] == ["a.jpg", "b.png", "c.webp"]
    assert told["left_out"] == [] and all(one["problem"] is None for one in told["painted"])
    files = [Path(one["pictures"][0]["file"]) for one in told["painted"]]
    assert [file.name for file in files] == ["7.png", "7-2.png", "7-3.png"]
    for one, file, stem in zip(told["painted"], files, "abc", strict=True):
        hidden = pixels(masks / f"{stem}.png")[..., 0] > 0
        changed = (pixels(file) != pixels(one["image"])).any(axis=2)
        assert changed[hidden].any() and not changed[~hidden].any()


def test_pictures_without_a_mask_are_named_and_left_out(inside: Easel, pictures: Path, masks: Path) -> None:
    (masks / "a.png").unlink()
    (masks / "c.png").unlink()
    done = inside("generate", "a boat", "--image", str(pictures), "--mask", str(masks), *QUICK)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1
    assert done.stderr == "2 pictures have no mask and are left out: a.jpg, c.webp\n"


def test_one_mask_serves_all_and_without_any_each_is_painted_at_its_own_size(
    inside: Easel, pictures: Path, masks: Path, tmp_path: Path
) -> None:
    for number, more in enumerate((("--mask", str(masks / "a.png"), "--size", "64x64"), ())):
        words = ("generate", "a boat", "--image", str(pictures), "--steps", "2", *more)
        done = inside(*words, "-o", str(tmp_path / f"out{number}"))
        files = done.stdout.splitlines()
        assert (done.returncode, len(files)) == (0, 3)
        assert {pixels(file).shape for file in files} == {(SIZE[1], SIZE[0], 3)}


def test_each_picture_keeps_its_own_settings_where_no_other_is_named(inside: Easel, tmp_path: Path) -> None:
    (folder := tmp_path / "made").mkdir()
    painted(folder, "one.png", prompt="a red house", negative_prompt="fog", seed=11, sampler="euler", cfg=3.0)
    painted(folder, "two.png", model="ink", seed=12, width=640)
    text = "a green tree\nSteps: 9, Sampler: DDIM, Seed: 13, CFG scale: 4.5"
    (foreign := colours(2)).info = {}
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    foreign.save(folder / "zoo.jpg", exif=exif)
    words = ("generate", "--image", str(folder), "--own-settings", "--steps", "2", "--strength", "0.8", "--json")
    done = inside(*words, "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    one, two, zoo = (told["request"]["picture"] for told in json.loads(done.stdout)["painted"])
    said = {"prompt": "a red house", "negative_prompt": "fog", "seed": 11, "sampler": "euler", "cfg": 3.0, "steps": 2}
    assert one | said == one
    assert two | {"prompt": "a hill", "model": "ink", "seed": 12, "steps": 2, "width": SIZE[0]} == two
    assert zoo | {"prompt": "a green tree", "sampler": "ddim", "seed": 13, "cfg": 4.5, "steps": 2} == zoo
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"11.png", "12.png", "13.png"}


def test_a_single_picture_may_keep_its_own_settings_too(inside: Easel, tmp_path: Path) -> None:
    painted(tmp_path, "one.png", prompt="a red house", seed=11)
    out = tmp_path / "out.png"
    words = ("generate", "a blue house", "--image", str(tmp_path / "one.png"), "--own-settings", "--steps", "2")
    assert inside(*words, "-o", str(out)).returncode == 0
    made = read_picture(out).request
    assert made is not None and (made.painted.prompt, made.painted.seed) == ("a blue house", 11)


def test_one_that_fails_does_not_lose_the_others(inside: Easel, tmp_path: Path) -> None:
    spoilt = copy_of(STARTER_MODELS / "flat", tmp_path / "models" / "spoilt") / "unet"
    weights = load_file(spoilt / "diffusion_pytorch_model.safetensors")
    weights.pop("conv_norm_out.bias")
    save_file(weights, spoilt / "diffusion_pytorch_model.safetensors")
    (folder := tmp_path / "made").mkdir()
    for name, model in (("a.png", "flat"), ("b.png", "spoilt"), ("c.png", "flat")):
        painted(folder, name, model=model, steps=2)
    words = ("generate", "--image", str(folder), "--own-settings", "--models", str(tmp_path / "models"), "--json")
    done = inside(*words)
    assert done.returncode == 2
    assert [len(told["pictures"]) for told in json.loads(done.stdout)["painted"]] == [1, 0, 1]
    why, end = done.stderr.splitlines()
    assert why.startswith("b.png: The model 'spoilt' cannot be loaded: its unet lacks 1 tensors")
    assert end == "1 of 3 pictures failed: b.png; see above for why"


class TestRefusedBeforeTheFirst:
    def test_every_picture_at_fault_is_named_in_one_message(
        self, inside: Easel, pictures: Path, masks: Path, tmp_path: Path
    ) -> None:
        (pictures / "a.jpg").write_bytes(b"nothing")
        Image.new("L", (10, 10), 255).save(masks / "b.png")
        (masks / "c.png").write_bytes(b"nothing")
        Image.new("L", SIZE, 0).save(masks / "d.png")
        colours(4).save(pictures / "d.png")
        colours(5).save(pictures / "e.png")
        Image.new("L", SIZE, 255).save(masks / "e.png")
        done = inside("generate", "a boat", "--image", str(pictures), "--mask", str(masks), *QUICK)
        assert_complains(
            done,
            "4 of 5 pictures cannot be painted over: a.jpg (is damaged, or no PNG, JPEG, WebP or AVIF), b.png (The "
            "mask is 10 x 10, the picture 72 x 64), c.webp (its mask c.png is damaged, or no PNG, JPEG, WebP or AVIF), "
            "d.png (The mask is empty); put them right or take them away; nothing was painted",
        )
        assert not list((tmp_path / "data" / "outputs").rglob("*.png"))

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("a boat", "--image", "PICTURES", "--steps", "0"), "Steps cannot be 0; use 1 to 1000"),
            (("a boat", "--image", "PICTURES", "--model", "flt"), "There is no model named 'flt'"),
            (("a boat", "--image", "PICTURES", "-o", "one.png"), "3 pictures do not fit in one file; give a folder"),
            (("a boat", "--image", "EMPTY"), "There are no pictures in"),
            (("a boat", "--image", "PICTURES", "--mask", "EMPTY"), "No picture has a mask in"),
            (("a boat", "--image", "PICTURES", "--mask", "TWICE"), "a.jpg and a.png are masks of the same picture"),
            (("--image", "PICTURES"), "There is no prompt; say what to paint"),
            ((), "There is no prompt; say what to paint"),
            (("--own-settings",), "There is no picture whose settings could be taken; name it with --image"),
            (("--image", "PICTURES", "--own-settings"), "b.png (carries no settings of its own)"),
        ],
    )
    def test_what_cannot_work_is_one_line(
        self, words: tuple[str, ...], complaint: str, inside: Easel, pictures: Path, tmp_path: Path
    ) -> None:
        places = {"PICTURES": pictures, "EMPTY": tmp_path / "empty", "TWICE": tmp_path / "twice"}
        for folder in ("empty", "twice"):
            (tmp_path / folder).mkdir()
        for name in ("a.png", "a.jpg"):
            Image.new("L", SIZE, 255).save(tmp_path / "twice" / name)
        assert_complains(inside("generate", *(str(places.get(word, word)) for word in words)), complaint)
