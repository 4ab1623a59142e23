"""The examination: what it asks, and that its marks cannot be had for nothing."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelines.training.exam import Mark, Question, Topic, beside, expected_boxes, mark, questions, score
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import HELD_OUT_PAIRS, is_held_out
from pipelines.training.world.scene import Colour, Ground, Kind, Place, Relation, Scene, Size, Sky, Style, Subject
from tests.training.judges import shipped_judge

RIGHT = Mark(sky=True, ground=True, colours=(True, True), kinds=(True, True), alone=True)
DUO = Scene(
    (Subject(Kind.HOUSE, Colour.RED), Subject(Kind.FLOWER, Colour.YELLOW)),
    Sky.DAY,
    Ground.SNOW,
    relation=Relation.BEHIND,
)


def marked(scene: Scene, picture: Image.Image, style: Style = Style.FLAT) -> Mark:
    return mark(Question(scene, seed=0), picture, shipped_judge(), style)


def test_a_place_beside_a_subject_touches_none() -> None:
    middle, both = beside([(0.4, 0.3, 0.6, 0.8)]), beside([(0.05, 0.3, 0.4, 0.8), (0.6, 0.3, 0.95, 0.8)])
    assert [round((left + right) / 2, 2) for left, _, right, _ in middle] == [0.18, 0.82]
    assert both == ()


def test_another_subject_beside_the_one_asked_for_is_a_fault() -> None:
    assert RIGHT.whole
    assert not replace(RIGHT, alone=False).whole


@pytest.mark.parametrize("topic", [topic for topic in Topic if topic is not Topic.SEEN])
def test_no_question_was_ever_taught(topic: Topic) -> None:
    asked = questions(topic, 60, seed=0)
    assert len(asked) == 60
    assert all(is_held_out(q.scene) for q in asked)


def test_what_is_called_seen_was_taught() -> None:
    assert not any(is_held_out(q.scene) for q in questions(Topic.SEEN, 60, seed=0))


@pytest.mark.parametrize("topic", Topic)
def test_the_same_seed_asks_the_same_and_another_seed_something_else(topic: Topic) -> None:
    assert questions(topic, 20, seed=0) == questions(topic, 20, seed=0) != questions(topic, 20, seed=1)


@pytest.mark.parametrize("topic", Topic)
def test_fewer_questions_are_the_first_of_more(topic: Topic) -> None:
    assert questions(topic, 30, seed=0)[:10] == questions(topic, 10, seed=0)


def test_a_topic_asks_what_it_says() -> None:
    assert all(len(q.scene.subjects) == 2 for q in questions(Topic.DUOS, 20, seed=0))
    assert all(q.scene.place is not Place.CENTRE for q in questions(Topic.SIDES, 20, seed=0))
    pairs = [(s.kind, s.colour) for q in questions(Topic.PAIRS, 20, seed=0) for s in q.scene.subjects]
    assert all(pair in HELD_OUT_PAIRS for pair in pairs)


def test_seen_and_combinations_differ_in_nothing_but_that() -> None:
    seen, unseen = ([q.scene for q in questions(t, 150, seed=0)] for t in (Topic.SEEN, Topic.COMBINATIONS))
    assert {s.place for s in (*seen, *unseen)} == {Place.CENTRE}
    shares = [np.mean([s.subjects[0].size is Size.NORMAL for s in scenes]) for scenes in (seen, unseen)]
    assert abs(shares[0] - shares[1]) < 0.15


def test_a_drawing_answers_its_question_in_its_own_style_only() -> None:
    asked = questions(Topic.SIDES, 30, seed=0)
    for style in Style:
        drawings = [draw(q.scene, q.seed, width=192, height=192, style=style).image for q in asked]
        for read_as in Style:
            marks = [mark(q, picture, shipped_judge(), read_as) for q, picture in zip(asked, drawings, strict=True)]
            found = score(marks)
            assert (min(found.sky, found.ground, found.colour) > 0.95) == (read_as is style)


def test_a_picture_of_another_scene_is_marked_wrong() -> None:
    other = replace(
        DUO, sky=Sky.NIGHT, ground=Ground.SEA, subjects=tuple(Subject(s.kind, Colour.BLUE) for s in DUO.subjects)
    )
    found = marked(DUO, draw(other, 3, width=192, height=192).image)
    assert (found.sky, found.ground, found.colours) == (False, False, (False, False))


def test_two_subjects_in_each_others_colours_are_marked_wrong() -> None:
    first, second = DUO.subjects
    swapped = replace(DUO, subjects=(Subject(first.kind, second.colour), Subject(second.kind, first.colour)))
    assert marked(DUO, draw(DUO, 3, width=192, height=192).image).colours == (True, True)
    assert marked(DUO, draw(swapped, 3, width=192, height=192).image).colours == (False, False)


def test_a_subject_on_the_wrong_side_is_marked_wrong() -> None:
    left = Scene((Subject(Kind.CAR, Colour.RED, Size.SMALL),), Sky.DAY, Ground.SNOW, place=Place.LEFT)
    right = replace(left, place=Place.RIGHT)
    assert marked(left, draw(left, 3, width=192, height=192).image).colours == (True,)
    assert marked(left, draw(right, 3, width=192, height=192).image).colours == (False,)


@pytest.mark.parametrize("style", Style)
def test_noise_and_blank_paper_have_nothing_right(style: Style) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)
    for picture in (Image.fromarray(noise), Image.new("RGB", (192, 192), "white")):
        found = marked(DUO, picture, style)
        assert (found.sky, found.colours, found.subjects, found.whole) == (False, (False, False), False, False)


def test_a_picture_is_whole_only_if_nothing_is_wrong() -> None:
    assert RIGHT.whole
    assert replace(RIGHT, sky=False).subjects
    for wrong in ({"sky": False}, {"ground": False}, {"colours": (True, False)}, {"kinds": (False, True)}):
        assert not replace(RIGHT, **wrong).whole


def test_a_score_counts_subjects_and_pictures() -> None:
    found = score([RIGHT, replace(RIGHT, kinds=(True, False)), replace(RIGHT, sky=False)])
    assert (found.pictures, found.sky, found.ground) == pytest.approx((3, 2 / 3, 1))
    assert (found.kind, found.colour) == pytest.approx((5 / 6, 1))
    assert (found.subjects, found.whole) == pytest.approx((2 / 3, 1 / 3))


@pytest.mark.parametrize("size", [(128, 128), (192, 192), (256, 144)])
def test_subjects_are_looked_for_where_drawings_have_them(size: tuple[int, int]) -> None:
    drawn = np.mean([draw(DUO, seed, width=size[0], height=size[1]).boxes for seed in range(20, 32)], axis=0)
    assert np.abs(drawn - expected_boxes(DUO, *size)).max() < 0.05
