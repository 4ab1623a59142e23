"""An anti-aliased canvas measured in units: the shorter side of every picture is 128 units, whatever its pixels."""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pipelines.training.world.palette import INK, Paint

UNITS = 128.0  # along the shorter side
OVERSAMPLING = 3  # pixels drawn per pixel kept, along each side

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


def shared(a: Box, b: Box) -> float:
    """The share of `a`, 0-1, that is in `b`."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0) / ((a[2] - a[0]) * (a[3] - a[1]))


@dataclass(frozen=True, slots=True)
class Outline:
    """A hand-drawn contour: `width` and `wobble` in units."""

    paint: Paint = INK
    width: float = 0.38
    wobble: float = 0.35


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a subject stands: its own (0, 0) in the picture's units, its scale, and 1 or -1 for mirrored."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    facing: int = 1


class Canvas:
    """Draws shapes in the current frame and remembers the box they cover."""

    def __init__(self, width: int, height: int, rng: random.Random, outline: Outline | None = None) -> None:
        """`width`, `height` in pixels. With an `outline`, every shape that wants one gets a contour."""
        self.rng = rng
        self.size = (width, height)
        self.unit = min(width, height) / UNITS * OVERSAMPLING  # drawn pixels per unit
        self.width = width * OVERSAMPLING / self.unit  # units
        self.height = height * OVERSAMPLING / self.unit  # units
        self._outline = outline
        self._frame = Frame()
        self._image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING))
        self._pen = ImageDraw.Draw(self._image, "RGBA")
        self._covered: list[Point] = []  # corners of the shapes since `at` was entered, in drawn pixels

    @contextmanager
    def at(self, frame: Frame) -> Iterator[None]:
        """Draw in `frame`; afterwards in the picture's own again."""
        before, self._frame, self._covered = self._frame, frame, []
        try:
            yield
        finally:
            self._frame = before

    @property
    def covered(self) -> Box:
        """The box around what was drawn since `at` was last entered, in fractions of the picture, 0-1."""
        points = np.array(self._covered) / self._image.size
        left, top = points.min(0).clip(0, 1)
        right, bottom = points.max(0).clip(0, 1)
        return float(left), float(top), float(right), float(bottom)

    def rows(self, colours: np.ndarray) -> None:
        """Fill the whole picture with one colour per row: `colours` is (n, 3), stretched to the height, 0-255."""
        wide, high = self._image.size
        at = np.linspace(0, len(colours) - 1, high)
        channels = [np.interp(at, np.arange(len(colours)), colours[:, c]) for c in range(3)]
        picture = np.broadcast_to(np.stack(channels, -1)[:, None].astype(np.uint8), (high, wide, 3))
        self._image.paste(Image.fromarray(np.ascontiguousarray(picture)))

    def polygon(self, points: Sequence[Point], paint: Paint, *, contour: bool = True) -> None:
        """A filled polygon through `points`."""
        at = self._placed(points)
        self._pen.polygon(at, fill=paint)
        if contour and self._outline:
            self._contour(at, self._outline)

    def rectangle(self, box: Box, paint: Paint, *, contour: bool = True) -> None:
        """A filled upright rectangle."""
        x0, y0, x1, y1 = box
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], paint, contour=contour)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        paint: Paint,
        *,
        contour: bool = True,
        arc: tuple[float, float] = (0, 360),
    ) -> None:
        """A filled ellipse, or the part of it between two angles (degrees, clockwise from the right)."""
        start, stop = (math.radians(a) for a in arc)
        n = max(12, int(sum(radii) * self._frame.scale * 1.2) + 8)
        angles = [start + (stop - start) * i / n for i in range(n + 1)]
        (cx, cy), (rx, ry) = centre, radii
        self.polygon([(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles], paint, contour=contour)

    def disc(self, centre: Point, radius: float, paint: Paint, *, contour: bool = True) -> None:
        """A filled circle."""
        self.ellipse(centre, (radius, radius), paint, contour=contour)

    def puffs(self, discs: Sequence[tuple[float, float, float]], paint: Paint) -> None:
        """The union of discs (x, y, radius), with one contour around the whole."""
        inset = 0.0
        if self._outline:
            inset = 0.6 / self._frame.scale
            for x, y, radius in discs:
                self.disc((x, y), radius, paint)
        for x, y, radius in discs:
            self.disc((x, y), radius - inset, paint, contour=False)

    def line(self, points: Sequence[Point], paint: Paint, width: float) -> None:
        """A stroke `width` units wide."""
        thick = max(1, round(width * self._frame.scale * self.unit))
        at = self._placed(points)
        self._pen.line(at, fill=paint, width=thick, joint="curve")
        self._covered += [(x + side * thick / 2, y + side * thick / 2) for x, y in at for side in (-1, 1)]

    def picture(self) -> Image.Image:
        """The finished picture, RGB, at the size asked for."""
        return self._image.resize(self.size, Image.Resampling.BOX)

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        f = self._frame
        at = [((f.x + f.facing * x * f.scale) * self.unit, (f.y + y * f.scale) * self.unit) for x, y in points]
        self._covered += at
        return at

    def _contour(self, at: list[Point], outline: Outline) -> None:
        reach = outline.wobble * self.unit
        shaken = [(x + self.rng.uniform(-reach, reach), y + self.rng.uniform(-reach, reach)) for x, y in at]
        width = max(1, round(outline.width * self.unit))
        self._pen.line([*shaken, *shaken[:2]], fill=outline.paint, width=width, joint="curve")
