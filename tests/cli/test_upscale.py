"""`upscale`: pictures made larger from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.storage.facts import read_picture
from tests.cli.running import Easel, assert_complains


def draw(path: Path, seed: int = 0) -> Path:
    down, across = np.mgrid[0:30, 0:40]
    Image.fromarray(np.stack([across * 6, down * 8, across + down + seed], axis=-1).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return draw(tmp_path / "picture.png")


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_the_ending_of_the_file_says_its_format(inside: Easel, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "large.webp"
    words = ("upscale", str(picture), "--upscaler", "starter-x4", "--scale", "4", "-o", str(out), "--json")
    done = inside(*words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["upscaled"][0]
    assert told["request"]["upscaler"] == "starter-x4" and told["pictures"][0]["file"] == str(out)
    assert size_of(out) == (160, 120)
    facts = read_picture(out)
    assert facts.request is not None and "Postprocess upscaler: starter-x4" in facts.infotext


def test_a_network_may_be_named_by_its_path(inside: Easel, picture: Path, tmp_path: Path) -> None:
    from pipelines.core.presets import STARTER_MODELS

    network = tmp_path / "my net.safetensors"
    network.write_bytes((STARTER_MODELS / "upscalers" / "starter-x4.safetensors").read_bytes())
    out = tmp_path / "large.png"
    done = inside("upscale", str(picture), "--upscaler", str(network), "--size", "100x100", "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert size_of(out) == (100, 100)


def test_a_folder_with_broken_pictures_gives_all_the_others(inside: Easel, tmp_path: Path) -> None:
    folder, out = tmp_path / "many", tmp_path / "large"
    folder.mkdir()
    for number in range(97):
        draw(folder / f"{number:03}.png", seed=number)
    (folder / "a broken one.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "cut short.jpg").write_bytes(b"\xff\xd8\xff\xe0 short")
    (folder / "no picture.webp").write_text("words")
    done = inside("upscale", str(folder), "--upscaler", "bicubic", "--scale", "2", "-o", str(out))
    assert done.returncode == 2
    assert len(list(out.iterdir())) == 97 and size_of(out / "041.png") == (80, 60)
    for name in ("a broken one.png", "cut short.jpg", "no picture.webp"):
        assert f"{name} is damaged" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last == ("3 of 100 pictures failed: a broken one.png, cut short.jpg, no picture.webp; see above for why")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--upscaler", "nothing such"), "There is no upscaler named 'nothing such'; use"),
        (("--scale", "0"), "Scale cannot be 0; use 0.1 to 16.0"),
        (("--scale", "1000"), "Scale cannot be 1000; use 0.1 to 16.0"),
        (("--scale", "2", "--size", "9x9"), "--scale and --size say two things; give one of them"),
        (("--size", "9"), "The size '9' is not WIDTHxHEIGHT"),
        (("--tile", "3", "--upscaler", "starter-x4"), "Tiles of 3 pixels are too small; use 80 or more"),
        (("-o", "x.gif"), "Pictures are not written as .gif; use .png, .webp, .jpg, .avif"),
        (("--size", "20000x15000", "-o", "x.jpg"), "A JPEG of 20000 x 15000 pixels is too large; save it as PNG"),
        (("--upscaler", "flat"), "'flat' does not enlarge pictures (checkpoint); choose an upscaler"),
        (("--redraw", "0.5", "--model", "starter-x4"), "'starter-x4' is no model to paint with"),
        (("--noise-level", "20", "--upscaler", "starter-x4"), "'starter-x4' takes no noise level"),
    ],
)
def test_bad_input_is_told_in_one_line(inside: Easel, picture: Path, words: tuple[str, ...], complaint: str) -> None:
    assert_complains(inside("upscale", str(picture), *words), complaint)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x80\x04cposix\nsystem\n"])
def test_a_hostile_file_as_network_is_named_and_not_run(
    inside: Easel, picture: Path, tmp_path: Path, content: bytes
) -> None:
    network = tmp_path / "evil.pth"
    network.write_bytes(content)
    done = inside("upscale", str(picture), "--upscaler", str(network))
    assert done.returncode == 2 and "evil" in done.stderr and "Traceback" not in done.stderr
