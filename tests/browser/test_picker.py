"""Choosing one model of many: by typing, by arrows, and what is hidden is not offered."""

from playwright.sync_api import expect

from tests.browser.easel import Easel


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
