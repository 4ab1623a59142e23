"""What can be told of a request before it waits in the queue. No torch here."""

from pipelines.core.kinds import Request
from pipelines.core.segment import SegmentRequest
from pipelines.models.asked import model_of
from pipelines.models.scan import ModelLibrary
from pipelines.storage.sources import SourceStore


def check(models: ModelLibrary, sources: SourceStore, request: Request) -> None:
    """Raises UnknownName for a picture or model that is not there, ModelUnusable for one that cannot do this."""
    if isinstance(request, SegmentRequest):
        model_of(models, request)
        sources.path_of(request.source)
