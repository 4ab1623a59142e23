"""Painting round a picture: where the network looks, one look after another, and what it is given there.

A picture grows by rounds, in each by at most half of what the network sees: first it is painted as a whole, with
nothing smaller than the network can see, so that there is one composition and no repetition; then looked at closer and
closer, until one pixel of the network is one of the picture.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.core.error import InvalidRequest
from pipelines.generation.masks import Box, Mask, Pixels, mask_resized, resized, softened
from pipelines.generation.parts import Part
from pipelines.generation.seams import colours_matched, detailed, joined
from pipelines.models.blueprint import PIXELS_PER_LATENT

OVERLAP = 0.25
"""Of a window that the one before has seen, at least."""
AGAIN = 0.125
"""Of a window: so much of what was added last is painted again in the next round. It was cut off by the window's edge,
and half a tree is hard to go on with."""
MOST_LOOKS = 1000
Size = tuple[int, int]
"""Width and height."""


@dataclass(frozen=True, slots=True)
class Look:
    """One window that is painted."""

    box: Box
    """In the picture with all that is added to it."""
    known: Box
    """What was there when the round began, and stays."""
    before: tuple[Box, ...]
    """Windows of the same round and scale that come earlier, as far as they touch this one."""
    closer: bool
    """What is here was painted before, at a larger scale: only details are missing."""

    @property
    def added(self) -> Mask:
        """(h, w) of the window: 1 where it is painted, 0 where it was before."""
        added = np.ones((self.box.height, self.box.width), np.float32)
        for done in (self.known, *self.before):
            added[done.within(self.box).moved(-self.box.left, -self.box.top).part] = 0
        return added

    def begun(self, seen: Pixels) -> Pixels:
        """What painting begins from: (h, w, 3) of the window, what is not known yet in the colours of the nearest edge.

        Straight on, not smoothly from all sides: a horizon goes on as one.
        """
        if self.closer:
            return seen
        there = self.known.within(self.box).moved(-self.box.left, -self.box.top)
        sides = ((there.top, self.box.height - there.bottom), (there.left, self.box.width - there.right), (0, 0))
        carried_on = np.pad(seen[there.part], sides, mode="edge")
        return np.where(self.added[..., None] > 0, carried_on, seen)


def looks(picture: Box, whole: Size, window: Size) -> tuple[Look, ...]:
    """All that are needed for `picture` to become `whole`, with a network that sees `window` at a time.

    Raises InvalidRequest when they are too many.
    """
    found: list[Look] = []
    original = picture
    while picture != Box(0, 0, *whole):
        wider, stays = _grown(picture, whole, window), _staying(picture, original, window)
        for number, scale in enumerate(_scales(_scale(wider, window))):
            before: list[Box] = []
            windows = _windows(wider, whole, (round(window[0] * scale), round(window[1] * scale)))
            # Those with the most to paint first: what others would add to them is a few strips, or nothing.
            for box in sorted(windows, key=lambda one: one.within(stays).area - one.area):
                touching = tuple(one for one in before if one.within(box).area)
                look = Look(box, stays, touching, closer=number > 0)
                if look.added.any():
                    found.append(look)
                    before.append(box)
                if len(found) > MOST_LOOKS:
                    raise InvalidRequest(
                        f"So wide a border takes more than {MOST_LOOKS} passes at {window[0]} x {window[1]}",
                        fix="use a narrower one, or a larger size", field="border",
                    )  # fmt: skip
        picture = wider
    return tuple(found)


def _grown(picture: Box, whole: Size, window: Size) -> Box:
    """Half a window more on each side, where there is so much to add."""
    scale = _scale(picture, window)
    # On the latents' grid, so that as a rule no latent lies on both sides of a seam.
    across, down = (max(1, int(side * scale / 2) // PIXELS_PER_LATENT) * PIXELS_PER_LATENT for side in window)
    return Box(
        max(0, picture.left - across), max(0, picture.top - down),
        min(whole[0], picture.right + across), min(whole[1], picture.bottom + down),
    )  # fmt: skip


def _staying(picture: Box, original: Box, window: Size) -> Box:
    """`picture` without the outermost of what was added to the `original`."""
    scale = _scale(picture, window)
    across, down = (int(side * scale * AGAIN) // PIXELS_PER_LATENT * PIXELS_PER_LATENT for side in window)
    return Box(
        min(original.left, picture.left + across), min(original.top, picture.top + down),
        max(original.right, picture.right - across), max(original.bottom, picture.bottom - down),
    )  # fmt: skip


def _scale(box: Box, window: Size) -> float:
    """Pixels of the picture for one of the network, so that the shorter way through `box` is seen at once."""
    return max(1.0, min(box.width / window[0], box.height / window[1]))


def _scales(first: float) -> Iterator[float]:
    """By halves, down to 1."""
    yield first
    while first > 1:
        first = max(1.0, first / 2)
        yield first


def _windows(area: Box, whole: Size, size: Size) -> Iterator[Box]:
    """Boxes of `size` that cover `area` with an overlap; larger than it where it is smaller than one."""
    for top, bottom in _spans(area.top, area.bottom, size[1], whole[1]):
        for left, right in _spans(area.left, area.right, size[0], whole[0]):
            yield Box(left, top, right, bottom)


def _spans(low: int, high: int, length: int, limit: int) -> Sequence[tuple[int, int]]:
    length = min(length, limit)
    if high - low <= length:
        begin = min(max(0, (low + high - length) // 2), limit - length)
        return [(begin, begin + length)]
    room = high - low - length
    count = math.ceil(room / ((1 - OVERLAP) * length)) + 1
    steps = (int(k * room / (count - 1)) // PIXELS_PER_LATENT * PIXELS_PER_LATENT for k in range(count - 1))
    return [(low + step, low + step + length) for step in (*steps, room)]


@dataclass(frozen=True)
class Extension(Part):
    """A window that shows some of the picture, and some of what is added to it."""

    added: Mask
    """(h, w) of the window, 0 or 1; `mask` reaches softly over its edge, so that the network can lead over."""
    closer: bool

    def fitted(self, painted: Image.Image, *, match_colour: bool) -> tuple[Pixels, Mask]:
        """As of every part; with colours matched nothing of what was there before changes."""
        if not match_colour:
            return super().fitted(painted, match_colour=False)
        new, (old, mask) = np.asarray(painted), self.scaled
        shaped = detailed(new, old) if self.closer else colours_matched(new, old, mask)
        whole = joined(shaped, old, mask_resized(self.added, self.size))
        return resized(whole, (self.box.width, self.box.height)), self.added


def extension_of(look: Look, seen: Pixels, size: Size, soft_edge: int) -> Extension:
    """What is painted in a look; `seen`: (h, w, 3) of its window as it is by now."""
    added = look.added
    mask = np.maximum(softened(added, soft_edge), added)
    begun = look.begun(seen)
    return Extension(look.box, begun, mask, [mask_resized(mask, size)], size, added, look.closer)
