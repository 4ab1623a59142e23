"""The models as cards, and what is done to them. Everything it shows and does goes over HTTP and the WebSocket."""

from typing import ClassVar

from ui.web.widgets.panel import Panel


class ShelfPanel(Panel):
    """Cards of all models, with the chosen one's details and acts beside them."""

    script: ClassVar[str] = "shelf.js"
