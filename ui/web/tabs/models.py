"""The Models tab: every file in the models folders as a card, and what can be done to it."""

import gradio as gr

from ui.web.widgets.shelf import ShelfPanel
from ui.web.words import Words


def models_tab(words: Words) -> ShelfPanel:
    """The components, laid out."""
    with gr.Tab(words("tab.models"), id="models"), gr.Column(elem_classes="main"):
        return ShelfPanel(elem_id="shelf")
