"""A scene in words, in the several ways people would say it."""

import random
from dataclasses import dataclass
from enum import StrEnum

from pipelines.training.world.scene import Colour, Ground, Place, Relation, Scene, Size, Sky, Subject

SKY_PHRASES: dict[Sky, tuple[str, ...]] = {
    Sky.DAY: ("under a blue sky", "on a sunny day", "by day"),
    Sky.NIGHT: ("under a night sky", "at night", "under the stars"),
    Sky.SUNSET: ("under a sunset sky", "at sunset"),
    Sky.RAIN: ("under a rainy sky", "in the rain"),
}
SKY_TAGS: dict[Sky, tuple[str, ...]] = {
    Sky.DAY: ("blue sky", "sunny day"),
    Sky.NIGHT: ("night sky", "night"),
    Sky.SUNSET: ("sunset sky", "sunset"),
    Sky.RAIN: ("rainy sky", "rain"),
}
GROUND_PHRASES: dict[Ground, tuple[str, ...]] = {
    Ground.MEADOW: ("on a hill", "on a green meadow", "in a meadow", "on a grassy hill"),
    Ground.DESERT: ("in a desert", "in the desert", "on the sand"),
    Ground.SNOW: ("in the snow", "on a snowy field"),
    Ground.SEA: ("on the sea", "in the sea", "by the sea"),
}
GROUND_TAGS: dict[Ground, tuple[str, ...]] = {
    Ground.MEADOW: ("meadow", "hill"),
    Ground.DESERT: ("desert",),
    Ground.SNOW: ("snow",),
    Ground.SEA: ("sea",),
}
PLACE_PHRASES: dict[Place, str] = {
    Place.LEFT: "on the left",
    Place.CENTRE: "in the middle",
    Place.RIGHT: "on the right",
}

# What people write around a prompt, or as a negative one. It says nothing of the scene, and a model should know that.
OPENINGS = ("a picture of", "a drawing of", "an illustration of", "a painting of", "a photo of")
PRAISE = ("detailed", "beautiful", "best quality", "masterpiece", "high quality", "cute")
BLAME = ("blurry", "low quality", "ugly", "worst quality", "bad", "noisy", "text", "watermark")


class Aspect(StrEnum):
    """What a caption can say; `left` and `right` of it are the first and second subject of the scene."""

    KIND_1 = "first kind"
    COLOUR_1 = "first colour"
    KIND_2 = "second kind"
    COLOUR_2 = "second colour"
    SIZE = "size"
    PLACE = "place"
    RELATION = "relation"
    SKY = "sky"
    GROUND = "ground"


@dataclass(frozen=True, slots=True)
class Caption:
    """A text, and which aspects of the scene it tells."""

    text: str
    said: frozenset[Aspect]


def full_caption(scene: Scene) -> str:
    """Everything that can be said of the scene, in its plainest form; prompts for evaluation are made so."""
    words = [_subject_words(subject, size=True, colour=True, article=True) for subject in scene.subjects]
    subjects = f" {scene.relation} ".join(words)
    if len(scene.subjects) == 1 and scene.place is not Place.CENTRE:
        subjects += f" {PLACE_PHRASES[scene.place]}"
    return f"{subjects} {GROUND_PHRASES[scene.ground][0]} {SKY_PHRASES[scene.sky][0]}"


def caption(scene: Scene, rng: random.Random) -> Caption:
    """One way to say it; now and then a part is left unsaid, so that a model learns to choose it freely."""
    tags = rng.random() < 0.2
    subjects = _subjects(scene, rng, tags=tags)
    sky = rng.choice((SKY_TAGS if tags else SKY_PHRASES)[scene.sky])
    ground = rng.choice((GROUND_TAGS if tags else GROUND_PHRASES)[scene.ground])
    said = set(subjects.said)
    setting = []
    if rng.random() < 0.8:
        setting.append(ground)
        said.add(Aspect.GROUND)
    if rng.random() < 0.9:
        setting.append(sky)
        said.add(Aspect.SKY)
    if rng.random() < 0.25:
        setting.reverse()
    separator = ", " if tags or rng.random() < 0.2 else " "
    text = separator.join([subjects.text, *setting])
    if not tags and rng.random() < 0.06:
        text = f"{rng.choice(OPENINGS)} {text}"
    if rng.random() < 0.06:
        text = ", ".join([text, *rng.sample(PRAISE, rng.randint(1, 2))])
    return Caption(text, frozenset(said))


def no_caption(rng: random.Random) -> str:
    """What stands for "no prompt" in classifier-free guidance: nothing, or words of blame as in negative prompts."""
    return ", ".join(rng.sample(BLAME, rng.randint(1, 4))) if rng.random() < 0.25 else ""


def _subjects(scene: Scene, rng: random.Random, *, tags: bool) -> Caption:
    said = {Aspect.KIND_1} if len(scene.subjects) == 1 else {Aspect.KIND_1, Aspect.KIND_2}
    words = []
    for subject, aspect in zip(scene.subjects, (Aspect.COLOUR_1, Aspect.COLOUR_2), strict=False):
        size, colour = rng.random() < 0.85, rng.random() < 0.94
        words.append(_subject_words(subject, size=size, colour=colour, article=not tags))
        if colour:
            said.add(aspect)
        if subject.size is not Size.NORMAL and size:
            said.add(Aspect.SIZE)
    if len(words) == 1:
        placed = rng.random() < (0.8 if scene.place is not Place.CENTRE else 0.1)
        text = f"{words[0]} {PLACE_PHRASES[scene.place]}" if placed else words[0]
        return Caption(text, frozenset(said | ({Aspect.PLACE} if placed else set())))
    if rng.random() < 0.15:
        return Caption(" and ".join(words), frozenset(said))
    said.add(Aspect.RELATION)
    if scene.relation is Relation.LEFT_OF and rng.random() < 0.3:
        return Caption(" right of ".join(reversed(words)), frozenset(said))
    return Caption(f" {scene.relation} ".join(words), frozenset(said))


def _subject_words(subject: Subject, *, size: bool, colour: bool, article: bool) -> str:
    words: list[str] = []
    if size and subject.size is not Size.NORMAL:
        words.append(subject.size)
    if colour:
        words.append(subject.colour)
    words.append(subject.kind)
    if article:
        words.insert(0, "an" if words[0] == Colour.ORANGE else "a")
    return " ".join(words)
