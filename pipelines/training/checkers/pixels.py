"""Rules that read sky, ground and subjects' colours from pixels. They know the palette and nothing of any network.

Pictures are (h, w, 3) uint8. Every rule counts pixels that look as they should, and answers None when too few do:
noise, a flat grey or the average of all pictures is none of ours.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from pipelines.training.world.canvas import Box
from pipelines.training.world.palette import COLOURS, GROUNDS, ROOF, SEABED, SKIES, WOOD, Coat, Rgb, shown, tinted
from pipelines.training.world.scene import Colour, Ground, Sky, Style

Answer = TypeVar("Answer")

RIMS = {Style.FLAT: 0.0, Style.INK: 0.06}  # of the shorter side: nearer to the edge there may be bare paper
FLANK = 0.18  # of the width, on either side: where the sky and the ground are read
NEAR = 36.0  # Euclidean distance, 0-255 per channel, within which a pixel of sky or ground is as it should be

HORIZON = 0.60  # of the height, in the middle of what is drawn
SKY_END = 0.45  # of the height: below, hills and subjects begin
LEAST_SKY = 0.35  # share of the flanks above that must be as it should be
LEAST_GRADIENT = 0.25  # of the change from the top down that these pixels must show; one flat colour shows 0

GROUND_START = 0.66  # of the height
LEAST_GROUND = 0.15  # share of the flanks below; islands may hide most of the sea

FOREGROUND = 34.0  # summed over the channels: a pixel nearer to its row's background is background
ALIKE = 48.0  # Euclidean distance to a colour's base or shade within which a pixel is of that colour
LEAST_COLOUR = 0.08  # share of a subject's box
BYSTANDERS: tuple[Rgb, ...] = (ROOF, WOOD, (44, 44, 54), (178, 222, 246))  # subjects' paints that are nobody's colour


def sky_of(picture: np.ndarray, style: Style = Style.FLAT) -> Sky | None:
    """The sky whose gradient most of the upper flanks follow."""
    seen, at = _flanks(picture, 0.0, SKY_END, style)
    shares = {}
    for sky, stops in SKIES.items():
        paints = shown(stops, style)
        gradient = np.stack([np.interp(at * 2 / HORIZON, [0, 1, 2], paints[:, c]) for c in range(3)], -1)
        expected = np.broadcast_to(gradient[:, None], seen.shape)
        near = np.linalg.norm(seen - expected, axis=-1) < NEAR
        shares[sky] = near.mean() if _slope(seen[near], expected[near]) > LEAST_GRADIENT else 0.0
    return _most(shares, LEAST_SKY)


def ground_of(picture: np.ndarray, sky: Sky, style: Style = Style.FLAT) -> Ground | None:
    """The ground whose paints in the light of `sky` most of the lower flanks are nearest to."""
    seen, _ = _flanks(picture, GROUND_START, 1.0, style)
    paints = [[*GROUNDS[ground], *([SEABED] if ground is Ground.SEA else [])] for ground in Ground]
    votes = _votes(seen, [shown([tinted(paint, sky) for paint in some], style) for some in paints], NEAR)
    return _most({ground: np.mean(votes == i) for i, ground in enumerate(Ground)}, LEAST_GROUND)


def colour_of(picture: np.ndarray, box: Box, style: Style = Style.FLAT) -> Colour | None:
    """The palette colour that covers most of `box` (fractions of the picture), the background left out."""
    return colours_of(picture, [box], style)[0]


def colours_of(picture: np.ndarray, boxes: Sequence[Box], style: Style = Style.FLAT) -> tuple[Colour | None, ...]:
    """The colour of the subject in each of `boxes`, which lie over one another in their order, the nearest last.

    Only surfaces count, pixels whose neighbours are of the same colour: so noise has none. What is left and right of
    all boxes, row by row, is background.
    """
    pixels = picture.astype(np.float32)
    height, width = picture.shape[:2]
    rim = RIMS[style] * min(height, width) / width
    coats = [Coat(colour, night=False) for colour in COLOURS]
    surfaces = [[coat.base, coat.shade] for coat in coats] + [[paint] for paint in BYSTANDERS]

    middles = (np.arange(width) + 0.5) / width
    inside = [(middles > left + 0.02) & (middles < right - 0.02) for left, _, right, _ in boxes]
    bare = (middles > rim) & (middles < 1 - rim) & ~np.any(inside, axis=0)
    behind = np.median(pixels[:, bare], axis=1)[:, None] if bare.any() else np.full((height, 1, 3), -np.inf)
    votes = _votes(pixels, [shown(paints, style) for paints in surfaces], ALIKE)
    votes[np.abs(pixels - behind).sum(-1) < FOREGROUND] = -1

    answers: list[Colour | None] = []
    for i, box in enumerate(boxes):
        seen = _within(box, votes.shape)
        for nearer in boxes[i + 1 :]:
            seen &= ~_within(nearer, votes.shape)
        shares = {coat.colour: _surface((votes == j) & seen) / max(seen.sum(), 1) for j, coat in enumerate(coats)}
        answers.append(_most(shares, LEAST_COLOUR))
    return tuple(answers)


def _flanks(picture: np.ndarray, start: float, stop: float, style: Style) -> tuple[np.ndarray, np.ndarray]:
    """The outer columns between two heights (fractions), without the rim: pixels (rows, columns, 3), heights (rows)."""
    height, width = picture.shape[:2]
    rim, reach = round(RIMS[style] * min(height, width)), round(FLANK * width)
    rows = np.arange(max(round(start * height), rim), min(round(stop * height), height - rim))
    columns = np.concatenate([np.arange(rim, rim + reach), np.arange(width - rim - reach, width - rim)])
    return picture[np.ix_(rows, columns)].astype(np.float32), (rows + 0.5) / height


def _slope(seen: np.ndarray, expected: np.ndarray) -> float:
    """How much `seen` (n, 3) changes where `expected` changes by 1: least squares over all pixels and channels."""
    if not len(seen):
        return 0.0
    change = expected - expected.mean(0)
    return float(((seen - seen.mean(0)) * change).sum() / max(np.square(change).sum(), 1e-6))


def _votes(pixels: np.ndarray, paints: Sequence[np.ndarray], reach: float) -> np.ndarray:
    """Which of `paints`, each (k, 3), each of `pixels` (..., 3) is nearest to; -1 where none is nearer than `reach`."""
    every = np.concatenate(paints)
    whose = np.repeat(np.arange(len(paints)), [len(some) for some in paints])
    squares = np.square(pixels).sum(-1, keepdims=True) - 2 * pixels @ every.T + np.square(every).sum(-1)  # |a - b|^2
    return np.where(squares.min(-1) < reach**2, whose[squares.argmin(-1)], -1)


def _within(box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """A mask (h, w) that is true in `box` (fractions)."""
    height, width = shape
    left, top, right, bottom = box
    mask = np.zeros((height, width), bool)
    mask[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
    return mask


def _surface(mask: np.ndarray) -> int:
    """How many 2 x 2 blocks of `mask` are all true."""
    return int((mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:] & mask[1:, 1:]).sum())


def _most(shares: Mapping[Answer, float], least: float) -> Answer | None:
    """What has the largest share, if it is at least `least`."""
    winner = max(shares, key=lambda answer: shares[answer])
    return winner if shares[winner] >= least else None
