"""The mixing desk: faders move, the picture follows, and what is liked is kept."""

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from urllib.request import urlopen

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from pipelines.core.model import Family
from tests.browser.conftest import Studio
from tests.browser.easel import Easel, until
from tests.models.synthetic import networks, write_single

QUICK = "{ ...Easel.desk.state.picture, steps: 4, width: 96, height: 96 }"


class Desk:
    """The Merge tab in a browser."""

    def __init__(self, easel: Easel, studio: Studio) -> None:
        self.easel, self.page, self.studio = easel, easel.page, studio
        self.method = self.page.locator(".deskbar select").nth(0)
        self.curve = self.page.locator(".deskbar select").nth(1)
        self.name = self.page.get_by_role("textbox", name="Name of the mix")
        self.save_model = self.page.locator("#save-model")
        self.save_recipe = self.page.locator("#save-recipe")
        self.ready = self.page.locator(".preflight")
        self.kept = self.page.locator(".keeping")
        self.earlier = self.page.locator(".earlier .thumb")

    def open(self) -> None:
        if not self.page.evaluate("Easel.desk.offers"):
            self.page.evaluate(f"Easel.desk.change({{ models: ['flat', 'ink'], picture: {QUICK} }})")
        self.page.get_by_role("tab", name="Merge").click()
        expect(self.fader("IN00")).to_be_visible()
        self.rest()

    def reload(self) -> None:
        self.easel.reload()
        self.open()

    def fader(self, block: str) -> Locator:
        return self.page.get_by_role("slider", name=block, exact=True)

    def values(self) -> dict[str, float]:
        """By block, as the faders stand."""
        faders = self.page.locator(".fader input[type=range]").all()
        return {str(one.get_attribute("aria-label")): float(one.input_value()) for one in faders}

    def rest(self) -> None:
        """Until the picture is that of the mix on the desk."""
        self.page.wait_for_timeout(250)  # a change counts when it has come to rest
        until(self.page, "Easel.mixing.shown && !Easel.mixing.live && Easel.mixing.isPresent(Easel.mixing.shown)")

    def picture(self) -> np.ndarray:
        """The pixels of the preview."""
        return pixels(self.studio, self.page.evaluate("Easel.mixing.shown.url"))

    def alone(self, model: str) -> np.ndarray:
        """What a model alone paints with these settings: the picture in the corner."""
        wait = f"Easel.mixing.reference({model!r})"
        until(self.page, wait)
        return pixels(self.studio, self.page.evaluate(f"{wait}.url"))

    def state(self) -> dict[str, Any]:
        held: dict[str, Any] = self.page.evaluate("Easel.desk.state")
        return held


def pixels(studio: Studio, path: str) -> np.ndarray:
    with urlopen(studio.url + path.lstrip("/")) as answer:
        return np.asarray(Image.open(BytesIO(answer.read())).convert("RGB")).astype(int)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def workers(studio: Studio) -> list[psutil.Process]:
    """The processes that paint and mix."""
    found = []
    for child in psutil.Process(studio.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def drag(page: Page, fader: Locator, *, to: float) -> None:
    """With the mouse, from the middle of the track to a share of its way."""
    box = fader.bounding_box()
    assert box
    x = box["x"] + box["width"] / 2
    page.mouse.move(x, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 6 + (1 - to) * (box["height"] - 12), steps=5)
    page.mouse.up()


STATES = {
    "empty": ("Choose model B, and the mix is painted here.", "Choose model B"),
    "loading": ("Loading flat", "Ready"),
    "running": ("Step 12 of 20", "Ready"),
    "done": ("3.1 s", "Ready"),
    "error": ("Memory ran out while the two models were mixed", "Ready"),
    "disabled": ("3.1 s", "The worker cannot start; close other programs"),
}


@pytest.fixture
def desk(easel: Easel, studio: Studio) -> Iterator[Desk]:
    """The tab, opened; what is kept there is thrown away afterwards."""
    made = Desk(easel, studio)
    made.open()
    yield made
    for file in (studio.data / "models").iterdir():
        file.unlink()


def test_the_picture_follows_a_fader_towards_b(desk: Desk) -> None:
    desk.curve.select_option("ALL_A")
    desk.rest()
    flat, ink = desk.alone("flat"), desk.alone("ink")
    assert apart(desk.picture(), flat) == 0
    drag(desk.page, desk.fader("OUT08"), to=1.0)
    assert desk.values()["OUT08"] == 1.0
    desk.rest()
    moved = desk.picture()
    assert apart(moved, flat) > 0
    for block in ("OUT09", "OUT10", "OUT11"):
        drag(desk.page, desk.fader(block), to=1.0)
    desk.rest()
    assert apart(desk.picture(), flat) > apart(moved, flat)
    desk.curve.select_option("ALL_B")
    desk.rest()
    assert apart(desk.picture(), ink) == 0


def test_a_fader_moves_by_the_keyboard_and_what_it_does_can_be_undone(desk: Desk) -> None:
    fader = desk.fader("M00")
    fader.focus()
    for key, value in (("ArrowUp", 0.51), ("PageUp", 0.61), ("ArrowDown", 0.6), ("Shift+ArrowUp", 0.601)):
        fader.press(key)
        assert desk.state()["blocks"]["alpha"][13] == pytest.approx(value)
    expect(fader).to_have_attribute("aria-valuetext", "0.60")
    before = desk.picture()
    desk.rest()
    assert apart(desk.picture(), before) > 0
    desk.page.keyboard.press("Control+z")
    assert desk.state()["blocks"] == {}
    desk.page.keyboard.press("Control+Shift+z")
    assert desk.state()["blocks"]["alpha"][13] == pytest.approx(0.601)
    desk.page.get_by_role("button", name="Undo").click()
    desk.rest()
    assert apart(desk.picture(), before) == 0


def test_a_drag_across_several_draws_their_curve(desk: Desk) -> None:
    first, last = (desk.fader(name).bounding_box() for name in ("IN02", "IN09"))
    assert first and last
    mouse = desk.page.mouse
    mouse.move(first["x"] + 12, first["y"] + 6)
    mouse.down()
    mouse.move(last["x"] + 12, last["y"] + last["height"] - 6, steps=3)  # quicker than the faders lie
    mouse.up()
    drawn = [desk.values()[f"IN{n:02}"] for n in range(2, 10)]
    assert drawn[0] == 1 and drawn[-1] == 0 and drawn == sorted(drawn, reverse=True) and len(set(drawn)) == 8
    assert desk.values()["IN01"] == desk.values()["IN10"] == 0.5
    desk.page.get_by_role("button", name="Undo").click()
    assert set(desk.values().values()) == {0.5}, "a drag is one step"


def test_a_number_can_be_typed_and_nonsense_changes_nothing(desk: Desk) -> None:
    box = desk.page.get_by_role("textbox", name="IN05, value")
    box.fill("0,25")
    box.press("Enter")
    assert desk.values()["IN05"] == 0.25
    box.fill("much")
    box.press("Tab")
    expect(box).to_have_value("0.25")
    fader = desk.fader("IN06")
    fader.press("Enter")
    desk.page.keyboard.type("0.75")
    desk.page.keyboard.press("Enter")
    expect(fader).to_be_focused()
    fader.press("Enter")
    desk.page.keyboard.type("0.1")
    desk.page.keyboard.press("Escape")
    expect(fader).to_be_focused()
    assert desk.values()["IN06"] == 0.75


def test_a_curve_is_kept_under_a_name_and_deleted(desk: Desk) -> None:
    desk.curve.select_option("GRAD_V")
    drag(desk.page, desk.fader("BASE"), to=1.0)
    page = desk.page
    page.get_by_role("button", name="Keep this curve under a name").click()
    page.get_by_role("textbox", name="Name of the preset").fill("grad_v")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".naming .reason")).to_contain_text("ships with Easel; choose another name")
    page.get_by_role("textbox", name="Name of the preset").fill("My valley")
    page.keyboard.press("Enter")
    expect(desk.curve).to_have_value("My valley")
    desk.reload()
    expect(desk.curve).to_have_value("My valley")
    page.get_by_role("button", name="Delete this curve").click()
    expect(desk.curve).to_have_value("")
    assert desk.values()["BASE"] == 1.0, "the faders stay"


def test_all_weights_at_once(desk: Desk) -> None:
    page = desk.page
    desk.curve.select_option("COSINE")
    before = desk.state()["blocks"]["alpha"]
    page.get_by_role("button", name="All weights").click()
    menu = page.get_by_role("dialog", name="All weights")
    menu.get_by_role("button", name="Invert").click()
    assert desk.state()["blocks"]["alpha"] == pytest.approx([1 - value for value in before], abs=1e-4)
    menu.get_by_role("button", name="Mirror").click()
    assert desk.state()["blocks"]["alpha"][1:] == pytest.approx([1 - value for value in before[:0:-1]], abs=1e-4)
    numbers = menu.get_by_role("textbox", name="As numbers")
    numbers.fill("0.1, 0.2")
    menu.get_by_role("button", name="Use these").click()
    expect(menu).to_contain_text("There are 2 numbers; give 26.")
    numbers.fill(", ".join(["0.3"] * 25))
    menu.get_by_role("button", name="Use these").click()
    assert desk.state()["blocks"]["alpha"][1:] == [0.3] * 25
    rules = menu.get_by_role("textbox", name="Single parts")
    rules.fill("IN99::1")
    expect(menu).to_contain_text("IN99")
    assert desk.state()["elemental"] == ""
    rules.fill("OUT03-OUT05:attn:1")
    expect(menu).to_contain_text("Rules: 1.")
    desk.rest()
    assert desk.state()["elemental"] == "OUT03-OUT05:attn:1"


def test_a_mix_is_kept_as_a_file_and_as_a_recipe_and_both_paint_what_was_shown(desk: Desk) -> None:
    desk.curve.select_option("SMOOTHSTEP")
    desk.rest()
    shown, request = desk.picture(), desk.page.evaluate("Easel.mixing.shown.request")
    expect(desk.ready).to_contain_text("Ready")
    desk.name.fill("soft")
    desk.save_model.dblclick()  # as some do; it is one save
    expect(desk.kept).to_contain_text("soft is among your models.")
    expect(desk.ready).to_contain_text("Ready")
    expect(desk.name).to_have_value("")
    for taken, told in (("Soft", "There is already a soft.safetensors"), ("flat", "There is already a model flat")):
        desk.name.fill(taken)
        expect(desk.ready).to_contain_text(f"{told}; choose another name")
        expect(desk.save_model).to_be_disabled()
    desk.name.fill("soft recipe")
    desk.save_recipe.click()
    expect(desk.kept).to_contain_text("soft recipe is among your models.")
    for name in ("soft", "soft recipe"):
        picture = {**request["picture"], "model": name}
        job = desk.page.request.post(f"{desk.studio.url}api/jobs", data=picture).json()["id"]
        desk.studio.wait_until_idle()
        made = desk.studio.get(f"api/jobs/{job}")
        row = desk.studio.get(f"api/images/{made['pictures'][0]}/facts")
        assert np.abs(pixels(desk.studio, row["url"]) - shown).max() <= 1, name


def test_a_save_goes_on_while_the_page_is_loaded_anew(desk: Desk, studio: Studio) -> None:
    desk.method.select_option("rotate")  # takes a while
    desk.rest()
    desk.name.fill("patience")
    desk.save_model.click()
    expect(desk.kept).to_be_visible()
    desk.easel.reload()  # it opens where it was
    expect(desk.kept).to_contain_text("patience is among your models.")
    assert (studio.data / "models" / "patience.safetensors").is_file()


def test_a_disk_that_ends_half_way_is_said_and_leaves_nothing(desk: Desk, studio: Studio) -> None:
    before = desk.state()
    [worker] = workers(studio)
    limits = worker.rlimit(psutil.RLIMIT_FSIZE)
    worker.rlimit(psutil.RLIMIT_FSIZE, (1 << 20, limits[1]))
    desk.name.fill("too much")
    desk.save_model.click()
    expect(desk.kept).to_contain_text("too much.safetensors could not be saved; choose a folder on another disk")
    assert not list((studio.data / "models").iterdir())
    assert desk.state() == before | {"name": "too much"}
    worker.rlimit(psutil.RLIMIT_FSIZE, limits)
    desk.save_model.click()
    expect(desk.kept).to_contain_text("too much is among your models.")


def test_models_of_two_families_are_refused_before_anything_is_mixed(desk: Desk, studio: Studio) -> None:
    write_single(studio.data / "models" / "grand.safetensors", networks(Family.SDXL, small=True), torch.float16)
    desk.page.get_by_role("tab", name="Models").click()
    expect(desk.page.locator(".card", has_text="grand")).to_be_visible()
    desk.page.get_by_role("tab", name="Merge").click()
    desk.page.locator("#desk-model-1 .pick").click()
    desk.page.get_by_role("option", name="grand").click()
    for line in (desk.ready, desk.page.locator(".refusal"), desk.page.locator(".desk-foot .reason")):
        expect(line).to_contain_text("SDXL")
    expect(desk.save_model).to_be_disabled()


def test_the_desk_is_as_it_was_after_a_reload(desk: Desk) -> None:
    desk.method.select_option("similarity_add_difference")
    desk.method.select_option("weighted_sum")
    drag(desk.page, desk.fader("IN07"), to=0.9)
    desk.page.get_by_role("textbox", name="Prompt").fill("a white boat on the sea")
    desk.rest()
    before, picture, count = desk.state(), desk.picture(), desk.earlier.count()
    desk.reload()
    assert desk.state() == before
    assert apart(desk.picture(), picture) == 0
    expect(desk.earlier).to_have_count(count)


def test_an_earlier_mix_comes_back_with_all_its_settings(desk: Desk) -> None:
    desk.curve.select_option("GRAD_A")
    desk.rest()
    before, picture = desk.values(), desk.picture()
    desk.curve.select_option("FLAT_75")
    desk.rest()
    desk.earlier.nth(1).click()
    assert desk.values() == before
    desk.rest()
    assert apart(desk.picture(), picture) == 0


def test_two_settings_stand_side_by_side(desk: Desk) -> None:
    slots = desk.page.get_by_role("group", name="Two settings side by side")
    desk.curve.select_option("ALL_B")
    desk.rest()
    slots.get_by_role("button", name="2").click()
    desk.curve.select_option("ALL_A")
    slots.get_by_role("button", name="1").click()
    expect(desk.curve).to_have_value("ALL_B")
    slots.get_by_role("button", name="2").click()
    expect(desk.curve).to_have_value("ALL_A")
    desk.rest()
    jobs = desk.page.evaluate("Easel.mixing.earlier.length")
    slots.get_by_role("button", name="1").click()
    desk.rest()  # painted before: it is there at once
    assert desk.page.evaluate("Easel.mixing.earlier.length") == jobs
    desk.page.keyboard.press("Control+z")  # of this setting alone
    slots.get_by_role("button", name="2").click()
    expect(desk.curve).to_have_value("ALL_A")


def test_a_method_draws_its_own_faders_settings_and_models(desk: Desk) -> None:
    page = desk.page
    desk.method.select_option("sum_twice")
    expect(page.locator(".mslot")).to_have_count(3)
    expect(page.get_by_role("slider", name="IN00 Beta")).to_be_visible()
    expect(desk.ready).to_contain_text("Choose model C")
    expect(desk.save_model).to_be_disabled()
    page.locator("#desk-model-2 .pick").click()
    page.get_by_role("option", name="ink").click()
    desk.rest()
    expect(desk.ready).to_contain_text("Ready")
    desk.method.select_option("ties")
    expect(page.get_by_role("textbox", name="Density")).to_have_value("0.5")
    page.get_by_role("textbox", name="Density").fill("0.9")
    page.get_by_role("textbox", name="Density").press("Enter")
    desk.rest()
    assert page.evaluate("Easel.mixing.shown.request.mixture.mix.parameters.density") == 0.9


def test_loras_go_into_the_mix(desk: Desk) -> None:
    before = desk.picture()
    desk.page.get_by_text("LoRAs in the mix · none").click()
    desk.page.locator("#desk-add-lora .pick").click()
    desk.page.get_by_role("option", name="snowfall").click()
    desk.rest()
    assert apart(desk.picture(), before) > 0
    expect(desk.page.get_by_text("LoRAs in the mix · snowfall")).to_be_visible()
    row = desk.page.locator(".desk-loras li")
    expect(row).to_contain_text("Fits: all")
    snowing, blocks = desk.picture(), row.get_by_role("textbox", name="Block weights of snowfall")
    blocks.fill("1, 0")
    blocks.press("Enter")
    expect(row).to_contain_text("2 numbers are no block weights of a LoRA; give 12, 17, 20 or 26")
    assert apart(desk.picture(), snowing) == 0
    blocks.fill("ring08_5")
    blocks.press("Enter")
    desk.rest()
    assert len(desk.state()["loras"][0]["blocks"]) == 26 and apart(desk.picture(), snowing) > 0
    desk.page.get_by_role("button", name="Take snowfall out").click()
    desk.rest()
    assert apart(desk.picture(), before) == 0


def test_loras_are_made_on_the_desk(desk: Desk) -> None:
    page = desk.page
    page.get_by_text("LoRAs in the mix · none").click()
    page.get_by_text("Make a LoRA").click()
    maker = page.locator(".lora-maker")
    maker.get_by_role("button", name="Extract B beyond A").click()
    expect(maker).to_contain_text("Name it first.")
    maker.get_by_role("textbox", name="Name of the LoRA").fill("inkiness")
    maker.get_by_role("button", name="Extract B beyond A").click()
    expect(maker).to_contain_text("Nothing says how large the LoRA may be; give a rank or an energy")
    maker.get_by_role("spinbutton", name="Rank").fill("4")
    maker.get_by_role("button", name="Extract B beyond A").click()
    expect(maker).to_contain_text("inkiness is among your models.")
    for name in ("inkiness", "glow"):
        page.locator("#desk-add-lora .pick").click()
        page.get_by_role("option", name=name).click()
    maker.get_by_role("textbox", name="Name of the LoRA").fill("both")
    maker.get_by_role("spinbutton", name="Rank").fill("")
    maker.get_by_role("button", name="Add these up").click()
    expect(maker).to_contain_text("both is among your models.")
    until(page, "Easel.models.list.some(one => one.name === 'both')")
    maker.get_by_role("button", name="Try it: A with this LoRA").click()
    expect(desk.method).to_have_value("keep")
    assert [one["name"] for one in desk.state()["loras"]] == ["both"]
    made = {row["name"]: row for row in desk.studio.get("api/models") if row["kind"] == "lora"}
    assert made["inkiness"]["detail"] == "LoRA, rank 4" and "rank" in made["both"]["detail"]
    desk.rest()


def test_a_model_that_goes_is_said_and_nothing_on_the_desk_is_lost(desk: Desk, studio: Studio) -> None:
    folder = studio.data / "models"
    desk.name.fill("short lived")
    desk.save_model.click()
    expect(desk.kept).to_contain_text("is among your models")
    desk.page.locator("#desk-model-1 .pick").click()
    desk.page.get_by_role("option", name="short lived").click()
    desk.rest()
    (folder / "short lived.safetensors").unlink()
    expect(desk.page.locator("#desk-model-1")).to_contain_text("is not here any more; choose another")
    drag(desk.page, desk.fader("IN03"), to=0.8)
    expect(desk.page.locator(".refusal")).to_contain_text("no model named 'short lived'")
    expect(desk.save_model).to_be_disabled()
    assert desk.values()["IN03"] == pytest.approx(0.8, abs=0.02)
    desk.page.locator("#desk-model-1 .pick").click()
    desk.page.get_by_role("option", name="ink").click()
    desk.rest()
    expect(desk.save_model).to_be_enabled()


def test_the_recipe_of_a_model_and_of_a_picture_comes_back_to_the_desk(desk: Desk, easel: Easel) -> None:
    page = desk.page
    desk.curve.select_option("GRAD_A")
    desk.name.fill("child")
    desk.save_model.click()
    expect(desk.kept).to_contain_text("child is among your models.")
    weights = desk.state()["blocks"]["alpha"]
    page.get_by_role("tab", name="Models").click()
    page.locator(".card", has_text="child").click()
    tree = page.get_by_role("region", name="Where it comes from")
    expect(tree).to_contain_text("childWeighted sumflatink")
    page.evaluate("Easel.desk.change({ blocks: {}, models: ['ink', 'flat'] })")
    page.get_by_role("button", name="Open on the desk").click()
    expect(desk.curve).to_have_value("GRAD_A")
    assert (desk.state()["models"], desk.state()["blocks"]["alpha"]) == (["flat", "ink"], weights)
    page.evaluate("Easel.desk.change({ blocks: {} })")
    page.get_by_role("tab", name="Generate").click()
    easel.pick("model", "child")
    easel.prompt.fill("a red house")
    easel.paint()
    page.get_by_role("button", name="Open on the desk").click()
    expect(desk.curve).to_have_value("GRAD_A")
    assert desk.state()["picture"]["prompt"] == "a red house"
    desk.rest()


@pytest.mark.parametrize(("width", "height", "scheme"), [(1440, 900, "dark"), (1280, 720, "light"), (390, 844, "dark")])
def test_it_fits_the_window_and_every_control_has_a_name(
    width: int, height: int, scheme: Literal["dark", "light"], desk: Desk, shots: Path
) -> None:
    page = desk.page
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    desk.curve.select_option("COSINE")
    desk.alone("ink")
    desk.rest()
    page.screenshot(path=shots / f"desk-{width}-{scheme}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width > 760:
        assert page.evaluate("document.documentElement.scrollHeight") <= height
    box = desk.save_model.bounding_box()
    assert box and box["y"] + box["height"] <= height and box["x"] + box["width"] <= width
    page.get_by_text("LoRAs in the mix · none").click()
    page.get_by_text("More · VAE of A").click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('.deskpage :is(button, input, textarea, select, a[href], summary)')]
            .filter(node => node.offsetParent && !(node.getAttribute('aria-label') || node.textContent.trim()
                || node.labels?.length && [...node.labels].some(label => label.innerText.trim())))
            .map(node => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


def test_a_worker_that_dies_while_a_mix_is_painted_costs_no_setting(desk: Desk, studio: Studio) -> None:
    page = desk.page
    page.evaluate("Easel.desk.change({ picture: { ...Easel.desk.state.picture, steps: 60 } })")
    drag(page, desk.fader("OUT03"), to=1.0)
    until(page, "Easel.mixing.live?.share > 0.1")
    before = desk.state()
    for worker in workers(studio):
        worker.kill()
    desk.rest()
    assert desk.state() == before


class TestSheets:
    def begin(self, desk: Desk, press: str) -> Locator:
        desk.page.get_by_role("button", name="Sheets").click()
        desk.page.get_by_role("dialog", name="Sheets").get_by_role("button", name=press).click()
        sheet = desk.page.get_by_role("region", name="Block sheet")
        expect(sheet).to_be_visible()
        return sheet

    def test_a_block_sheet_fills_is_stopped_half_way_and_keeps_what_it_has(self, desk: Desk) -> None:
        sheet = self.begin(desk, "One picture for each block")
        expect(sheet.locator(".cell")).to_have_count(26)
        expect(sheet.locator("button.cell").nth(2)).to_be_visible()
        sheet.get_by_role("button", name="Stop").click()
        expect(sheet.get_by_role("button", name="Stop")).to_be_hidden()
        made = sheet.locator("button.cell").count()
        assert 3 <= made < 26
        desk.reload()
        expect(sheet.locator("button.cell")).to_have_count(made)
        link = sheet.get_by_role("link", name="Save as picture").get_attribute("href")
        assert link
        with urlopen(link) as answer:
            picture = Image.open(BytesIO(answer.read()))
        assert picture.width > 26 * 100
        sheet.get_by_role("button", name="IN01").click()
        expect(sheet).to_be_hidden()
        assert [name for name, value in desk.values().items() if value] == ["IN01"]
        desk.rest()

    def test_a_grid_over_two_things_is_of_exactly_these(self, desk: Desk) -> None:
        page = desk.page
        page.get_by_role("button", name="Sheets").click()
        menu = page.get_by_role("dialog", name="Sheets")
        values = menu.get_by_role("textbox", name="Values")
        values.nth(0).fill("0, half")
        menu.get_by_role("button", name="Paint the grid").click()
        expect(menu).to_contain_text("half is no number")
        values.nth(0).fill("0, 1")
        menu.get_by_role("combobox", name="Down").select_option("seed")
        values.nth(1).fill("7, 8, 9")
        menu.get_by_role("button", name="Paint the grid").click()
        sheet = page.locator(".sheet:not(.finding)")
        expect(sheet.locator("button.cell")).to_have_count(6)
        sheet.get_by_role("button", name="B 1, Seed 9").click()
        assert set(desk.values().values()) == {1.0} and desk.state()["picture"]["seed"] == 9
        desk.rest()
        assert apart(desk.picture(), desk.alone("ink")) == 0

    def test_a_grid_goes_over_pairs_of_models(self, desk: Desk) -> None:
        page = desk.page
        page.get_by_role("button", name="Sheets").click()
        menu = page.get_by_role("dialog", name="Sheets")
        menu.get_by_role("textbox", name="Values").nth(0).fill("0.25")
        menu.get_by_role("combobox", name="Down").select_option("models")
        values = menu.get_by_role("textbox", name="Values").nth(1)
        expect(values).to_have_value("flat + ink")
        values.fill("ink + flat\nflat")  # a name alone is that of B
        menu.get_by_role("button", name="Paint the grid").click()
        sheet = page.locator(".sheet:not(.finding)")
        expect(sheet.locator("button.cell")).to_have_count(2)
        requests = page.evaluate(
            "async job => Object.values((await Easel.ask(`api/desk/sheets/${job}`)).cells).map(c => c.request)",
            page.evaluate("Easel.memory.get('desk.sheet')"),
        )
        assert [one["mixture"]["models"] for one in requests] == [["ink", "flat"], ["flat", "flat"]]


class TestSearch:
    def begin(self, desk: Desk, judge: str) -> Locator:
        page = desk.page
        page.get_by_role("button", name="Find a mix").click()
        menu = page.get_by_role("dialog", name="Find a mix")
        menu.get_by_role("combobox", name="Who says what is better").select_option(judge)
        if judge == "likeness":
            menu.get_by_role("combobox", name="Likeness to what").select_option(label="The picture shown now")
        menu.get_by_role("button", name="Begin").click()
        return page.locator(".finding")

    def test_the_better_of_two_is_pressed_and_the_next_pair_comes(self, desk: Desk) -> None:
        finding = self.begin(desk, "person")
        new = finding.get_by_role("button", name="New: this one is better")
        expect(new).to_be_visible()
        chosen = new.locator("img").get_attribute("src")
        new.click()
        expect(finding).to_contain_text("2 tried")
        best = finding.get_by_role("button", name="Best so far")
        expect(best.locator("img")).to_have_attribute("src", chosen or "")
        expect(new).to_be_visible()
        desk.reload()
        expect(new).to_be_visible()
        finding.get_by_role("button", name="Neither is better").click()
        expect(finding).to_contain_text("3 tried")
        expect(finding.locator(".tried .thumb")).to_have_count(4)
        desk.page.keyboard.press("Escape")
        expect(finding).to_be_hidden()
        desk.page.get_by_role("button", name="Find a mix").click()
        desk.page.get_by_role("button", name="Go on with the last search").click()
        finding.get_by_role("button", name="Bring the best to the desk").click()
        expect(finding).to_be_hidden()
        assert desk.page.evaluate("Easel.mixing.shown.url").split("?")[0] == (chosen or "").split("?")[0]
        desk.rest()

    def test_a_measure_needs_no_presses_and_can_be_stopped(self, desk: Desk) -> None:
        finding = self.begin(desk, "likeness")
        expect(finding.locator(".tried .thumb").nth(3)).to_be_visible()
        finding.get_by_role("button", name="Stop").click()
        expect(finding).to_contain_text("at rest")
        tried = finding.locator(".tried .thumb").last
        began_at_the_picture_itself = (tried.get_attribute("aria-pressed"), tried.inner_text().strip())
        assert began_at_the_picture_itself == ("true", "0")


def test_every_state_has_an_address(easel: Easel, shots: Path) -> None:
    page = easel.page
    page.goto(f"{easel.url}#merge:empty")
    schemes: list[Literal["dark", "light"]] = ["dark", "light"]
    for state, (side, line) in STATES.items():
        page.evaluate(f"location.hash = 'merge:{state}'")
        expect(page.locator(".preview-part")).to_contain_text(side)
        expect(page.locator(".preflight")).to_contain_text(line)
        assert page.locator("#save-model").is_disabled() == (state in {"empty", "disabled"})
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(200)
            page.screenshot(path=shots / f"merge_{state}_{scheme}.png")
