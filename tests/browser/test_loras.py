"""LoRAs are picked on the Generate tab, weighed, seen to fit, and painted with."""

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Studio
from tests.browser.easel import Easel


def add(page: Page, name: str) -> Locator:
    """The row of a LoRA that was picked."""
    page.locator("#field-add_lora .pick").click()
    page.get_by_role("option", name=name).click()
    return page.locator(f'.lora-rows li[data-name="{name}"]').last


def remembered(page: Page) -> list[dict[str, object]]:
    """What the form keeps of them."""
    page.wait_for_timeout(400)
    kept: list[dict[str, object]] = json.loads(page.evaluate("localStorage.getItem('easel.form')"))["loras"]
    return kept


def test_a_lora_is_picked_weighed_and_painted_with(easel: Easel, studio: Studio) -> None:
    page = easel.page
    row = add(page, "glow")
    expect(row).to_contain_text("Fits: all 192 parts")
    number = row.get_by_role("spinbutton", name="Strength of glow")
    number.fill("0.6")
    number.press("Tab")
    assert remembered(page) == [{"name": "glow", "unet": 0.6, "text": 0.6, "blocks": []}]
    row.get_by_role("button", name="A strength of its own for the text encoder").click()
    text = row.get_by_role("spinbutton", name="Strength of glow, Text encoder")
    text.fill("0.25")
    text.press("Tab")
    assert remembered(page)[0] == {"name": "glow", "unet": 0.6, "text": 0.25, "blocks": []}
    page.reload()
    expect(page.get_by_role("spinbutton", name="Strength of glow, Text encoder")).to_have_value("0.25")
    page.locator("#field-prompt textarea").fill("a red house")
    page.locator("#field-count").get_by_role("button", name="Generate").click()
    expect(page.locator(".strip img").first).to_be_visible()
    studio.wait_until_idle()
    picture = studio.get("api/images")["images"][0]
    assert picture["request"]["loras"] == [{"name": "glow", "unet": 0.6, "text": 0.25, "blocks": []}]


def test_several_are_taken_out_one_by_one_with_the_keyboard(easel: Easel) -> None:
    page = easel.page
    add(page, "glow")
    row = add(page, "snowfall")
    row.get_by_role("button", name="Take snowfall out").press("Enter")
    expect(page.locator(".lora-rows li")).to_have_count(1)
    expect(page.get_by_role("button", name="Take glow out")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".lora-rows li")).to_have_count(0)
    assert remembered(page) == []


@pytest.mark.parametrize("value", ["", "99", "-99"])
def test_a_strength_stays_within_reason(value: str, easel: Easel) -> None:
    number = add(easel.page, "glow").get_by_role("spinbutton")
    number.fill(value)
    number.press("Tab")
    assert remembered(easel.page)[0]["unet"] == {"": 1, "99": 10, "-99": -10}[value]
