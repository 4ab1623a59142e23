"""Between the passes of Hires: finished pictures, enlarged, are what the second pass paints over."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipelines.core.placement import Phase
from pipelines.core.request import LATENT, GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.generation.encoding import encode_pixels
from pipelines.generation.ground import Ground
from pipelines.generation.guidance import StoppedNow
from pipelines.generation.masks import Pixels
from pipelines.generation.pictures import Decoder
from pipelines.models.blueprint import PIXELS_PER_LATENT
from pipelines.models.loading import LoadedModel
from pipelines.models.memory import watched

Enlarge = Callable[[Pixels, tuple[int, int]], Pixels]
"""(h, w, 3) at a size of (width, height)."""


def later_steps(request: GenerateRequest, second: GenerateRequest) -> list[float]:
    """The steps of the second pass: how long each takes, as a multiple of one of the first; by its pixels."""
    assert request.hires is not None
    ratio = (second.width * second.height) / (request.width * request.height)
    return [ratio] * int(second.steps * request.hires.strength)


def raised(
    model: LoadedModel, latents: Tensor, decoder: Decoder, request: GenerateRequest, enlarge: Enlarge, stop: StopSignal
) -> Ground:
    """What the second pass of `request` paints over, from the (n, c, h, w) of its first. Raises StoppedNow, RanOut."""
    assert request.hires is not None
    width, height = request.final_size
    if request.hires.upscaler == LATENT:
        size = (height // PIXELS_PER_LATENT, width // PIXELS_PER_LATENT)
        large = torch.nn.functional.interpolate(latents, size=size, mode="bilinear", antialias=True)
        return Ground(large, large, strength=request.hires.strength)
    each = []
    for latent in torch.split(latents, 1):
        if stop.now:
            raise StoppedNow
        small = np.asarray(decoder(latent))
        with watched(Phase.DECODING):
            pixels = enlarge(small, (width, height))
            each.append(encode_pixels(model, pixels, tiled=decoder.tiled))
    large = torch.cat(each)
    return Ground(large, large, strength=request.hires.strength)
