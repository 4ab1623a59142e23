"""How long until the studio answers, until its first picture, and what it weighs while idle.

    uv run tests/bench/bench_startup.py [--runs 5]

Each run starts the installed studio on a fresh data folder. Prints medians with the spread, as a Markdown table.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[2]
PORT = 7979
URL = f"http://127.0.0.1:{PORT}"
PATIENCE = 120.0
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""An installed program keeps its compiled bytecode; some build machines forbid that, and start twice as slowly."""


@dataclass(frozen=True)
class Run:
    """One start of the studio."""

    page: float
    """Seconds until the page answers."""
    picture: float
    """Seconds until the first finished picture, from the start."""
    web_memory: float
    """MB resident in the web process ten seconds later."""
    worker_memory: float
    """MB resident in the worker then."""


def wait_for_page(deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            if httpx.get(URL, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError("the studio does not answer")


def wait_for_picture(deadline: float) -> None:
    job = httpx.post(f"{URL}/api/jobs", json={"prompt": "a red house under a night sky", "seed": 7}).json()["id"]
    while time.monotonic() < deadline:
        if httpx.get(f"{URL}/api/jobs/{job}").json()["state"] == "finished":
            return
        time.sleep(0.05)
    raise TimeoutError("no picture was made")


def start_once() -> Run:
    with tempfile.TemporaryDirectory() as data:
        began = time.monotonic()
        command = [sys.executable, str(ROOT / "app.py"), "serve", "--port", str(PORT), "--data", data]
        studio = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=INSTALLED)
        try:
            wait_for_page(began + PATIENCE)
            page = time.monotonic() - began
            wait_for_picture(began + PATIENCE)
            picture = time.monotonic() - began
            time.sleep(10)
            web = psutil.Process(studio.pid)
            workers = sum(child.memory_info().rss for child in web.children(recursive=True))
            return Run(page, picture, web.memory_info().rss / 1e6, workers / 1e6)
        finally:
            studio.terminate()
            studio.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = [start_once() for _ in range(parser.parse_args().runs + 1)][1:]  # the first compiles bytecode
    print("| figure | median | min | max |\n|---|---|---|---|")
    rows = zip(*map(astuple, runs), strict=True)
    names = ("page answers (s)", "first picture (s)", "web process, idle (MB)", "worker, one model (MB)")
    for name, values in zip(names, rows, strict=True):
        print(f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")


if __name__ == "__main__":
    main()
