"""Merging full-size files, beside a plain copy of the same bytes.

    uv run tests/bench/bench_merging.py [sd1|sdxl|many] [--runs 3] [--hashes]

Files are made once, in the true layouts with weights of chance; the page cache is warm. Each merge runs in a process
of its own: wall and CPU seconds from the call on, peak resident memory over what importing torch alone costs. The copy
reads every model and writes one, in the same slices.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipelines.core.model import Family  # noqa: E402
from pipelines.models.hashing import Hashing, read_through  # noqa: E402
from tests.models.synthetic import write_full_size  # noqa: E402

BUFFER = 1 << 20
KINDS = ["sd1", "sdxl", "many"]
MERGE = """
import json, resource, sys, time
from pathlib import Path
import torch
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
from pipelines.core.recipe import Ingredient, Mix, Recipe
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.merging import merge, one_thread
from pipelines.jobs.orders import Order
from pipelines.models.reading import read_model
*files, target, mix = sys.argv[1:]
infos = tuple(read_model(Path(file), Path(file).stem) for file in files)
known = Recipe(easel="Easel", mix=Mix(**json.loads(mix)), models=tuple(
    Ingredient(name=info.name, sha256="0" * 64, size=info.size) for info in infos))
began, cpu = time.perf_counter(), time.process_time()
with one_thread():
    for _ in merge(Order(known.mix, infos, Path(target), recipe=known), NoBook()):
        pass
print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, peak() - before]))
"""
"""The models' own hashes are known, as they are after the first merge."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=KINDS, default=KINDS[:1])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Where files are made and found again; else they are thrown away.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        folder = asked.folder or Path(thrown_away)
        for what in asked.what:
            family = Family.SDXL if what == "sdxl" else Family.SD1
            counts = (3, 5) if what == "many" else (2,)
            for count in counts:
                bench(folder, family, count, asked.runs)


def bench(folder: Path, family: Family, count: int, runs: int) -> None:
    files = [made(folder, family, number) for number in range(count)]
    blocks = 20 if family is Family.SDXL else 26
    mix = {"method": "weighted_sum", "blocks": {"alpha": [0.4] * blocks}, "dtype": "fp16"}
    if count > 2:
        mix = {"method": "task_arithmetic", "dtype": "fp16"}
    rows = []
    for _ in range(runs):
        target = folder / "out.safetensors"
        target.unlink(missing_ok=True)
        copied = copy(files, target)
        target.unlink()
        merged = child(MERGE, *map(str, files), str(target), json.dumps(mix))
        began, hashing = time.process_time(), Hashing()
        for _ in read_through(target, hashing):
            pass
        hashed = time.process_time() - began
        target.unlink()
        rows.append([*copied, *merged, merged[0] / copied[0], hashed])
    copy_wall, copy_cpu, wall, cpu, memory, ratio, hashed = (
        statistics.median(column) for column in zip(*rows, strict=True)
    )
    cost = f"{wall:.2f} s ({cpu:.2f} CPU, {hashed:.2f} for the hashes)"
    copied_in = f"copy {copy_wall:.2f} s ({copy_cpu:.2f} CPU)"
    print(
        f"| {family} x{count}, {mix['method']} | {copied_in} | {cost} | x{ratio:.2f} | {memory:,.0f} MB |", flush=True
    )


def made(folder: Path, family: Family, number: int) -> Path:
    file = folder / f"{family}-{number}.safetensors".replace(" ", "")
    return file if file.exists() else write_full_size(file, family)


def copy(files: list[Path], target: Path) -> tuple[float, float]:
    """Read all of `files`, and write as much as one of them, to the disk. (wall, CPU) seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    buffers = [memoryview(bytearray(BUFFER)) for _ in files]
    opened = [file.open("rb", buffering=0) for file in files]
    with target.open("wb", buffering=0) as out:
        while (counts := [one.readinto(buffer) for one, buffer in zip(opened, buffers, strict=True)])[0]:
            out.write(buffers[0][: counts[0]])
        os.fsync(out.fileno())
    for one in opened:
        one.close()
    return time.perf_counter() - began, time.process_time() - cpu


def child(code: str, *arguments: str) -> list[float]:
    """What `code` prints, run in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
