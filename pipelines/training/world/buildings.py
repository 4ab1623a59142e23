"""Houses and castles. A subject stands on (0, 0), y grows downward, and is about 45 units high."""

from pipelines.training.world.canvas import Canvas
from pipelines.training.world.palette import ROOF, WOOD, Coat
from pipelines.training.world.scene import Colour


def house(canvas: Canvas, coat: Coat) -> None:
    """Walls in the colour, a slate roof, a door between two windows, sometimes smoke."""
    canvas.rectangle((9, -44, 15, -28), (150, 96, 84))
    canvas.rectangle((-21, -25, 21, 0), coat.base)
    canvas.rectangle((14, -25, 21, 0), coat.shade, contour=False)
    canvas.polygon([(-26, -23), (-14, -42), (14, -42), (26, -23)], ROOF)
    canvas.rectangle((-4.5, -16, 4.5, 0), WOOD)
    canvas.disc((2.4, -7.5), 1.1, (250, 220, 120), contour=False)
    for x in (-13, 13):
        _cross_window(canvas, coat, x)
    if canvas.rng.random() < 0.5:
        for i in range(3):
            canvas.ellipse((13 + i * 3.6, -48 - i * 5.4), (2.6 + i * 0.8, 2.2 + i * 0.7), (240, 240, 245, 170))


def _cross_window(canvas: Canvas, coat: Coat, x: float) -> None:
    canvas.rectangle((x - 4.6, -19.6, x + 4.6, -8.9), (250, 246, 236))
    canvas.rectangle((x - 3.6, -18.6, x + 3.6, -9.9), coat.window, contour=False)
    canvas.line([(x, -18.6), (x, -9.9)], (250, 246, 236), 1.0)
    canvas.line([(x - 3.6, -14.2), (x + 3.6, -14.2)], (250, 246, 236), 1.0)


def castle(canvas: Canvas, coat: Coat) -> None:
    """A wall with battlements and a gate between two pointed towers with flags."""
    canvas.rectangle((-16, -26, 16, 0), coat.base)
    for x in (-14, -6.2, 1.7, 9.5):
        canvas.rectangle((x, -31, x + 4.5, -25), coat.base)
        canvas.rectangle((x + 0.6, -27, x + 3.9, -24), coat.base, contour=False)
    for x in (-20, 20):
        _tower(canvas, coat, x)
    canvas.ellipse((0, 0), (7, 14), (92, 62, 50), arc=(180, 360))
    canvas.line([(0, -14), (0, 0)], (60, 40, 36), 0.9)


def _tower(canvas: Canvas, coat: Coat, x: float) -> None:
    canvas.rectangle((x - 6.5, -38, x + 6.5, 0), coat.base)
    canvas.rectangle((x + 2, -38, x + 6.5, 0), coat.shade, contour=False)
    canvas.polygon([(x - 8.5, -37), (x, -54), (x + 8.5, -37)], ROOF)
    canvas.rectangle((x - 2, -30, x + 2, -22), coat.window)
    canvas.line([(x, -53), (x, -61)], (90, 80, 80), 1.0)
    flag = coat.unlike((250, 210, 80), (222, 60, 60), Colour.YELLOW, Colour.ORANGE)
    canvas.polygon([(x, -61), (x + 7, -58.5), (x, -56)], flag)
