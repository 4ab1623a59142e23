"""What the screen acts on."""

from dataclasses import dataclass

from pipelines.core.presets import Preset
from pipelines.jobs.queue import JobQueue
from pipelines.models.scan import ModelLibrary
from pipelines.storage.presets import PresetStore
from pipelines.storage.shelf import Shelf


@dataclass(frozen=True)
class WebServices:
    """Made once by `app.py`. Pictures reach the page over HTTP and events over the WebSocket, so neither is here."""

    queue: JobQueue
    models: ModelLibrary
    presets: PresetStore[Preset]
    shelf: Shelf
