"""The four grounds, each in the light of the sky above it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.training.world.canvas import Canvas
from pipelines.training.world.palette import GROUNDS, SEABED, Paint, Rgb, tinted
from pipelines.training.world.scene import Ground, Sky


@dataclass(frozen=True, slots=True)
class Land:
    """What a ground painter needs: the canvas, the horizon in units from the top, and the light."""

    canvas: Canvas
    horizon: float
    sky: Sky

    def lit(self, colour: Paint) -> Rgb:
        """`colour` in this light."""
        return tinted(colour, self.sky)

    def layers(self, ground: Ground) -> tuple[Rgb, Rgb]:
        """Far and near colour of `ground` in this light."""
        far, near = GROUNDS[ground]
        return self.lit(far), self.lit(near)

    def anywhere(self, below: float) -> tuple[float, float]:
        """A random place at least `below` units under the horizon."""
        rng = self.canvas.rng
        return rng.uniform(4, self.canvas.width - 4), rng.uniform(self.horizon + below, self.canvas.height - 3)

    def hills(self, drop: float, swing: float, paint: Paint, *, waves: float = 1.0) -> None:
        """A rolling surface from `drop` units under the horizon to the bottom; `swing` is its height in units."""
        rng, width, bottom = self.canvas.rng, self.canvas.width, self.canvas.height + 4
        phase, rate, y = rng.uniform(0, 6.3), rng.uniform(0.025, 0.05) * waves, self.horizon + drop

        def height(x: float) -> float:
            return y + swing * math.sin(phase + rate * x) + swing * 0.4 * math.sin(2.3 * phase + rate * 2.1 * x)

        ridge = [(float(x), height(x)) for x in range(-4, math.ceil(width) + 6, 3)]
        self.canvas.polygon([(-4, bottom), *ridge, (width + 4, bottom)], paint)


def paint_ground(canvas: Canvas, ground: Ground, sky: Sky, horizon: float) -> None:
    """Paint `ground` from the horizon down."""
    PAINTERS[ground](Land(canvas, horizon, sky))


def _meadow(land: Land) -> None:
    canvas, rng = land.canvas, land.canvas.rng
    far, near = land.layers(Ground.MEADOW)
    land.hills(0, 5, far)
    for _ in range(rng.randint(1, 4)):
        x, q = rng.uniform(3, canvas.width - 3), rng.uniform(3, 4.5)
        y = land.horizon + 4
        canvas.puffs([(x, y - q, q), (x + q, y - q * 0.6, q * 0.8)], land.lit((70, 148, 92)))
    land.hills(12, 3, near)
    for _ in range(8):
        x, y = land.anywhere(22)
        for lean in (-1.6, 1.6):
            canvas.line([(x + lean, y - 3.4), (x, y)], land.lit((82, 152, 62)), 1.0)
    for _ in range(rng.randint(2, 5)):
        petal = rng.choice([(255, 255, 255), (255, 230, 120), (255, 190, 210)])
        canvas.disc(land.anywhere(22), 1.4, land.lit(petal), contour=False)


def _desert(land: Land) -> None:
    canvas, rng = land.canvas, land.canvas.rng
    far, near = land.layers(Ground.DESERT)
    land.hills(-1, 6, far, waves=1.4)
    land.hills(11, 4, near)
    for _ in range(rng.randint(1, 2)):
        x = rng.choice([rng.uniform(5, 20), rng.uniform(canvas.width - 20, canvas.width - 5)])
        _cactus(land, x, land.horizon + rng.uniform(8, 18))
    for _ in range(4):
        x, y = land.anywhere(20)
        q = rng.uniform(5, 9)
        canvas.line([(x - q, y), (x, y - 1), (x + q, y)], land.lit((208, 158, 88)), 1.1)


def _cactus(land: Land, x: float, y: float) -> None:
    green = land.lit((84, 150, 92))
    land.canvas.rectangle((x - 1.8, y - 14, x + 1.8, y), green)
    for side, low in ((-1, 5.0), (1, 7.0)):
        arm = sorted((x + side * 4.0, x + side * 6.4))
        branch = sorted((x, x + side * 6.4))
        land.canvas.rectangle((arm[0], y - low - 5, arm[1], y - low), green)
        land.canvas.rectangle((branch[0], y - low - 1.9, branch[1], y - low), green, contour=False)


def _snow(land: Land) -> None:
    canvas, rng = land.canvas, land.canvas.rng
    far, near = land.layers(Ground.SNOW)
    land.hills(0, 5, far)
    for _ in range(rng.randint(2, 5)):
        _fir(land, rng.uniform(4, canvas.width - 4), land.horizon + rng.uniform(2, 6), rng.uniform(0.9, 1.3))
    land.hills(11, 3, near)
    for _ in range(4):
        x, y = land.anywhere(20)
        q = rng.uniform(5, 9)
        canvas.line([(x - q, y), (x, y - 1), (x + q, y)], land.lit((196, 212, 234)), 1.1)


def _fir(land: Land, x: float, y: float, q: float) -> None:
    green = land.lit((64, 118, 108))
    land.canvas.polygon([(x - 4 * q, y), (x, y - 7 * q), (x + 4 * q, y)], green)
    land.canvas.polygon([(x - 3 * q, y - 4 * q), (x, y - 11 * q), (x + 3 * q, y - 4 * q)], green)
    tip = [(x - 1.6 * q, y - 7.6 * q), (x, y - 11 * q), (x + 1.6 * q, y - 7.6 * q)]
    land.canvas.polygon(tip, land.lit((250, 252, 255)), contour=False)


def _sea(land: Land) -> None:
    canvas, rng = land.canvas, land.canvas.rng
    far, near = land.layers(Ground.SEA)
    land.hills(0, 0.3, far)
    land.hills(14, 1.2, near, waves=3)
    land.hills(32, 1.4, land.lit(SEABED), waves=3)
    for _ in range(8):
        x, y = land.anywhere(6)
        q = rng.uniform(3, 5.5)
        wave = [(x - q, y), (x - q / 2, y - 1.2), (x, y), (x + q / 2, y - 1.2), (x + q, y)]
        canvas.line(wave, land.lit((150, 210, 235)), 1.0)


PAINTERS: dict[Ground, Callable[[Land], None]] = {
    Ground.MEADOW: _meadow,
    Ground.DESERT: _desert,
    Ground.SNOW: _snow,
    Ground.SEA: _sea,
}
