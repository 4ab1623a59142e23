import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from pipelines.core.error import StorageProblem
from pipelines.storage.files import OURS
from pipelines.storage.folder import DataFolder

HOLD = "import sys; from pathlib import Path; from pipelines.storage.folder import DataFolder;"
HOLD += "held = DataFolder(Path(sys.argv[1])).open(); print('open', flush=True); sys.stdin.read()"


def test_a_new_data_folder_has_its_rooms(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "new" / "data")
    folder.open().close()
    for room in (folder.models, folder.outputs, folder.presets):
        assert room.is_dir()


def test_a_second_studio_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    program = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"open\n"
        with pytest.raises(StorageProblem) as caught:
            DataFolder(tmp_path).open()
        assert str(caught.value) == (
            f"The studio already runs on this data folder (pid {first.pid}); stop it or choose another with --data"
        )
        os.kill(first.pid, signal.SIGKILL)
    DataFolder(tmp_path).open().close()  # what a killed studio held is free


def test_a_closed_folder_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        DataFolder(tmp_path).open().close()


def test_a_worker_that_outlived_its_studio_is_waited_for(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with FileLock(folder.worker_lock), pytest.raises(StorageProblem) as caught:
        folder.worker_lock.with_suffix(".pid").write_text(str(os.getpid()))
        folder.open(worker_seconds=0.2)
    says = f"The worker of an earlier studio still runs on this data folder (pid {os.getpid()})"
    assert caught.value.problem == says
    folder.open().close()


def test_temporary_files_of_killed_programs_are_swept_at_the_start(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    stale = tmp_path / "models" / f"{OURS}{int(gone.stdout)}-abcd.tmp"
    stale.parent.mkdir()
    stale.touch()
    DataFolder(tmp_path).open().close()
    assert not stale.exists()


def test_a_data_folder_that_cannot_be_is_a_clear_problem(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageProblem):
        DataFolder(tmp_path / "data").open()
