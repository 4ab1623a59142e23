"""`mask`: what a text names in a picture, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.running import Easel, assert_complains
from tests.models.segmenters import write_clipseg


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clipseg(tmp_path_factory.mktemp("models") / "finder")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.effect_noise((104, 80), 90).convert("RGB").save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def levels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        assert (opened.format, opened.mode, opened.size) == ("PNG", "L", (104, 80))
        return np.asarray(opened)


def test_the_mask_is_written_and_generate_takes_it(inside: Easel, finder: Path, picture: Path, tmp_path: Path) -> None:
    out, made = tmp_path / "new" / "mask.png", tmp_path / "made.png"
    done = inside("mask", str(picture), "the cat", "--models", str(finder.parent), "-o", str(out))
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", str(out))
    painted = levels(out) > 0
    assert 0 < painted.mean() < 1
    words = ("generate", "a dog", "--image", str(picture), "--mask", str(out), "--steps", "2", "--size", "64x64")
    assert inside(*words, "--set", "soft_edge=0", "-o", str(made)).returncode == 0
    with Image.open(made) as after, Image.open(picture) as before:
        changed = (np.asarray(after.convert("RGB")) != np.asarray(before)).any(axis=2)
    assert changed.any() and not changed[~painted].any()


def test_json_tells_the_request_and_how_much_is_covered(
    inside: Easel, finder: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mask.png"
    words = ("mask", str(picture), "the cat", "--model", str(finder), "-o", str(out), "--json")
    shares = []
    for more in (("--threshold", "0.6"), ("--threshold", "0.6", "--grow", "3"), ("--soft",)):
        told = json.loads(inside(*words, *more).stdout)
        assert told["share"] == pytest.approx(levels(out).mean() / 255, abs=1e-5)
        shares.append(told["share"])
    assert shares[0] < shares[1]
    assert told["request"] | {"kind": "segment", "model": "finder", "threshold": None, "grow": 0} == told["request"]


def test_without_a_model_that_can_do_it_the_way_to_one_is_told(inside: Easel, picture: Path, tmp_path: Path) -> None:
    done = inside("mask", str(picture), "the cat", "-o", str(tmp_path / "mask.png"))
    assert_complains(done, "There is no model that finds things in pictures; put a CLIPSeg folder into a models")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ("PICTURE", "the cat", "--threshold", "1"),
            'Nothing in the picture looks like "the cat"; use other words, or',
        ),
        (("PICTURE", " "), 'There is nothing to look for; name it, such as "the cat"'),
        (("PICTURE", "the cat", "--threshold", "half"), "Threshold 'half' is not a number; use 0 to 1"),
        (("PICTURE", "the cat", "--threshold", "0.5", "--soft"), "A soft mask has no threshold; leave out --soft or"),
        (("PICTURE", "the cat", "--grow", "9", "--soft"), "A soft mask has no edge to grow from; give a threshold"),
        (
            ("PICTURE", "the cat", "--model", "flat"),
            "'flat' finds nothing in pictures (checkpoint); choose a segmenter",
        ),
        (("/nope.png", "the cat"), "nope.png cannot be read; check its name"),
        (("PICTURE", "the cat", "-o", "mask.jpg"), "Masks are written as PNG, not mask.jpg; use -o mask.png"),
    ],
)
def test_what_cannot_work_is_one_line(
    words: tuple[str, ...], complaint: str, inside: Easel, finder: Path, picture: Path, tmp_path: Path
) -> None:
    given = [str(picture) if word == "PICTURE" else word for word in words]
    output = () if "-o" in words else ("-o", str(tmp_path / "mask.png"))
    assert_complains(inside("mask", *given, "--models", str(finder.parent), *output), complaint)
    assert not (tmp_path / "mask.png").exists()
