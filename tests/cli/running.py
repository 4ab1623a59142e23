"""What tests of the command line share."""

import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
Easel = Callable[..., subprocess.CompletedProcess[str]]


def assert_complains(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit 2, one line `problem; fix` on stderr, no traceback, nothing on stdout."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "; " in done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
