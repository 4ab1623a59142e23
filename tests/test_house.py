"""The house rules, as tests: which room may know which, and what a room must never load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "pipelines.core": set(),
    "pipelines.storage": {"pipelines.core"},
    "pipelines.models": {"pipelines.core"},
    "pipelines.generation": {"pipelines.core", "pipelines.models"},
    "pipelines.merging": {"pipelines.core", "pipelines.models"},
    "pipelines.training": {"pipelines.core", "pipelines.models"},
    "pipelines.upscaling": {"pipelines.core", "pipelines.models", "pipelines.generation"},
    "pipelines.jobs": {
        "pipelines.core",
        "pipelines.models",
        "pipelines.generation",
        "pipelines.merging",
        "pipelines.upscaling",
        "pipelines.storage",
    },
    "ui.rest": {"pipelines.core", "pipelines.models", "pipelines.storage", "pipelines.merging", "pipelines.jobs"},
    "ui.web": {"pipelines.core", "pipelines.models", "pipelines.storage", "pipelines.merging", "pipelines.jobs"},
    "ui.cli": {"pipelines.core", "pipelines.models", "pipelines.storage", "pipelines.merging", "pipelines.jobs"},
}
"""A room may import itself and these; `app.py` knows everyone."""

ONLY_IN = {
    "gradio": {"ui.web", "app"},
    "fastapi": {"ui.web", "ui.rest", "app"},
    "torch": {
        "pipelines.models",
        "pipelines.generation",
        "pipelines.merging",
        "pipelines.training",
        "pipelines.upscaling",
        "pipelines.jobs",
    },
    "sqlalchemy": {"pipelines.storage"},
}

FILES = sorted(p for room in ("ui", "pipelines") for p in (ROOT / room).rglob("*.py"))


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imports_of(file: Path) -> set[str]:
    """Every module a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_downward(file: Path) -> None:
    room = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
    ours = {room_of(name) for name in imports_of(file) if name.split(".")[0] in {"app", "ui", "pipelines", "tests"}}
    if file.parent in {ROOT / "ui", ROOT / "pipelines"}:
        assert not ours
    else:
        assert ours <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_rooms(file: Path) -> None:
    room = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for library, rooms in ONLY_IN.items():
        if any(name.split(".")[0] == library for name in imports_of(file)):
            assert room in rooms, f"{library} is imported in {room}"


def test_the_web_process_loads_no_torch() -> None:
    code = "import sys, ui.web.studio, ui.web.live, ui.rest.server, app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_presets_are_data_only() -> None:
    assert not list((ROOT / "presets").rglob("*.py"))


def test_the_top_level_holds_only_its_rooms() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    tops = {name.split("/")[0] for name in tracked}
    rooms = {"app.py", "ui", "pipelines", "presets", "tests", "requirements.txt", "README.md", "pyproject.toml"}
    assert {t for t in tops if not t.startswith(".")} <= rooms | {"LICENSE", "ARCHITECTURE.md"}


def test_every_setting_of_requirements_is_an_exact_pin() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins == sorted(pins, key=str.casefold)
    assert all("==" in pin for pin in pins)
