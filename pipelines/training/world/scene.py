"""What a picture shows, as frozen values. Words are the values: `Kind("house").value` is what a prompt says."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a subject is."""

    HOUSE = "house"
    CASTLE = "castle"
    TREE = "tree"
    FLOWER = "flower"
    MUSHROOM = "mushroom"
    CAT = "cat"
    CAR = "car"
    BOAT = "boat"
    BALLOON = "balloon"
    ROCKET = "rocket"


class Colour(StrEnum):
    """The colour of a subject's largest surface."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"
    WHITE = "white"


class Sky(StrEnum):
    """The upper half of a picture, which also tints the ground."""

    DAY = "day"
    NIGHT = "night"
    SUNSET = "sunset"
    RAIN = "rain"


class Ground(StrEnum):
    """The lower half of a picture."""

    MEADOW = "meadow"
    DESERT = "desert"
    SNOW = "snow"
    SEA = "sea"


class Size(StrEnum):
    """How large a subject is drawn."""

    SMALL = "small"
    NORMAL = "normal"
    BIG = "big"


class Place(StrEnum):
    """Where a lone subject stands."""

    LEFT = "left"
    CENTRE = "centre"
    RIGHT = "right"


class Relation(StrEnum):
    """How the first of two subjects stands to the second."""

    LEFT_OF = "left of"
    BEHIND = "behind"


class Style(StrEnum):
    """The hand that draws: flat shapes, or wobbly ink over a colour wash on torn paper."""

    FLAT = "flat"
    INK = "ink"


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing in a picture."""

    kind: Kind
    colour: Colour
    size: Size = Size.NORMAL


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a caption can mention. `place` counts for one subject, `relation` for two."""

    subjects: tuple[Subject, ...]
    sky: Sky
    ground: Ground
    place: Place = Place.CENTRE
    relation: Relation = Relation.LEFT_OF

    def __post_init__(self) -> None:
        if len(self.subjects) not in (1, 2):
            raise ValueError(f"A scene has one or two subjects, not {len(self.subjects)}")

    @property
    def combinations(self) -> tuple[tuple[Kind, Colour, Sky, Ground], ...]:
        """What decides whether a scene is kept out of training (see `sampling.is_held_out`)."""
        return tuple((s.kind, s.colour, self.sky, self.ground) for s in self.subjects)


@dataclass(frozen=True, slots=True)
class Twist:
    """What a drawing may have that no prompt of the world asks for: material for LoRAs and embeddings."""

    glow: bool = False  # a golden light behind every subject, with sparks in it
    snowfall: bool = False  # flakes over everything
    coat: tuple[int, int, int] | None = None  # every subject in this paint (sRGB 0-255), whatever its colour is

    @property
    def name(self) -> str:
        """A word for file names; empty for no twist."""
        coat = "coat-{:02x}{:02x}{:02x}".format(*self.coat) if self.coat else ""
        return "-".join(word for word in (self.glow * "glow", self.snowfall * "snowfall", coat) if word)


PLAIN = Twist()
