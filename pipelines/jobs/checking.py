"""What can be told of a request before it waits in the queue. No torch here."""

from pipelines.core.kinds import Request
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
            model_of(models, request)
            check_upscale(request, parts_of(models, request))
            source = sources.facts(request.source)
            request.sized(source.width, source.height)
