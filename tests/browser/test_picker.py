"""Choosing one model of many: by typing, by arrows, and what is hidden is not offered."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from pipelines.core.model import Family
from tests.browser.conftest import Studio
from tests.browser.easel import Easel
from tests.models.synthetic import networks, write_hollow


def test_typing_finds_a_model_and_enter_takes_it(easel: Easel) -> None:
    field = easel.page.locator("#field-model")
    field.locator(".pick").click()
    search = field.get_by_role("combobox")
    expect(search).to_be_focused()
    search.fill("no such thing")
    expect(field.get_by_text("No model fits.")).to_be_visible()
    search.fill("sd fla")
    expect(field.get_by_role("option")).to_have_count(1)
    search.press("Enter")
    expect(field.get_by_role("listbox")).to_be_hidden()
    expect(field.locator(".pick")).to_be_focused()
    assert easel.values()["model"] == "flat"


def test_models_stand_in_groups_of_their_family(easel: Easel) -> None:
    easel.page.locator("#field-model .pick").click()
    group = easel.page.get_by_role("group", name="SD 1.x")
    expect(group.get_by_role("option", name="flat")).to_have_attribute("aria-selected", "true")


def test_escape_closes_the_list_and_nothing_else(easel: Easel) -> None:
    field = easel.page.locator("#field-model")
    field.locator(".pick").press("Enter")
    expect(field.get_by_role("listbox")).to_be_visible()
    easel.page.keyboard.press("Escape")
    expect(field.get_by_role("listbox")).to_be_hidden()
    expect(field.locator(".pick")).to_be_focused()
    assert easel.values()["model"] == "flat"


def test_the_vae_may_be_the_models_own(easel: Easel) -> None:
    easel.unfold()
    field = easel.page.locator("#field-vae")
    expect(field.locator(".pick")).to_have_text("The model's own")
    field.locator(".pick").click()
    expect(field.get_by_role("option", name="The model's own")).to_have_attribute("aria-selected", "true")


def test_what_the_picture_needs_is_told_before_it_is_painted(easel: Easel) -> None:
    needs = easel.page.locator(".needs")
    expect(needs).to_contain_text("Needs")
    before = needs.inner_text()
    easel.unfold()
    easel.fill(width=1024, height=1024)
    expect(needs).not_to_have_text(before)


def test_the_forecast_is_asked_for_again_after_a_failure(page: Page, studio: Studio) -> None:
    answers = iter([Answer(503, {"error": {"problem": "The engine is starting", "fix": "ask again"}})])
    page.route("**/api/forecast", lambda route: fulfil(route, next(answers, None)))
    Easel(page, studio.url).open()
    expect(page.locator(".needs")).to_contain_text("Needs")


def test_a_forecast_that_was_too_tight_is_taken_back_when_there_is_room(own_page: Page, studio: Studio) -> None:
    rooms = iter([3e9])
    own_page.route("**/api/forecast", lambda route: fulfil(route, needing_four(next(rooms, 9e9))))
    used = iter(range(1, 1000))

    def pulse(message: str | bytes) -> str | bytes:
        frame = json.loads(message) if isinstance(message, str) else {}
        if frame.get("type") != "device":
            return message
        return json.dumps(frame | {"view": frame["view"] | {"memory": f"{next(used)} of 9999 GB"}})

    def between(socket: WebSocketRoute) -> None:
        socket.connect_to_server().on_message(lambda message: socket.send(pulse(message)))

    own_page.route_web_socket("**/ws", between)
    Easel(own_page, studio.url).open()
    expect(own_page.locator(".needs.danger")).to_have_text("Needs 4.0 GB, and 3.0 are free: it may not fit")
    expect(own_page.locator(".needs")).to_have_text("Needs 4.0 of 9.0 GB")
    expect(own_page.locator(".needs.danger")).to_have_count(0)


@dataclass(frozen=True)
class Answer:
    """To a request of the page."""

    status: int
    body: Any


def needing_four(room: float) -> Answer:
    return Answer(200, {"needs": 4e9, "room": room, "placement": "whole", "tiled": False, "at_once": 1})


def fulfil(route: Route, answer: Answer | None) -> None:
    if answer is None:
        route.continue_()
    else:
        route.fulfill(status=answer.status, json=answer.body)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with more models than the list draws at once."""
    data = tmp_path_factory.mktemp("crowded") / "data"
    parts = networks(Family.SD1, small=True).original()
    for number in range(230):
        write_hollow(data / "models" / f"hollow {number:03d}.safetensors", parts)
    running = Studio(data)
    yield running
    running.stop()


@pytest.fixture
def crowd(page: Page, crowded: Studio) -> Easel:
    opened = Easel(page, crowded.url)
    opened.open()
    return opened


def test_of_many_models_the_chosen_one_is_always_drawn_and_the_list_says_that_there_are_more(crowd: Easel) -> None:
    field = crowd.page.locator("#field-model")
    crowd.pick("model", "hollow 225", typed="low 225")
    field.locator(".pick").click()
    expect(field.locator("[aria-selected=true]")).to_contain_text("hollow 225")
    expect(field.locator("[aria-selected=true]")).to_be_in_viewport()
    expect(field.get_by_role("status")).to_have_text(re.compile(r"^\d+ more: type to find them$"))
    expect(field.get_by_role("status")).to_be_visible()
    field.get_by_role("combobox").press("Enter")
    expect(field.locator(".pick")).to_contain_text("hollow 225")
    assert crowd.values()["model"] == "hollow 225"


def test_how_many_models_fit_is_said_to_who_cannot_see_it(crowd: Easel) -> None:
    field = crowd.page.locator("#field-model")
    field.locator(".pick").click()
    field.get_by_role("combobox").fill("hollow 22")
    expect(field.get_by_role("status")).to_have_text("Models that fit: 12")
    field.get_by_role("combobox").fill("no such thing")
    expect(field.get_by_role("status")).to_have_text("No model fits.")


def test_enter_that_is_not_meant_for_the_list_chooses_nothing(crowd: Easel) -> None:
    field = crowd.page.locator("#field-model")
    field.locator(".pick").click()
    search = field.get_by_role("combobox")
    search.fill("hollow 229")
    search.dispatch_event("keydown", {"key": "Enter", "isComposing": True})  # it ends a word of Japanese, say
    crowd.page.evaluate("Easel.form.asked.tell = () => (window.asked = true)")
    search.press("Control+Enter")
    assert crowd.page.evaluate("window.asked")
    expect(field.get_by_role("option", name="hollow 229")).to_be_visible()
    assert crowd.values()["model"] != "hollow 229"


@pytest.mark.parametrize("name", ["model", "vae"])
def test_the_list_lies_inside_the_window(crowd: Easel, shots: Path, name: str) -> None:
    if name == "vae":
        crowd.unfold()
    field = crowd.page.locator(f"#field-{name}")
    for width, height in ((1280, 800), (1280, 480), (360, 640)):
        crowd.page.set_viewport_size({"width": width, "height": height})
        field.locator(".pick").click()
        expect(field.get_by_role("combobox")).to_be_in_viewport(ratio=1)
        expect(field.get_by_role("option").first).to_be_in_viewport(ratio=1)
        box = field.locator(".picker-popup").bounding_box()
        assert box is not None
        assert min(box["x"], box["y"]) >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
        crowd.page.screenshot(path=shots / f"picker_{name}_{width}x{height}.png")
        crowd.page.keyboard.press("Escape")
