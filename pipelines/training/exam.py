"""The examination: prompts for scenes that training never saw, and marks read from the pictures."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean

import numpy as np
from PIL import Image

from pipelines.training.checkers.kinds import KindNet, kind_of
from pipelines.training.checkers.pixels import colour_of, ground_of, sky_of
from pipelines.training.world.canvas import Box
from pipelines.training.world.captions import full_caption
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import HELD_OUT_PAIRS, random_scene
from pipelines.training.world.scene import Place, Scene, Size


class Topic(StrEnum):
    """What a set of questions asks. None of its scenes was drawn for training."""

    COMBINATIONS = (
        "combinations"  # one subject; its colour is known for its kind, but not under this sky on this ground
    )
    PAIRS = "pairs"  # one subject of a kind that was never drawn in this colour
    SIDES = "sides"  # one subject on the left or right
    DUOS = "duos"  # two subjects


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, the scene it describes, and the seed to answer with."""

    scene: Scene
    seed: int

    @property
    def prompt(self) -> str:
        """The scene in plain words."""
        return full_caption(self.scene)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a picture got right; colours and kinds are one per subject."""

    sky: bool
    ground: bool
    colours: tuple[bool, ...]
    kinds: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Shares right, 0-1, over `pictures`."""

    pictures: int
    sky: float
    ground: float
    colour: float
    kind: float


def questions(topic: Topic, count: int, *, seed: int) -> tuple[Question, ...]:
    """`count` questions on `topic`; the same seed asks the same."""
    rng = random.Random(f"{topic} {seed}")
    asked: list[Question] = []
    while len(asked) < count:
        scene = random_scene(rng, held_out=True, pairs=float(topic is Topic.DUOS))
        if _belongs(scene, topic):
            asked.append(Question(scene, seed=1000 * seed + len(asked)))
    return tuple(asked)


def _belongs(scene: Scene, topic: Topic) -> bool:
    unseen_pair = any((s.kind, s.colour) in HELD_OUT_PAIRS for s in scene.subjects)
    centred = scene.place is Place.CENTRE
    match topic:
        case Topic.COMBINATIONS:
            return centred and not unseen_pair
        case Topic.PAIRS:
            return centred and unseen_pair and scene.subjects[0].size is not Size.SMALL
        case Topic.SIDES:
            return not centred and not unseen_pair
        case Topic.DUOS:
            return not unseen_pair


def mark(question: Question, picture: Image.Image, judge: KindNet) -> Mark:
    """Read `picture` where a drawing of the scene would have its subjects."""
    scene = question.scene
    width, height = picture.size
    pixels = np.asarray(picture)
    around = list(zip(scene.subjects, expected_boxes(scene, width, height), strict=True))
    return Mark(
        sky=sky_of(pixels) is scene.sky,
        ground=ground_of(pixels, scene.sky) is scene.ground,
        colours=tuple(colour_of(pixels, box) is subject.colour for subject, box in around),
        kinds=tuple(kind_of(judge, picture, box) is subject.kind for subject, box in around),
    )


def expected_boxes(scene: Scene, width: int, height: int) -> tuple[Box, ...]:
    """Where the subjects of `scene` are on average over several drawings, in fractions of the picture."""
    several = np.array([draw(scene, seed, width=width, height=height).boxes for seed in range(6)])  # (6, subjects, 4)
    return tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in several.mean(0))


def score(marks: Sequence[Mark]) -> Score:
    """Shares over all pictures, and over all their subjects."""
    return Score(
        pictures=len(marks),
        sky=mean(m.sky for m in marks),
        ground=mean(m.ground for m in marks),
        colour=mean(right for m in marks for right in m.colours),
        kind=mean(right for m in marks for right in m.kinds),
    )
