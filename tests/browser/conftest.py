"""A real Chromium and a real studio, started as a person would start it, for the tests that drive the page.

Without a browser these tests fail: the page is what Easel is. `tests/browser/install.py` finds or installs one.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)  # fmt: skip

from tests.browser.easel import PATIENCE, Easel
from tests.browser.install import installed

ROOT = Path(__file__).parents[2]
SHOTS = Path(__file__).parent / "shots"
WINDOW: ViewportSize = {"width": 1440, "height": 900}
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
]  # fmt: skip

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed when this folder is done: while Playwright runs, no other test could use asyncio."""
    path = installed()
    if path is None:
        pytest.fail("No Chromium was found; run `uv run tests/browser/install.py` first")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


class Studio:
    """A running studio: `app.py serve` on a free port and a folder of its own."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data, self.environment = data, environment
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "app.py", "serve", "--port", str(self.port), "--data", str(self.data)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | self.environment
        with (self.data.parent / "studio.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"The studio did not start: {(self.data.parent / 'studio.log').read_text()[-2000:]}")
            time.sleep(0.2)
        return process

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str) -> Any:
        """JSON from the REST API."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def restart(self) -> None:
        self.stop()
        self.process = self._start()

    def wait_until_idle(self, seconds: float = PATIENCE) -> None:
        """Until no job is active."""
        deadline = time.monotonic() + seconds
        while self.get("api/jobs"):
            assert time.monotonic() < deadline, "a job is still active"
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One studio for all tests; each test leaves its queue empty."""
    running = Studio(tmp_path_factory.mktemp("studio") / "data")
    yield running
    running.stop()


def new_context(browser: Browser) -> BrowserContext:
    """A window of its own, with nothing remembered."""
    made = browser.new_context(viewport=WINDOW, color_scheme="dark", locale="en-GB", reduced_motion="reduce")
    made.set_default_timeout(PATIENCE * 1000)
    return made


@pytest.fixture(scope="package")
def tab(browser: Browser) -> Iterator[Page]:
    """The page of all tests: to open another window costs three times what it takes to load the studio into this."""
    context = new_context(browser)
    yield context.new_page()
    context.close()


@pytest.fixture
def context(tab: Page) -> Iterator[BrowserContext]:
    """The window of the page; nothing on it asks any other host."""
    window, asked = tab.context, []

    def note(request: Request) -> None:
        asked.append(request.url)

    window.on("request", note)
    yield window
    window.remove_listener("request", note)
    for other in window.pages[1:]:
        other.close()
    window.clear_permissions()
    foreign = [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert not foreign, f"the page asked other hosts: {foreign[:5]}"


@pytest.fixture
def page(context: BrowserContext, tab: Page) -> Iterator[Page]:
    """A blank page that remembers nothing; a script that fails on it fails the test."""
    try:
        yield from watched(tab)
    finally:
        forget(tab)


@pytest.fixture
def own_page(browser: Browser) -> Iterator[Page]:
    """A page in a window of its own, for what cannot be undone on one."""
    context = new_context(browser)
    yield from watched(context.new_page())
    context.close()


def watched(page: Page) -> Iterator[Page]:
    """The page, and afterwards whether all scripts on it went well."""
    broken: list[str] = []

    def note(error: Error) -> None:
        broken.append(str(error))

    page.on("pageerror", note)
    yield page
    page.remove_listener("pageerror", note)
    assert not broken, f"scripts failed: {broken[:3]}"


FORGET = """async () => {
    localStorage.clear();
    sessionStorage.clear();
    for (const { name } of await indexedDB.databases())
        await new Promise(done => {
            const asked = indexedDB.deleteDatabase(name);
            asked.onsuccess = asked.onerror = asked.onblocked = done;
        });
}"""


def forget(page: Page) -> None:
    """What the studio keeps in the browser goes, once none of its scripts could write it anew."""
    page.unroute_all(behavior="ignoreErrors")
    if page.url.startswith("http"):
        page.goto(urljoin(page.url, "/health"))
        page.evaluate(FORGET)
    page.goto("about:blank")
    page.set_viewport_size(WINDOW)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.mouse.move(0, 0)


@pytest.fixture
def easel(page: Page, studio: Studio) -> Iterator[Easel]:
    """The studio's page, opened; its jobs are stopped when the test ends."""
    opened = Easel(page, studio.url)
    opened.open()
    yield opened
    for job in studio.get("api/jobs"):
        page.request.post(f"{studio.url}api/jobs/{job['id']}/stop", data={"mode": "now"})
    studio.wait_until_idle()


@pytest.fixture(scope="package")
def shots() -> Path:
    """Where screenshots are left for people to look at."""
    SHOTS.mkdir(exist_ok=True)
    return SHOTS
