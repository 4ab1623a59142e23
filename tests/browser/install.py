"""Finds a Chromium for the browser tests, or installs one: Debian's through apt, else Playwright's own.

    uv run tests/browser/install.py

Prints the browser that will be used. Exits 1 with the reason when none can be had.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
WINDOWS = Path(os.environ.get("PROGRAMFILES", "C:/Program Files")) / "Google/Chrome/Application/chrome.exe"


def installed() -> str | None:
    """An executable path: `EASEL_CHROMIUM` if set, a browser of this machine, or Playwright's own download."""
    if chosen := os.environ.get("EASEL_CHROMIUM"):
        return chosen
    for name in NAMES:
        if path := shutil.which(name):
            return path
    return next((str(p) for p in (MAC, WINDOWS) if p.exists()), None) or _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """apt where we may use it, else Playwright's download."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        update = ["apt-get", "update", "-qq"]
        add = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-liberation"]
        if subprocess.run(update, check=False).returncode == 0 and subprocess.run(add, check=False).returncode == 0:
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> int:
    if installed() is None:
        install()
    path = installed()
    if path is None:
        sys.stderr.write("No Chromium could be found or installed; install Chromium or Chrome and run this again\n")
        return 1
    sys.stdout.write(f"Browser tests will use {path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
