"""A large picture painted over in tiles, all of them in one walk, so that there are no seams between them.

The network sees windows of the size it paints well (`windows.py`); noise, steps and sampler are those of the whole
picture, and every window follows the same words. Memory on the device: what painting one tile takes, and some ten
float32 latents of the whole picture (2.5 bytes for each of its pixels); in main memory, besides the picture and what
comes of it, two rows of tiles (`large.py`).
"""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from pipelines.core.error import InvalidRequest
from pipelines.core.event import Noted, Preview, Progress
from pipelines.core.placement import Phase
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.generation.conditioning import encode
from pipelines.generation.denoise import Denoised, denoise, looks
from pipelines.generation.forecast import Pace
from pipelines.generation.generate import Happening, Painted
from pipelines.generation.ground import Ground
from pipelines.generation.guidance import GuidedDenoiser, StoppedNow
from pipelines.generation.knowledge import Canvas
from pipelines.generation.large import coloured, decoded, encode_large, padded
from pipelines.generation.masks import Pixels
from pipelines.generation.memo import Memo
from pipelines.generation.noise import Noise
from pipelines.generation.previews import Previewer
from pipelines.generation.samplers import NUMERICS
from pipelines.generation.schedules import SCHEDULE_FUNCTIONS, Plan
from pipelines.generation.windowed import Shapes, Windowed
from pipelines.generation.windows import Windows
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.budget import TILE, Thrift
from pipelines.models.devices import give_back
from pipelines.models.loading import LoadedModel
from pipelines.models.memory import RanOut, watched

LEAST = 64
"""Pixels of a side that a network is shown."""
SLOW = 2.0
"""How much further than its shapes the colours of a picture reach."""


@dataclass(frozen=True)
class Redraw:
    """How a picture is painted over."""

    request: GenerateRequest
    """Words, sampler, steps, cfg, seed; its width x height are those of a tile."""
    strength: float
    """The share of the steps that is walked, as in img2img."""
    overlap: float = 0.25
    """Of tiles, as a share of their side."""

    detail: float = 1 / 16
    """What is larger than this share of a tile keeps its shapes and colours, so that a tile does not become a picture
    of its own; 0: nothing is held."""

    @property
    def windows(self) -> Windows:
        request = self.request
        return Windows(request.height // PIXELS_PER_LATENT, request.width // PIXELS_PER_LATENT, self.overlap)


def redrawn(
    how: Redraw, pixels: Pixels, model: LoadedModel, stop: StopSignal, *, memo: Memo | None = None,
    thrift: Thrift | None = None,
) -> Iterator[Happening]:  # fmt: skip
    """One picture of the size of `pixels` (h, w, 3), with what happens on the way; steps are told in tiles.

    Ends early, and in silence, when `stop` asks. With a `memo` a walk that was cut off is taken up where it was, and
    comes to the same end. Raises EaselError when it cannot be painted with this model, RanOut when the device has no
    room for it.
    """
    if int(how.request.steps * how.strength) < 1:
        raise InvalidRequest(
            f"At strength {how.strength:g} no step of {how.request.steps} is left", fix="raise strength or steps",
            field="strength",
        )  # fmt: skip
    try:
        yield from _Redrawing(how, pixels, model, stop, memo, thrift or Thrift()).painted()
    except StoppedNow:
        return


class _Redrawing:
    """One picture under way."""

    def __init__(
        self, how: Redraw, pixels: Pixels, model: LoadedModel, stop: StopSignal, memo: Memo | None, thrift: Thrift
    ) -> None:
        request = how.request
        self._how, self._pixels, self._model, self._stop, self._memo = how, pixels, model, stop, memo
        self._whole = padded(pixels, PIXELS_PER_LATENT, LEAST)
        self._side = TILE if thrift.tiled else max(TILE, request.width, request.height)
        """Of a tile of the VAE, in pixels."""
        self._done = self._total = 0
        """Tiles of all looks."""
        self._pace = Pace()
        """Of a tile."""

    def painted(self) -> Iterator[Happening]:
        """Raises StoppedNow, RanOut."""
        began = time.monotonic()
        with watched(Phase.DENOISING):
            latents = yield from self._walked(self._source())
        drawn = yield from self._decoded(latents)
        if self._how.detail:
            drawn = coloured(drawn, self._whole, SLOW * self._sigma(latents))
        height, width = self._pixels.shape[:2]
        image = Image.fromarray(np.ascontiguousarray(drawn[:height, :width]))
        yield Painted(0, self._how.request.seed, image, time.monotonic() - began)

    def _source(self) -> Tensor:
        """(1, c, h, w) of the picture; kept, since not every device encodes twice to the same bits."""
        known = None if self._memo is None else self._memo.recall("source")
        if known is not None:
            return known.to(self._model.device)
        latents = encode_large(self._model, self._whole, self._side, self._stop)
        if self._memo is not None:
            self._memo.keep("source", latents)
        return latents

    def _walked(self, source: Tensor) -> Generator[Happening, None, Tensor]:
        """The latents of what is painted over `source`."""
        how, model, request = self._how, self._model, self._how.request
        inner = self._denoiser(source)
        shapes = Shapes(source, self._sigma(source)) if how.detail else None
        windowed = Windowed(inner, how.windows, self._stop, self._memo, source, shapes)
        previewer, numerics = Previewer(model, request.preview_every), NUMERICS[request.sampler]
        _, channels, height, width = source.shape
        noise = Noise([request.seed], (channels, height, width), model.device)
        plan = Plan(inner.table, request.steps, numerics.habits, model.scheduler_config, how.strength)
        walk = SCHEDULE_FUNCTIONS[request.schedule](plan)
        self._total = len(how.windows.places(height, width)) * looks(numerics.solver(windowed, noise), walk)
        yield self._progress()
        ground, latents, steps, lap, asked = Ground(source, source, strength=how.strength), source, 0, _now(), 0
        for event in denoise(numerics.solver(windowed, noise), walk, noise, ground):
            if isinstance(event, Denoised):
                latents, steps = event.latents, event.number
                continue
            now, self._done = _now(), self._done + event.windows
            if windowed.asked > asked:  # what is only recalled tells nothing of how long the rest takes
                self._pace.add(now - lap, windowed.asked - asked)
            lap, asked = now, windowed.asked
            yield self._progress()
            if windowed.latest is not None and previewer.due(steps):
                yield Preview(picture=1, step=self._done, jpeg=previewer.draw(windowed.latest))
        return latents

    def _sigma(self, latents: Tensor) -> float:
        """Latents, of the Gaussian that tells shapes from details."""
        return self._how.detail * min(self._how.windows.size(latents.shape[2], latents.shape[3]))

    def _denoiser(self, source: Tensor) -> GuidedDenoiser:
        request = self._how.request
        negative = request.negative_prompt if request.cfg != 1 else None
        words = encode(self._model, request.prompt, negative, clip_skip=request.clip_skip)
        high, wide = self._how.windows.size(source.shape[2], source.shape[3])
        canvas = Canvas(wide * PIXELS_PER_LATENT, high * PIXELS_PER_LATENT, 1, tiled=self._side == TILE)
        return GuidedDenoiser(self._model, words, request.cfg, canvas, self._stop)

    def _decoded(self, latents: Tensor) -> Generator[Happening, None, Pixels]:
        """In smaller tiles from the top, when memory runs out."""
        while True:
            try:
                return (yield from self._in_tiles(latents))
            except RanOut:
                if self._side == TILE or max(latents.shape[2:]) * PIXELS_PER_LATENT <= TILE:
                    raise
            self._side = TILE  # only here: before, the error held all that decoding had in hand
            give_back(self._model.device)
            yield Noted(text="Memory ran out: now the picture is decoded in smaller tiles")

    def _in_tiles(self, latents: Tensor) -> Generator[Happening, None, Pixels]:
        """(h, w, 3). Raises RanOut."""
        height, width = (side * PIXELS_PER_LATENT for side in latents.shape[2:])
        drawn, top, pace, lap = np.empty((height, width, 3), np.uint8), 0, Pace(), _now()
        with watched(Phase.DECODING):
            for strip in decoded(self._model, latents, self._side, self._stop):
                if strip.rows is not None:
                    drawn[top : top + len(strip.rows)] = strip.rows
                    top += len(strip.rows)
                    continue
                now = _now()
                pace.add(now - lap, 1)
                lap = now
                yield self._progress((strip.total - strip.done) * pace.mean)
        return drawn

    def _progress(self, decoding: float = 0.0) -> Progress:
        """`decoding`: seconds that it will still take."""
        left = (self._total - self._done) * self._pace.mean + decoding if self._pace.units else None
        return Progress(picture=1, count=1, step=self._done, steps=self._total, seconds_left=left)


def _now() -> float:
    return time.monotonic()
