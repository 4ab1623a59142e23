"""What is kept out of training stays out."""

import random
from itertools import product

import pytest

from pipelines.training.pictures import PictureSet
from pipelines.training.recipe import STARTER
from pipelines.training.world.sampling import HELD_OUT_PAIRS, is_held_out, random_scene
from pipelines.training.world.scene import Colour, Ground, Kind, Scene, Sky, Subject

ALL = [
    Scene((Subject(kind, colour),), sky, ground)
    for kind, colour, sky, ground in product(Kind, Colour, Sky, Ground)
    if kind is not Kind.BOAT or ground is Ground.SEA
]


PLANS = (STARTER.flat, STARTER.ink, STARTER.inpaint, STARTER.word.shown, *(p.shown for p in STARTER.loras.values()))
TO_UNETS = [STARTER.picture_set(plan, bucket) for plan in PLANS for bucket in plan.buckets]
SHOWN = dict.fromkeys([*STARTER.vae_sets, *TO_UNETS])


@pytest.mark.parametrize("pictures", SHOWN, ids=lambda pictures: f"{pictures.name}-{pictures.seed}")
def test_no_held_out_scene_is_ever_shown(pictures: PictureSet) -> None:
    assert not any(is_held_out(pictures.scene(i)) for i in range(200))


def test_a_held_out_scene_is_one_of_the_kept_combinations() -> None:
    rng = random.Random(4)
    assert all(is_held_out(random_scene(rng, held_out=True)) for _ in range(200))


def test_about_a_seventh_of_all_combinations_is_held_out() -> None:
    share = sum(map(is_held_out, ALL)) / len(ALL)
    assert 0.10 < share < 0.20


@pytest.mark.parametrize("word", [*Kind, *Colour, *Sky, *Ground])
def test_every_word_is_both_taught_and_asked(word: Kind | Colour | Sky | Ground) -> None:
    about = [s for s in ALL if word in s.combinations[0]]
    held_out = [s for s in about if is_held_out(s)]
    assert 0 < len(held_out) < 0.4 * len(about)


def test_every_pair_that_is_not_kept_out_is_taught() -> None:
    taught = {(s.subjects[0].kind, s.subjects[0].colour) for s in ALL if not is_held_out(s)}
    assert taught == set(product(Kind, Colour)) - HELD_OUT_PAIRS


def test_the_same_seed_tells_the_same_scenes() -> None:
    assert random_scene(random.Random(3)) == random_scene(random.Random(3))


def test_a_picture_of_a_set_does_not_depend_on_the_others() -> None:
    small, large = PictureSet(1, 4), PictureSet(1, 4000)
    assert [small.scene(i) for i in range(4)] == [large.scene(i) for i in range(4)]
