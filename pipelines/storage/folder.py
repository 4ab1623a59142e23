"""The data folder: where everything lies, and the lock that keeps a second studio out."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from pipelines.core.error import StorageProblem
from pipelines.storage.files import atomic_write, make_folder, storage_problem, sweep

WORKER_SECONDS = 30
"""How long a starting studio waits for the worker of a killed one to end."""


@dataclass(frozen=True)
class DataFolder:
    """The folder that `--data` names."""

    root: Path

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def sources(self) -> Path:
        """Pictures and masks that people bring."""
        return self.root / "sources"

    @property
    def database(self) -> Path:
        return self.root / "easel.db"

    @property
    def presets(self) -> Path:
        return self.root / "presets"

    @property
    def block_presets(self) -> Path:
        return self.presets / "merges"

    @property
    def worker_lock(self) -> Path:
        """Held by the worker process as long as it may still write a picture."""
        return self.root / ".worker.lock"

    def open(self, *, worker_seconds: float = WORKER_SECONDS) -> "OpenFolder":
        """Make the folder ready and keep other studios out until `close` (or the end of this process, however it ends).

        Raises StorageProblem when a studio already runs on it, or it cannot be written.
        """
        for folder in (self.root, self.models, self.outputs, self.sources, self.presets, self.block_presets):
            make_folder(folder)
        opened = OpenFolder(self, worker_seconds)
        sweep(self.root)
        return opened


class OpenFolder:
    """A data folder that is ours."""

    def __init__(self, folder: DataFolder, worker_seconds: float) -> None:
        self.folder = folder
        self._owner = folder.root / ".studio.pid"
        self._lock = FileLock(folder.root / ".studio.lock")
        try:
            self._lock.acquire(timeout=0)
            atomic_write(self._owner, str(psutil.Process().pid).encode(), replace=True)
            self._wait_for_worker(worker_seconds)
        except Timeout:
            raise self._taken() from None
        except OSError as error:
            raise storage_problem(error, self._owner) from error
        except StorageProblem:
            self._lock.release()
            raise

    def close(self) -> None:
        """Let another studio have the folder."""
        with contextlib.suppress(OSError):
            self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _wait_for_worker(self, seconds: float) -> None:
        """The worker of a killed studio ends by itself; until then it could still save a picture we do not see."""
        try:
            with FileLock(self.folder.worker_lock).acquire(timeout=seconds):
                return
        except Timeout:
            who = _shown_pid(_living_pid(self.folder.worker_lock.with_suffix(".pid")))
            raise StorageProblem(
                f"The worker of an earlier studio still runs on this data folder{who}",
                fix="end that process, or choose another folder with --data",
            ) from None

    def _taken(self) -> StorageProblem:
        return StorageProblem(
            f"The studio already runs on this data folder{_shown_pid(_living_pid(self._owner))}",
            fix="stop it or choose another with --data",
        )


def _living_pid(file: Path) -> int | None:
    """The number in a pid file, if that process lives."""
    for _ in range(10):  # its owner may be starting this very moment, and a dead one's number still stand there
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text(encoding="ascii"))
            if psutil.pid_exists(pid):
                return pid
        time.sleep(0.05)
    return None


def _shown_pid(pid: int | None) -> str:
    return f" (pid {pid})" if pid else ""
