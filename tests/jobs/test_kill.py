"""Kill -9 at random moments (the worker, the studio, both), then a restart: nothing is lost, doubled or half."""

import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image

from pipelines.core.request import GenerateRequest
from pipelines.jobs.queue import MAX_ATTEMPTS
from pipelines.storage.database import Database
from pipelines.storage.facts import read_picture
from pipelines.storage.folder import DataFolder
from pipelines.storage.images import ImageStore
from pipelines.storage.journal import Journal
from tests.jobs.sketcher import sketch

JOBS = 8


@dataclass
class Running:
    """The studio as a program of its own."""

    process: subprocess.Popen[str]
    accepted: list[str]

    @property
    def worker(self) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # also one that has just died and was not yet buried
                if "spawn_main" in " ".join(child.cmdline()):
                    return child
        return None


def start(data: Path, jobs: int) -> Running:
    """The studio on `data`, once it has accepted `jobs` more jobs."""
    program = [sys.executable, "-m", "tests.jobs.studio", str(data), str(jobs)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    accepted = [process.stdout.readline().split()[1] for _ in range(jobs)]
    return Running(process, accepted)


def kill(running: Running, who: str, chance: random.Random) -> None:
    """`who` dies after a while; then, in any case, the studio."""
    time.sleep(chance.uniform(0.1, 2.2))
    worker = running.worker
    if worker and who != "studio":
        worker.kill()
        time.sleep(chance.uniform(0.0, 0.5) if who == "worker" else 0.0)
    running.process.kill()
    running.process.communicate()


@pytest.mark.parametrize("seed", [20261121])
def test_nothing_is_lost_doubled_or_half_whatever_is_killed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    accepted: list[str] = []
    for who in ("studio", "worker", "both", "studio"):
        running = start(tmp_path, JOBS)
        accepted += running.accepted
        kill(running, who, chance)
    last = start(tmp_path, 0)
    output, _ = last.process.communicate(timeout=60)
    assert (last.process.returncode, output) == (0, "done\n")
    check(DataFolder(tmp_path), accepted)


def check(folder: DataFolder, accepted: list[str]) -> None:
    database = Database(folder.database)
    journal, images = Journal(database), ImageStore(database, folder.outputs)
    pictures = {
        path.relative_to(folder.outputs).as_posix(): read_picture(path) for path in folder.outputs.rglob("*.png")
    }
    assert max(Counter((facts.job, facts.index) for facts in pictures.values()).values()) == 1, (
        "a picture was painted twice"
    )
    assert images.adopt() == [], "a picture is not listed"
    for job in accepted:
        record = journal.find(job)
        assert record is not None, "an accepted job is gone"
        assert record.state == "finished" or (record.state == "failed" and record.attempt >= MAX_ATTEMPTS)
        rows = images.of_job(job)
        assert isinstance(record.request, GenerateRequest)
        if record.state == "finished":
            assert [row.index for row in rows] == list(range(record.request.count))
        for row in rows:
            with Image.open(folder.outputs / row.file) as opened:
                assert opened.tobytes() == sketch(record.request.seed_of(row.index)).tobytes(), "a picture is damaged"
    assert list(folder.root.rglob("*.tmp")) == []
    database.close()
