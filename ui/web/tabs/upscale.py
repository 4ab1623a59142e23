"""The Upscale tab: a picture, or many, made larger; before and after under one splitter."""

import gradio as gr

from ui.web import samples
from ui.web.widgets.upscale import UpscalePanel
from ui.web.words import Words


def upscale_tab(words: Words) -> UpscalePanel:
    """The components, laid out."""
    with gr.Tab(words("tab.upscale"), id="upscale"), gr.Column(elem_classes="main"):
        return UpscalePanel(elem_id="upscale", samples=samples.upscale_states(words))
