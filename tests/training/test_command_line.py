"""`python -m pipelines.training`: what a person types, and what it answers."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from pipelines.training.__main__ import main

# diffusers' solvers hand tensors to numpy in a way that numpy 2 will refuse some day; theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of a command line."""
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    with pytest.raises(SystemExit) as exit_:
        main()
    code = exit_.value.code
    return code if isinstance(code, int) else int(code is not None)


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        (["world", "--size", "100x128"], "'100x128' cannot be painted", "multiples of 8 from 64"),
        (["world", "--size", "4096x64"], "'4096x64' cannot be painted", "multiples of 8 from 64"),
        (["world", "-o", "missing/sheet.png"], "no folder 'missing'", "make it first"),
        (["world", "-o", "sheet.txt"], "'sheet.txt' is no name for a picture", "end it with .png"),
        (["text", "--device", "banana"], "no device 'banana'", "use cpu, cuda"),
        (["text", "--device", "cuda:99"], "no device 'cuda:99' here", "use --device cpu"),
        (["evaluate", "--judge", "nowhere"], "no judge at nowhere", "`export judge`"),
        (["world", "--size", "large"], "'large' is no size", "write WIDTHxHEIGHT"),
        (["export", "flat", "--run", "nowhere"], "no training state at nowhere", "run the training stage before"),
        (["curves", "--run", "nowhere"], "no training state in nowhere", "run a training stage first"),
        (["grid", "--model", "nowhere"], "nowhere is no diffusers model folder", "model_index.json"),
        (["text", "--run", "nowhere"], "no tokenizer", "run the stage `tokenizer` first"),
    ],
)
def test_bad_input_is_one_line_with_a_fix_and_exit_code_2(
    words: list[str],
    problem: str,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed(monkeypatch, *words) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    before, _, after = lines[0].partition("; ")
    assert problem in before
    assert fix in after


def test_an_unknown_style_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed(monkeypatch, "world", "--style", "oil") == 2


def test_a_sheet_of_the_world_is_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ("world", "-o", tmp_path / "sheet.png", "--count", 4, "--size", "64x96", "--style", "ink")
    assert typed(monkeypatch, *words) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 64, 96)


def test_a_stage_runs_in_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ("--run", tmp_path / "run", "--recipe", "toy")
    assert typed(monkeypatch, "tokenizer", *run) == 0
    assert typed(monkeypatch, "text", *run, "--until", 2) == 0
    assert typed(monkeypatch, "text", *run) == 0
    assert "text 4/4" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("group", "members"),
    [("unet", ("flat", "ink")), ("lora", ("glow", "snowfall")), ("superres", ("vae", "unet"))],
)
def test_each_style_and_each_lora_is_a_stage_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], group: str, members: tuple[str, ...]
) -> None:
    assert typed(monkeypatch, group, "--help") == 0
    shown = capsys.readouterr().out
    assert all(member in shown for member in members)


def test_help_names_every_stage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(monkeypatch, "--help") == 0
    stages = (
        "world",
        "tokenizer",
        "text",
        "vae",
        "refine",
        "polish",
        "unet",
        "inpaint",
        "lora",
        "embedding",
        "judge",
        "upscaler",
        "superres",
        "adopt",
        "all",
    )
    results = ("export", "evaluate", "grid", "effects", "curves")
    lines = capsys.readouterr().out.splitlines()
    listed = {word for line in lines for word in line.replace("│", " ").split()[:1]}
    assert {*stages, *results} <= listed
