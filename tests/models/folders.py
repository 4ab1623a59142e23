"""Copies of the starter model to spoil, as tests need them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def copy_of(folder: Path, to: Path) -> Path:
    """A whole copy of a model folder at `to`."""
    shutil.copytree(folder, to)
    return to


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file in place."""
    data = json.loads(file.read_bytes())
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")


def cut(file: Path, keep: float = 0.5) -> None:
    """Cut a file short, as an interrupted copy does."""
    with file.open("r+b") as handle:
        handle.truncate(int(file.stat().st_size * keep))
