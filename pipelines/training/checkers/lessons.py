"""What the judge learns from, views of fresh drawings in both styles, and how much of it it has learnt.

It learns to say "none" at places where nothing stands, and of real subjects in ruins: parts in the right colours do not
pass for the whole. Held-out combinations are never shown. Half of the subjects are recoloured, so that a kind is a
shape in any colour; without that, a green cat would be none.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from pipelines.training.checkers.damage import RUINS, recoloured, worn
from pipelines.training.checkers.judge import QUESTIONS, Answer, Judge, by_question, kinds_in, overview, view
from pipelines.training.pictures import as_tensor
from pipelines.training.world.canvas import Box, shared
from pipelines.training.world.draw import Drawing, draw
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Style

Answers = Mapping[str, Sequence[Answer]]  # to questions; where there are two, each is half of what is right

SIDES = {128: 0.7, 192: 0.25, 256: 0.05}  # pixels, and the share of the drawings, 0-1
DUOS = 0.4  # share of the drawings with two subjects, 0-1
VIEWS = 2  # of every subject


@dataclass(frozen=True, slots=True)
class Lesson:
    """A view (64, 64, 3) uint8, and how right each answer is (answers) float32: a question's shares sum to 1, or 0."""

    view: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, slots=True)
class JudgeObjective:
    """Cross-entropy, summed over what is asked of a view, on all lessons of `drawings` fresh drawings."""

    judge: Judge
    drawings: int
    seed: int

    def __call__(self, step: int) -> Tensor:
        rng = random.Random(self.seed * 1_000_003 + step)
        lessons = [lesson for _ in range(self.drawings) for lesson in lessons_of_one(rng)]
        on = next(self.judge.parameters()).device
        logits = self.judge(as_tensor(np.stack([lesson.view for lesson in lessons])).to(on)).float().cpu()
        likely = torch.cat([some.log_softmax(-1) for some in by_question(logits).values()], dim=-1)
        right = torch.from_numpy(np.stack([lesson.right for lesson in lessons]))
        return -(right * likely).sum(-1).mean()


def lessons_of_one(rng: random.Random) -> Iterator[Lesson]:
    """All that one fresh drawing teaches."""
    chance = np.random.default_rng(rng.randrange(1 << 30))
    scene, style = random_scene(rng, duos=DUOS), rng.choice(list(Style))
    side = rng.choices(list(SIDES), list(SIDES.values()))[0]
    drawing = draw(scene, rng.randrange(1 << 30), width=side, height=side, style=style)
    kinds, colours = [s.kind for s in scene.subjects], [s.colour for s in scene.subjects]
    whole, is_worn = overview(drawing.image), rng.random() < 0.5
    setting: Answers = {"style": [style], "sky": [scene.sky], "ground": [scene.ground], "worn": [is_worn]}
    yield Lesson(worn(whole, chance) if is_worn else whole, _right({"shown": kinds, "colour": colours, **setting}))
    for kind, box in zip(kinds, drawing.boxes, strict=True):
        for _ in range(VIEWS):
            seen = view(drawing.image, shaken(box, rng))
            yield Lesson(worn(recoloured(seen, chance), chance), _right({"kind": [kind]}))
        seen = nothing(drawing, rng, chance)
        yield Lesson(worn(recoloured(seen, chance), chance), _right({"kind": [None]}))


def _right(answers: Answers) -> np.ndarray:
    """`answers` as shares of what is right, for all there are."""
    shares = [
        answers[question].count(answer) / len(answers[question]) if question in answers else 0.0
        for question, possible in QUESTIONS.items()
        for answer in possible
    ]
    return np.array(shares, dtype=np.float32)


def nothing(drawing: Drawing, rng: random.Random, chance: np.random.Generator) -> np.ndarray:
    """A view in which there is no subject to name: an empty place, or a ruin."""
    ruin = rng.choice((None, *RUINS))
    if ruin is None:
        return view(drawing.image, _empty_place(drawing, rng))
    return ruin(view(drawing.image, shaken(rng.choice(drawing.boxes), rng)), chance)


def shaken(box: Box, rng: random.Random) -> Box:
    """The box as an examination would guess it, which knows neither the horizon nor the exact size."""
    right_by, down_by = rng.uniform(-0.06, 0.06), rng.uniform(-0.10, 0.10)
    moves = (right_by, down_by, right_by, down_by)
    left, top, right, bottom = (edge + by + rng.uniform(-0.02, 0.02) for edge, by in zip(box, moves, strict=True))
    return left, top, right, bottom


def _empty_place(drawing: Drawing, rng: random.Random) -> Box:
    """A box of a subject's size that hardly touches any subject; a corner of the sky if chance finds no other."""
    side = rng.uniform(0.2, 0.4)
    for _ in range(50):
        left, top = rng.uniform(-0.1, 1.1 - side), rng.uniform(0, 1 - side)
        place = (left, top, left + side, top + side)
        if all(shared(place, box) < 0.1 for box in drawing.boxes):
            return place
    left = rng.choice((0.0, 0.75))
    return left, 0.0, left + 0.25, 0.25


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How far a judge can be trusted: shares right, 0-1, on drawings it has not seen, half of them held out."""

    kind: float  # of subjects
    worn: float  # of subjects in worn views
    none: float  # of views of nothing, worn


def accuracy(judge: Judge, style: Style, count: int = 200, *, side: int = 192) -> Accuracy:
    """Examine `judge` on `count` drawings in `style`, `side` pixels wide and high."""
    rng, chance = random.Random(f"accuracy in {style}"), np.random.default_rng(0)
    plain, damaged, none = [], [], []
    for i in range(count):
        scene = random_scene(rng, held_out=i % 2 == 0, duos=DUOS)
        drawing = draw(scene, rng.randrange(1 << 30), width=side, height=side, style=style)
        kinds, seen = [s.kind for s in scene.subjects], [view(drawing.image, shaken(box, rng)) for box in drawing.boxes]
        plain += [a is b for a, b in zip(kinds_in(judge, seen), kinds, strict=True)]
        damaged += [a is b for a, b in zip(kinds_in(judge, [worn(v, chance) for v in seen]), kinds, strict=True)]
        empty = [worn(nothing(drawing, rng, chance), chance) for _ in kinds]
        none += [answer is None for answer in kinds_in(judge, empty)]
    return Accuracy(kind=mean(plain), worn=mean(damaged), none=mean(none))
