"""A small network that names the kind of a subject, or says that there is none.

It never sees a generated picture while it learns: only drawings, damaged as a VAE and a sampler damage them. "None" is
taught by bare backgrounds, by formless patches in the palette's colours, and by real subjects cut into quarters and
put together wrongly, so that parts in the right colours do not pass for the whole.
"""

import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor, nn

from pipelines.training.pictures import as_tensor
from pipelines.training.world.canvas import Box
from pipelines.training.world.draw import draw
from pipelines.training.world.palette import COLOURS
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Kind

VIEW = 48  # pixels a side: what the network sees of a subject
MARGIN = 1.4  # side of the view, in longer sides of the subject's box
NONE = len(Kind)


class KindNet(nn.Module):
    """Views (n, 3, 48, 48) in -1..1 to logits (n, 11): the kinds in order, then "none"."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 64, 64)
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.Conv2d(wide, narrow, 3, stride=2, padding=1), nn.BatchNorm2d(narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 9, NONE + 1))

    def forward(self, views: Tensor) -> Tensor:
        logits: Tensor = self.layers(views)
        return logits


def view(picture: Image.Image, box: Box) -> np.ndarray:
    """A square around `box` (fractions of the picture), (48, 48, 3) uint8; beyond the picture it is black."""
    width, height = picture.size
    left, top, right, bottom = (f * s for f, s in zip(box, (width, height, width, height), strict=True))
    reach = max(right - left, bottom - top) * MARGIN / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    square = picture.crop((round(x - reach), round(y - reach), round(x + reach), round(y + reach)))
    return np.asarray(square.resize((VIEW, VIEW), Image.Resampling.BOX))


@torch.no_grad()
def kind_of(net: KindNet, picture: Image.Image, box: Box) -> Kind | None:
    """What stands in `box` (fractions of the picture)."""
    answer = int(net(as_tensor(view(picture, box)[None])).argmax(-1))
    return None if answer == NONE else list(Kind)[answer]


@dataclass(frozen=True, slots=True)
class KindObjective:
    """Cross-entropy on damaged views of fresh drawings; held-out combinations are left out here as well."""

    net: KindNet
    batch: int
    seed: int

    def __call__(self, step: int) -> Tensor:
        rng = random.Random(self.seed * 1_000_003 + step)
        examples = [_example(rng) for _ in range(self.batch)]
        views = as_tensor(np.stack([v for v, _ in examples]))
        return F.cross_entropy(self.net(views), torch.tensor([answer for _, answer in examples]))


def _example(rng: random.Random) -> tuple[np.ndarray, int]:
    scene = random_scene(rng)
    drawing = draw(scene, rng.randrange(1 << 30), width=96, height=96)
    which = rng.randrange(len(scene.subjects))
    picture, box = _damaged(drawing.image, rng), _shaken(drawing.boxes[which], rng)
    lot = rng.random()
    if lot < 0.80:
        return view(picture, box), list(Kind).index(scene.subjects[which].kind)
    if lot < 0.85:
        return view(picture, _corner(rng)), NONE
    if lot < 0.92:
        return _jumbled(view(picture, box), rng), NONE
    return view(_damaged(_with_patch(drawing.image, box, rng), rng), box), NONE


def _damaged(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Blur, as a VAE does, and uneven colour, as a sampler does."""
    side = rng.randint(40, 96)
    small = picture.resize((side, side), Image.Resampling.BOX).resize(picture.size, Image.Resampling.BILINEAR)
    noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, rng.uniform(0, 12), (*picture.size, 3))
    return Image.fromarray((np.asarray(small) + noise).clip(0, 255).astype(np.uint8))


def _shaken(box: Box, rng: random.Random) -> Box:
    """The box as an evaluation would guess it, which knows neither the horizon nor the exact size."""
    right_by, down_by = rng.uniform(-0.06, 0.06), rng.uniform(-0.08, 0.08)
    moves = (right_by, down_by, right_by, down_by)
    left, top, right, bottom = (edge + by + rng.uniform(-0.02, 0.02) for edge, by in zip(box, moves, strict=True))
    return left, top, right, bottom


def _corner(rng: random.Random) -> Box:
    """A box in an upper corner, where only sky is."""
    left = rng.choice((0.0, 0.75)) + rng.uniform(-0.03, 0.03)
    return left, 0.02, left + 0.25, 0.25


def _jumbled(subject: np.ndarray, rng: random.Random) -> np.ndarray:
    """The four quarters in another order."""
    half = VIEW // 2
    quarters = [subject[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    order = rng.choice([(3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1), (2, 0, 3, 1), (3, 0, 1, 2)])
    a, b, c, d = (quarters[i] for i in order)
    return np.concatenate([np.concatenate([a, b], 1), np.concatenate([c, d], 1)], 0)


def _with_patch(picture: Image.Image, box: Box, rng: random.Random) -> Image.Image:
    """A formless patch of palette colour over `box`."""
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = (round(f * s) for f, s in zip(box, picture.size * 2, strict=True))
    pen.rectangle((left, top, right, bottom), fill=rng.choice([(124, 192, 84), (90, 110, 150), (214, 180, 130)]))
    for _ in range(rng.randint(2, 5)):
        xs = sorted(rng.randint(left - 4, max(right, left) + 4) for _ in range(2))
        ys = sorted(rng.randint(top - 4, max(bottom, top) + 4) for _ in range(2))
        pen.ellipse((xs[0], ys[0], xs[1] + 2, ys[1] + 2), fill=rng.choice(list(COLOURS.values())))
    return picture
