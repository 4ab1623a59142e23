"""The studio's page: header, rail and tabs, put together; and everything Gradio must be given when it is mounted."""

import json
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from pipelines.core.request import Precision
from pipelines.core.samplers import SAMPLERS, SCHEDULES
from ui.web import offers
from ui.web.icons import PATHS, mask_css
from ui.web.services import WebServices
from ui.web.tabs import generate, inpaint, merge, models, upscale
from ui.web.theme import theme
from ui.web.widgets.fields import ModelPicker
from ui.web.widgets.panel import ASSETS, asset
from ui.web.widgets.stage import StatusPanel
from ui.web.words import Words

PLAIN_STYLES = ("tokens.css", "gradio.css")
OUR_STYLES = ("app.css", "stage.css", "shelf.css", "desk.css", "canvas.css", "upscale.css", "phone.css")
"""Nested in Gradio's container, so that they outrank its own rules for buttons and texts."""
SCRIPTS = (
    "easel.js", "theme.js", "live.js", "pictures.js", "form.js", "keys.js", "views.js", "details.js", "strip.js",
    "models.js", "modelside.js", "downloads.js", "addlora.js", "pickers.js", "lineage.js", "desk.js", "mixing.js",
    "mixer.js", "weightmenu.js", "deskbar.js", "deskside.js", "deskloras.js", "desksave.js", "sheets.js", "finding.js",
    "forecast.js", "lorarows.js", "fields.js", "maskfiles.js", "maskbits.js", "maskstore.js", "maskhistory.js",
    "landing.js", "viewport.js", "bitmaps.js", "canvasdefaults.js", "canvasstate.js", "repaint.js", "canvasview.js",
    "canvascursor.js", "canvashand.js", "canvasbar.js", "canvasside.js", "canvasbatch.js", "canvasfind.js",
    "canvasstrip.js", "upscaledefaults.js", "upscalestate.js", "upscalefiles.js", "upscaleforecast.js",
    "upscalework.js", "upscaleview.js", "upscalehand.js", "upscalebar.js", "upscaleparts.js", "upscalepickles.js",
    "upscaleside.js",
)  # fmt: skip
"""Loaded from <head>, in this order; a widget's own script comes with the widget."""


@dataclass(frozen=True)
class Dress:
    """How the page looks and what it loads: the arguments of `gr.mount_gradio_app`."""

    theme: gr.themes.Base
    head: str
    favicon_path: Path


def dress(words: Words) -> Dress:
    """Theme, styles and scripts, in the language of `words`."""
    ours = "\n".join(map(asset, OUR_STYLES))
    css = "\n".join([*map(asset, PLAIN_STYLES), mask_css(), f".gradio-container {{\n{ours}}}"])
    names = {
        "sampler": {s.key: s.label for s in SAMPLERS},
        "schedule": {s.key: s.label for s in SCHEDULES},
        "precision": {p.value: words(f"precision.{p}") for p in Precision},
    }
    data = json.dumps({"words": dict(words.table), "icons": PATHS, "names": names}).replace("<", "\\u003c")
    scripts = [f"<script>{asset(name)}</script>" for name in SCRIPTS]
    # Not Gradio's `css`: it writes every rule twice, once with a prefix, and breaks :is(a, b) and @container.
    head = f'<style>{css}</style><script type="application/json" id="easel-data">{data}</script>' + "".join(scripts)
    return Dress(theme(), head, ASSETS / "favicon.svg")


def build(services: WebServices, words: Words) -> gr.Blocks:
    """The page. Every press of Generate becomes a job; everything else that changes arrives over the WebSocket."""
    with gr.Blocks(title="Easel", analytics_enabled=False, fill_width=True) as page:
        model = header(services, words)
        with gr.Tabs(elem_id="pages"):
            tab = generate.generate_tab(services, words)
            inpaint.inpaint_tab(words)
            upscale.upscale_tab(words)
            merge.merge_tab(words)
            models.models_tab(words)
        generate.wire(tab, model, page, services, words)
    return page


def header(services: WebServices, words: Words) -> ModelPicker:
    """Wordmark, model picker, and the status at the right. Returns the model picker; it concerns every tab."""
    with gr.Row(elem_id="top"):
        gr.HTML(BRAND, apply_default_css=False, elem_id="brand")
        model = model_picker(services, words)
        StatusPanel(elem_id="status")
    return model


def model_picker(services: WebServices, words: Words) -> ModelPicker:
    """Models by family; those that cannot be used say so."""
    return ModelPicker(
        offers.first_name(services), choices=offers.model_choices(services, words),
        label=words("field.model"), bare=True, elem_id="field-model",
    )  # fmt: skip


BRAND = (
    '<div class="brand"><svg class="i" width="22" height="22" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
    'stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
    f'<path d="{PATHS["easel"]}"/></svg><span>Easel</span></div>'
)
