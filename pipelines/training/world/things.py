"""Cats, and what moves. A subject stands on (0, 0), y grows downward, and is about 45 units high."""

from pipelines.training.world.canvas import Canvas
from pipelines.training.world.palette import WOOD, Coat
from pipelines.training.world.scene import Colour


def cat(canvas: Canvas, coat: Coat) -> None:
    """A sitting cat with large eyes, whiskers and a curled tail."""
    canvas.line([(11, -4), (20, -5), (25, -12), (24, -22), (20, -26)], coat.base, 5)
    canvas.ellipse((0, -13), (14.5, 15), coat.base)
    canvas.ellipse((6, -11), (7, 11), (*coat.shade, 110), contour=False)
    for side in (-1, 1):
        canvas.polygon([(side * 13.5, -36), (side * 12, -51), (side * 2.5, -42)], coat.base)
        canvas.polygon([(side * 11, -40), (side * 10.6, -46.5), (side * 6, -42)], (250, 176, 186), contour=False)
    canvas.ellipse((0, -33), (14.5, 12), coat.base)
    for side in (-1, 1):
        canvas.ellipse((side * 6, -2), (5.2, 3.4), coat.light)
        canvas.ellipse((side * 5.6, -34), (3.7, 4.1), (252, 252, 236))
        canvas.ellipse((side * 5.2, -33.8), (2.0, 3.2), (30, 30, 40), contour=False)
    _muzzle(canvas)


def _muzzle(canvas: Canvas) -> None:
    canvas.polygon([(-2.2, -29.4), (2.2, -29.4), (0, -26.8)], (226, 110, 120), contour=False)
    for side in (-1, 1):
        canvas.line([(0, -26.8), (side * 1.8, -25.2), (side * 3.8, -26.4)], (70, 50, 60), 0.9)
        canvas.line([(side * 7, -28.5), (side * 18, -30.5)], (80, 70, 80), 0.8)
        canvas.line([(side * 7, -26.8), (side * 18, -25)], (80, 70, 80), 0.8)


def car(canvas: Canvas, coat: Coat) -> None:
    """A saloon seen from the side; at night its lamp throws a beam."""
    if coat.night:
        canvas.polygon([(26, -12), (46, -19), (46, -4)], (255, 240, 150, 90), contour=False)
    canvas.polygon([(-16, -17), (-10, -29), (8, -29), (17, -17)], coat.base)
    canvas.polygon([(-12, -17.5), (-8, -26.4), (-1.2, -26.4), (-1.2, -17.5)], coat.window)
    canvas.polygon([(1.2, -17.5), (1.2, -26.4), (7, -26.4), (12.6, -17.5)], coat.window)
    canvas.polygon([(-26, -5), (-26, -15), (-23, -18.5), (20, -18.5), (27, -14), (27, -5)], coat.base)
    canvas.rectangle((-26, -8, 27, -5), coat.shade, contour=False)
    for x in (-14, 15):
        canvas.disc((x, -5), 6.6, (44, 44, 54))
        canvas.disc((x, -5), 3.2, (206, 210, 220), contour=False)
    canvas.disc((25, -12.4), 2.2, (255, 240, 150))


def boat(canvas: Canvas, coat: Coat) -> None:
    """Two sails in the colour over a wooden hull."""
    canvas.line([(1, -8), (1, -50)], WOOD, 2)
    canvas.polygon([(3, -48), (3, -13), (23, -13)], coat.base)
    canvas.polygon([(-1, -44), (-1, -13), (-17, -13)], coat.shade)
    canvas.polygon([(-25, -10), (25, -10), (17, 2), (-18, 2)], (134, 84, 60))
    canvas.polygon([(-25, -10), (25, -10), (23.4, -7), (-23.6, -7)], coat.base, contour=False)
    for i in (-1, 0, 1):
        canvas.ellipse((i * 14, 2.6), (8, 1.4), (200, 230, 246, 190), contour=False)


def balloon(canvas: Canvas, coat: Coat) -> None:
    """A hot-air balloon with a lighter stripe and a basket; it hangs above (0, 0)."""
    for x in (-7, -2.5, 2.5, 7):
        canvas.line([(x * 1.3, -22), (x * 0.62, -10)], (96, 74, 66), 0.9)
    canvas.polygon([(-22, -44), (-18, -33), (-8, -20), (8, -20), (18, -33), (22, -44)], coat.base)
    canvas.ellipse((0, -44), (22, 20), coat.base)
    canvas.polygon(
        [(-21, -43), (-17.2, -33), (-7.6, -21), (7.6, -21), (17.2, -33), (21, -43)], coat.base, contour=False
    )
    canvas.ellipse((0, -42), (6.5, 21), coat.unlike(coat.light, coat.shade, Colour.WHITE), contour=False)
    canvas.ellipse((15, -42), (5, 14), (*coat.shade, 150), contour=False)
    canvas.rectangle((-5.5, -10.5, 5.5, -2), (160, 110, 70))
    canvas.line([(-5.5, -7), (5.5, -7)], (120, 80, 50), 1.0)


def rocket(canvas: Canvas, coat: Coat) -> None:
    """A finned rocket with a grey nose, a porthole and its flame; it has just left (0, 0)."""
    canvas.polygon([(-6, -4), (0, 11), (6, -4)], (255, 170, 40), contour=False)
    canvas.polygon([(-3, -4), (0, 5), (3, -4)], (255, 236, 130), contour=False)
    for side in (-1, 1):
        canvas.polygon([(side * 9, -20), (side * 19, -1), (side * 8, -6)], coat.shade)
    canvas.polygon([(-8.5, -4), (-11.5, -22), (-10, -38), (0, -58), (10, -38), (11.5, -22), (8.5, -4)], coat.base)
    canvas.polygon([(3.5, -4), (5, -22), (4.5, -40), (0, -58), (10, -38), (11.5, -22), (8.5, -4)], (*coat.shade, 140))
    canvas.polygon([(-7.4, -43), (0, -58), (7.4, -43)], (206, 210, 222))
    canvas.disc((0, -30), 5.2, (236, 236, 242))
    canvas.disc((0, -30), 3.6, (110, 190, 236), contour=False)
