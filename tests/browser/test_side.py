"""The chosen model's side: what is typed, pressed or focused there lives on, whatever else happens to the models."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from pipelines.core.model import Family
from tests.browser.conftest import Studio
from tests.browser.easel import Easel
from tests.models.synthetic import networks, write_single


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with models of one's own: they can be renamed and thrown away."""
    data = tmp_path_factory.mktemp("stocked") / "data"
    for name in ("dream", "night"):
        write_single(data / "models" / f"{name}.safetensors", networks(Family.SD1, small=True), torch.float16)
    running = Studio(data)
    yield running
    running.stop()


@pytest.fixture
def opened(page: Page, stocked: Studio) -> Easel:
    """The page as it opens: nobody has looked at the Models tab."""
    easel = Easel(page, stocked.url)
    easel.open()
    return easel


@pytest.fixture
def side(opened: Easel) -> Locator:
    """The side of the model `dream`."""
    open_side(opened.page, "dream")
    return opened.page.locator(".model-side")


def open_side(page: Page, name: str) -> None:
    page.locator('[data-tab-id="models"]').click()
    card(page, name).click()
    expect(page.locator(".model-side")).to_contain_text(f"{name}.safetensors")


def card(page: Page, name: str) -> Locator:
    return page.locator(f'.card[data-name="{name}"]')


def button(side: Locator, name: str) -> Locator:
    return side.get_by_role("button", name=name, exact=True)


@pytest.fixture
def spare(stocked: Studio) -> Iterator[Path]:
    """A file that a test may damage, rename or throw away."""
    folder = stocked.data / "models"
    file = Path(shutil.copy(folder / "night.safetensors", folder / "spare.safetensors"))
    yield file
    for left in folder.glob("spare*"):
        left.unlink()


def test_a_file_that_comes_is_offered_though_nobody_opened_the_models_tab(opened: Easel, spare: Path) -> None:
    opened.page.locator("#field-model .pick").click()
    expect(opened.page.locator("#field-model").get_by_role("option", name=spare.stem)).to_be_visible()
    assert opened.page.locator(".models").count() == 0


def test_a_choice_stays_while_its_file_is_copied_anew(opened: Easel, stocked: Studio, spare: Path) -> None:
    chosen = opened.page.locator("#field-model .pick")
    opened.pick("model", "spare")
    expect(chosen).to_contain_text("spare")
    whole = spare.read_bytes()
    spare.unlink()
    spare.write_bytes(whole[: len(whole) // 2])
    wait_for_problem(stocked, "spare", True)
    opened.unfold()
    opened.fill(prompt="a hill", steps=1, width=64, height=64)
    opened.generate.click()
    expect(opened.problem).to_contain_text("still being written")
    assert opened.at_fault() == ["model"]
    opened.reload()
    expect(chosen).to_have_text("spare")
    spare.write_bytes(whole)
    wait_for_problem(stocked, "spare", False)
    expect(chosen).to_have_text("spare  ·  SD 1.x")
    opened.paint()
    assert stocked.get("api/images?limit=1")["images"][0]["request"]["model"] == "spare"


def wait_for_problem(studio: Studio, name: str, expected: bool) -> None:
    """Until the studio has noticed what became of a file."""
    for _ in range(100):
        known = {model["name"]: model for model in studio.get("api/models")}
        if name in known and bool(known[name]["problem"]) is expected:
            return
        time.sleep(0.2)
    raise AssertionError("the studio did not notice")


def test_the_form_follows_a_model_that_is_renamed(opened: Easel, spare: Path) -> None:
    opened.pick("model", "spare")
    open_side(opened.page, "spare")
    side = opened.page.locator(".model-side")
    button(side, "Rename").click()
    side.get_by_role("textbox", name="Name").fill("spare no more")
    opened.page.keyboard.press("Enter")
    expect(side.get_by_role("heading")).to_have_text("spare no more")
    expect(button(side, "Rename")).to_be_focused()
    expect(opened.page.locator("#field-model .pick")).to_have_text("spare no more  ·  SD 1.x")
    assert not spare.exists()


@pytest.mark.parametrize("question", ["Rename", "Convert"])
def test_a_typed_name_survives_what_is_done_to_another_model(side: Locator, stocked: Studio, question: str) -> None:
    button(side, question).click()
    name = side.get_by_role("textbox", name="Name")
    expect(name).to_be_focused()
    name.fill("carefully typed")
    asked = {"kind": "verify", "model": "night"}
    with side.page.expect_response("**/api/models"):  # the list is asked for again when a job has ended
        side.page.request.post(f"{stocked.url}api/jobs", data=asked)
    expect(name).to_have_value("carefully typed")
    expect(name).to_be_focused()
    name.press("Escape")
    expect(name).to_have_count(0)
    expect(button(side, question)).to_be_focused()


def test_the_question_about_the_trash_has_the_focus_and_esc_says_no(side: Locator, stocked: Studio) -> None:
    button(side, "Move to trash").press("Enter")
    expect(button(side, "Cancel")).to_be_focused()
    side.page.keyboard.press("Escape")
    expect(button(side, "Move to trash")).to_be_focused()
    assert (stocked.data / "models" / "dream.safetensors").exists()


def test_a_press_right_after_typing_a_note_counts(side: Locator) -> None:
    favourite = button(side, "Favourite")
    for pressed in ("true", "false"):
        side.get_by_role("textbox", name="Notes").fill(f"a favourite: {pressed}")
        favourite.hover()
        side.page.mouse.down()  # the note is sent, and its answer comes before the button is let go
        side.page.wait_for_timeout(300)
        side.page.mouse.up()
        expect(favourite).to_have_attribute("aria-pressed", pressed)


def test_the_focus_stays_where_it_was(side: Locator) -> None:
    page = side.page
    for key in ("Enter", "Enter"):
        before = button(side, "Favourite").get_attribute("aria-pressed")
        button(side, "Favourite").press(key)
        expect(button(side, "Favourite")).not_to_have_attribute("aria-pressed", str(before))
        expect(button(side, "Favourite")).to_be_focused()
    chip = page.get_by_role("group", name="Show").get_by_role("button", name="Checkpoints")
    chip.press("Enter")
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(chip).to_be_focused()
    card(page, "night").focus()
    page.evaluate("Easel.models.scan()")
    expect(card(page, "night")).to_be_focused()


def test_a_double_click_throws_away_once_and_the_next_card_has_the_focus(opened: Easel, spare: Path) -> None:
    open_side(opened.page, "spare")
    side = opened.page.locator(".model-side")
    button(side, "Move to trash").click()
    button(side, "Move to trash").dblclick()
    expect(card(opened.page, "spare")).to_have_count(0)
    expect(side).to_be_hidden()
    expect(opened.page.locator(".card:focus")).to_have_count(1)
    assert opened.page.get_by_role("alert").filter(visible=True).count() == 0
    assert not spare.exists()


def test_a_job_that_ended_while_the_line_was_cut_leaves_no_mark(own_page: Page, stocked: Studio) -> None:
    lines: list[WebSocketRoute] = []

    def between(line: WebSocketRoute) -> None:
        is_first = not lines
        lines.append(line)

        def pass_on(message: str | bytes) -> None:
            is_end = isinstance(message, str) and '"kind": "verify"' in message and '"stage": "done"' in message
            if not (is_first and is_end):
                line.send(message)

        line.connect_to_server().on_message(pass_on)

    own_page.route_web_socket("**/ws", between)
    Easel(own_page, stocked.url).open()
    open_side(own_page, "dream")
    button(own_page.locator(".model-side"), "Check").click()
    expect(card(own_page, "dream").locator(".work")).to_be_visible()
    stocked.wait_until_idle()
    expect(card(own_page, "dream").locator(".work")).to_be_visible()
    lines[0].close()
    expect(card(own_page, "dream").locator(".work")).to_have_count(0)
