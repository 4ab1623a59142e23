"""`generate --image`: a picture painted over from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.running import Easel, assert_complains

QUICK = ("--steps", "4", "--seed", "3")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    down, across = np.mgrid[0:80, 0:104]
    pixels = np.stack([across * 2, down * 3, across + down], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    drawn = Image.new("L", (104, 80), 0)
    drawn.paste(255, (40, 32, 72, 56))
    drawn.save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def test_only_what_the_mask_says_is_painted(inside: Easel, picture: Path, mask: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    words = ("generate", "a blue house", "--image", str(picture), "--mask", str(mask), "--strength", "0.9")
    done = inside(*words, *QUICK, "--size", "64x64", "--set", "soft_edge=4", "-o", str(out), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["request"]
    assert (told["kind"], told["strength"], told["soft_edge"], told["picture"]["steps"]) == ("inpaint", 0.9, 4, 4)
    same = (pixels(out) == pixels(picture)).all(axis=2)
    assert same[:28].all() and same[60:].all() and same[:, :36].all() and same[:, 76:].all()
    assert not same[36:52, 44:68].all()


def test_without_a_mask_all_of_it_is_painted_at_its_own_size(inside: Easel, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done = inside("generate", "a hill", "--image", str(picture), "--strength", "0.5", *QUICK, "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert pixels(out).shape == (80, 104, 3) and (pixels(out) != pixels(picture)).any()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--strength", "0.5"), "There is no picture for strength; name it with --image"),
        (("--mask", "PICTURE"), "There is no picture for mask; name it with --image"),
        (("--set", "padding=3"), "There is no picture for padding; name it with --image"),
        (("--image", "PICTURE", "--strength", "half"), "Strength 'half' is not a number; use 0 to 1"),
        (("--image", "PICTURE", "--strength", "0"), "At strength 0.0 no step of 20 is left; raise the strength"),
        (("--image", "PICTURE", "--strength", "0.01"), "At strength 0.01 no step of 20 is left; use 100 steps or more"),
        (
            ("--image", "PICTURE", "--set", "content=wool"),
            "Begin from cannot be 'wool'; use original, fill",
        ),
        (("--image", "/nope.png"), "nope.png cannot be read; check its name"),
        (("--image", "/etc/hostname"), "hostname is damaged, or no PNG, JPEG, WebP or AVIF; use a PNG, JPEG, WebP"),
    ],
)
def test_what_cannot_work_is_one_line(
    words: tuple[str, ...], complaint: str, inside: Easel, picture: Path, tmp_path: Path
) -> None:
    given = [str(picture) if word == "PICTURE" else word for word in words]
    assert_complains(inside("generate", "a hill", *given), complaint)
