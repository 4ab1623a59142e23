"""The Inpaint tab: a mask is painted on a picture, and only what lies under it changes."""

import gradio as gr

from ui.web import samples
from ui.web.widgets.canvas import CanvasPanel
from ui.web.words import Words


def inpaint_tab(words: Words) -> CanvasPanel:
    """The components, laid out."""
    with gr.Tab(words("tab.inpaint"), id="inpaint"), gr.Column(elem_classes="main"):
        return CanvasPanel(elem_id="canvas", samples=samples.canvas_states(words))
