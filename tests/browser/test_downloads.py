"""A model is fetched from the page, beside whatever else goes on. The hub is one of our own."""

import threading
from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Page, expect
from safetensors.torch import save

from tests.browser.conftest import Studio
from tests.browser.easel import Easel
from tests.jobs.hub import Hub

LORA = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.fixture
def connected(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio that knows no other hub."""
    running = Studio(tmp_path_factory.mktemp("connected") / "data", HF_ENDPOINT=hub.url)
    yield running
    running.stop()


def test_a_model_is_fetched_shown_on_its_way_and_listed(hub: Hub, connected: Studio, page: Page) -> None:
    pair = {f"{LORA}.lora_down.weight": torch.ones(400, 768), f"{LORA}.lora_up.weight": torch.ones(64, 400)}
    hub.repository("somebody/glow", {"glow.safetensors": save(pair)})
    sent, looked_at = threading.Event(), threading.Event()

    def slowly() -> None:
        sent.set()
        looked_at.wait(20)

    hub.during = slowly
    Easel(page, connected.url).open()
    page.locator('[data-tab-id="models"]').click()
    page.get_by_role("button", name="Download", exact=True).click()
    field = page.get_by_label("What to download")
    expect(field).to_be_focused()
    field.fill("no such thing")
    field.press("Enter")
    rows = page.locator(".downloads li")
    expect(rows).to_contain_text("names no model; write author/model")
    page.get_by_role("button", name="off the list").click()
    expect(rows).to_have_count(0)
    field.fill("somebody/glow")
    field.press("Enter")
    expect(rows).to_contain_text("glow.safetensors0 kB of 1 MB")
    assert sent.is_set()
    page.reload()
    page.locator('[data-tab-id="models"]').click()
    expect(rows).to_contain_text("glow.safetensors")  # what is on its way shows itself
    looked_at.set()
    expect(rows).to_contain_text("Here, checked and ready")
    expect(page.locator('.card[data-name="glow"]')).to_contain_text("LoRA")
