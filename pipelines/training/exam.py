"""The examination: prompts for scenes that training may have drawn or never did, and marks read from the pictures."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean

import numpy as np
from PIL import Image

from pipelines.training.checkers.judge import Judge, kinds_of
from pipelines.training.checkers.pixels import colours_of, ground_of, sky_of
from pipelines.training.world.canvas import Box, shared
from pipelines.training.world.captions import full_caption
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import HELD_OUT_PAIRS, random_scene
from pipelines.training.world.scene import Place, Scene, Size, Style

FIRST_SEED = 6  # of questions; drawings from those before only tell where things stand
TOUCHES = 0.1  # the share of a place, 0-1, that a subject may cover and still not stand there
DRAFT = 64  # pixels along the shorter side of drawings that only tell where things stand


class Topic(StrEnum):
    """What a set of questions asks. Of all but the first, no scene was drawn for training."""

    SEEN = "seen"  # one subject in a combination that training drew
    COMBINATIONS = "combinations"  # one subject; its colour is known for its kind, but not in this setting
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
    alone: bool  # whether no other subject stands beside those asked for

    @property
    def subjects(self) -> bool:
        """Whether every subject has its kind and its colour."""
        return all(self.kinds) and all(self.colours)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return self.subjects and self.alone and self.sky and self.ground


@dataclass(frozen=True, slots=True)
class Score:
    """Shares right, 0-1, over `pictures`."""

    pictures: int
    sky: float
    ground: float
    colour: float  # over all subjects
    kind: float  # over all subjects
    subjects: float  # pictures in which every subject has its kind and its colour
    alone: float  # pictures in which nothing stands beside them
    whole: float  # pictures in which nothing is wrong


def questions(topic: Topic, count: int, *, seed: int) -> tuple[Question, ...]:
    """`count` questions on `topic`; the same seed asks the same."""
    rng = random.Random(f"{topic} {seed}")
    asked: list[Question] = []
    while len(asked) < count:
        scene = random_scene(rng, held_out=topic is not Topic.SEEN, duos=float(topic is Topic.DUOS))
        if _belongs(scene, topic):
            asked.append(Question(scene, seed=rng.randrange(FIRST_SEED, 1 << 30)))  # no topic shares its noise
    return tuple(asked)


def _belongs(scene: Scene, topic: Topic) -> bool:
    unseen_pair = any((s.kind, s.colour) in HELD_OUT_PAIRS for s in scene.subjects)
    centred = scene.place is Place.CENTRE
    match topic:
        case Topic.SEEN | Topic.COMBINATIONS:
            return centred and not unseen_pair
        case Topic.PAIRS:
            return centred and unseen_pair and scene.subjects[0].size is not Size.SMALL
        case Topic.SIDES:
            return not centred and not unseen_pair
        case Topic.DUOS:
            return not unseen_pair


def mark(question: Question, picture: Image.Image, judge: Judge, style: Style) -> Mark:
    """Read `picture`, asked for in `style`, where a drawing of the scene would have its subjects."""
    scene = question.scene
    pixels = np.asarray(picture)
    boxes = expected_boxes(scene, *picture.size)
    kinds, colours = kinds_of(judge, picture, boxes), colours_of(pixels, boxes, style)
    others = beside(boxes)
    return Mark(
        sky=sky_of(pixels, style) is scene.sky,
        ground=ground_of(pixels, scene.sky, style) is scene.ground,
        colours=tuple(seen is subject.colour for seen, subject in zip(colours, scene.subjects, strict=True)),
        kinds=tuple(seen is subject.kind for seen, subject in zip(kinds, scene.subjects, strict=True)),
        alone=not others or not any(kinds_of(judge, picture, others)),
    )


def beside(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Places as large as the first of `boxes`, left, middle and right on its height, that touch none of them."""
    left, top, right, bottom = boxes[0]
    half = (right - left) / 2
    places = [(x - half, top, x + half, bottom) for x in (0.18, 0.5, 0.82)]
    return tuple(place for place in places if all(shared(place, box) < TOUCHES for box in boxes))


def expected_boxes(scene: Scene, width: int, height: int) -> tuple[Box, ...]:
    """Where the subjects of `scene` are on average over several drawings, in fractions of the picture."""
    shrink = DRAFT / min(width, height)  # where things stand is seen on small drawings too, nine times sooner
    wide, high = (8 * round(side * shrink / 8) for side in (width, height))
    several = np.array(
        [draw(scene, seed, width=wide, height=high).boxes for seed in range(FIRST_SEED)]
    )  # (6, subjects, 4)
    return tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in several.mean(0))


def score(marks: Sequence[Mark]) -> Score:
    """The shares of `marks` that are right."""
    return Score(
        pictures=len(marks),
        sky=mean(m.sky for m in marks),
        ground=mean(m.ground for m in marks),
        colour=mean(right for m in marks for right in m.colours),
        kind=mean(right for m in marks for right in m.kinds),
        subjects=mean(m.subjects for m in marks),
        alone=mean(m.alone for m in marks),
        whole=mean(m.whole for m in marks),
    )
