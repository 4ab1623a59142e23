"""What the UNet is shown at each step: latents of one size, where their subjects are, and freshly worded captions."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.training.latents import LatentSet
from pipelines.training.world.captions import caption, no_caption
from pipelines.training.world.scene import Scene

Say = Callable[[Scene, random.Random], str]

UNTOLD = 0.1  # share of the examples without a caption (Ho & Salimans 2022, section 3.2: 0.1 or 0.2)


def spoken(scene: Scene, rng: random.Random) -> str:
    """One of the ways to say the scene."""
    return caption(scene, rng).text


@dataclass(frozen=True, slots=True)
class Bucket:
    """Pictures of one size; a step takes `batch` of them, and chooses this bucket with probability ~ `weight`."""

    source: Callable[[], LatentSet]  # asked once, when the bucket is first used
    batch: int
    weight: float = 1.0
    enters: float = 0.0  # share of the run, 0-1, before which this bucket is not used


@dataclass(frozen=True, slots=True)
class Batch:
    """Latents (n, 4, h, w), boxes (n, 2, 4) in fractions, n texts, and for inpainting what is known (n, 5, h, w)."""

    latents: Tensor
    boxes: Tensor
    texts: list[str]
    known: Tensor | None = None


class ExampleStream:
    """Batches as a pure function of (seed, step)."""

    def __init__(self, buckets: tuple[Bucket, ...], *, steps: int, seed: int, say: Say = spoken) -> None:
        self._buckets, self._steps, self._seed, self._say = buckets, steps, seed, say
        self._opened: dict[int, LatentSet] = {}
        self._scenes: dict[tuple[int, int], Scene] = {}  # (bucket, picture): telling scenes anew takes longer

    def __call__(self, step: int) -> Batch:
        rng = random.Random(self._seed * 1_000_003 + step)
        number = rng.choices(range(len(self._buckets)), self._weights(step / self._steps))[0]
        source = self._source(number)
        picks = [rng.randrange(len(source.latents)) for _ in range(self._buckets[number].batch)]
        texts = [no_caption(rng) if rng.random() < UNTOLD else self._say(self._scene(number, i), rng) for i in picks]
        index = torch.tensor(picks)
        known = None if source.known is None else source.known[index].float()
        return Batch(source.latents[index].float(), source.boxes[index], texts, known)

    def _source(self, bucket: int) -> LatentSet:
        if bucket not in self._opened:
            self._opened[bucket] = self._buckets[bucket].source()
        return self._opened[bucket]

    def _weights(self, progress: float) -> list[float]:
        return [b.weight if progress >= b.enters else 0.0 for b in self._buckets]

    def _scene(self, bucket: int, picture: int) -> Scene:
        key = (bucket, picture)
        if key not in self._scenes:
            self._scenes[key] = self._source(bucket).made_of.scene(picture)
        return self._scenes[key]
