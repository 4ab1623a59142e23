"""Captions say what is drawn, and only that."""

import random

import pytest

from pipelines.training.world.captions import Aspect, caption, full_caption, no_caption
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Colour, Ground, Kind, Place, Relation, Scene, Sky, Subject

SCENES = [random_scene(random.Random(seed), duos=0.4) for seed in range(150)]
RED_HOUSE = Scene((Subject(Kind.HOUSE, Colour.RED),), Sky.NIGHT, Ground.MEADOW)


def words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def test_the_demo_prompt_is_how_the_world_would_say_it() -> None:
    assert full_caption(RED_HOUSE) == "a red house on a hill under a night sky"


def test_a_full_caption_of_two_subjects_tells_their_relation() -> None:
    scene = Scene(
        (Subject(Kind.CAT, Colour.ORANGE), Subject(Kind.CAR, Colour.BLUE)),
        Sky.DAY,
        Ground.SNOW,
        relation=Relation.BEHIND,
    )
    assert full_caption(scene) == "an orange cat behind a blue car in the snow under a blue sky"


@pytest.mark.parametrize("seed", range(8))
def test_captions_name_the_subjects_that_are_drawn_and_no_others(seed: int) -> None:
    rng = random.Random(seed)
    for scene in SCENES:
        named = {word for word in words(caption(scene, rng).text) if word in set(Kind)}
        assert named == {subject.kind for subject in scene.subjects}


def test_captions_name_no_colour_but_the_subjects_or_the_grounds() -> None:
    rng = random.Random(1)
    for scene in SCENES:
        told = caption(scene, rng)
        text = told.text.replace("green meadow", "meadow").replace("blue sky", "sky")
        named = [word for word in words(text) if word in set(Colour)]
        allowed = [subject.colour for subject in scene.subjects]
        assert all(colour in allowed for colour in named)
        assert len(named) == len(told.said & {Aspect.COLOUR_1, Aspect.COLOUR_2})


def test_what_a_caption_claims_to_tell_it_tells() -> None:
    rng = random.Random(2)
    for scene in SCENES:
        told = caption(scene, rng)
        assert (Aspect.PLACE in told.said) == any(f"the {side}" in told.text for side in ("left", "right", "middle"))
        assert (Aspect.RELATION in told.said) == any(r in told.text for r in (" left of ", " right of ", " behind "))


def test_right_of_names_the_right_one_first() -> None:
    scene = Scene((Subject(Kind.CAT, Colour.RED), Subject(Kind.CAR, Colour.BLUE)), Sky.DAY, Ground.SNOW)
    told = [caption(scene, random.Random(seed)).text for seed in range(60)]
    reversed_ = [text for text in told if " right of " in text]
    assert reversed_
    assert all(text.index("car") < text.index("cat") for text in reversed_)


def test_a_place_is_said_only_of_the_place() -> None:
    scene = Scene((Subject(Kind.CAT, Colour.RED),), Sky.DAY, Ground.SNOW, place=Place.LEFT)
    assert not any("right" in caption(scene, random.Random(seed)).text for seed in range(40))


def test_the_prompt_of_no_prompt_names_nothing_of_the_world() -> None:
    rng = random.Random(5)
    world = {*Kind, *Colour, *Sky, *Ground}
    said = [no_caption(rng) for _ in range(100)]
    assert "" in said
    assert any(said)
    assert not any(word in world for text in said for word in words(text))
