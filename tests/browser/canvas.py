"""The Inpaint tab as the tests speak of it: strokes in the picture's own pixels."""

import io
from typing import Any
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Studio
from tests.browser.easel import Easel, until

Point = tuple[float, float]
QUICK = {"steps": 4, "strength": 1, "soft_edge": 0}


class Canvas:
    """The Inpaint tab in a browser."""

    def __init__(self, easel: Easel, studio: Studio) -> None:
        self.easel, self.page, self.studio = easel, easel.page, studio
        self.area = self.page.locator(".canvas-area")
        self.repaint = self.page.locator("#repaint")
        self.prompt = self.page.locator(".promptbox.own textarea").first
        self.problem = self.page.locator(".canvas-area .problem")
        self.strip = self.page.locator(".works .thumb:not(.other)")

    def show(self) -> None:
        self.page.get_by_role("tab", name="Inpaint").click()
        expect(self.repaint).to_be_visible()

    def open(self, picture: Image.Image, **settings: Any) -> None:
        """A picture of one's own, as if it had been dropped there."""
        self.show()
        source = self.bring(picture)
        self.change(**QUICK | settings)
        self.page.evaluate("source => Easel.canvas.open(source)", source)
        self.wait_until_drawn()

    def change(self, **settings: Any) -> None:
        """Settings beside the picture, by their names in the request."""
        self.page.evaluate("settings => Easel.canvas.change(settings)", settings)

    def bring(self, picture: Image.Image) -> dict[str, Any]:
        told = self.page.request.post(f"{self.studio.url}api/sources", data=png(picture))
        source: dict[str, Any] = told.json()
        return source

    def wait_until_drawn(self) -> None:
        until(self.page, "Easel.canvas.node && document.querySelector('.canvas-area canvas').width > 300")
        self.page.wait_for_timeout(100)

    def tool(self, key: str) -> None:
        """By its key."""
        self.area.focus()
        self.page.keyboard.press(key)

    def brush(self, **what: float) -> None:
        """Set size (pixels of the picture), hardness and strength as the sliders do."""
        bar = self.page.locator(".float.options")
        for name, value in what.items():
            share = 100 * float(np.log(value) / np.log(400)) if name == "size" else 100 * value
            slider = bar.get_by_role("slider", name=name.capitalize())
            slider.evaluate("(node, value) => { node.step = 'any'; node.value = value; }", share)
            slider.dispatch_event("input")

    def at(self, point: Point) -> Point:
        """Where a point of the picture lies in the window; the pixel's corner."""
        box = self.area.bounding_box()
        assert box is not None
        zoom: dict[str, float] = self.page.evaluate("Easel.canvasAt()")
        return box["x"] + zoom["x"] + point[0] * zoom["z"], box["y"] + zoom["y"] + point[1] * zoom["z"]

    def drag(self, *points: Point, button: Any = "left") -> None:
        """Down at the first point, along the others, up at the last: with the mouse."""
        self.page.mouse.move(*self.at(points[0]))
        self.page.mouse.down(button=button)
        for point in points[1:]:
            self.page.mouse.move(*self.at(point), steps=6)
        self.page.mouse.up(button=button)

    def wheel(self, point: Point, by: float) -> None:
        self.page.mouse.move(*self.at(point))
        self.page.mouse.wheel(0, by)
        self.page.wait_for_timeout(60)

    def mask(self, key: str = "main") -> NDArray[np.uint8]:
        """(h, w) as the page holds it."""
        until(self.page, "Easel.canvas.node")
        width, height, data = self.page.evaluate(
            "key => { const m = Easel.canvas.maskOf(key); return [m.width, m.height, Array.from(m.data)]; }", key
        )
        return np.array(data, np.uint8).reshape(height, width)

    def paint(self) -> dict[str, Any]:
        """Press Repaint and wait; the facts of the last result."""
        before = self.page.evaluate("Easel.repaint.shown?.id ?? 0")
        self.repaint.click()
        until(self.page, f"(Easel.repaint.shown?.id ?? 0) > {before} && !Easel.repaint.live")
        shown: dict[str, Any] = self.page.evaluate("Easel.repaint.shown")
        return shown

    def sent_mask(self, result: dict[str, Any]) -> NDArray[np.uint8]:
        """The file that the studio was given."""
        with Image.open(io.BytesIO(self.fetch(f"api/sources/{result['request']['mask']}"))) as image:
            assert image.mode == "L"
            return np.array(image)

    def pixels(self, address: str) -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(self.fetch(address.lstrip("/")))) as image:
            return np.array(image.convert("RGB"))

    def fetch(self, path: str) -> bytes:
        with urlopen(self.studio.url + path, timeout=10) as answer:
            content: bytes = answer.read()
        return content


def png(picture: Image.Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "PNG")
    return held.getvalue()


def scene(width: int, height: int) -> Image.Image:
    """A picture with a different colour at every pixel, nearly."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x % 256, y % 256, (x + 3 * y) % 256], axis=2).astype(np.uint8))


def strokes(size: tuple[int, int], points: list[Point], radius: float, *, hardness: float = 1, strength: float = 1,
            ) -> NDArray[np.float64]:  # fmt: skip
    """(h, w) 0 to 255: what a round brush leaves along a line, from the distance of each pixel's middle to it."""
    width, height = size
    y, x = np.mgrid[:height, :width] + 0.5
    nearest = np.full((height, width), np.inf)
    for (ax, ay), (bx, by) in zip(points, points[1:] or points, strict=False):
        dx, dy = bx - ax, by - ay
        t = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - t * dx, y - ay - t * dy))
    fade = max(1.0, radius * (1 - hardness))
    share = np.clip((radius + 0.5 - nearest) / fade, 0, 1)
    return 255 * strength * (share if fade == 1 else share * share * (3 - 2 * share))
