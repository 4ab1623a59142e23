"""Text to image: the story on one page."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from PIL import Image

from pipelines.core.error import EaselError
from pipelines.core.event import Preview, Progress
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.generation.conditioning import Conditioning, encode
from pipelines.generation.denoise import denoise
from pipelines.generation.forecast import Forecast
from pipelines.generation.guidance import GuidedDenoiser, StoppedNow
from pipelines.generation.knowledge import Canvas
from pipelines.generation.noise import Noise
from pipelines.generation.pictures import decode
from pipelines.generation.previews import Previewer
from pipelines.generation.samplers import NUMERICS
from pipelines.generation.schedules import SCHEDULE_FUNCTIONS, Plan
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.loading import LoadedModel
from pipelines.models.memory import is_memory_error


@dataclass(frozen=True, slots=True)
class Painted:
    """A finished picture."""

    index: int
    """From 0."""
    seed: int
    image: Image.Image
    seconds: float
    """Time it took; pictures of one batch share theirs evenly."""


def generate(
    request: GenerateRequest, model: LoadedModel, stop: StopSignal, *, first: int = 0
) -> Iterator[Progress | Preview | Painted]:
    """Pictures `first`, `first + 1`, ... of `request`, with what happens on the way.

    Ends early, and in silence, when `stop` asks. Events of a batch name its first picture.
    Raises EaselError when the request cannot be painted with this model or on this device.
    """
    batches = [
        range(start, min(start + request.batch_size, request.count))
        for start in range(first, request.count, request.batch_size)
    ]
    with _memory_errors(request):
        negative = request.negative_prompt if request.cfg != 1 else None
        conditioning = encode(model, request.prompt, negative, clip_skip=request.clip_skip)
        previewer = Previewer(model, request.preview_every)
        forecast = Forecast([len(batch) for batch in batches], request.steps)
        for batch in batches:
            if stop.after_picture:
                return
            try:
                yield from Batch(request, model, conditioning, batch).paint(stop, previewer, forecast)
            except StoppedNow:
                return


@dataclass(frozen=True)
class Batch:
    """Pictures painted in one pass."""

    request: GenerateRequest
    model: LoadedModel
    conditioning: Conditioning
    indices: Sequence[int]

    def paint(
        self, stop: StopSignal, previewer: Previewer, forecast: Forecast
    ) -> Iterator[Progress | Preview | Painted]:
        """Raises StoppedNow."""
        request, began = self.request, time.monotonic()
        yield self._progress(0, forecast.batch_begins())
        denoiser = GuidedDenoiser(
            self.model, self.conditioning, request.cfg, Canvas(request.width, request.height, len(self.indices)), stop
        )
        numerics = NUMERICS[request.sampler]
        plan = Plan(denoiser.table, request.steps, numerics.habits, self.model.scheduler_config)
        noise = self._noise()
        for done in denoise(numerics.solver(denoiser, noise), SCHEDULE_FUNCTIONS[request.schedule](plan), noise):
            if done.number == 0:
                continue
            yield self._progress(done.number, forecast.step_done(done.number))
            if denoiser.latest is not None and previewer.due(done.number):
                yield Preview(picture=self.indices[0] + 1, step=done.number, jpeg=previewer.draw(denoiser.latest))
        for index, latent in zip(self.indices, torch.split(done.latents, 1), strict=True):
            if stop.now:
                raise StoppedNow
            image = decode(self.model, latent)
            seconds = (time.monotonic() - began) / len(self.indices)
            yield Painted(index, request.seed_of(index), image, seconds)
        forecast.batch_done()

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
        return Progress(
            picture=self.indices[0] + 1, count=request.count, step=step, steps=request.steps, seconds_left=seconds_left
        )


@contextmanager
def _memory_errors(request: GenerateRequest) -> Iterator[None]:
    """A device without room for this request, as a person can read it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory_error(error):
            raise
        size = f"{request.width} x {request.height}"
        several = request.batch_size > 1
        problem = f"The device has not enough memory for {request.batch_size if several else 'one'} of {size} at once"
        fix = "paint fewer at once" if several else "use a smaller size or precision fp16"
        field = "batch_size" if several else "width"
        raise EaselError(problem, fix=fix, field=field, detail=str(error)) from error
