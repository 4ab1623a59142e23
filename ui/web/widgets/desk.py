"""The mixing desk. Everything it shows and does goes over HTTP and the WebSocket."""

from typing import ClassVar

from ui.web.widgets.panel import Panel


class DeskPanel(Panel):
    """Models, method, faders, the picture of the mix, and what becomes of it; `samples` of its states."""

    script: ClassVar[str] = "deskpage.js"
