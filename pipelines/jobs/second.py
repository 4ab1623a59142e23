"""How pictures come to the size of their second pass (Hires), by the upscaler that the request names."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from pipelines.core.error import InvalidRequest
from pipelines.core.model import Kind, ModelInfo
from pipelines.core.request import LATENT, GenerateRequest
from pipelines.core.upscale import RESAMPLERS, Resampler
from pipelines.generation.hires import Enlarge
from pipelines.generation.masks import Pixels
from pipelines.jobs.enlarging import as_pixels, levels_of
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.upscaling.flow import Flow, Seen, plain, resized, through
from pipelines.upscaling.networks import Upscaler, load_upscaler
from pipelines.upscaling.tiles import Levels, Tiling


def network_of(request: GenerateRequest, parts: Sequence[ModelInfo], library: ModelLibrary) -> ModelInfo | None:
    """The network that its second pass is enlarged by; None when there is none. Raises UnknownName, ModelUnusable.

    `parts`: what the request names, its LoRAs first; it is looked for in `library` when it is not among them.
    """
    name = None if request.hires is None else request.hires.upscaler
    if name is None or name == LATENT or name in RESAMPLERS:
        return None
    info = parts[-1] if len(parts) > len(request.loras) else library.upscaler(name)
    if info.kind is not Kind.UPSCALER:
        raise InvalidRequest(f"{name!r} is no network that enlarges ({info.kind})", fix="choose another", field="hires")
    return info


def enlarge_with(request: GenerateRequest, network: ModelInfo | None, residency: Residency) -> Enlarge | None:
    """None when there is no second pass, or it enlarges latents. Networks are in memory only while they work."""
    name = LATENT if request.hires is None else request.hires.upscaler
    if network is not None:
        return partial(_by_network, residency, network)
    return None if name == LATENT else partial(_resampled, Resampler(name))


def _resampled(way: Resampler, pixels: Pixels, size: tuple[int, int]) -> Pixels:
    return _whole(plain(_seen(pixels), pixels.shape[1::-1], size, way))


def _by_network(residency: Residency, info: ModelInfo, pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Once through the network, then to the very size. Raises RanOut, ModelUnusable."""
    network: Upscaler = residency.lend_network(info, load_upscaler)
    before: tuple[int, int] = (pixels.shape[1], pixels.shape[0])
    side = max(before) if network.wants_all else Tiling().side
    tiling = Tiling(side=max(side, Tiling().side), multiple=network.multiple)
    rows = through(network, network.factor, _seen(pixels), before, tiling)
    large = (before[0] * network.factor, before[1] * network.factor)
    whole = _whole(resized(rows, large, size, Resampler.LANCZOS))
    residency.free(info.name)
    return whole


def _seen(pixels: Pixels) -> Seen:
    def part(rows: slice, columns: slice) -> Levels:
        return levels_of(pixels[rows, columns])

    return part


def _whole(flow: Flow) -> Pixels:
    whole: Pixels = as_pixels(np.concatenate([rows for rows in flow if isinstance(rows, np.ndarray)]), np.uint8)
    return whole
