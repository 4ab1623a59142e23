"""The pixel rules are right on drawings, and say so when they see nothing they know."""

import random

import numpy as np
import pytest

from pipelines.training.checkers.pixels import colour_of, ground_of, sky_of
from pipelines.training.world.canvas import Box
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Colour, Ground, Kind, Scene, Sky, Subject

MIDDLE: Box = (0.3, 0.4, 0.7, 0.9)
Seen = list[tuple[Scene, np.ndarray, Box]]


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Scenes, their pictures, and where another drawing of the same scene has its subject."""
    rng = random.Random(11)
    scenes = [random_scene(rng, pairs=0.0, held_out=i % 2 == 0) for i in range(160)]
    return [(s, np.asarray(draw(s, i).image), draw(s, 10_000 + i).boxes[0]) for i, s in enumerate(scenes)]


def test_the_sky_is_read_right(seen: Seen) -> None:
    assert np.mean([sky_of(picture) is scene.sky for scene, picture, _ in seen]) >= 0.98


def test_the_ground_is_read_right(seen: Seen) -> None:
    assert np.mean([ground_of(picture, scene.sky) is scene.ground for scene, picture, _ in seen]) >= 0.98


def test_the_subjects_colour_is_read_right(seen: Seen) -> None:
    right = [colour_of(picture, box) is scene.subjects[0].colour for scene, picture, box in seen]
    assert np.mean(right) >= 0.98


@pytest.mark.parametrize("size", [(224, 128), (128, 192), (256, 256)])
def test_the_rules_hold_for_other_sizes(size: tuple[int, int]) -> None:
    scene = Scene((Subject(Kind.TREE, Colour.PINK),), Sky.RAIN, Ground.DESERT)
    drawing = draw(scene, 4, width=size[0], height=size[1])
    picture = np.asarray(drawing.image)
    answer = sky_of(picture), ground_of(picture, scene.sky), colour_of(picture, drawing.boxes[0])
    assert answer == (Sky.RAIN, Ground.DESERT, Colour.PINK)


def test_a_scene_without_its_subject_has_no_colour() -> None:
    scene = Scene((Subject(Kind.CAT, Colour.RED),), Sky.NIGHT, Ground.SEA)
    picture = np.array(draw(scene, 4).image)
    left, top, right, bottom = (round(edge * 128) for edge in draw(scene, 4).boxes[0])
    picture[top - 2 : bottom + 3, left - 2 : right + 3] = picture[top - 2 : bottom + 3, :1]
    assert colour_of(picture, draw(scene, 4).boxes[0]) is None


@pytest.mark.parametrize("level", [0, 255])
def test_an_empty_picture_has_neither_sky_nor_colour(level: int) -> None:
    picture = np.full((128, 128, 3), level, np.uint8)
    assert colour_of(picture, MIDDLE) is None
    assert sky_of(picture) is None


def test_green_noise_is_no_sky() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8) * np.array([0, 1, 0], np.uint8)
    assert sky_of(noise) is None
