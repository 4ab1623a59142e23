"""The Upscale page. Everything it shows and does goes over HTTP and the WebSocket."""

from typing import ClassVar

from ui.web.widgets.panel import Panel


class UpscalePanel(Panel):
    """Source and result under one splitter, how it is enlarged, and what it will cost; `samples` of its states."""

    script: ClassVar[str] = "upscalepage.js"
