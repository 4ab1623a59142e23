"""Drawing: deterministic, any size, two hands."""

import random

import numpy as np
import pytest
from PIL import Image

from pipelines.core.error import EaselError
from pipelines.training.world.draw import draw
from pipelines.training.world.palette import PAPER
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import (
    PLAIN,
    Colour,
    Ground,
    Kind,
    Place,
    Relation,
    Scene,
    Size,
    Sky,
    Style,
    Subject,
    Twist,
)

CAT = Scene((Subject(Kind.CAT, Colour.BLUE),), Sky.SUNSET, Ground.MEADOW)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("style", Style)
def test_the_same_seed_draws_the_same_picture(style: Style) -> None:
    assert draw(CAT, 7, style=style).image.tobytes() == draw(CAT, 7, style=style).image.tobytes()


def test_another_seed_draws_another_picture() -> None:
    assert draw(CAT, 7).image.tobytes() != draw(CAT, 8).image.tobytes()


@pytest.mark.parametrize("size", [(64, 64), (128, 224), (320, 192), (136, 72)])
def test_a_picture_has_the_size_asked_for(size: tuple[int, int]) -> None:
    assert draw(CAT, 1, width=size[0], height=size[1]).image.size == size


def test_a_larger_picture_shows_the_same_scene() -> None:
    small, large = draw(CAT, 3).image, draw(CAT, 3, width=256, height=256).image
    assert np.abs(pixels(small) - pixels(large.resize((128, 128), Image.Resampling.BOX))).mean() < 4


@pytest.mark.parametrize("width", [100, 0, 32])
def test_a_size_the_networks_cannot_take_is_refused(width: int) -> None:
    with pytest.raises(EaselError, match="multiple of 8"):
        draw(CAT, 1, width=width)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("style", Style)
def test_every_subject_shows_inside_its_box(kind: Kind, style: Style) -> None:
    # The same seed with another colour: what differs is the subject.
    red, blue = (
        draw(Scene((Subject(kind, c),), Sky.DAY, Ground.SEA), 5, style=style) for c in (Colour.RED, Colour.BLUE)
    )
    changed = np.abs(pixels(red.image) - pixels(blue.image)).sum(-1) > 60
    left, top, right, bottom = (round(edge * 128) for edge in red.boxes[0])
    inside = changed[max(top - 2, 0) : bottom + 3, max(left - 2, 0) : right + 3].sum()
    assert inside > 100
    assert inside == changed.sum()


def test_ink_leaves_bare_paper_around_the_picture_and_flat_does_not() -> None:
    def rim(style: Style) -> float:
        image = pixels(draw(CAT, 2, style=style).image)
        edge = np.concatenate([image[:2].reshape(-1, 3), image[-2:].reshape(-1, 3)])
        return float(np.abs(edge - PAPER).mean())

    assert rim(Style.INK) < 15 < rim(Style.FLAT)


def test_left_is_left_of_right() -> None:
    subjects = (Subject(Kind.HOUSE, Colour.RED), Subject(Kind.TREE, Colour.GREEN))
    boxes = draw(Scene(subjects, Sky.DAY, Ground.MEADOW, relation=Relation.LEFT_OF), 1).boxes
    assert boxes[0][2] < boxes[1][2]
    assert boxes[0][0] < boxes[1][0]


def test_what_is_behind_stands_higher() -> None:
    subjects = (Subject(Kind.HOUSE, Colour.RED), Subject(Kind.TREE, Colour.GREEN))
    behind, before = draw(Scene(subjects, Sky.DAY, Ground.MEADOW, relation=Relation.BEHIND), 1).boxes
    assert behind[3] < before[3]


def test_big_is_bigger_than_small() -> None:
    def area(size: Size) -> float:
        left, top, right, bottom = draw(Scene((Subject(Kind.CAR, Colour.RED, size),), Sky.DAY, Ground.SNOW), 1).boxes[0]
        return (right - left) * (bottom - top)

    assert area(Size.BIG) > 1.5 * area(Size.NORMAL) > 1.5 * 1.5 * area(Size.SMALL)


def test_a_place_is_where_it_says() -> None:
    def middle(place: Place) -> float:
        box = draw(Scene((Subject(Kind.CAT, Colour.RED),), Sky.DAY, Ground.SNOW, place), 1).boxes[0]
        return (box[0] + box[2]) / 2

    assert middle(Place.LEFT) < 0.4 < middle(Place.CENTRE) < 0.6 < middle(Place.RIGHT)


def test_a_boat_is_only_ever_at_sea() -> None:
    rng = random.Random(0)
    scenes = [random_scene(rng) for _ in range(400)]
    boats = [s for s in scenes if any(subject.kind is Kind.BOAT for subject in s.subjects)]
    assert boats
    assert all(s.ground is Ground.SEA for s in boats)


def test_a_glow_is_golden_light_around_the_subject_and_fades_outward() -> None:
    scene = Scene(CAT.subjects, Sky.DAY, Ground.MEADOW)
    plain, lit = (pixels(draw(scene, 5, twist=twist).image) for twist in (PLAIN, Twist(glow=True)))
    warmer = (lit - plain)[..., :2].sum(-1) - (lit - plain)[..., 2]
    left, top, right, bottom = (round(edge * 128) for edge in draw(scene, 5).boxes[0])
    near = warmer[top:bottom, [left - 6, left - 4, right + 4]].mean()
    far = warmer[top:bottom, [0, 2, 126]].mean()
    assert near > 15
    assert abs(far) < near / 4


def test_snowfall_is_white_flakes_over_everything() -> None:
    plain, snowy = (pixels(draw(CAT, 5, twist=twist).image) for twist in (PLAIN, Twist(snowfall=True)))
    changed = np.abs(snowy - plain).sum(-1) > 40
    quarters = [changed[y : y + 64, x : x + 64].mean() for y in (0, 64) for x in (0, 64)]
    assert min(quarters) > 0.01
    assert max(quarters) < 0.12
    assert snowy[changed].mean() > 190


def test_a_coat_replaces_the_colour_of_the_subject_alone() -> None:
    plain, teal = draw(CAT, 5), draw(CAT, 5, twist=Twist(coat=(0, 158, 165)))
    assert plain.boxes == teal.boxes
    changed = np.abs(pixels(plain.image) - pixels(teal.image)).sum(-1) > 60
    left, top, right, bottom = (round(edge * 128) for edge in plain.boxes[0])
    assert changed[top:bottom, left:right].sum() == changed.sum() > 500


def test_twists_have_names_that_tell_them_apart() -> None:
    twists = (PLAIN, Twist(glow=True), Twist(snowfall=True), Twist(coat=(0, 158, 165)), Twist(glow=True, snowfall=True))
    assert [twist.name for twist in twists] == ["", "glow", "snowfall", "coat-009ea5", "glow-snowfall"]
