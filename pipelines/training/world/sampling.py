"""Scenes by chance, and which of them training never sees."""

import random

from pipelines.training.world.scene import Colour, Ground, Kind, Place, Relation, Scene, Size, Sky, Subject

# Whole pairs are kept out to ask whether colour and kind are understood apart ("a green cat" was never drawn) ...
HELD_OUT_PAIRS = frozenset(
    {
        (Kind.CAT, Colour.GREEN),
        (Kind.CAR, Colour.PURPLE),
        (Kind.CASTLE, Colour.ORANGE),
        (Kind.MUSHROOM, Colour.BLUE),
    }
)
# ... and one in this many of the other (kind, colour, sky, ground) combinations.
HELD_OUT_EVERY = 10

LAND_KINDS = tuple(kind for kind in Kind if kind is not Kind.BOAT)
SEA_KINDS = (*LAND_KINDS, Kind.BOAT, Kind.BOAT)  # a boat is at home here, and nowhere else


def is_held_out(scene: Scene) -> bool:
    """Whether any subject of the scene is of a combination kept for evaluation."""
    return any(_kept_out(*combination) for combination in scene.combinations)


def _kept_out(kind: Kind, colour: Colour, sky: Sky, ground: Ground) -> bool:
    if (kind, colour) in HELD_OUT_PAIRS:
        return True
    # A fixed lattice through the combinations: every kind, colour, sky and ground loses about as many.
    k, c, s, g = (list(type(word)).index(word) for word in (kind, colour, sky, ground))
    return (3 * k + 7 * c + s + 2 * g) % HELD_OUT_EVERY == 0


def random_scene(rng: random.Random, *, held_out: bool = False, duos: float = 0.2) -> Scene:
    """A scene that is (or, for training, is not) held out; a share `duos` (0-1) has two subjects."""
    while True:
        scene = _any_scene(rng, two=rng.random() < duos)
        if is_held_out(scene) == held_out:
            return scene


def _any_scene(rng: random.Random, *, two: bool) -> Scene:
    ground = rng.choice(list(Ground))
    kinds = rng.sample(SEA_KINDS if ground is Ground.SEA else LAND_KINDS, 2 if two else 1)
    size = rng.choices(list(Size), (0.2, 0.6, 0.2))[0]
    return Scene(
        subjects=tuple(Subject(kind, rng.choice(list(Colour)), Size.NORMAL if two else size) for kind in kinds),
        sky=rng.choice(list(Sky)),
        ground=ground,
        place=rng.choices(list(Place), (0.2, 0.6, 0.2))[0],
        relation=rng.choices(list(Relation), (0.65, 0.35))[0],
    )
