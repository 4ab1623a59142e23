"""The Upscale tab: a picture made larger by each way, before and after compared, and nothing lost on the way."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from spandrel.architectures.Compact import Compact

from tests.browser.canvas import png, scene
from tests.browser.conftest import Studio, new_context
from tests.browser.easel import Easel, until

ENLARGER = "enlarge"
STATES = (
    "empty", "source", "loading", "running", "done", "kept", "side", "levels", "batch", "error", "disabled",
)  # fmt: skip


class Upscale:
    """The Upscale tab in a browser."""

    def __init__(self, easel: Easel, studio: Studio) -> None:
        self.easel, self.page, self.studio = easel, easel.page, studio
        self.area = self.page.locator(".upscale-area")
        self.press = self.page.locator("#upscale-run")
        self.reason = self.page.locator("#upscale-reason")
        self.line = self.page.get_by_role("slider", name="Before and after").locator("visible=true")
        self.result = self.page.locator(".hud.result")
        self.thumbs = self.page.locator(".upscalepage .thumbs .thumb")
        self.files = self.page.locator(".filelist li")

    def begin(self) -> None:
        """Nothing at hand, and all settings as they are at first."""
        self.studio.wait_until_idle()
        self.page.get_by_role("tab", name="Upscale").click()
        self.page.evaluate("Easel.upscaleFiles.clear()")
        self.change(**self.page.evaluate("Easel.upscaleDefaults"))

    def change(self, **settings: Any) -> None:
        self.page.evaluate("settings => Easel.upscaleState.change(settings)", settings)

    def choose(self, *files: tuple[str, bytes]) -> None:
        """As if they were chosen in the dialog."""
        kind = "application/octet-stream"
        chosen: Any = [{"name": name, "mimeType": kind, "buffer": content} for name, content in files]
        self.page.locator(".upscale-area input[type=file]").first.set_input_files(chosen)

    def open(self, picture: Image.Image) -> None:
        before = self.page.evaluate("Easel.upscaleState.source?.id ?? ''")
        self.choose(("picture.png", png(picture)))
        until(self.page, "before => ![before, undefined].includes(Easel.upscaleState.source?.id)", arg=before)

    def run(self) -> dict[str, Any]:
        """Press, and wait for the facts of the last result."""
        before = self.page.evaluate("Easel.upscale.results()[0]?.id ?? 0")
        expect(self.press).to_be_enabled()
        self.press.click()
        self.wait_for(f"Easel.upscale.stage().after?.id > {before} && !Easel.upscale.present()")
        return self.shown()

    def wait_for(self, what: str) -> None:
        until(self.page, what)

    def shown(self) -> dict[str, Any]:
        facts: dict[str, Any] = self.page.evaluate("Easel.upscale.stage().after")
        return facts

    def pixels(self, address: str) -> NDArray[np.int64]:
        answer = self.page.request.get(self.studio.url + address.lstrip("/"))
        with Image.open(io.BytesIO(answer.body())) as image:
            return np.array(image.convert("RGB"), np.int64)

    def at(self) -> dict[str, float]:
        place: dict[str, float] = self.page.evaluate("Easel.upscaleAt()")
        return place


@pytest.fixture(scope="module")
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    """One page for all, with a picture that was painted here."""
    context = new_context(browser)
    opened = context.new_page()
    broken: list[str] = []
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.request.post(f"{studio.url}api/models/scan")
    easel = Easel(opened, studio.url)
    easel.open()
    painted = {"kind": "generate", "model": "flat", "prompt": "a red house", "steps": 4, "width": 192, "height": 192}
    opened.request.post(f"{studio.url}api/jobs", data=painted)
    studio.wait_until_idle()  # the first job waits for the worker, which takes its time to start
    opened.wait_for_function("Easel.pictures.refresh() && Easel.pictures.list.length", polling=500)
    yield opened
    context.close()
    assert not broken, f"scripts failed: {broken[:3]}"


@pytest.fixture
def upscale(page: Page, studio: Studio) -> Upscale:
    made = Upscale(Easel(page, studio.url), studio)
    made.begin()
    return made


def from_generate(upscale: Upscale) -> dict[str, Any]:
    """The picture that was painted here, brought by its own button."""
    painted: dict[str, Any] = upscale.page.evaluate("Easel.pictures.list.find(one => one.kind === 'generate')")
    upscale.page.get_by_role("tab", name="Generate").click()
    label = upscale.page.locator(f".page .thumb[data-id='{painted['id']}']")
    label.click()
    upscale.page.locator(".stage").get_by_role("button", name="Upscale").click()
    upscale.wait_for(f"Easel.upscaleState.source?.image === {painted['id']} && Easel.upscale.stage().name === 'source'")
    return painted


WAYS: dict[str, dict[str, Any]] = {
    "resample": {"resample": "bicubic"},
    "network": {},
    "redraw": {"steps": 4, "strength": 0.5, "redraw": "lanczos"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_from_generate_is_enlarged_and_keeps_its_words(upscale: Upscale, way: str, shots: Path) -> None:
    painted = from_generate(upscale)
    upscale.page.get_by_role("group", name="How").get_by_role("button", name=way.capitalize()).click()
    upscale.change(**WAYS[way])
    upscale.page.get_by_role("group", name="Size").get_by_role("button", name="2×").click()
    expect(upscale.page.locator(".sizes")).to_have_text("192 × 192 → 384 × 384")
    made = upscale.run()
    assert (made["width"], made["height"]) == (384, 384)
    assert made["asked"]["picture"]["prompt"] == painted["request"]["prompt"]
    small = Image.fromarray(upscale.pixels(made["url"]).astype(np.uint8)).resize((192, 192), Image.Resampling.BOX)
    apart = np.abs(np.array(small, np.int64) - upscale.pixels(painted["url"])).mean()
    assert apart < (40 if way == "redraw" else 6)
    expect(upscale.result).to_contain_text("192 × 192 → 384 × 384")
    told = "Lanczos · redrawn 50 %" if way == "redraw" else "starter-x4" if way == "network" else "Bicubic"
    expect(upscale.result).to_contain_text(told)
    expect(upscale.page.locator(".costs")).to_contain_text("Memory")
    upscale.page.wait_for_timeout(300)
    upscale.page.screenshot(path=shots / f"upscale_{way}.png")


def test_of_several_noise_levels_the_best_is_kept(upscale: Upscale, shots: Path) -> None:
    upscale.open(scene(24, 16))
    upscale.change(way="diffusion", diffusion=ENLARGER, factor=4, free_steps=2, tries_several=True, levels=[0, 60])
    made = upscale.run()
    assert (made["width"], made["height"], made["asked"]["noise_levels"]) == (96, 64, [0, 60])
    labels = upscale.page.locator(".panelabels > div")
    assert labels.locator("span").all_inner_texts() == ["Noise 0", "Noise 60"]
    upscale.page.screenshot(path=shots / "upscale_tries.png")
    there = upscale.thumbs.count()
    upscale.page.get_by_role("button", name="Keep this: Noise 0").click()
    expect(upscale.result).to_contain_text("Noise 0")
    expect(upscale.thumbs).to_have_count(there - 1)
    assert upscale.page.evaluate("[Easel.upscaleState.settings.noise, Easel.upscaleState.settings.tries_several]") == [
        0, False,
    ]  # fmt: skip


def test_the_line_is_moved_by_mouse_and_keys_and_zoom_goes_to_the_pointer(upscale: Upscale) -> None:
    upscale.open(scene(120, 80))
    upscale.change(way="resample", resample="nearest", factor=4)
    upscale.run()
    box = upscale.area.bounding_box()
    assert box is not None
    upscale.line.focus()
    upscale.page.keyboard.press("Home")
    expect(upscale.line).to_have_attribute("aria-valuenow", "0")
    for key in ("PageUp", "PageUp", "ArrowRight", "ArrowLeft", "ArrowLeft"):
        upscale.page.keyboard.press(key)
    expect(upscale.line).to_have_attribute("aria-valuenow", "19")
    expect(upscale.line).to_have_attribute("aria-valuetext", "19 % before")
    knob = upscale.line.locator(".knob").bounding_box()
    assert knob is not None
    upscale.page.mouse.move(knob["x"] + 16, knob["y"] + 16)
    upscale.page.mouse.down()
    place = upscale.at()
    upscale.page.mouse.move(box["x"] + place["x"] + 0.75 * 480 * place["z"], knob["y"] + 30, steps=4)
    upscale.page.mouse.up()
    expect(upscale.line).to_have_attribute("aria-valuenow", "75")
    # What lies under the pointer stays there.
    x, y = 500, 300
    under = [(x - place["x"]) / place["z"], (y - place["y"]) / place["z"]]
    upscale.page.mouse.move(box["x"] + x, box["y"] + y)
    upscale.page.mouse.wheel(0, -500)
    upscale.page.wait_for_timeout(60)
    now = upscale.at()
    assert now["z"] > 2 * place["z"]
    assert [(x - now["x"]) / now["z"], (y - now["y"]) / now["z"]] == pytest.approx(under)
    upscale.page.mouse.down()
    upscale.page.mouse.move(box["x"] + x + 30, box["y"] + y - 20, steps=3)
    upscale.page.mouse.up()
    moved = upscale.at()
    assert (moved["x"] - now["x"], moved["y"] - now["y"]) == pytest.approx((30, -20))
    upscale.area.focus()
    upscale.page.keyboard.press("1")
    assert upscale.at()["z"] == 1
    upscale.page.keyboard.press("0")
    assert upscale.at()["z"] == pytest.approx(place["z"])


def test_side_by_side_both_show_the_same_place(upscale: Upscale) -> None:
    upscale.open(scene(300, 400))
    upscale.change(way="resample", resample="nearest", factor=1)
    upscale.run()
    upscale.page.get_by_role("button", name="Side by side").click()
    box = upscale.area.bounding_box()
    assert box is not None
    upscale.page.mouse.move(box["x"] + 600, box["y"] + 400)
    upscale.page.mouse.wheel(0, -300)
    upscale.page.wait_for_timeout(300)
    sheet = upscale.area.locator("canvas").evaluate("sheet => sheet.toDataURL().split(',')[1]")
    with Image.open(io.BytesIO(base64.b64decode(sheet))) as image:
        drawn = np.array(image.convert("RGB"), np.int64)
    half = drawn.shape[1] // 2
    assert drawn[:, :half].std() > 20
    assert np.abs(drawn[:, :half] - drawn[:, half : 2 * half]).max() <= 1
    upscale.page.get_by_role("button", name="Before / after").click()


def test_a_reload_in_the_middle_finds_the_job_and_a_stop_keeps_what_is_finished(upscale: Upscale, shots: Path) -> None:
    upscale.open(scene(360, 300))
    upscale.change(factor=4, tile=96)
    upscale.press.click()
    upscale.wait_for("Easel.upscale.stage().view?.share > 0.15")
    job = upscale.page.evaluate("Easel.upscale.present().job")
    upscale.easel.reload()
    upscale.wait_for("Easel.upscale.stage().name === 'running' && Easel.upscale.stage().before")
    assert upscale.page.evaluate("Easel.upscale.present().job") == job
    expect(upscale.page.locator(".upscale-area .hud").first).to_contain_text(re.compile(r"Tile \d+ of \d+"))
    upscale.area.focus()
    upscale.page.keyboard.press("Escape")
    expect(upscale.result).to_contain_text(re.compile(r"Stopped at \d+ %; this much is kept"))
    kept = upscale.shown()
    assert (kept["width"], kept["height"]) == (1440, 1200)
    expect(upscale.page.get_by_text("From here on plainly enlarged")).to_be_visible()
    upscale.page.wait_for_timeout(300)
    upscale.page.screenshot(path=shots / "upscale_kept.png")
    upscale.easel.reload()
    upscale.wait_for(f"Easel.upscale.stage().after?.id === {kept['id']}")


SLOW_ANSWERS = """() => {
    const real = window.fetch;
    window.undo = () => { window.fetch = real; };
    window.fetch = async (...asked) => {
        const answer = await real(...asked);
        const path = new URL(asked[0], document.baseURI).pathname;
        const waits = [[/facts$/, 1600], [/api.jobs$/, 200], [/api.jobs./, 800], [/^/, 0]];
        const [, wait] = waits.find(([of]) => of.test(path));
        await new Promise(done => setTimeout(done, wait));
        return answer;
    };
}"""


def test_an_answer_that_comes_late_does_not_hide_that_the_job_has_ended(upscale: Upscale) -> None:
    upscale.open(scene(60, 40))
    upscale.change(way="resample", resample="nearest", factor=2)
    upscale.page.evaluate(SLOW_ANSWERS)
    try:
        assert upscale.run()["width"] == 120
        upscale.choose(("a.png", png(scene(40, 60))), ("b.png", png(scene(60, 40))))
        expect(upscale.press).to_have_text(re.compile("Upscale 2 pictures"))
        upscale.press.click()
        expect(upscale.page.locator(".files header")).to_contain_text("2 of 2 done")
    finally:
        upscale.page.evaluate("window.undo()")


def test_of_several_files_a_broken_one_is_named_and_the_others_go_on(upscale: Upscale, shots: Path) -> None:
    upscale.choose(("b.png", png(scene(60, 40))), ("a.png", png(scene(40, 60))), ("broken.png", b"no picture"))
    expect(upscale.files).to_have_count(3)
    expect(upscale.files.filter(has_text="broken.png")).to_contain_text("The picture is damaged")
    upscale.change(way="resample", factor=2)
    expect(upscale.press).to_have_text(re.compile("Upscale 2 pictures"))
    expect(upscale.files.first).to_contain_text("40 × 60 → 80 × 120")
    upscale.press.click()
    for name in ("a.png", "b.png"):
        expect(upscale.files.filter(has_text=name)).to_contain_text("Done")
    expect(upscale.page.locator(".files header")).to_contain_text("2 of 3 done · 1 cannot be used")
    upscale.files.first.get_by_role("button").click()
    upscale.wait_for("Easel.upscale.stage().after?.width === 80")
    expect(upscale.line).to_be_visible()
    upscale.page.screenshot(path=shots / "upscale_files.png")


def test_a_network_that_came_as_a_pickle_is_converted_and_enlarges(upscale: Upscale, shots: Path) -> None:
    folder = upscale.studio.data / "models"
    weights = Compact(num_feat=8, num_conv=2, upscale=2).state_dict()
    torch.save({"params": weights}, folder / "2x-handed-on.pth")
    upscale.page.request.post(f"{upscale.studio.url}api/models/scan")
    upscale.open(scene(60, 40))
    row = upscale.page.locator(".pickle")
    expect(row).to_contain_text("2x-handed-on is a pickle")
    upscale.page.screenshot(path=shots / "upscale_pickle.png")
    row.get_by_role("button", name="Convert").click()
    expect(upscale.page.locator("#upscale-network")).to_contain_text("2x-handed-on-safe")
    expect(row).to_have_count(0)
    upscale.change(factor=2)
    made = upscale.run()
    assert (made["width"], made["height"], made["asked"]["upscaler"]) == (120, 80, "2x-handed-on-safe")
    torch.save({"weight": torch.ones(4)}, folder / "something else.pth")
    upscale.page.request.post(f"{upscale.studio.url}api/models/scan")
    row.get_by_role("button", name="Convert").click()
    expect(upscale.page.locator(".upscale-area .problem")).to_contain_text("something else holds no upscaler")
    expect(row).to_have_count(0)
    for file in (*folder.glob("2x-handed-on*"), *folder.glob("something else*")):
        file.unlink()


def test_what_cannot_be_is_said_beside_the_press(upscale: Upscale) -> None:
    upscale.open(scene(2100, 4))
    upscale.change(factor=16, is_own=True)
    expect(upscale.reason).to_contain_text("2100 x 4 would become 33600 x 64")
    expect(upscale.press).to_be_disabled()
    upscale.page.get_by_role("button", name="2×").click()
    expect(upscale.press).to_be_enabled()


def test_of_a_huge_result_only_what_is_looked_at_is_sent(upscale: Upscale) -> None:
    asked: list[str] = []
    upscale.page.on("request", lambda request: asked.append(request.url.removeprefix(upscale.studio.url)))
    upscale.open(Image.new("RGB", (1100, 1000), "teal"))
    upscale.change(way="resample", resample="nearest", factor=4)
    made = upscale.run()
    path = f"api/images/{made['id']}"
    upscale.wait_for("Easel.upscale.stage().name === 'done'")
    upscale.page.wait_for_timeout(300)
    upscale.area.focus()
    with upscale.page.expect_request(lambda request: f"{path}/look" in request.url and "box=" in request.url):
        upscale.page.keyboard.press("1")
    upscale.page.wait_for_timeout(300)
    assert any(url.startswith(f"{path}/look?width=2048") for url in asked)
    assert not any(re.match(f"{path}(\\?|$)", url) for url in asked)


def test_every_state_has_an_address_and_fits_the_window(upscale: Upscale, shots: Path) -> None:
    page = upscale.page
    for name, width, height in (("desktop", 1280, 720), ("phone", 390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        for state in STATES:
            page.evaluate("state => { location.hash = `#upscale:${state}`; }", state)
            page.wait_for_timeout(120)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            press = upscale.press.bounding_box()
            assert press is not None
            assert height / 2 < press["y"] < press["y"] + press["height"] <= height
            assert upscale.press.is_disabled() == (state in {"empty", "disabled"})
            nameless = page.evaluate(
                """() => [...document.querySelectorAll('.upscalepage :is(button, input, textarea, a[href])')]
                    .filter(node => node.offsetParent && !(node.getAttribute('aria-label') || node.textContent.trim()
                        || [...(node.labels ?? [])].some(label => label.textContent.trim())))
                    .map(node => node.outerHTML.slice(0, 120))"""
            )
            assert nameless == []
            page.screenshot(path=shots / f"upscale_{name}_{state}.png")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.evaluate("location.hash = '#upscale'")
