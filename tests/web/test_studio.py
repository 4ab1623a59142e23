"""The page as Gradio holds it: every request field has its component, nothing is public, no style names a colour."""

import json
import re
from pathlib import Path

import gradio as gr
import pytest

from pipelines.core.request import GenerateRequest
from ui.web import studio
from ui.web.icons import PATHS
from ui.web.services import WebServices
from ui.web.tabs.generate import generate_tab, request_fields
from ui.web.widgets import fields, panel
from ui.web.widgets import stage as stage_widgets
from ui.web.words import Words

ASSETS = panel.ASSETS
SCRIPTS = sorted(ASSETS.glob("*.js"))


@pytest.fixture
def page(services: WebServices, words: Words) -> gr.Blocks:
    return studio.build(services, words)


def test_every_request_field_has_a_component(services: WebServices, words: Words) -> None:
    with gr.Blocks():
        model = studio.model_picker(services, words)
        held = request_fields(generate_tab(services, words), model)
    assert held.keys() == GenerateRequest.model_fields.keys() - {"kind"}
    assert {component.elem_id for component in held.values()} == {f"field-{name}" for name in held}
    assert len({id(component) for component in held.values()}) == len(held)


def test_handlers_run_at_once_and_are_no_api(page: gr.Blocks) -> None:
    for handler in page.fns.values():
        assert handler.queue is False
        assert handler.show_progress == "hidden"
        assert handler.api_visibility == "private"


def test_the_page_opens_no_heartbeat(page: gr.Blocks) -> None:
    assert not any(isinstance(block, gr.State) for block in page.blocks.values())
    assert page.get_config_file()["connect_heartbeat"] is False


def test_the_page_is_plain_data(page: gr.Blocks) -> None:
    # A live object among it is copied at every visit, with the whole page that hangs on it.
    assert json.loads(json.dumps(page.get_config_file()))["components"]


def test_an_element_id_stands_once(page: gr.Blocks) -> None:
    ids = [block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)]
    assert len(ids) == len(set(ids))


def test_the_dress_is_local_and_closed(words: Words) -> None:
    dress = studio.dress(words)
    assert not re.search(r"(?:src|href)=|https?://(?!www\.w3\.org)", dress.head)
    assert dress.head.count("</script>") == len(studio.SCRIPTS) + 1
    assert dress.favicon_path.is_file()


def test_only_tokens_name_colours() -> None:
    for sheet in ASSETS.glob("*.css"):
        text = re.sub(r'url\("[^"]*"\)|/\*.*?\*/', "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        if sheet.name != "tokens.css":
            assert not re.search(r"#[0-9a-f]{3,8}\b(?=[^{}]*[;}])|\brgba?\(|\bhsla?\(", text), sheet.name
        used = set(re.findall(r"var\((--[a-z0-9-]+)\)", text))
        known = set(re.findall(r"(--[a-z0-9-]+)\s*:", (ASSETS / "tokens.css").read_text(encoding="utf-8")))
        given = {
            "--icon",
            "--chevron",
            "--p",
            "--w",
            "--h",
            "--ar",
            "--range_progress",
            "--c",
            "--n",
            "--v",
            "--curve",
            "--map",
            "--dot",
            "--px",
            "--py",
        }
        assert used <= known | given, sheet.name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_never_make_markup_from_text(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
    assert {*re.findall(r"icon\('([a-z]+)'", text)} <= PATHS.keys()
    assert len(text.splitlines()) <= 400
    assert max(map(len, text.splitlines())) <= 120


def test_widgets_refuse_what_no_browser_of_ours_sends() -> None:
    number = fields.NumberField(1, label="n", limits={}, drag=None)
    assert [number.preprocess(raw) for raw in (5, 2.5, "abc", "9" * 20)] == [5, 2.5, "abc", 99999999999999999999]
    assert [number.preprocess(raw) for raw in (True, "x" * 61, {"path": "/etc/passwd"}, [1])] == [None] * 4
    assert fields.FreshSeed(True).preprocess("yes") is None
    assert fields.GenerateBar(1).preprocess("4") is None
    assert fields.SizeShapes({}).preprocess({"path": "/etc/passwd"}) is None
    assert stage_widgets.StagePanel().preprocess("/etc/passwd") is None
    assert fields.Choice("a", choices=[("A", "a")], label="c").preprocess(["a"]) is None
    with pytest.raises(ValueError, match="act"):
        fields.Presets().preprocess({"act": "run", "name": "x", "version": None})


def test_making_widgets_leaves_no_files_behind() -> None:
    assert not list(Path(panel.__file__).parent.glob("*.pyi"))
