"""The Generate tab: text to picture. Stage on the left, settings on the right, the press of Generate at the foot."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from pipelines.core.error import UnknownName
from pipelines.core.request import GenerateRequest, Precision
from pipelines.core.samplers import SAMPLERS, SCHEDULES
from ui.web import offers, samples
from ui.web.answers import choose_model, obey_preset_order, submit
from ui.web.fields import limits
from ui.web.offers import first_value
from ui.web.services import WebServices
from ui.web.widgets.fields import (
    Choice,
    FreshSeed,
    GenerateBar,
    HiresFold,
    Loras,
    ModelPicker,
    NumberField,
    Presets,
    SizeShapes,
)
from ui.web.widgets.stage import StagePanel
from ui.web.words import Words

COUNTS = (1, 2, 4, 8)
DRAG: dict[str, dict[str, float]] = {
    "steps": {"low": 1, "high": 60, "step": 1},
    "cfg": {"low": 0, "high": 15, "step": 0.5},
}
"""The handy range of a slider; the number beside it takes whatever the request takes."""

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""How every handler is bound: at once, without Gradio's own spinner, and not part of its API."""


FOLDED = ("vae", "clip_skip", "precision", "batch_size", "preview_every")
"""The fields under More that its label names when they are not as usual; the size is seen above."""


@dataclass(frozen=True)
class GenerateTab:
    """The tab's parts. One that is named like a request field holds that field."""

    stage: StagePanel
    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    presets: Presets
    shapes: SizeShapes
    sampler: Choice
    schedule: Choice
    steps: NumberField
    cfg: NumberField
    seed: NumberField
    fresh_seed: FreshSeed
    add_lora: ModelPicker
    loras: Loras
    hires: HiresFold
    more: gr.Accordion
    width: NumberField
    height: NumberField
    vae: ModelPicker
    clip_skip: NumberField
    batch_size: NumberField
    precision: Choice
    preview_every: NumberField
    count: GenerateBar


def generate_tab(services: WebServices, words: Words) -> GenerateTab:
    """The components, laid out."""
    model, size = offers.first_model(services), offers.first_size(services)
    parts: dict[str, Any] = {}
    with gr.Tab(words("tab.generate"), id="generate"), gr.Row(elem_classes="page"):
        with gr.Column(elem_classes="main"):
            parts["stage"] = StagePanel(
                elem_id="stage",
                ready=model is not None,
                ideas=words("empty.ideas").split("|"),
                samples=samples.states(words),
            )
        with gr.Column(elem_classes="side"):
            with gr.Column(elem_classes="scroll"):
                parts |= _prompts(words)
                parts["presets"] = Presets(elem_id="presets", presets=offers.presets(services), problem={})
                shown = {"model": model and model.name, "width": size[0], "height": size[1]}
                parts["shapes"] = SizeShapes(shown, elem_id="field-size", sizes=offers.model_sizes(services))
                parts |= _sampling(words)
                parts |= _seed(words)
                parts |= _loras(services, words)
                parts["hires"] = HiresFold(
                    first_value("hires"), choices=offers.hires_choices(services, words), elem_id="field-hires"
                )
                parts |= _more(services, size, words)
            with gr.Row(elem_classes="foot"):
                count = first_value("count")
                parts["count"] = GenerateBar(count, elem_id="field-count", counts=COUNTS, ready=model is not None)
    return GenerateTab(**parts)


def _prompts(words: Words) -> dict[str, Any]:
    with gr.Column(elem_classes="promptbox"):
        return {
            "prompt": gr.Textbox(
                label=words("field.prompt"), placeholder=words("field.prompt.hint"), lines=3, max_lines=8,
                interactive=True, elem_id="field-prompt",
            ),
            "negative_prompt": gr.Textbox(
                label=words("field.negative_prompt"), placeholder=words("field.negative_prompt.hint"), lines=1,
                max_lines=4, interactive=True, elem_id="field-negative_prompt",
            ),
        }  # fmt: skip


def _sampling(words: Words) -> dict[str, Any]:
    with gr.Row(elem_classes="two"):
        sampler = _choice("sampler", [(s.label, s.key) for s in SAMPLERS], words)
        schedule = _choice("schedule", [(s.label, s.key) for s in SCHEDULES], words)
    with gr.Row(elem_classes="two"):
        steps, cfg = _number("steps", words), _number("cfg", words)
    return {"sampler": sampler, "schedule": schedule, "steps": steps, "cfg": cfg}


def _seed(words: Words) -> dict[str, Any]:
    with gr.Row(elem_classes="with-acts"):
        return {"seed": _number("seed", words), "fresh_seed": FreshSeed(True, elem_id="field-fresh_seed")}


def _loras(services: WebServices, words: Words) -> dict[str, Any]:
    with gr.Column(elem_classes="loras"):
        add = ModelPicker(
            "", choices=offers.lora_choices(services), none=words("loras.add"), label=words("field.loras"),
            find=words("loras.find"), elem_id="field-add_lora",
        )  # fmt: skip
        return {"add_lora": add, "loras": Loras([], elem_id="field-loras")}


def _more(services: WebServices, size: tuple[int, int], words: Words) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    parts["more"] = gr.Accordion(
        words("more.label", value=words("more.standard")), open=False, elem_id="more", elem_classes="fold"
    )
    with parts["more"]:
        with gr.Row(elem_classes="two"):
            parts["width"] = _number("width", words, value=size[0])
            parts["height"] = _number("height", words, value=size[1])
        parts["vae"] = ModelPicker(
            "", choices=offers.vae_choices(services), none=words("vae.own"), label=words("field.vae"),
            elem_id="field-vae",
        )  # fmt: skip
        with gr.Row(elem_classes="two"):
            parts["precision"] = _choice("precision", [(words(f"precision.{p}"), p.value) for p in Precision], words)
            parts["clip_skip"] = _number("clip_skip", words)
        with gr.Row(elem_classes="two"):
            parts |= {name: _number(name, words) for name in ("batch_size", "preview_every")}
    return parts


def _number(name: str, words: Words, *, value: float | None = None) -> NumberField:
    return NumberField(
        first_value(name) if value is None else value,
        label=words(f"field.{name}"),
        limits=limits(GenerateRequest, name).as_props(),
        drag=DRAG.get(name),
        elem_id=f"field-{name}",
    )


def _choice(name: str, choices: list[tuple[str, str]], words: Words) -> Choice:
    value = str(first_value(name))
    return Choice(value, choices=choices, label=words(f"field.{name}"), elem_id=f"field-{name}")


def request_fields(tab: GenerateTab, model: Component) -> dict[str, Component]:
    """Request field -> the component that holds it."""
    names = [name for name in GenerateRequest.model_fields if name not in {"kind", "model"}]
    return {"model": model, **{name: getattr(tab, name) for name in names}}


def wire(tab: GenerateTab, model: ModelPicker, page: gr.Blocks, services: WebServices, words: Words) -> None:
    """What the tab does."""
    fields = request_fields(tab, model)
    inputs = {*fields.values(), tab.fresh_seed}

    def read(values: Mapping[Component, Any]) -> dict[str, Any]:
        return {name: values[component] for name, component in fields.items()}

    def on_run(values: dict[Component, Any]) -> dict[Component, Any]:
        answer = submit(services, read(values), words, fresh_seed=bool(values[tab.fresh_seed]))
        shown = {tab.stage: answer.model_dump(mode="json")}
        return shown if answer.seed is None else shown | {tab.seed: answer.seed}

    def on_sampler(sampler: str, schedule: str) -> Any:
        try:
            return gr.update(**offers.schedules(sampler, schedule))
        except UnknownName:
            return gr.skip()  # Generate says what is wrong with it

    def on_preset(values: dict[Component, Any]) -> Any:
        problem = obey_preset_order(services, values[tab.presets], read(values))
        return gr.update(presets=offers.presets(services), problem=problem.model_dump() if problem else {})

    def on_model(name: str | None) -> dict[Component, Any]:
        return {tab.stage: choose_model(services, name, words).model_dump(mode="json")}

    def offer(**chosen: str | None) -> dict[Component, Any]:
        ready = offers.first_model(services) is not None
        return {
            model: gr.update(choices=offers.model_choices(services, words), **chosen),
            tab.shapes: gr.update(sizes=offers.model_sizes(services)),
            tab.vae: gr.update(choices=offers.vae_choices(services), none=words("vae.own")),
            tab.add_lora: gr.update(
                choices=offers.lora_choices(services), none=words("loras.add"), label=words("field.loras")
            ),
            tab.hires: gr.update(choices=offers.hires_choices(services, words)),
            tab.presets: gr.update(presets=offers.presets(services)),
            tab.stage: gr.update(ready=ready),
            tab.count: gr.update(ready=ready),
        }

    def on_load() -> dict[Component, Any]:
        services.models.glance()  # "put a model into the folder and reload this page"
        return offer(value=offers.first_name(services))

    def on_outdated(name: str | None) -> dict[Component, Any]:
        # A choice is left alone, whatever became of it: the request says what. It may even be another by now.
        return offer() if name else offer(value=offers.first_name(services))

    tab.count.run(on_run, inputs, [tab.stage, tab.seed], **QUIET)
    tab.sampler.change(on_sampler, [tab.sampler, tab.schedule], tab.schedule, **QUIET)
    tab.presets.order(on_preset, {*inputs, tab.presets}, tab.presets, **QUIET)
    model.input(on_model, model, tab.stage, **QUIET)
    offered = [model, tab.shapes, tab.vae, tab.add_lora, tab.hires, tab.presets, tab.stage, tab.count]
    model.outdated(on_outdated, model, offered, trigger_mode="always_last", **QUIET)
    loaded = page.load(on_load, None, offered, **QUIET)
    _wire_form({**fields, "fresh_seed": tab.fresh_seed}, tab, loaded)
    _wire_sizes(tab, model)
    taken = [tab.add_lora, tab.loras]
    tab.add_lora.input(None, taken, taken, js="Easel.addLora", **QUIET)


def _wire_sizes(tab: GenerateTab, model: Component) -> None:
    """Shapes, numbers and model agree about the size, without asking the server."""
    sides, size = [tab.width, tab.height], [model, tab.width, tab.height]
    as_value = "(model, width, height) => ({ model, width, height })"
    tab.shapes.input(None, tab.shapes, sides, js="size => [size.width, size.height]", **QUIET)
    model.input(None, size, sides, js="Easel.rescale", **QUIET)
    gr.on([part.change for part in size], None, size, tab.shapes, js=as_value, **QUIET)


def _wire_form(form: dict[str, Component], tab: GenerateTab, loaded: Dependency) -> None:
    """The form remembers itself in the browser, and can be filled by the page's scripts.

    It is restored when the page has `loaded` what there is to choose from: a remembered model may be gone.
    """
    parts = list(form.values())

    def script(act: str, *more: object) -> str:
        arguments = ", ".join(json.dumps(value) for value in (list(form), *more))
        return f"(...values) => Easel.form.{act}(values, {arguments})"

    loaded.then(None, parts, parts, js=script("restore"), **QUIET)
    gr.on([part.change for part in parts], None, parts, None, js=script("keep"), **QUIET)
    folded = [form[name].change for name in FOLDED]
    first = {name: first_value(name) for name in FOLDED}
    gr.on(folded, None, parts, tab.more, js=script("foldLabel", first), **QUIET)
    filled = tab.count.fill(None, parts, parts, js=script("takePending"), **QUIET)
    filled.then(None, None, None, js="() => Easel.form.afterFill()", **QUIET)
    tab.seed.input(None, tab.seed, tab.fresh_seed, js="seed => seed === '' || seed === -1", **QUIET)
