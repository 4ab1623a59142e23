"""Rules that read sky, ground and a subject's colour from pixels. They know the palette and nothing of any network.

Pictures are (h, w, 3) uint8. Each rule answers None when the picture looks like nothing it knows.
"""

import numpy as np

from pipelines.training.world.canvas import Box
from pipelines.training.world.palette import COLOURS, GROUNDS, ROOF, SKIES, WOOD, Coat, tinted
from pipelines.training.world.scene import Colour, Ground, Sky

HORIZON = 0.60  # of the height, in the middle of what is drawn
FAR_OFF = 40.0  # mean distance per channel, 0-255, at which a sky or ground is none of ours
BACKGROUND = 34.0  # a pixel nearer than this to its row's background, summed over channels, is background
ALIKE = 75.0  # a pixel is of a colour when its Euclidean distance to the colour's base, shade or light is below this
BYSTANDERS = (ROOF, WOOD, (44, 44, 54), (178, 222, 246))  # paints of subjects that are nobody's colour
LEAST_SHARE = 0.06  # of a subject's box that its colour must cover


def sky_of(picture: np.ndarray) -> Sky | None:
    """The sky whose gradient the upper part of the picture is nearest to.

    Rows are read in their outer quarters, where a subject in the middle does not hide the sky, and by the median, so
    that clouds, stars and rain do not count.
    """
    height = picture.shape[0]
    rows = np.arange(round(0.02 * height), round(0.45 * height))
    seen = np.median(_flanks(picture, 0.25)[rows], axis=1)
    at = rows / (HORIZON * height) * 2

    def distance(sky: Sky) -> float:
        stops = np.array(SKIES[sky], dtype=float)
        expected = np.stack([np.interp(at, [0, 1, 2], stops[:, c]) for c in range(3)], -1)
        return float(np.abs(seen - expected).mean())

    nearest = min(Sky, key=distance)
    return nearest if distance(nearest) < FAR_OFF else None


def ground_of(picture: np.ndarray, sky: Sky) -> Ground | None:
    """The ground whose colour in the light of `sky` the lowest rows are nearest to."""
    seen = np.median(_flanks(picture, 0.25)[round(0.86 * len(picture)) :], axis=(0, 1))

    def distance(ground: Ground) -> float:
        return float(np.abs(seen - tinted(GROUNDS[ground][1], sky)).mean())

    nearest = min(Ground, key=distance)
    return nearest if distance(nearest) < FAR_OFF else None


def colour_of(picture: np.ndarray, box: Box) -> Colour | None:
    """The palette colour that covers most of `box` (fractions of the picture), the background left out."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box
    rows = slice(round(top * height), max(round(bottom * height), round(top * height) + 1))
    columns = slice(round(left * width), max(round(right * width), round(left * width) + 1))
    pixels = picture[rows, columns].astype(float)
    behind = np.median(_flanks(picture, 0.15)[rows], axis=1)[:, None]
    foreground = pixels[np.abs(pixels - behind).sum(-1) > BACKGROUND]
    if len(foreground) < LEAST_SHARE * pixels.shape[0] * pixels.shape[1]:
        return None
    votes = _votes(foreground)
    winner = max(votes, key=lambda colour: votes[colour])
    return winner if votes[winner] >= LEAST_SHARE * pixels.shape[0] * pixels.shape[1] else None


def _votes(pixels: np.ndarray) -> dict[Colour, int]:
    """How many of `pixels` (n, 3) are nearest to each colour, of those near to any."""
    coats = [Coat(colour, night=False) for colour in COLOURS]
    paints = np.array([(c.base, c.shade) for c in coats] + [(b, b) for b in BYSTANDERS], dtype=float)  # (12, 2, 3)
    distances = np.linalg.norm(pixels[:, None, None] - paints, axis=-1).min(-1)
    nearest = distances.argmin(-1)
    near = distances.min(-1) < ALIKE
    return {coat.colour: int((near & (nearest == i)).sum()) for i, coat in enumerate(coats)}


def _flanks(picture: np.ndarray, share: float) -> np.ndarray:
    """The outer `share` of the columns on the left and on the right, side by side."""
    reach = max(1, round(share * picture.shape[1]))
    return np.concatenate([picture[:, :reach], picture[:, -reach:]], axis=1)
