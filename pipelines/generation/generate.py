"""Text to image: the story on one page."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from pipelines.core.event import Noted, Preview, Progress
from pipelines.core.placement import Phase
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.generation.conditioning import Conditioning, encode
from pipelines.generation.denoise import Denoised, Looked, denoise
from pipelines.generation.forecast import Forecast
from pipelines.generation.ground import Ground
from pipelines.generation.guidance import GuidedDenoiser, RegionalDenoiser, StoppedNow
from pipelines.generation.knowledge import Canvas
from pipelines.generation.noise import Noise
from pipelines.generation.pictures import Decoder
from pipelines.generation.previews import Previewer
from pipelines.generation.samplers import NUMERICS
from pipelines.generation.schedules import SCHEDULE_FUNCTIONS, Plan
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.budget import Thrift
from pipelines.models.loading import LoadedModel
from pipelines.models.memory import watched


@dataclass(frozen=True, slots=True)
class Painted:
    """A finished picture."""

    index: int
    """From 0."""
    seed: int
    image: Image.Image
    seconds: float
    """Time it took; pictures of one batch share theirs evenly."""


Happening = Progress | Preview | Noted | Painted
"""What `generate` tells."""


def generate(
    request: GenerateRequest,
    model: LoadedModel,
    stop: StopSignal,
    *,
    first: int = 0,
    thrift: Thrift | None = None,
    over: Ground | None = None,
) -> Iterator[Happening]:
    """Pictures `first`, `first + 1`, ... of `request`, with what happens on the way.

    Ends early, and in silence, when `stop` asks. Events of a batch name its first picture. `thrift`: how sparingly
    memory is used; None: as asked. `over`: the picture that is painted over. Raises EaselError when the request cannot
    be painted with this model, RanOut when the device has no room for it.
    """
    thrift = thrift or Thrift(at_once=request.batch_size)
    batches = [
        range(start, min(start + thrift.at_once, request.count))
        for start in range(first, request.count, thrift.at_once)
    ]
    with watched(Phase.DENOISING):
        words = [(one.prompt, one.negative) for one in over.words] if over is not None else []
        conditionings = [
            encode(model, prompt, negative if request.cfg != 1 else None, clip_skip=request.clip_skip)
            for prompt, negative in words or [(request.prompt, request.negative_prompt)]
        ]
        previewer = Previewer(model, request.preview_every)
    decoder = Decoder(model, tiled=thrift.tiled)
    forecast = Forecast([len(batch) for batch in batches], _steps(request, over))
    for indices in batches:
        if stop.after_picture:
            return
        batch = Batch(request, model, conditionings, indices, decoder, over)
        try:
            yield from batch.paint(stop, previewer, forecast)
        except StoppedNow:
            return


@dataclass(frozen=True)
class Batch:
    """Pictures painted in one pass."""

    request: GenerateRequest
    model: LoadedModel
    conditionings: Sequence[Conditioning]
    """One; or one for each place that has words of its own."""
    indices: Sequence[int]
    decoder: Decoder
    over: Ground | None = None

    def paint(self, stop: StopSignal, previewer: Previewer, forecast: Forecast) -> Iterator[Happening]:
        """Raises StoppedNow, RanOut."""
        request, began = self.request, time.monotonic()
        yield self._progress(0, forecast.batch_begins())
        with watched(Phase.DENOISING):
            denoiser = self._denoiser(stop)
            for done in self._walk(denoiser):
                if isinstance(done, Looked):
                    continue
                finished = done.latents
                if done.number == 0:
                    continue
                yield self._progress(done.number, forecast.step_done(done.number))
                if denoiser.latest is not None and previewer.due(done.number):
                    yield Preview(picture=self.indices[0] + 1, step=done.number, jpeg=previewer.draw(denoiser.latest))
        for index, latent in zip(self.indices, torch.split(finished, 1), strict=True):
            if stop.now:
                raise StoppedNow
            whole_before = not self.decoder.tiled
            image = self.decoder(latent)
            if whole_before and self.decoder.tiled:
                yield Noted(text="Memory ran out: now the picture is decoded in tiles")
            seconds = (time.monotonic() - began) / len(self.indices)
            yield Painted(index, request.seed_of(index), image, seconds)
        forecast.batch_done()

    def _denoiser(self, stop: StopSignal) -> GuidedDenoiser | RegionalDenoiser:
        canvas = Canvas(self.request.width, self.request.height, len(self.indices), tiled=self.decoder.tiled)
        hint = None if self.over is None else self.over.hint
        each = [
            GuidedDenoiser(self.model, conditioning, self.request.cfg, canvas, stop, hint)
            for conditioning in self.conditionings
        ]
        if self.over is None or not self.over.words:
            return each[0]
        return RegionalDenoiser([(one, words.share) for one, words in zip(each, self.over.words, strict=True)])

    def _walk(self, denoiser: GuidedDenoiser | RegionalDenoiser) -> Iterator[Denoised | Looked]:
        request, numerics, noise = self.request, NUMERICS[self.request.sampler], self._noise()
        strength = 1.0 if self.over is None else self.over.strength
        plan = Plan(denoiser.table, request.steps, numerics.habits, self.model.scheduler_config, strength)
        return denoise(numerics.solver(denoiser, noise), SCHEDULE_FUNCTIONS[request.schedule](plan), noise, self.over)

    def _noise(self) -> Noise:
        request = self.request
        shape = (
            int(self.model.unet.config.out_channels),
            request.height // PIXELS_PER_LATENT,
            request.width // PIXELS_PER_LATENT,
        )
        return Noise([request.seed_of(index) for index in self.indices], shape, self.model.device)

    def _progress(self, step: int, seconds_left: float | None) -> Progress:
        request = self.request
        steps = _steps(request, self.over)
        return Progress(
            picture=self.indices[0] + 1, count=request.count, step=step, steps=steps, seconds_left=seconds_left
        )


def _steps(request: GenerateRequest, over: Ground | None) -> int:
    """How many are walked, as `Plan.walked`."""
    return request.steps if over is None else int(request.steps * over.strength)
