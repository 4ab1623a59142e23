"""The command line as a person meets it: whole processes, real model, real files."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.running import ROOT, Easel, assert_complains

HOUSE = "a red house on a hill under a night sky"


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_same_command_writes_the_same_pixels(easel: Easel, inside: Easel, tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    for command, file in ((easel, one), (inside, two)):  # in two processes
        done = command("generate", HOUSE, "--seed", "7", "--size", "128x128", "--steps", "6", "-o", str(file))
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(file)
    assert pixels(one).shape == (128, 128, 3)
    assert (pixels(one) == pixels(two)).all()


def test_json_tells_the_finished_request_and_the_files(inside: Easel, tmp_path: Path) -> None:
    words = ("generate", HOUSE, "--seed", "7", "--size", "64x64", "--steps", "2", "--count", "2", "--json")
    done = inside(*words, "--set", "clip_skip=2", "--sampler", "euler a")
    told = json.loads(done.stdout)
    assert told["request"] | {"clip_skip": 2, "sampler": "euler_a", "seed": 7, "count": 2} == told["request"]
    assert [p["seed"] for p in told["pictures"]] == [7, 8]
    outputs = (tmp_path / "data" / "outputs").resolve()
    for picture in told["pictures"]:
        assert Path(picture["file"]).resolve().is_relative_to(outputs)
        assert pixels(Path(picture["file"])).shape == (64, 64, 3)


def test_the_settings_of_a_second_pass_are_reached_by_their_names(inside: Easel) -> None:
    words = ("generate", HOUSE, "--seed", "7", "--size", "64x64", "--steps", "2", "--json")
    told = json.loads(inside(*words, "--set", "hires.factor=1.5", "--set", "hires.upscaler=nearest").stdout)
    assert told["request"]["hires"] | {"factor": 1.5, "upscaler": "nearest"} == told["request"]["hires"]
    assert pixels(Path(told["pictures"][0]["file"])).shape == (96, 96, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--steps", "0"), ("Steps", "1 to 1000")),
        (("--steps", "abc"), ("Steps", "whole number")),
        (("--size", "100"), ("size", "512x768")),
        (("--size", "513x512"), ("513", "512 or 520")),
        (("--size", "100000x64"), ("100000", "64 to 4096")),
        (("--seed", "abc"), ("Seed", "whole number")),
        (("--count", "1000"), ("Count", "1 to 100")),
        (("--sampler", "eulr"), ("eulr", "Euler")),
        (("--model", "flt"), ("flt", "'flat'")),
        (("--set", "stpes=3"), ("stpes", "steps")),
        (("--set", "hires.factr=3"), ("factr", "factor")),
        (("--set", "steps"), ("steps", "--set")),
        (("--stpes", "3"), ("--stpes",)),
        (("--device", "cuda:77"), ("cuda:77",)),
        (("--device", "banana"), ("banana", "cuda")),
        (("--seed", "9" * 5000), ("Seed", "whole number")),
        (("--negative", "word " * 10_000), ("50,000 characters", "10,000 words")),
        (("--data", "/proc/nowhere"), ("nowhere",)),
        (("-o", "/proc/nowhere/x.png"), ("nowhere",)),
        (("-o", "picture.jpg"), ("PNG", "picture.png")),
        (("--count", "2", "-o", "one.png"), ("one file",)),
        (("--models", "/does/not/exist"), ("/does/not/exist",)),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_line_with_a_fix(inside: Easel, words: tuple[str, ...], told: tuple[str, ...]) -> None:
    assert_complains(inside("generate", HOUSE, *words), *told)


def test_a_whole_process_complains_in_one_line_too(easel: Easel) -> None:
    assert_complains(easel("generate", HOUSE, "--steps", "0"), "Steps", "1 to 1000")


def test_models_are_listed_shown_and_misspelled(easel: Easel, inside: Easel) -> None:
    listed = json.loads(easel("models", "list", "--json").stdout)
    assert listed[0]["name"] == "flat"
    assert json.loads(inside("models", "show", "flat", "--json").stdout) == listed[0]
    assert json.loads(inside("models", "show", listed[0]["path"], "--json").stdout) == listed[0]
    assert "flat" in inside("models").stdout
    assert_complains(inside("models", "show", "flt"), "'flat'")


@pytest.mark.parametrize(
    "words", [(), ("generate",), ("mask",), ("serve",), ("models",), ("models", "list")], ids=" ".join
)
def test_help_answers_without_loading_anything_heavy(words: tuple[str, ...]) -> None:
    code = f"""
import sys, app
sys.argv = ["app.py", *{words!r}, "--help"]
try:
    app.main()
except SystemExit as ended:
    sys.exit(ended.code or bool({{"torch", "gradio", "fastapi"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_a_folder_collects_pictures_and_replaces_none(inside: Easel, tmp_path: Path) -> None:
    folder = tmp_path / "collected"
    words = ("generate", HOUSE, "--seed", "7", "--size", "64x64", "--steps", "1", "-o", str(folder))
    for _ in range(2):
        assert inside(*words).returncode == 0
    assert sorted(p.name for p in folder.iterdir()) == ["7-2.png", "7.png"]


def test_a_port_in_use_is_said_before_anything_is_loaded(easel: Easel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_complains(easel("serve", "--port", str(port)), f"Port {port} is in use", "--port")


def test_a_studio_that_cannot_start_says_why(easel: Easel) -> None:
    assert_complains(easel("serve", "--port", "0"), "--port")
    assert_complains(easel("serve", "--host", "203.0.113.7", "--port", "7999"), "203.0.113.7", "--host")
    assert_complains(easel("serve", "--port", "7999", "--data", "/proc/nowhere"), "nowhere")
    assert_complains(easel("serve", "--port", "7999", "--device", "banana"), "banana")
