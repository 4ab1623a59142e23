"""Drawn pictures as arrays on disk, and the crops and examples that training takes from them."""

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from pipelines.training.whole import write_whole
from pipelines.training.world import WORLD
from pipelines.training.world.draw import draw
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import PLAIN, Scene, Style, Twist

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
    duos: float = 0.2  # share of the pictures with two subjects, 0-1
    twist: Twist = PLAIN

    @property
    def name(self) -> str:
        """A file name that tells sets apart."""
        words = (self.style, f"{self.width}x{self.height}", "heldout" if self.held_out else "", self.twist.name)
        return "-".join(word for word in words if word)

    def scene(self, index: int) -> Scene:
        """What picture `index` shows."""
        return random_scene(random.Random(self.seed_of(index)), held_out=self.held_out, duos=self.duos)

    def seed_of(self, index: int) -> int:
        """The seed of picture `index`."""
        # Sizes share no scenes: a model that memorised one size would still meet new ones in the next.
        return ((self.seed * 4096 + self.width) * 4096 + self.height) * 10_000_019 + index

    def picture(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (h, w, 3) uint8, and boxes (2, 4) in fractions; a missing second box is all zero."""
        drawing = draw(
            self.scene(index),
            self.seed_of(index) + 1,
            width=self.width,
            height=self.height,
            style=self.style,
            twist=self.twist,
        )
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
    home = folder / f"{wanted.name}-{hashlib.sha256(f'{wanted} {WORLD}'.encode()).hexdigest()[:12]}"
    if not (home / "boxes.npy").is_file():
        _draw_all(wanted, home, processes)
    return Pictures(wanted, np.load(home / "pixels.npy", mmap_mode="r"), np.load(home / "boxes.npy"))


def _draw_all(wanted: PictureSet, home: Path, processes: int) -> None:
    home.mkdir(parents=True, exist_ok=True)
    shape = (wanted.count, wanted.height, wanted.width, 3)
    pixels = open_memmap(home / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    boxes = np.zeros((wanted.count, 2, 4), np.float32)
    start = 0
    for some, around in in_parts(wanted, processes):
        pixels[start : start + len(some)], boxes[start : start + len(some)] = some, around
        start += len(some)
    pixels.flush()
    write_whole(home / "boxes.npy", lambda opened: np.save(opened, boxes))  # last: it says that the set is whole


def in_parts(wanted: PictureSet, processes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixels (n, h, w, 3) uint8 and boxes (n, 2, 4) of `wanted`, drawn by `processes`, a few pictures at a time."""
    draw_part, starts = partial(_draw_some, wanted), range(0, wanted.count, DRAW_AT_ONCE)
    if processes == 1:
        yield from map(draw_part, starts)
        return
    ahead = 4 * processes  # parts drawn before they are asked for; they wait in memory
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for first in range(0, len(starts), ahead):
            yield from pool.map(draw_part, starts[first : first + ahead])


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

    def place(self, rng: random.Random) -> tuple[int, int, int, int]:
        """Where a crop is: the set, the picture, and the crop's top and left in pixels."""
        number = rng.choice(range(len(self.sets)))
        source = self.sets[number]
        index, (height, width) = rng.randrange(len(source.pixels)), source.pixels.shape[1:3]
        top, left = rng.randint(0, height - self.side), rng.randint(0, width - self.side)
        if rng.random() < self.on_subject:
            x0, y0, x1, y1 = source.boxes[index][rng.randrange(len(source.made_of.scene(index).subjects))]
            left = _around(rng.uniform(x0, x1) * width, self.side, width)
            top = _around(rng.uniform(y0, y1) * height, self.side, height)
        return number, index, top, left

    def at(self, number: int, index: int, top: int, left: int) -> np.ndarray:
        """The crop (side, side, 3) uint8 at a place."""
        return np.asarray(self.sets[number].pixels[index, top : top + self.side, left : left + self.side])

    def _crop(self, rng: random.Random) -> np.ndarray:
        crop = self.at(*self.place(rng))
        return crop[:, ::-1] if rng.random() < 0.5 else crop


def _around(middle: float, side: int, length: int) -> int:
    """Where a crop of `side` pixels begins that has `middle` near its middle and stays within `length` pixels."""
    return min(max(round(middle - side / 2), 0), length - side)
