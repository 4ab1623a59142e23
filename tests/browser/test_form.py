"""The settings column: nothing typed is lost, what is wrong is shown, and every setting comes back."""

import shutil

from playwright.sync_api import expect

from pipelines.core.presets import STARTER_MODELS
from tests.browser.conftest import Studio
from tests.browser.easel import Easel, until


def test_the_form_survives_a_reload(easel: Easel) -> None:
    easel.unfold()
    easel.fill(prompt="a <b>tower</b> & a moon", negative_prompt="blurry", steps=33, cfg="6.5", seed=42)
    easel.fill(width=96, height=160, clip_skip=2, batch_size=2, preview_every=3)
    easel.set_count(4)
    easel.choice("sampler").select_option("Heun")
    until(easel.page, "Easel.form.values.sampler === 'heun'")
    before = easel.values()
    easel.reload()
    until(easel.page, "Easel.form.values.steps === 33")
    assert easel.values() == before
    assert before | {"cfg": 6.5, "seed": 42, "fresh_seed": False, "width": 96, "count": 4, "clip_skip": 2} == before
    assert easel.prompt.input_value() == "a <b>tower</b> & a moon"
    expect(easel.fold).to_contain_text("CLIP skip 2, 2 at once, preview every 3 steps")
    expect(easel.generate).to_contain_text("Generate 4")


def test_text_that_is_no_number_stays_and_is_outlined(easel: Easel) -> None:
    easel.fill(prompt="a hill", steps="twenty")
    easel.generate.click()
    expect(easel.problem).to_contain_text("Steps 'twenty' is not a whole number")
    expect(easel.problem).to_contain_text("Use 1 to 1000.")
    assert easel.at_fault() == ["steps"]
    assert easel.field("steps").input_value() == "twenty"
    expect(easel.field("steps")).to_have_attribute("aria-invalid", "true")
    easel.fill(steps=2)
    assert easel.at_fault() == []


def test_a_size_that_cannot_be_is_shown_in_its_fold_and_repaired_by_a_button(easel: Easel) -> None:
    easel.unfold()
    easel.fill(prompt="a hill", steps=2, width=100)
    easel.fold.click()
    easel.generate.click()
    expect(easel.problem).to_contain_text("Width 100 is not a multiple of 8")
    expect(easel.field("width")).to_be_visible()
    expect(easel.page.locator("#field-width.at-fault")).to_be_visible()
    with easel.painting():
        easel.problem.get_by_role("button", name="Use 104").click()
    assert easel.values()["width"] == 104
    assert easel.at_fault() == []


def test_a_prompt_of_a_pasted_book_is_refused_and_kept(easel: Easel) -> None:
    book = "word " * 30_000
    easel.prompt.fill(book)
    easel.generate.click()
    expect(easel.problem).to_contain_text("shorten it to 20,000 characters", ignore_case=True)
    assert easel.prompt.input_value() == book
    assert easel.at_fault() == ["prompt"]


def test_choosing_a_sampler_narrows_the_schedules(easel: Easel) -> None:
    schedule = easel.choice("schedule")
    schedule.select_option("Karras")
    easel.choice("sampler").select_option("DDIM")
    until(easel.page, "Easel.form.values.schedule === 'automatic'")
    expect(schedule.locator("option")).to_have_text(["Automatic", "Normal", "SGM Uniform"])
    expect(schedule.locator("option:checked")).to_have_text("Automatic")


def test_a_choice_that_is_not_offered_stays_and_is_outlined(easel: Easel) -> None:
    easel.page.evaluate("Easel.form.fill({ prompt: 'a hill', sampler: 'eular', steps: 1 })")
    expect(easel.choice("sampler").locator("option:checked")).to_have_text("eular")
    easel.generate.click()
    expect(easel.problem).to_contain_text("There is no sampler named 'eular'")
    assert easel.at_fault() == ["sampler"]
    easel.choice("sampler").select_option("Euler")
    expect(easel.choice("sampler").locator("option", has_text="eular")).to_have_count(0)
    assert easel.at_fault() == []
    easel.paint()


def test_the_slider_and_its_number_agree_and_the_number_may_go_further(easel: Easel) -> None:
    slider = easel.page.get_by_role("slider", name="Steps")
    slider.fill("41")
    assert easel.field("steps").input_value() == "41"
    easel.fill(steps=400)
    assert easel.page.evaluate("Easel.form.values.steps") == 400
    assert slider.input_value() == "60"
    easel.field("steps").press("ArrowDown")
    assert easel.values()["steps"] == 399


def test_a_shape_sets_the_size_and_a_size_finds_its_shape(easel: Easel) -> None:
    shape = easel.page.get_by_role("group", name="Size").get_by_role("button", name="3:2")
    shape.click()
    expect(shape).to_have_attribute("aria-pressed", "true")
    size = easel.values()
    assert size["width"] > size["height"]
    easel.unfold()
    assert easel.field("width").input_value() == str(size["width"])
    easel.fill(width=64)
    expect(shape).to_have_attribute("aria-pressed", "false")


def test_presets_fill_the_form_and_own_ones_are_kept_replaced_and_deleted(easel: Easel) -> None:
    picker = easel.page.get_by_role("combobox", name="Preset")
    picker.select_option("Exact classic")
    until(easel.page, "Easel.form.values.sampler === 'ddim'")
    assert easel.values()["cfg"] == 7.5
    easel.fill(steps=23)
    expect(picker.locator("option:checked")).to_have_text("Own settings")

    easel.page.get_by_role("button", name="Save these settings").click()
    easel.page.get_by_role("textbox", name="Name of the preset").fill("Mine & <yours>")
    easel.page.keyboard.press("Enter")
    refusal = easel.page.locator(".presets .reason")
    expect(refusal).to_be_visible()  # a name with < is refused, in words, and stays to be corrected
    expect(easel.page.get_by_role("textbox", name="Name of the preset")).to_have_value("Mine & <yours>")
    easel.page.get_by_role("textbox", name="Name of the preset").fill("Mine")
    expect(refusal).to_be_hidden()
    easel.page.keyboard.press("Enter")
    expect(picker.locator("option:checked")).to_have_text("Mine")
    easel.reload()
    expect(picker.locator("option:checked")).to_have_text("Mine")

    easel.fill(steps=24)
    easel.page.get_by_role("button", name="Save these settings").click()
    expect(easel.page.get_by_role("textbox", name="Name of the preset")).to_have_value("Mine")
    easel.page.get_by_role("textbox", name="Name of the preset").fill("mine")
    easel.page.get_by_role("button", name="Replace").click()
    expect(picker.locator("option:checked")).to_have_text("Mine")
    easel.page.get_by_role("button", name="Delete this preset").click()
    easel.page.evaluate("Easel.form.fill({ steps: 25 })")  # another setting meanwhile: the question stays about Mine
    expect(easel.field("steps")).to_have_value("25")
    easel.page.get_by_role("button", name="Delete", exact=True).click()
    expect(picker.locator("option", has_text="Mine")).to_have_count(0)


def test_a_preset_that_equals_another_can_be_chosen_and_deleted(easel: Easel) -> None:
    picker = easel.page.get_by_role("combobox", name="Preset")
    picker.select_option("Exact classic")
    until(easel.page, "Easel.form.values.sampler === 'ddim'")
    easel.page.get_by_role("button", name="Save these settings").click()
    easel.page.get_by_role("textbox", name="Name of the preset").fill("Twin")
    easel.page.keyboard.press("Enter")
    expect(picker.locator("option:checked")).to_have_text("Twin")
    picker.select_option("Exact classic")
    expect(picker.locator("option:checked")).to_have_text("Exact classic")
    picker.select_option("Twin")
    easel.page.get_by_role("button", name="Delete this preset").click()
    easel.page.get_by_role("button", name="Delete", exact=True).click()
    expect(picker.locator("option:checked")).to_have_text("Exact classic")
    expect(picker.locator("option", has_text="Twin")).to_have_count(0)


def test_no_seed_and_minus_one_draw_a_new_one_and_a_long_one_keeps_its_digits(easel: Easel) -> None:
    dice = easel.page.get_by_role("button", name="New seed every time")
    for asked, is_fresh in (("5", "false"), ("-1", "true"), ("7", "false"), ("", "true")):
        easel.fill(seed=asked)
        expect(dice).to_have_attribute("aria-pressed", is_fresh)
    easel.fill(prompt="a hill", steps=1)
    easel.paint()
    assert easel.values()["seed"] > 0
    easel.fill(seed="12345678901234567891")
    easel.generate.click()
    expect(easel.problem).to_contain_text("Seed cannot be 12345678901234567891")
    assert easel.field("seed").input_value() == "12345678901234567891"


def test_a_problem_leaves_when_it_is_corrected_or_with_esc(easel: Easel) -> None:
    for is_corrected in (True, False):
        easel.fill(prompt="a hill", steps="three")
        easel.generate.click()
        expect(easel.problem).to_be_visible()
        if is_corrected:
            easel.fill(steps=3)
        else:
            easel.page.keyboard.press("Escape")
        expect(easel.problem).to_have_count(0)


def test_reuse_settings_brings_every_field_back_with_that_pictures_seed(easel: Easel) -> None:
    easel.unfold()
    easel.fill(prompt="two towers", negative_prompt="fog", steps=2, cfg=3, seed=900, width=72, height=64, clip_skip=2)
    easel.set_count(2)
    easel.paint()
    asked = easel.values()
    easel.fill(prompt="something else", negative_prompt="", steps=9, cfg=9, seed=1, width=64, clip_skip=1)
    easel.page.get_by_role("toolbar", name="Picture").get_by_role("button", name="Reuse settings").click()
    until(easel.page, "Easel.form.values.prompt === 'two towers'")
    assert easel.values() == asked | {"seed": 901, "fresh_seed": False}  # the newest picture is the second


def test_a_model_put_there_later_is_offered_and_one_that_cannot_be_used_says_why(easel: Easel, studio: Studio) -> None:
    good, spoiled = (studio.data / "models" / name for name in ("late", "spoiled"))
    try:
        shutil.copytree(STARTER_MODELS / "flat", good)
        shutil.copytree(STARTER_MODELS / "flat", spoiled)
        (spoiled / "vae" / "config.json").unlink()
        easel.reload()
        easel.pick("model", "spoiled")
        expect(easel.problem).to_contain_text("vae/config.json")
        assert easel.at_fault() == ["model"]
        easel.pick("model", "late", typed="1.x la")
        expect(easel.problem).to_have_count(0)
        assert easel.at_fault() == []
        easel.fill(prompt="a hill", steps=1)
        easel.paint()
        assert studio.get("api/images?limit=1")["images"][0]["request"]["model"] == "late"
    finally:
        shutil.rmtree(good, ignore_errors=True)
        shutil.rmtree(spoiled, ignore_errors=True)
