"""Every colour of the world, sRGB 0-255. The checkers read the same tables, so drawing and checking cannot drift."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.training.world.scene import Colour, Ground, Sky, Style

Rgb = tuple[int, int, int]
Paint = tuple[int, ...]  # three numbers, or four: the last is opacity, 0-255

COLOURS: dict[Colour, Rgb] = {
    Colour.RED: (220, 42, 42),
    Colour.ORANGE: (248, 134, 24),
    Colour.YELLOW: (252, 214, 46),
    Colour.GREEN: (26, 148, 74),
    Colour.BLUE: (42, 88, 226),
    Colour.PURPLE: (136, 66, 190),
    Colour.PINK: (250, 140, 190),
    Colour.WHITE: (248, 248, 252),
}

# Three stops from the top of the sky to the horizon.
SKIES: dict[Sky, tuple[Rgb, Rgb, Rgb]] = {
    Sky.DAY: ((88, 172, 246), (150, 210, 252), (214, 238, 255)),
    Sky.NIGHT: ((12, 16, 52), (28, 34, 88), (62, 66, 128)),
    Sky.SUNSET: ((112, 62, 140), (240, 108, 92), (255, 204, 112)),
    Sky.RAIN: ((88, 98, 114), (124, 134, 148), (166, 174, 182)),
}

# Far and near ground in daylight; the sky's tint multiplies them.
GROUNDS: dict[Ground, tuple[Rgb, Rgb]] = {
    Ground.MEADOW: ((160, 212, 116), (124, 192, 84)),
    Ground.DESERT: ((244, 208, 140), (234, 186, 110)),
    Ground.SNOW: ((204, 220, 240), (226, 236, 248)),
    Ground.SEA: ((64, 160, 200), (40, 130, 180)),
}

SEABED: Rgb = (30, 108, 160)  # a third layer, which only the sea has

TINTS: dict[Sky, tuple[float, float, float]] = {
    Sky.DAY: (1.0, 1.0, 1.0),
    Sky.NIGHT: (0.42, 0.48, 0.78),
    Sky.SUNSET: (1.0, 0.78, 0.68),
    Sky.RAIN: (0.78, 0.80, 0.84),
}

PAPER: Rgb = (247, 240, 224)
INK: Rgb = (44, 36, 52)
ROOF: Rgb = (98, 84, 98)  # neutral, so that a roof never answers for the colour of its house
WOOD: Rgb = (124, 82, 58)


def mix(a: Paint, b: Paint, share: float) -> Rgb:
    """`a` with `share` (0-1) of `b` in it."""
    red, green, blue = (int(x * (1 - share) + y * share) for x, y in zip(a[:3], b[:3], strict=True))
    return red, green, blue


def darker(colour: Paint, share: float = 0.22) -> Rgb:
    """Towards a deep violet, so that shade stays lively."""
    return mix(colour, (30, 20, 60), share)


def lighter(colour: Paint, share: float = 0.32) -> Rgb:
    """Towards white."""
    return mix(colour, (255, 255, 255), share)


def tinted(colour: Paint, sky: Sky) -> Rgb:
    """`colour` of the ground in the light of `sky`."""
    red, green, blue = (min(255, int(c * t)) for c, t in zip(colour[:3], TINTS[sky], strict=True))
    return red, green, blue


def washed(colours: np.ndarray, thickness: float | np.ndarray = 1.0) -> np.ndarray:
    """What `colours` (..., 3), float32 0-255, look like as a wash on paper; `thickness` is 1 on average."""
    grey = colours.mean(-1, keepdims=True)
    muted = 255 - (255 - (grey + (colours - grey) * 0.82)) * thickness * 0.92
    paper = np.array(PAPER, dtype=np.float32)
    on_paper: np.ndarray = paper * (muted.clip(0, 255) / 255) ** 0.9
    return on_paper


def shown(paints: Sequence[Rgb], style: Style) -> np.ndarray:
    """`paints` as pictures of `style` show them, (n, 3) float32; in ink, on average."""
    colours = np.array(paints, dtype=np.float32)
    return washed(colours) if style is Style.INK else colours


@dataclass(frozen=True, slots=True)
class Coat:
    """The paints of one subject: its colour with shade and light, and what shines in its windows."""

    colour: Colour
    night: bool
    instead: Rgb | None = None  # a paint of no palette, in place of the colour's

    @property
    def base(self) -> Rgb:
        """The colour a prompt names."""
        return self.instead or COLOURS[self.colour]

    @property
    def shade(self) -> Rgb:
        """The side away from the light. White is shaded blue-grey: a darker white would read as purple."""
        return (208, 213, 226) if self.base == COLOURS[Colour.WHITE] else darker(self.base)

    @property
    def light(self) -> Rgb:
        """The side towards the light."""
        return lighter(self.base)

    @property
    def window(self) -> Rgb:
        """Lamplight at night, else a bit of sky."""
        return (255, 226, 110) if self.night else (178, 222, 246)

    def unlike(self, usual: Rgb, instead: Rgb, *colours: Colour) -> Rgb:
        """`usual`, or `instead` for the `colours` it would vanish on."""
        return instead if self.colour in colours else usual
