"""Puts subjects into the picture: who stands where, how large, on what."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.training.world import buildings, plants, things
from pipelines.training.world.canvas import Box, Canvas, Frame
from pipelines.training.world.palette import Coat, tinted
from pipelines.training.world.scene import PLAIN, Ground, Kind, Place, Relation, Scene, Size, Sky, Subject, Twist

PAINTERS: dict[Kind, Callable[[Canvas, Coat], None]] = {
    Kind.HOUSE: buildings.house,
    Kind.CASTLE: buildings.castle,
    Kind.TREE: plants.tree,
    Kind.FLOWER: plants.flower,
    Kind.MUSHROOM: plants.mushroom,
    Kind.CAT: things.cat,
    Kind.CAR: things.car,
    Kind.BOAT: things.boat,
    Kind.BALLOON: things.balloon,
    Kind.ROCKET: things.rocket,
}

SCALES: dict[Size, float] = {Size.SMALL: 0.72, Size.NORMAL: 1.12, Size.BIG: 1.45}
PLACES: dict[Place, float] = {Place.LEFT: 0.27, Place.CENTRE: 0.5, Place.RIGHT: 0.73}  # of the width
FLOATING = {Kind.BALLOON, Kind.BOAT, Kind.ROCKET}  # cast no shadow where they are and need no island
FACING_EITHER_WAY = {Kind.CAT, Kind.CAR, Kind.BOAT}
BROAD = {Kind.HOUSE, Kind.CASTLE, Kind.CAR}
MIDDLES = {Kind.BALLOON: -36.0, Kind.ROCKET: -24.0}  # units under the baseline where a subject's middle is, else -22
GLOW_RADIUS = 42.0  # units, at scale 1
GLOW_RINGS = 14
BASELINE = 35.0  # units under the horizon where a subject stands


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one subject of a scene goes, before chance moves it a little."""

    subject: Subject
    x: float  # share of the picture's width
    scale: float
    lift: float = 0.0  # units above the baseline


def spots(scene: Scene) -> tuple[Spot, ...]:
    """The scene's layout, the farthest first, in the order in which it is painted."""
    if len(scene.subjects) == 1:
        (only,) = scene.subjects
        return (Spot(only, PLACES[scene.place], SCALES[only.size]),)
    first, second = scene.subjects
    if scene.relation is Relation.LEFT_OF:
        return tuple(
            Spot(s, x, min(SCALES[s.size], SCALES[Size.NORMAL]) * 0.84) for s, x in ((first, 0.27), (second, 0.73))
        )
    return (
        Spot(first, 0.40, SCALES[Size.NORMAL] * 0.92, lift=17.0),
        Spot(second, 0.62, SCALES[Size.SMALL] * 0.96, lift=-4.0),
    )


def paint_subjects(canvas: Canvas, scene: Scene, horizon: float, twist: Twist = PLAIN) -> tuple[Box, ...]:
    """Paint the scene's subjects; returns their boxes in the order of `scene.subjects`, in fractions of the picture."""
    return tuple(_paint(canvas, scene, spot, horizon, twist) for spot in spots(scene))


def _paint(canvas: Canvas, scene: Scene, spot: Spot, horizon: float, twist: Twist) -> Box:
    frame = _frame(canvas, spot, horizon)
    kind = spot.subject.kind
    with canvas.at(frame):
        if twist.glow:
            _paint_glow(canvas, kind)
        _paint_underfoot(canvas, kind, scene)
    with canvas.at(frame):
        PAINTERS[kind](canvas, Coat(spot.subject.colour, night=scene.sky is Sky.NIGHT, instead=twist.coat))
        return canvas.covered


def _paint_glow(canvas: Canvas, kind: Kind) -> None:
    """A halo of golden light around the subject's middle, with sparks in it."""
    rng, middle = canvas.rng, (0.0, MIDDLES.get(kind, -22.0))
    for i in range(GLOW_RINGS):
        canvas.disc(middle, GLOW_RADIUS * (1 - i / GLOW_RINGS), (255, 206, 84, 26), contour=False)
    for _ in range(rng.randint(5, 8)):
        turn, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.68, 0.98) * GLOW_RADIUS
        x, y, ray = reach * math.cos(turn), middle[1] + reach * math.sin(turn), rng.uniform(2.0, 3.2)
        for dx, dy in ((ray, 0.3 * ray), (0.3 * ray, ray)):
            diamond = [(x - dx, y), (x, y - dy), (x + dx, y), (x, y + dy)]
            canvas.polygon(diamond, (255, 246, 190), contour=False)


def _frame(canvas: Canvas, spot: Spot, horizon: float) -> Frame:
    rng, kind = canvas.rng, spot.subject.kind
    scale = spot.scale * rng.uniform(0.95, 1.06) * (0.86 if kind is Kind.BALLOON else 1.0)  # room above for the sky
    x = spot.x * canvas.width + rng.uniform(-4, 4)
    y = horizon + BASELINE + rng.uniform(-3, 3) - spot.lift
    if kind is Kind.BALLOON:
        y = horizon - 3 + rng.uniform(-3, 3) + (scale - 1) * 30 - spot.lift / 2
    if kind is Kind.ROCKET:
        y -= 8 * scale
    facing = rng.choice((-1, 1)) if kind in FACING_EITHER_WAY else 1
    return Frame(x, y, scale, facing)


def _paint_underfoot(canvas: Canvas, kind: Kind, scene: Scene) -> None:
    """The shadow; at sea also the island that everything but a boat, a balloon and a rocket needs."""
    if kind not in FLOATING:
        if scene.ground is Ground.SEA:
            canvas.ellipse((0, 3), (33, 8), tinted((236, 206, 140), scene.sky))
            canvas.ellipse((0, 1.5), (28, 4.8), tinted((150, 196, 100), scene.sky), contour=False)
        canvas.ellipse((2, 1), (25 if kind in BROAD else 16, 3.4), (20, 20, 50, 70), contour=False)
    elif kind is Kind.ROCKET:
        canvas.ellipse((0, 12), (13, 2.8), (20, 20, 50, 60), contour=False)
