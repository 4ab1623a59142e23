"""Drawn pictures as arrays on disk, and the crops and examples that training takes from them."""

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from pipelines.core.error import EaselError
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Scene, Style

DRAW_AT_ONCE = 64  # pictures per task handed to a drawing process


@dataclass(frozen=True, slots=True)
class PictureSet:
    """`count` pictures of one size, drawn from `seed`: number i is the same whenever and wherever it is drawn."""

    seed: int
    count: int
    width: int = 128  # pixels
    height: int = 128  # pixels
    style: Style = Style.FLAT
    held_out: bool = False

    @property
    def name(self) -> str:
        """A folder name that tells sets apart."""
        return f"{self.style}-{self.width}x{self.height}{'-heldout' if self.held_out else ''}"

    def scene(self, index: int) -> Scene:
        """What picture `index` shows."""
        return random_scene(random.Random(self._seed_of(index)), held_out=self.held_out)

    def _seed_of(self, index: int) -> int:
        # Sizes share no scenes: a model that memorised one size would still meet new ones in the next.
        return ((self.seed * 4096 + self.width) * 4096 + self.height) * 10_000_019 + index

    def picture(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (h, w, 3) uint8, and boxes (2, 4) in fractions; a missing second box is all zero."""
        size = {"width": self.width, "height": self.height}
        drawing = draw(self.scene(index), self._seed_of(index) + 1, style=self.style, **size)
        boxes = np.zeros((2, 4), np.float32)
        boxes[: len(drawing.boxes)] = drawing.boxes
        return np.asarray(drawing.image), boxes


@dataclass(frozen=True, slots=True)
class Pictures:
    """A drawn set: `pixels` (n, h, w, 3) uint8, `boxes` (n, 2, 4) float32."""

    made_of: PictureSet
    pixels: np.ndarray
    boxes: np.ndarray


def drawn(wanted: PictureSet, folder: Path, *, processes: int = 1) -> Pictures:
    """The pictures of `wanted`, kept in `folder`; what is missing there is drawn first."""
    home = folder / wanted.name
    if not (home / "boxes.npy").is_file():
        _draw_all(wanted, home, processes)
    pixels, boxes = np.load(home / "pixels.npy", mmap_mode="r"), np.load(home / "boxes.npy")
    if len(pixels) < wanted.count:
        raise EaselError(
            f"{home} holds {len(pixels)} pictures, {wanted.count} are asked for", fix=f"delete {home} to draw it anew"
        )
    return Pictures(wanted, pixels[: wanted.count], boxes[: wanted.count])


def _draw_all(wanted: PictureSet, home: Path, processes: int) -> None:
    home.mkdir(parents=True, exist_ok=True)
    shape = (wanted.count, wanted.height, wanted.width, 3)
    pixels = open_memmap(home / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    boxes = np.zeros((wanted.count, 2, 4), np.float32)
    starts = range(0, wanted.count, DRAW_AT_ONCE)
    with ProcessPoolExecutor(processes) as pool:
        for start, (some, around) in zip(starts, pool.map(partial(_draw_some, wanted), starts), strict=True):
            pixels[start : start + len(some)], boxes[start : start + len(some)] = some, around
    pixels.flush()
    np.save(home / "boxes.npy", boxes)  # last: its presence says that the set is whole


def _draw_some(wanted: PictureSet, start: int) -> tuple[np.ndarray, np.ndarray]:
    made = [wanted.picture(i) for i in range(start, min(start + DRAW_AT_ONCE, wanted.count))]
    return np.stack([p for p, _ in made]), np.stack([b for _, b in made])


def as_tensor(pixels: np.ndarray) -> Tensor:
    """Pixels (n, h, w, 3) uint8 as the networks take them: (n, 3, h, w) float32 in -1..1."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True, slots=True)
class CropStream:
    """Random square crops, `side` pixels (a multiple of 8), from sets of several sizes; a pure function of the step."""

    sets: tuple[Pictures, ...]
    batch: int
    side: int
    seed: int
    on_subject: float = 0.0  # share of the crops, 0-1, whose middle is in a subject's box
    device: str = "cpu"

    def __call__(self, step: int) -> Tensor:
        rng = random.Random(self.seed * 1_000_003 + step)
        crops = [self._crop(rng) for _ in range(self.batch)]
        return as_tensor(np.stack(crops)).to(self.device)

    def _crop(self, rng: random.Random) -> np.ndarray:
        source = rng.choice(self.sets)
        pixels = source.pixels
        index, (height, width) = rng.randrange(len(pixels)), pixels.shape[1:3]
        top, left = rng.randint(0, height - self.side), rng.randint(0, width - self.side)
        if rng.random() < self.on_subject:
            x0, y0, x1, y1 = source.boxes[index][rng.randrange(len(source.made_of.scene(index).subjects))]
            left = _around(rng.uniform(x0, x1) * width, self.side, width)
            top = _around(rng.uniform(y0, y1) * height, self.side, height)
        crop = np.asarray(pixels[index, top : top + self.side, left : left + self.side])
        return crop[:, ::-1] if rng.random() < 0.5 else crop


def _around(middle: float, side: int, length: int) -> int:
    """Where a crop of `side` pixels begins that has `middle` near its middle and stays within `length` pixels."""
    return min(max(round(middle - side / 2), 0), length - side)
