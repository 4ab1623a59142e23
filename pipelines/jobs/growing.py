"""A picture that is being upscaled, as it is told of: how far it is, what of it is there, and as which pixels."""

import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.event import Preview, Progress
from pipelines.jobs.enlarging import Brought

PREVIEW_SIDE = 512
"""Pixels."""
PREVIEW_SECONDS = 0.5


@dataclass
class Pace:
    """How far a picture is, and how long it will take: counted in tiles."""

    index: int
    count: int
    steps: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def progress(self) -> Progress:
        past = time.monotonic() - self.began
        left = past / self.done * (self.steps - self.done) if self.done else None
        return Progress(
            picture=self.index + 1, count=self.count, step=min(self.done, self.steps), steps=self.steps,
            seconds_left=left,
        )  # fmt: skip

    def tile_done(self) -> Progress:
        self.done += 1
        return self.progress()


class Growing:
    """A small look at a picture that is being made: what is there of it over the one it comes from."""

    def __init__(self, brought: Brought) -> None:
        self._sized, self._told, self._rows = brought.sized, 0.0, 0
        width, height = brought.sized.kept
        by = min(1.0, PREVIEW_SIDE / max(width, height))
        self._size = max(1, round(width * by)), max(1, round(height * by))
        left, top, right, bottom = brought.sized.box
        across, down = brought.picture.width / brought.sized.width, brought.picture.height / brought.sized.height
        box = (left * across, top * down, right * across, bottom * down)
        small = Image.fromarray(brought.picture.seen(slice(None), slice(None)))
        self._image = small.resize(self._size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)

    def add(self, rows: NDArray[Any]) -> None:
        """The next rows of the result, 8 bit."""
        height = self._sized.kept[1]
        top, bottom = (round(at * self._size[1] / height) for at in (self._rows, self._rows + len(rows)))
        self._rows += len(rows)
        if bottom > top:
            part = Image.fromarray(np.ascontiguousarray(rows[..., :3]))
            self._image.paste(
                part.resize((self._size[0], bottom - top), Image.Resampling.BOX, reducing_gap=2.0), (0, top)
            )

    def due(self) -> bool:
        return time.monotonic() - self._told >= PREVIEW_SECONDS

    def preview(self, pace: Pace) -> Preview:
        self._told = time.monotonic()
        held = BytesIO()
        self._image.save(held, "JPEG", quality=85)
        return Preview(picture=pace.index + 1, step=min(pace.done, pace.steps), jpeg=held.getvalue())
