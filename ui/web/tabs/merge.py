"""The Merge tab: a mixing desk for models, seen while the faders move."""

import gradio as gr

from ui.web import samples
from ui.web.widgets.desk import DeskPanel
from ui.web.words import Words


def merge_tab(words: Words) -> DeskPanel:
    """The components, laid out."""
    with gr.Tab(words("tab.merge"), id="merge"), gr.Column(elem_classes="main"):
        return DeskPanel(elem_id="desk", samples=samples.desk_states(words))
