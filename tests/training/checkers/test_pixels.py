"""The pixel rules are right on drawings of both styles, and say so when they see nothing they know."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from pipelines.training.checkers.pixels import colour_of, colours_of, ground_of, sky_of
from pipelines.training.world.canvas import Box
from pipelines.training.world.draw import draw
from pipelines.training.world.palette import GROUNDS, SKIES, shown
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Colour, Ground, Kind, Relation, Scene, Sky, Style, Subject

MIDDLE: Box = (0.3, 0.4, 0.7, 0.9)
SIDES = (128, 192, 256)  # pixels
Seen = list[tuple[Scene, np.ndarray, tuple[Box, ...]]]
Garbage = Callable[[np.random.Generator, int], np.ndarray]


@pytest.fixture(scope="module", params=Style)
def style(request: pytest.FixtureRequest) -> Style:
    return Style(request.param)


@pytest.fixture(scope="module")
def seen(style: Style) -> Seen:
    """Scenes, their pictures in all sizes, and where another drawing of the same scene has its subjects."""
    rng = random.Random(11)
    scenes = [random_scene(rng, duos=0.4, held_out=i % 2 == 0) for i in range(150)]
    sides = [SIDES[i % len(SIDES)] for i in range(len(scenes))]
    return [
        (
            s,
            np.asarray(draw(s, i, width=side, height=side, style=style).image),
            draw(s, 10_000 + i, width=64, height=64).boxes,
        )
        for i, (s, side) in enumerate(zip(scenes, sides, strict=True))
    ]


def test_the_sky_is_read_right(seen: Seen, style: Style) -> None:
    assert np.mean([sky_of(picture, style) is scene.sky for scene, picture, _ in seen]) >= 0.985


def test_the_ground_is_read_right(seen: Seen, style: Style) -> None:
    assert np.mean([ground_of(picture, scene.sky, style) is scene.ground for scene, picture, _ in seen]) >= 0.985


def test_the_colours_of_all_subjects_are_read_right(seen: Seen, style: Style) -> None:
    read = [
        answer is subject.colour
        for scene, picture, boxes in seen
        for answer, subject in zip(colours_of(picture, boxes, style), scene.subjects, strict=True)
    ]
    assert len(read) > len(seen)
    assert np.mean(read) >= 0.985


@pytest.mark.parametrize("size", [(224, 128), (128, 192), (256, 144)])
def test_the_rules_hold_for_oblong_pictures(size: tuple[int, int], style: Style) -> None:
    scene = Scene((Subject(Kind.TREE, Colour.PINK),), Sky.RAIN, Ground.DESERT)
    drawing = draw(scene, 4, width=size[0], height=size[1], style=style)
    picture = np.asarray(drawing.image)
    answer = sky_of(picture, style), ground_of(picture, scene.sky, style), colour_of(picture, drawing.boxes[0], style)
    assert answer == (Sky.RAIN, Ground.DESERT, Colour.PINK)


def test_one_style_is_not_read_as_the_other(seen: Seen, style: Style) -> None:
    (other,) = set(Style) - {style}
    assert np.mean([sky_of(picture, other) is scene.sky for scene, picture, _ in seen]) < 0.6


def test_a_subject_that_stands_before_another_does_not_lend_it_its_colour() -> None:
    subjects = (Subject(Kind.FLOWER, Colour.RED), Subject(Kind.CASTLE, Colour.BLUE))
    scene = Scene(subjects, Sky.DAY, Ground.MEADOW, relation=Relation.BEHIND)
    drawing = draw(scene, 3, width=192, height=192)
    picture = np.asarray(drawing.image).copy()
    assert colours_of(picture, drawing.boxes) == (Colour.RED, Colour.BLUE)
    red = np.abs(picture.astype(int) - (220, 42, 42)).sum(-1) < 90
    picture[red] = picture[10, 10]
    assert colours_of(picture, drawing.boxes)[0] is not Colour.BLUE


def test_a_scene_without_its_subject_has_no_colour(style: Style) -> None:
    scene = Scene((Subject(Kind.CAT, Colour.RED),), Sky.NIGHT, Ground.SEA)
    drawing = draw(scene, 4, style=style)
    picture = np.array(drawing.image)
    left, top, right, bottom = (round(edge * 128) for edge in drawing.boxes[0])
    picture[top - 2 : bottom + 3, left - 2 : right + 3] = picture[top - 2 : bottom + 3, 12:13]
    assert colour_of(picture, drawing.boxes[0], style) is None


def test_a_drawing_without_its_sky_has_none(style: Style) -> None:
    scene = Scene((Subject(Kind.CAT, Colour.RED),), Sky.SUNSET, Ground.SEA)
    picture = np.array(draw(scene, 4, width=192, height=192, style=style).image)
    picture[:90] = picture[:90].mean((0, 1))
    assert sky_of(picture, style) is None
    assert ground_of(picture, scene.sky, style) is scene.ground


@pytest.mark.parametrize("sky", Sky)
def test_a_sky_upside_down_is_none(sky: Sky, style: Style) -> None:
    picture = np.array(draw(Scene((Subject(Kind.CAT, Colour.RED),), sky, Ground.SNOW), 4, style=style).image)
    picture[:58] = picture[:58][::-1]
    assert sky_of(picture, style) is None


@pytest.mark.parametrize("ground", [Ground.MEADOW, Ground.DESERT, Ground.SNOW])  # deep sea is as blue as night sea
def test_a_ground_in_the_light_of_another_sky_is_wrong(ground: Ground, style: Style) -> None:
    scene = Scene((Subject(Kind.CAT, Colour.RED),), Sky.DAY, ground)
    assert ground_of(np.asarray(draw(scene, 4, style=style).image), Sky.NIGHT, style) is not ground


GARBAGE: dict[str, Garbage] = {
    "noise": lambda rng, side: rng.integers(0, 256, (side, side, 3)),
    "grey noise": lambda rng, side: rng.normal(128, 40, (side, side, 3)).clip(0, 255),
    "green noise": lambda rng, side: rng.integers(0, 256, (side, side, 3)) * [0, 1, 0],
    "black": lambda _, side: np.zeros((side, side, 3)),
    "grey": lambda _, side: np.full((side, side, 3), 128),
    "white": lambda _, side: np.full((side, side, 3), 255),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_has_neither_sky_nor_colour(garbage: Garbage, side: int, style: Style) -> None:
    picture = garbage(np.random.default_rng(0), side).astype(np.uint8)
    assert sky_of(picture, style) is None
    assert colour_of(picture, MIDDLE, style) is None


@pytest.mark.parametrize("sky", Sky)
def test_noise_has_no_ground(sky: Sky, style: Style) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)
    assert ground_of(picture, sky, style) is None


@pytest.mark.parametrize("sky", [Sky.DAY, Sky.SUNSET, Sky.RAIN])
def test_the_mean_of_a_sky_is_no_sky(sky: Sky, style: Style) -> None:
    flat = shown(SKIES[sky], style).mean(0)
    assert sky_of(np.full((192, 192, 3), flat).astype(np.uint8), style) is None


def test_the_mean_of_all_grounds_is_none_of_them_by_day() -> None:
    mean = np.mean([paint for paints in GROUNDS.values() for paint in paints], axis=0)
    assert ground_of(np.full((192, 192, 3), mean).astype(np.uint8), Sky.DAY) is None
