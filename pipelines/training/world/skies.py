"""The four skies. Each paints the gradient of the palette and what hangs in it, above the horizon."""

from collections.abc import Callable

import numpy as np

from pipelines.training.world.canvas import Canvas
from pipelines.training.world.palette import SKIES, mix
from pipelines.training.world.scene import Sky

SkyPainter = Callable[[Canvas, float], None]  # (canvas, horizon in units from the top)


def paint_sky(canvas: Canvas, sky: Sky, horizon: float) -> None:
    """Fill the picture with `sky`; the ground is painted over its lower part."""
    reach = max(2, round(canvas.height / horizon * 64))  # the gradient ends at the horizon, its last stop goes on
    at = np.linspace(0, canvas.height / horizon * 2, reach).clip(0, 2)
    stops = np.array(SKIES[sky], dtype=float)
    canvas.rows(np.stack([np.interp(at, [0, 1, 2], stops[:, c]) for c in range(3)], -1))
    PAINTERS[sky](canvas, horizon)


def _side(canvas: Canvas, inset: float) -> float:
    """A place near the left or right edge, where it does not hide behind a subject in the middle."""
    return canvas.rng.choice([inset, canvas.width - inset]) + canvas.rng.uniform(-4, 4)


def _day(canvas: Canvas, horizon: float) -> None:
    rng = canvas.rng
    if rng.random() < 0.6:
        sun = (_side(canvas, 20), 19.0)
        canvas.disc(sun, 15, (255, 240, 150, 90), contour=False)
        canvas.disc(sun, 10, (255, 226, 92))
    for _ in range(rng.randint(1, 3)):
        x, y, q = rng.uniform(8, canvas.width - 8), rng.uniform(12, horizon * 0.5), rng.uniform(5, 8)
        puffs = [(-1.3, 0.0, 0.8), (0.0, -0.4, 1.0), (1.3, 0.0, 0.75), (0.0, 0.2, 0.8)]
        canvas.puffs([(x + dx * q, y + dy * q, r * q) for dx, dy, r in puffs], (255, 255, 255))


def _night(canvas: Canvas, horizon: float) -> None:
    rng = canvas.rng
    for _ in range(round(16 * canvas.width * horizon / (128 * 77))):
        star = (rng.uniform(3, canvas.width - 3), rng.uniform(3, horizon - 8))
        canvas.disc(star, rng.choice([0.9, 1.1, 1.4]), (255, 250, 215), contour=False)
    x, y = _side(canvas, 22), rng.uniform(16, 22)
    behind = mix(SKIES[Sky.NIGHT][0], SKIES[Sky.NIGHT][1], y / horizon * 2)
    canvas.disc((x, y), 15, mix(behind, (255, 248, 200), 0.14), contour=False)
    canvas.disc((x, y), 10, (252, 243, 196))
    canvas.disc((x + 4.2, y - 2.4), 8.4, mix(behind, (255, 248, 200), 0.14), contour=False)


def _sunset(canvas: Canvas, horizon: float) -> None:
    rng = canvas.rng
    sun = (rng.uniform(25, canvas.width - 25), horizon - 2)
    canvas.disc(sun, 22, (255, 236, 160, 90), contour=False)
    canvas.disc(sun, 15, (255, 232, 130))
    for _ in range(rng.randint(2, 4)):
        x, y, q = rng.uniform(8, canvas.width - 8), rng.uniform(12, horizon * 0.55), rng.uniform(10, 18)
        canvas.ellipse((x, y), (q, 2.0), (255, 170, 140, 200), contour=False)
        canvas.ellipse((x + q * 0.4, y + 3.4), (q * 0.7, 1.6), (255, 150, 140, 180), contour=False)


def _rain(canvas: Canvas, horizon: float) -> None:
    rng = canvas.rng
    for _ in range(round(rng.randint(4, 6) * canvas.width / 128)):
        x, y, q = rng.uniform(0, canvas.width), rng.uniform(4, 20), rng.uniform(7, 11)
        grey = mix((84, 92, 106), (112, 120, 132), rng.random())
        canvas.puffs([(x - q * 1.2, y, q * 0.8), (x, y - q * 0.3, q), (x + q * 1.2, y, q * 0.8)], grey)


def paint_rainfall(canvas: Canvas) -> None:
    """Streaks over everything, painted last."""
    rng = canvas.rng
    for _ in range(round(26 * canvas.width * canvas.height / 128**2)):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height - 8)
        canvas.line([(x, y), (x - 2, y + 7)], (205, 222, 240, 170), 0.9)


def paint_snowfall(canvas: Canvas) -> None:
    """Flakes over everything, painted last."""
    rng = canvas.rng
    for _ in range(round(64 * canvas.width * canvas.height / 128**2)):
        flake = (rng.uniform(0, canvas.width), rng.uniform(0, canvas.height))
        canvas.disc(flake, rng.choice([1.0, 1.4, 1.9]), (255, 255, 255, 240), contour=False)


PAINTERS: dict[Sky, SkyPainter] = {Sky.DAY: _day, Sky.NIGHT: _night, Sky.SUNSET: _sunset, Sky.RAIN: _rain}
