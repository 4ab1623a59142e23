"""What is shown and not filled in: the stage with its filmstrip, and the header's status."""

from typing import Any, ClassVar

from ui.web.widgets.panel import Panel


class StagePanel(Panel):
    """Stage, filmstrip and details. Its value is the answer to the last press of Generate."""

    script: ClassVar[str] = "stage.js"

    def accepts(self, payload: Any) -> bool:
        return payload is None or isinstance(payload, dict)


class StatusPanel(Panel):
    """Memory gauge, queue and theme."""

    script: ClassVar[str] = "status.js"
