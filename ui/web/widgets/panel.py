"""The base of our own widgets: a host element that Gradio never rebuilds, and a script that fills it."""

from abc import ABCMeta
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
from gradio.component_meta import ComponentMeta, updateable

ASSETS = Path(__file__).parents[1] / "assets"


@cache
def asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


class Quiet(ComponentMeta):  # type: ignore[misc] # gradio is untyped
    """Makes our component classes. Gradio's own maker also writes a `.pyi` file beside the source; ours must not."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
        if "__init__" in attributes:
            attributes["__init__"] = updateable(attributes["__init__"])
        return ABCMeta.__new__(cls, name, bases, attributes)


class Panel(gr.HTML, metaclass=Quiet):  # type: ignore[misc] # gradio is untyped
    """A custom widget. Its value is plain JSON, its other settings are `props` of the script.

    What comes back is raw data of a browser: `preprocess` only passes on what `accepts` allows.
    """

    script: ClassVar[str]
    is_template = True  # so that Gradio's page draws a subclass as HTML

    def __init__(self, value: Any = None, **props: Any) -> None:
        super().__init__(
            value=value,
            html_template='<div class="host"></div>',
            js_on_load=f"{{{asset(self.script)}\n}}",  # a block: names of one script stay its own
            apply_default_css=False,
            **props,
        )

    def preprocess(self, payload: Any) -> Any:
        return payload if self.accepts(payload) else None

    def postprocess(self, value: Any) -> Any:
        return value

    def accepts(self, payload: Any) -> bool:
        """Whether a browser may send this as the widget's value."""
        return payload is None

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
