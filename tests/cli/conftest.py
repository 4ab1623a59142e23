"""Commands as a person runs them: whole processes, on an empty data folder."""

import subprocess
import sys
from pathlib import Path

import pytest

import app
from tests.cli.running import ROOT, Easel


@pytest.fixture
def easel(tmp_path: Path) -> Easel:
    """Runs a command on an empty data folder, from a folder that is not the project's."""
    (elsewhere := tmp_path / "elsewhere").mkdir(exist_ok=True)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "app.py"), *words]
        if (
            words
            and words[0] in {"generate", "lora", "merge", "models", "serve"}
            and not {"--help", "--data"} & set(words)
        ):
            command += ["--data", str(tmp_path / "data")]
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=240, check=False)
        assert not list(elsewhere.glob("*.db")), "a command wrote into the current folder"
        return done

    return run


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Easel:
    """The same within this process, which has torch already: seconds less for each command."""
    (elsewhere := tmp_path / "elsewhere").mkdir(exist_ok=True)
    monkeypatch.chdir(elsewhere)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        given = ["app.py", *words] + ([] if "--data" in words else ["--data", str(tmp_path / "data")])
        monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as ended:
            app.main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(given, int(ended.value.code or 0), said.out, said.err)

    return run
