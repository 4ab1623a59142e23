"""The Models tab: a folder as other programs leave it, seen, searched, mended and painted with."""

import json
import os
from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from safetensors.torch import save_file

from pipelines.core.model import Family
from tests.browser.conftest import Studio
from tests.browser.easel import Easel
from tests.models.folders import cut
from tests.models.synthetic import networks, write_hollow, write_single

LORA = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio whose models folder holds good files, broken ones and a pickle."""
    data = tmp_path_factory.mktemp("models") / "data"
    folder = data / "models" / "Stable-diffusion"
    made = networks(Family.SD1, small=True)
    write_single(folder / "dream.safetensors", made, torch.float16)
    write_hollow(folder / "half.safetensors", networks(Family.SD1, small=True).original())
    cut(folder / "half.safetensors")
    os.utime(folder / "half.safetensors", (0, 0))
    torch.save({"state_dict": made.original()}, folder / "old.ckpt")
    names = ("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight")
    write_hollow(folder / "flux.safetensors", dict.fromkeys(names, (8, 8)))
    (data / "models" / "Lora").mkdir()
    pair = {f"{LORA}.lora_down.weight": torch.ones(4, 768), f"{LORA}.lora_up.weight": torch.ones(64, 4)}
    save_file(pair, data / "models" / "Lora" / "<b>glow.safetensors", {"modelspec.trigger_phrase": "<img src=x>"})
    studio = Studio(data)
    yield studio
    studio.stop()


@pytest.fixture
def shelf(page: Page, mixed: Studio) -> Page:
    """The tab, open."""
    Easel(page, mixed.url).open()
    page.locator('[data-tab-id="models"]').click()
    expect(card(page, "dream")).to_be_visible()
    return page


def card(page: Page, name: str) -> Locator:
    return page.locator(f".card[data-name={json.dumps(name)}]")


def press(page: Page, name: str) -> None:
    page.locator(".model-side").get_by_role("button", name=name, exact=True).click()


def test_every_file_is_a_card_and_a_broken_one_says_what_is_wrong(shelf: Page) -> None:
    names = shelf.locator(".card .name").all_inner_texts()
    assert {"flat", "dream", "half", "old", "flux", "<b>glow"} <= set(names)
    expect(card(shelf, "half")).to_contain_text("ends early")
    expect(card(shelf, "half")).to_contain_text("download it again")
    expect(card(shelf, "old")).to_contain_text("convert it to safetensors")
    expect(card(shelf, "flux")).to_contain_text("cannot run yet (Flux)")
    assert shelf.locator(".card .face.broken").count() == 2


def test_search_and_filters_narrow_the_cards(shelf: Page) -> None:
    shelf.keyboard.press("/")
    shelf.keyboard.type("b>glow")
    expect(shelf.locator(".card")).to_have_count(1)
    shelf.get_by_role("searchbox").fill("sd 1")
    expect(card(shelf, "dream")).to_be_visible()
    shelf.get_by_role("button", name="Problems").click()
    expect(shelf.locator(".card")).to_have_count(0)
    shelf.get_by_role("searchbox").fill("")
    expect(shelf.locator(".card")).to_have_count(3)


def test_what_a_file_says_of_itself_stays_text(shelf: Page) -> None:
    card(shelf, "<b>glow").click()
    expect(shelf.locator(".model-side")).to_contain_text("<img src=x>")
    assert shelf.locator(".model-side img").count() == 0


def test_a_pickle_is_converted_and_paints(shelf: Page) -> None:
    card(shelf, "old").click()
    press(shelf, "Convert")
    shelf.get_by_role("textbox", name="Name").fill("mended")
    press(shelf, "Convert")
    expect(card(shelf, "mended")).to_be_visible()
    expect(shelf.locator(".model-side")).to_contain_text("mended.safetensors")
    expect(card(shelf, "old")).to_be_visible()
    card(shelf, "mended").click()
    press(shelf, "Use this model")
    easel = Easel(shelf, "")
    expect(shelf.locator("#field-model .pick")).to_contain_text("mended")
    easel.unfold()
    easel.fill(prompt="a hill", steps=2, width=64, height=64)
    easel.generate.click()
    easel.wait_for("done")
    shelf.locator('[data-tab-id="models"]').click()
    expect(card(shelf, "mended")).to_contain_text("In use · In memory · 1 picture")


def test_notes_and_a_heart_are_there_after_a_reload(shelf: Page) -> None:
    card(shelf, "dream").click()
    shelf.get_by_role("textbox", name="Notes").fill("good at night")
    shelf.get_by_role("textbox", name="Tags").fill("soft, night")
    press(shelf, "Favourite")
    expect(shelf.locator(".card").first).to_have_attribute("data-name", "dream")
    shelf.reload()
    shelf.locator('[data-tab-id="models"]').click()
    card(shelf, "dream").click()
    expect(shelf.get_by_role("textbox", name="Notes")).to_have_value("good at night")
    expect(shelf.get_by_role("textbox", name="Tags")).to_have_value("soft, night")


def test_a_check_tells_the_hash_and_a_refusal_what_is_wrong(shelf: Page) -> None:
    card(shelf, "dream").click()
    press(shelf, "Check")
    expect(shelf.locator(".model-side")).to_contain_text("Sound")
    expect(shelf.locator(".model-side")).to_contain_text("AutoV3")
    press(shelf, "Rename")
    shelf.get_by_role("textbox", name="Name").fill("a/b")
    press(shelf, "Rename")
    expect(shelf.locator(".model-side [role=alert]")).to_contain_text("leave these out")
    expect(card(shelf, "dream")).to_be_visible()


def test_a_file_that_comes_is_there_without_a_reload(shelf: Page, mixed: Studio) -> None:
    write_single(mixed.data / "models" / "late.safetensors", networks(Family.SD1, small=True), torch.float16)
    expect(card(shelf, "late")).to_be_visible()
    shelf.locator("#field-model .pick").click()
    expect(shelf.locator("#field-model").get_by_role("option", name="late")).to_be_visible()


def test_a_hidden_model_is_not_offered(shelf: Page) -> None:
    card(shelf, "dream").click()
    press(shelf, "Hide")
    expect(card(shelf, "dream")).to_have_count(0)
    shelf.locator("#field-model .pick").click()
    expect(shelf.locator("#field-model").get_by_role("option", name="flat")).to_be_visible()
    expect(shelf.locator("#field-model").get_by_role("option", name="dream")).to_have_count(0)
    shelf.keyboard.press("Escape")
    press(shelf, "Hide")  # its side is still open; shown again, it is offered again
    shelf.locator("#field-model .pick").click()
    expect(shelf.locator("#field-model").get_by_role("option", name="dream")).to_be_visible()
