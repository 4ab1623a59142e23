"""Text to image: the story on one page. Painted over a picture it is image to image; twice, it is the field's Hires."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from pipelines.core.event import Noted, Preview, Progress
from pipelines.core.placement import Phase
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.generation.conditioning import Conditioning, encode
from pipelines.generation.denoise import Denoised, Looked, denoise
from pipelines.generation.forecast import Forecast
from pipelines.generation.ground import Ground
from pipelines.generation.guidance import GuidedDenoiser, RegionalDenoiser, StoppedNow
from pipelines.generation.hires import Enlarge, later_steps, raised
from pipelines.generation.knowledge import Canvas
from pipelines.generation.masks import resized
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
    enlarge: Enlarge | None = None,
) -> Iterator[Happening]:
    """Pictures `first`, `first + 1`, ... of `request`, with what happens on the way.

    Ends early, and in silence, when `stop` asks. Events of a batch name its first picture. `thrift`: how sparingly
    memory is used; None: as asked. `over`: the picture that is painted over, in one pass. `enlarge`: how pictures come
    to the size of the second pass, if there is one; None: by Lanczos. Raises EaselError when the request cannot be
    painted with this model, RanOut when the device has no room for it.
    """
    thrift = thrift or Thrift(at_once=request.batch_size)
    batches = [
        range(start, min(start + thrift.at_once, request.count))
        for start in range(first, request.count, thrift.at_once)
    ]
    second = request.second if over is None else None
    with watched(Phase.DENOISING):
        words = [(one.prompt, one.negative) for one in over.words] if over is not None else []
        conditionings = [_encoded(model, request, *said) for said in words] or [_words_of(model, request)]
        again = [] if second is None else [_words_of(model, second)]
        previewer = Previewer(model, request.preview_every)
    decoder = Decoder(model, tiled=thrift.tiled)
    steps = request.steps if over is None else int(request.steps * over.strength)  # as `Plan.walked`
    later = [] if second is None else later_steps(request, second)
    forecast = Forecast([len(batch) for batch in batches], steps, later)
    for indices in batches:
        if stop.after_picture:
            return
        first_pass = Pass(request, model, conditionings, indices, decoder, over, of=steps + len(later))
        batch = Batch(first_pass, None if second is None else SecondPass(second, again, enlarge or resized, steps))
        try:
            yield from batch.paint(stop, previewer, forecast)
        except StoppedNow:
            return


def _words_of(model: LoadedModel, request: GenerateRequest) -> Conditioning:
    return _encoded(model, request, request.prompt, request.negative_prompt)


def _encoded(model: LoadedModel, request: GenerateRequest, prompt: str, negative: str) -> Conditioning:
    return encode(model, prompt, negative if request.cfg != 1 else None, clip_skip=request.clip_skip)


@dataclass(frozen=True)
class Pass:
    """Latents of some pictures, painted together."""

    request: GenerateRequest
    model: LoadedModel
    conditionings: Sequence[Conditioning]
    """One; or one for each place that has words of its own."""
    indices: Sequence[int]
    decoder: Decoder
    over: Ground | None
    of: int
    """Steps of all passes."""
    done: int = 0
    """Steps of the passes before."""

    def walked(
        self, stop: StopSignal, previewer: Previewer, forecast: Forecast
    ) -> Generator[Progress | Preview, None, Tensor]:
        """(n, c, h, w). Raises StoppedNow."""
        denoiser = self._denoiser(stop)
        for event in self._walk(denoiser):
            if isinstance(event, Looked):
                continue
            latents = event.latents
            if event.number == 0:
                continue
            step = self.done + event.number
            yield self.progress(step, forecast.step_done(step))
            if denoiser.latest is not None and previewer.due(event.number):
                yield Preview(picture=self.indices[0] + 1, step=step, jpeg=previewer.draw(denoiser.latest))
        return latents

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

    def progress(self, step: int, seconds_left: float | None) -> Progress:
        return Progress(
            picture=self.indices[0] + 1, count=self.request.count, step=step, steps=self.of, seconds_left=seconds_left
        )


@dataclass(frozen=True)
class SecondPass:
    """What follows the first one."""

    request: GenerateRequest
    conditionings: Sequence[Conditioning]
    enlarge: Enlarge
    after: int
    """Steps of the first."""


@dataclass(frozen=True)
class Batch:
    """Pictures painted together."""

    first: Pass
    second: SecondPass | None

    def paint(self, stop: StopSignal, previewer: Previewer, forecast: Forecast) -> Iterator[Happening]:
        """Raises StoppedNow, RanOut."""
        began, first, decoder = time.monotonic(), self.first, self.first.decoder
        yield first.progress(0, forecast.batch_begins())
        with watched(Phase.DENOISING):
            latents = yield from first.walked(stop, previewer, forecast)
        if self.second is not None:
            ground = raised(first.model, latents, decoder, first.request, self.second.enlarge, stop)
            with watched(Phase.DENOISING):
                again = replace(
                    first, request=self.second.request, conditionings=self.second.conditionings, over=ground,
                    done=self.second.after,
                )  # fmt: skip
                latents = yield from again.walked(stop, previewer, forecast)
        for index, latent in zip(first.indices, torch.split(latents, 1), strict=True):
            if stop.now:
                raise StoppedNow
            whole_before = not decoder.tiled
            image = decoder(latent)
            if whole_before and decoder.tiled:
                yield Noted(text="Memory ran out: now the picture is decoded in tiles")
            seconds = (time.monotonic() - began) / len(first.indices)
            yield Painted(index, first.request.seed_of(index), image, seconds)
        forecast.batch_done()
