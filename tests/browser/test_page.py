"""The page itself: its states, sizes and themes, keys, names, and what it leaves alone."""

import re
from pathlib import Path
from typing import Literal

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Studio
from tests.browser.easel import Easel, until

STATES = {
    "empty": ("What shall we paint?", ".ideas button"),
    "loading": ("Loading flat", ".ring.waiting"),
    "running": ("Step 12 of 20", ".bar"),
    "done": ("Reuse settings", ".pic img"),
    "error": ("Not enough memory", ".problem[role=alert] .btn.solid"),
    "disabled": ("The worker cannot start", ".invite.off"),
}
DARK = re.compile(r"\bdark\b")
SIZES = {
    "desktop": (1440, 900), "laptop": (1280, 720), "phone": (390, 844), "narrow": (700, 800), "landscape": (667, 375),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_an_address_and_its_parts(easel: Easel, shots: Path, state: str) -> None:
    text, part = STATES[state]
    easel.open(state)
    expect(easel.stage).to_contain_text(text)
    expect(easel.stage.locator(part).first).to_be_visible()
    assert easel.generate.is_disabled() == (state == "disabled")
    if state == "disabled":
        expect(easel.page.locator(".bar-foot .reason")).to_have_text("The worker cannot start")
    schemes: list[Literal["dark", "light"]] = ["dark", "light"]
    for scheme in schemes:
        easel.page.emulate_media(color_scheme=scheme)
        easel.page.wait_for_timeout(300)
        easel.page.screenshot(path=shots / f"{state}_{scheme}.png")


@pytest.mark.parametrize("size", SIZES)
def test_nothing_overflows_and_the_action_is_in_reach(easel: Easel, shots: Path, size: str) -> None:
    width, height = SIZES[size]
    easel.page.set_viewport_size({"width": width, "height": height})
    for state in STATES:
        easel.open(state)
        assert easel.page.evaluate("document.documentElement.scrollWidth") <= width
        assert easel.page.evaluate("document.documentElement.scrollHeight") <= height
        box = easel.generate.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
        assert height / 2 < box["y"] < box["y"] + box["height"] <= height
        easel.page.screenshot(path=shots / f"{size}_{state}.png")


def test_a_phone_shows_the_stage_when_generate_or_a_problem_has_news(easel: Easel) -> None:
    easel.page.set_viewport_size({"width": 390, "height": 844})
    easel.reload()  # a phone begins without the details, which would lie over the foot
    scrolled = "document.querySelector('#pages > .tabitem').scrollTop"
    for steps in ("many", "60"):
        easel.fill(prompt="a hill", steps=steps)
        easel.page.evaluate(f"{scrolled} = 9999")
        assert easel.page.evaluate(scrolled) > 100
        easel.generate.click()
        until(easel.page, f"{scrolled} === 0")


def test_picture_left_controls_right_action_bottom_right(easel: Easel) -> None:
    stage, prompt, act = (part.bounding_box() for part in (easel.stage, easel.prompt, easel.generate))
    assert stage is not None and prompt is not None and act is not None
    assert stage["x"] + stage["width"] <= prompt["x"]
    assert act["x"] > prompt["x"] and act["y"] > prompt["y"] + 400
    assert stage["width"] > 900


def test_no_control_is_without_a_name(easel: Easel) -> None:
    easel.unfold()
    nameless = easel.page.evaluate(
        """() => [...document.querySelectorAll('button, input, textarea, select, a[href], [role=slider], [role=meter]')]
            .filter(node => node.offsetParent && !(node.getAttribute('aria-label') || node.innerText?.trim()
                || node.labels?.length && [...node.labels].some(label => label.innerText.trim())
                || node.getAttribute('aria-labelledby')))
            .map(node => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


RING = """() => {
    const node = document.activeElement, own = getComputedStyle(node), frame = node.closest('.promptbox');
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = 'var(--accent-text)';
    const accent = getComputedStyle(probe).color;
    probe.remove();
    const ring = frame ? getComputedStyle(frame).borderTopColor : own.outlineStyle === 'none' ? '' : own.outlineColor;
    const part = node.id === 'generate' ? node : node.closest('[id^=field-], #presets, #stage, #status, #pages');
    return { id: part?.id, ring: ring === accent };
}"""


def test_the_tab_key_walks_to_generate_and_every_stop_shows_its_ring(easel: Easel) -> None:
    seen: list[str] = []
    while "generate" not in seen:
        easel.page.keyboard.press("Tab")
        stop = easel.page.evaluate(RING)
        assert stop["ring"], f"no ring on {stop['id']}"
        seen.append(stop["id"])
        assert len(seen) < 60
    marks = [
        "field-model",
        "field-prompt",
        "presets",
        "field-size",
        "field-steps",
        "field-seed",
        "generate",
    ]
    passed = [name for name in seen if name in marks]
    assert passed == sorted(passed, key=marks.index)
    assert set(passed) == set(marks)


def test_arrows_move_through_the_pictures_and_i_shows_the_details(easel: Easel) -> None:
    easel.fill(prompt="a hill", steps=1)
    easel.set_count(2)
    easel.paint()
    expect(easel.thumbs.first).to_have_attribute("aria-pressed", "true")
    newest = easel.picture.get_attribute("src")
    easel.thumbs.first.focus()
    easel.page.keyboard.press("ArrowRight")
    expect(easel.thumbs.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(easel.thumbs.nth(1)).to_be_focused()
    assert easel.picture.get_attribute("src") != newest
    easel.page.keyboard.press("i")
    expect(easel.page.locator(".details")).to_have_count(0)
    easel.page.keyboard.press("i")
    expect(easel.page.locator(".details")).to_contain_text("2 of")
    easel.page.keyboard.press("ArrowLeft")
    expect(easel.picture).to_have_attribute("src", str(newest))
    with easel.page.expect_download() as download:
        easel.page.keyboard.press("s")
    assert download.value.suggested_filename.endswith(".png")


def test_older_pictures_come_in_while_one_scrolls_back(easel: Easel, studio: Studio) -> None:
    request = {"prompt": "a hill", "steps": 1, "count": 60, "width": 64, "height": 64, "preview_every": 0}
    easel.page.request.post(f"{studio.url}api/jobs", data=request)
    studio.wait_until_idle()
    easel.reload()
    expect(easel.thumbs).to_have_count(40)
    easel.page.locator(".strip").evaluate("strip => strip.scrollLeft = strip.scrollWidth")
    expect(easel.thumbs.nth(59)).to_be_attached()
    shown = [thumb.get_attribute("data-id") for thumb in easel.thumbs.all()]
    assert len(shown) == len(set(shown))


LATE_ANSWER = """async rows => {
    const real = window.fetch, answers = [];
    window.fetch = () => new Promise(answer => answers.push(images => answer(Response.json({ images }))));
    const asked = [Easel.pictures.refresh(), Easel.pictures.refresh()];
    answers[1](rows);
    await asked[1];
    answers[0](rows.slice(1));
    await asked[0];
    window.fetch = real;
    return Easel.pictures.list.map(picture => picture.id);
}"""


def test_an_older_answer_that_comes_late_moves_no_picture(easel: Easel, studio: Studio) -> None:
    easel.fill(prompt="a hill", steps=1)
    easel.set_count(2)
    easel.paint()
    rows = studio.get("api/images?limit=40")["images"]
    shown = easel.page.evaluate(LATE_ANSWER, rows)
    assert shown == sorted(set(shown), reverse=True)
    assert rows[0]["id"] == shown[0]


def test_a_picture_that_says_nothing_of_its_settings_is_shown_as_it_is(easel: Easel, studio: Studio) -> None:
    easel.fill(prompt="a hill", steps=1)
    easel.paint()
    rows = studio.get("api/images?limit=3")["images"]
    rows[0] |= {"request": None, "infotext": "", "seconds": 0}
    easel.page.route("**/api/images?limit=40", lambda route: route.fulfill(json={"images": rows}))
    easel.reload()
    easel.wait_for("done")
    expect(easel.thumbs.first).to_have_attribute("aria-label", f"Untitled, seed {rows[0]['seed']}")
    expect(easel.page.locator(".details dt")).to_have_text(["Seed", "Size", "File"])
    expect(easel.page.get_by_role("toolbar").get_by_role("button", name="Reuse settings")).to_be_disabled()
    assert "undefined" not in easel.page.locator("#stage").inner_html()


def test_the_details_are_copied_as_the_text_other_programs_read(easel: Easel) -> None:
    easel.fill(prompt="a hill", steps=2, seed=5)
    easel.paint()
    easel.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    easel.page.get_by_role("button", name="Copy as text").click()
    expect(easel.page.get_by_role("button", name="Copied")).to_be_visible()
    text = easel.page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("a hill\n")
    assert "Steps: 2" in text and "Seed: 5" in text


def test_what_was_typed_is_never_read_as_markup(easel: Easel) -> None:
    easel.fill(prompt="<img src=x onerror='window.hacked=1'><b id=bold>x</b>", steps=1)
    easel.paint()
    easel.queue.click()
    expect(easel.page.locator(".details")).to_contain_text("<img src=x onerror=")
    assert easel.page.evaluate("window.hacked === undefined && !document.getElementById('bold')")


def test_the_theme_follows_the_person_and_is_remembered(easel: Easel) -> None:
    body = easel.page.locator("body")
    expect(body).to_have_class(DARK)
    easel.page.get_by_role("button", name="Light or dark").click()
    expect(body).not_to_have_class(DARK)
    easel.reload()
    expect(body).not_to_have_class(DARK)


def test_nothing_of_gradios_own_shows(easel: Easel) -> None:
    assert not easel.page.locator("footer").is_visible()
    expect(easel.page.locator(".toast-body")).to_have_count(0)
    expect(easel.page).to_have_title("Easel")


def test_an_idea_fills_the_prompt(easel: Easel) -> None:
    easel.open("empty")
    easel.page.get_by_role("button", name="a white boat on the sea", exact=True).click()
    expect(easel.prompt).to_have_value("a white boat on the sea")
    expect(easel.prompt).to_be_focused()


def test_a_studio_at_rest_leaves_the_processor_alone(easel: Easel, studio: Studio) -> None:
    web = psutil.Process(studio.process.pid)
    easel.page.wait_for_timeout(1000)

    def used() -> float:
        times = web.cpu_times()
        return times.user + times.system

    before = used()
    easel.page.wait_for_timeout(4000)
    assert used() - before < 0.2  # seconds; a twentieth of a core
