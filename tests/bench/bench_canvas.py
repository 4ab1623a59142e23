"""The canvas of the Inpaint tab: what a frame of a stroke costs, and how long a mask takes to reach the studio.

    uv run tests/bench/bench_canvas.py [--sizes 2048 4096]

A real studio and a real Chromium without a GPU. A frame is timed by the browser's performance API: `wait` from the
first pointer event it answers to the end of drawing, which includes waiting for the frame; `work` is the drawing alone.
Pictures are square; medians and the 95th percentile.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from tests.browser.canvas import Canvas  # noqa: E402
from tests.browser.conftest import FLAGS, Studio  # noqa: E402
from tests.browser.easel import Easel  # noqa: E402
from tests.browser.install import installed  # noqa: E402

WATCH = """() => {
  window.stroke = { wait: [], work: [] };
  new PerformanceObserver(list => {
    const kind = one => (one.name === 'canvas.stroke' ? 'wait' : 'work');
    for (const one of list.getEntries()) window.stroke[kind(one)].push(one.duration);
  }).observe({ entryTypes: ['measure'] });
}"""
SEND = """async () => {
  const times = [];
  for (let k = 0; k < 7; k += 1) {
    const began = performance.now();
    const png = await Easel.greyPng(Easel.canvas.maskOf('main'));
    const packed = performance.now();
    await Easel.canvas.bring(png);
    times.push([packed - began, performance.now() - began, png.size]);
  }
  return times;
}"""


def measure(page: Page, canvas: Canvas, side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    canvas.open(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))
    for radius, hardness in ((30, 1.0), (120, 0.5), (300, 0.0)):
        canvas.brush(size=radius, hardness=hardness, strength=1)
        page.evaluate("() => { window.stroke.wait = []; window.stroke.work = []; }")
        low, high = side * 0.15, side * 0.85
        page.mouse.move(*canvas.at((low, low)))
        page.mouse.down()
        for x, y in ((high, low), (high, high), (low, high), (side / 2, side / 2)):
            page.mouse.move(*canvas.at((x, y)), steps=40)
        page.mouse.up()
        page.wait_for_timeout(200)
        told = page.evaluate("window.stroke")
        numbers = "; ".join(f"{name} {middle(told[name])}" for name in ("work", "wait"))
        print(f"{side} x {side}, brush {radius} px, hardness {hardness}: {len(told['wait'])} frames, {numbers}")
    times = page.evaluate(SEND)
    packed, sent, size = (statistics.median(row[k] for row in times) for k in range(3))
    print(f"{side} x {side}, mask to the studio: {sent:.0f} ms, {packed:.0f} of them packing; {size / 1000:.0f} kB")


def middle(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} ms (95 %: {np.percentile(times, 95):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 4096])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studio = Studio(Path(folder) / "data")
        browser = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        easel = Easel(page, studio.url)
        easel.open()
        canvas = Canvas(easel, studio)
        canvas.show()
        page.evaluate(WATCH)
        for side in asked.sizes:
            measure(page, canvas, side)
        browser.close()
        studio.stop()


if __name__ == "__main__":
    main()
