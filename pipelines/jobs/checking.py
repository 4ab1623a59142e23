"""What can be told of a request before it waits in the queue. No torch here."""

from pipelines.core.error import InvalidRequest
from pipelines.core.kinds import Request
from pipelines.core.model import Kind, Task
from pipelines.core.segment import SegmentRequest
from pipelines.core.upscale import UpscaleRequest
from pipelines.jobs.outlook import check_upscale
from pipelines.models.asked import model_of, parts_of
from pipelines.models.scan import ModelLibrary
from pipelines.storage.sources import SourceStore


def check(models: ModelLibrary, sources: SourceStore, request: Request) -> None:
    """Raises UnknownName for a picture or model that is not there, ModelUnusable for one that cannot do this."""
    match request:
        case SegmentRequest():
            model_of(models, request)
            sources.path_of(request.source)
        case UpscaleRequest():
            check_upscale(request)
            model_of(models, request)
            named = dict(zip(request.upscalers, parts_of(models, request), strict=False))
            first, second = named.get(request.upscaler), named.get(request.second)
            if second is not None and second.kind is not Kind.UPSCALER:
                raise InvalidRequest(
                    f"{request.second!r} imagines a picture of its own, which cannot be mixed in",
                    fix="choose a network or a resampler", field="second",
                )  # fmt: skip
            if request.noise_levels and (first is None or first.task is not Task.UPSCALING):
                raise InvalidRequest(
                    f"{request.upscaler!r} takes no noise level", fix="leave it out, or choose a diffusion upscaler",
                    field="noise_levels",
                )  # fmt: skip
            source = sources.facts(request.source)
            request.sized(source.width, source.height)
