"""Trees, flowers and mushrooms. A subject stands on (0, 0), y grows downward, and is about 45 units high."""

import math

from pipelines.training.world.canvas import Canvas
from pipelines.training.world.palette import WOOD, Coat, darker, mix
from pipelines.training.world.scene import Colour


def tree(canvas: Canvas, coat: Coat) -> None:
    """A round crown of six puffs on a brown trunk."""
    canvas.polygon([(-4, 0), (-2.6, -22), (2.6, -22), (5, 0)], WOOD)
    canvas.rectangle((0.8, -20, 3, -1), darker(WOOD), contour=False)
    crown = [(-12, -27, 10), (12, -27, 10), (0, -25, 9.5), (-7, -38, 10.5), (8, -38, 10), (0, -46, 9)]
    canvas.puffs([(float(x), float(y), float(r)) for x, y, r in crown], coat.base)
    for x, y, r in ((8.0, -26.0, 7.0), (13.0, -29.0, 6.0)):
        canvas.disc((x, y), r, (*coat.shade, 150), contour=False)
    for x, y, r in ((-8.0, -40.0, 5.5), (-12.0, -30.0, 4.0)):
        canvas.disc((x, y), r, (*coat.light, 170), contour=False)


def flower(canvas: Canvas, coat: Coat) -> None:
    """Seven petals around an eye, on a stem with two leaves."""
    canvas.line([(0, 0), (1, -14), (0, -28)], (70, 132, 62), 2.8)
    canvas.polygon([(0, -5), (-9, -16), (-13, -10), (-6, -4)], (88, 158, 74))
    canvas.polygon([(0, -8), (9, -19), (13, -13), (6, -7)], (88, 158, 74))
    turn = canvas.rng.uniform(0, 60)
    for i in range(7):
        angle = math.radians(turn + i * 360 / 7)
        centre = (11.5 * math.cos(angle), -37 + 11.5 * math.sin(angle))
        canvas.disc(centre, 7.2, mix(coat.base, coat.shade, 0.4 * (i % 2)))
    eye = coat.unlike((250, 208, 70), (122, 72, 44), Colour.YELLOW, Colour.ORANGE)
    canvas.disc((0, -37), 6.6, eye)
    canvas.disc((-1.8, -38.8), 2, (255, 240, 180, 160), contour=False)


def mushroom(canvas: Canvas, coat: Coat) -> None:
    """A dotted dome on a pale stalk."""
    canvas.polygon([(-7, 0), (-5, -22), (5, -22), (7.5, 0)], (246, 234, 212))
    canvas.polygon([(2, 0), (2, -22), (5, -22), (7.5, 0)], (222, 206, 182), contour=False)
    canvas.ellipse((0, -19), (25, 25), coat.base, arc=(180, 360))
    canvas.ellipse((9, -19), (15, 20), (*coat.shade, 110), contour=False, arc=(180, 360))
    canvas.ellipse((0, -19), (25, 4.5), coat.shade, contour=False)
    dot = coat.unlike((255, 252, 244), (150, 140, 150), Colour.WHITE)
    for x, y, r in ((-13, -28, 4.2), (1, -36, 4.6), (14, -27, 3.8)):
        canvas.ellipse((x, y), (r, r * 0.85), dot)
