"""The canvas of the Inpaint tab. Everything it shows and does goes over HTTP and the WebSocket."""

from typing import ClassVar

from ui.web.widgets.panel import Panel


class CanvasPanel(Panel):
    """The picture with its masks, what shall be painted, and what came of it; `samples` of its states."""

    script: ClassVar[str] = "inpaintpage.js"
