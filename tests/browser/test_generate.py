"""A person types a prompt and gets pictures, whatever happens on the way."""

import io
import re
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import Studio
from tests.browser.easel import Easel, until

PROMPT = "a red house under a night sky"
STEP = re.compile(r"Step \d+ of \d+")


def shown_picture(easel: Easel) -> Image.Image:
    """The finished picture on the stage, as its own file."""
    address = str(easel.picture.get_attribute("src"))
    assert re.fullmatch(r"/api/images/\d+(\?.*)?", address)
    return Image.open(io.BytesIO(easel.page.request.get(easel.url + address[1:]).body())).convert("RGB")


def test_a_prompt_becomes_its_picture_before_our_eyes(easel: Easel) -> None:
    easel.fill(prompt=PROMPT, seed=7, steps=30)
    easel.generate.click()
    easel.wait_for("running")
    expect(easel.page.locator(".hud b")).to_have_text(STEP)
    expect(easel.picture).to_have_attribute("src", re.compile("^blob:"))
    expect(easel.queue).to_have_text("1 in queue")
    easel.wait_for("done")
    picture = shown_picture(easel)
    assert picture.size == (easel.values()["width"], easel.values()["height"])
    assert sky_is_dark_blue(picture)
    assert strongly_red(picture) > 0.01
    expect(easel.queue).to_have_text("Queue empty")
    expect(easel.page.locator(".details")).to_contain_text(PROMPT)


def sky_is_dark_blue(picture: Image.Image) -> bool:
    """The upper quarter, on average."""
    points = np.asarray(picture)
    red, green, blue = points[: len(points) // 4].mean(axis=(0, 1))
    return bool(blue > red + 15 and blue > green + 15 and red + green + blue < 330)


def strongly_red(picture: Image.Image) -> float:
    """The share of such points below the sky."""
    points = np.asarray(picture)
    red, green, blue = np.moveaxis(points[len(points) // 4 :], -1, 0)
    return float(((red > 130) & (green < 100) & (blue < 100)).mean())


def test_ctrl_enter_generates_and_every_job_draws_a_new_seed(easel: Easel) -> None:
    easel.fill(prompt="a hill", steps=1)
    with easel.painting():
        easel.prompt.press("Control+Enter")
    first = easel.values()["seed"]
    easel.prompt.press("Control+Enter")
    until(easel.page, f"Easel.form.values.seed !== {first}")
    dice = easel.page.get_by_role("button", name="New seed every time")
    expect(dice).to_have_attribute("aria-pressed", "true")
    easel.page.get_by_role("button", name="Reuse the last seed").click()
    expect(dice).to_have_attribute("aria-pressed", "false")


def test_a_reloaded_page_finds_its_job_its_preview_and_its_pictures(easel: Easel) -> None:
    easel.start_long_job()
    expect(easel.picture).to_have_attribute("src", re.compile("^blob:"))
    easel.reload()
    easel.wait_for("running")
    expect(easel.picture).to_have_attribute("src", re.compile("^blob:"))
    expect(easel.page.locator(".hud")).to_contain_text("of 4")


def test_another_page_sees_the_job_and_can_stop_it(easel: Easel, context: BrowserContext, studio: Studio) -> None:
    easel.start_long_job(count=8)
    phone = Easel(context.new_page(), studio.url)
    phone.page.set_viewport_size({"width": 390, "height": 844})
    phone.open()
    phone.wait_for("running")
    phone.page.get_by_role("button", name="Stop now").click()
    expect(easel.queue).to_have_text("Queue empty")
    studio.wait_until_idle(20)


def test_esc_stops_within_a_step(easel: Easel, studio: Studio) -> None:
    easel.start_long_job(count=8)
    [job] = studio.get("api/jobs")
    with easel.page.expect_response(f"**/api/jobs/{job['id']}/stop") as order:
        easel.page.keyboard.press("Escape")
    expect(easel.queue).to_have_text("Queue empty")
    ended = studio.get(f"api/jobs/{job['id']}")
    assert ended["state"] == "stopped"
    assert steps_done(ended) - steps_done(order.value.json()) <= 2  # one in work, one on its way here


def steps_done(job: Any) -> int:
    """Of all its pictures together."""
    at: dict[str, int] = job["progress"]
    return (at["picture"] - 1) * at["steps"] + at["step"]


def test_a_stop_the_studio_did_not_hear_can_be_pressed_again(easel: Easel, studio: Studio) -> None:
    easel.start_long_job(count=8)
    stop, after = (easel.page.get_by_role("button", name=name) for name in ("Stop now", "Stop after this"))
    easel.page.route("**/stop", lambda route: route.abort())
    stop.click()
    expect(stop).to_be_enabled()
    expect(after).to_be_enabled()
    easel.page.unroute("**/stop")
    stop.click()
    expect(easel.queue).to_have_text("Queue empty")
    studio.wait_until_idle(20)


def test_stop_after_this_keeps_the_picture_at_hand(easel: Easel, studio: Studio) -> None:
    easel.start_long_job(count=8)
    [job] = studio.get("api/jobs")
    easel.page.get_by_role("button", name="Stop after this").click()
    expect(easel.page.get_by_role("button", name="Last picture")).to_be_disabled()
    expect(easel.page.locator(".hud span").first).to_contain_text("Stops after this picture")
    studio.wait_until_idle()
    assert 1 <= len(studio.get(f"api/jobs/{job['id']}")["pictures"]) < 8
    easel.wait_for("done")


def test_generate_adds_to_the_queue_and_a_waiting_job_can_be_taken_out(easel: Easel, studio: Studio) -> None:
    easel.start_long_job()
    easel.fill(prompt="an orange cat in the snow")
    easel.generate.click()
    expect(easel.queue).to_have_text("2 in queue")
    easel.queue.click()
    easel.page.get_by_role("button", name="Remove: an orange cat in the snow").click()
    expect(easel.queue).to_have_text("1 in queue")
    easel.page.keyboard.press("Escape")
    expect(easel.page.locator(".queue-list")).to_be_hidden()
    assert len(studio.get("api/jobs")) == 1  # Esc closed the list and did not stop the other job


def test_a_lost_worker_is_told_and_the_job_goes_on(easel: Easel, studio: Studio) -> None:
    easel.start_long_job(count=2)
    [job] = studio.get("api/jobs")
    for child in psutil.Process(studio.process.pid).children(recursive=True):
        if "multiprocessing" in " ".join(child.cmdline()) and "resource_tracker" not in " ".join(child.cmdline()):
            child.kill()
    expect(easel.page.locator(".notice")).to_contain_text("goes on from picture")
    studio.wait_until_idle()
    ended = studio.get(f"api/jobs/{job['id']}")
    assert (ended["state"], len(ended["pictures"])) == ("finished", 2)
    easel.wait_for("done")


def test_the_page_survives_a_restart_of_the_studio(easel: Easel, studio: Studio) -> None:
    easel.fill(prompt="a hill", steps=2)
    studio.stop()
    expect(easel.page.locator(".reason[role=status]")).to_have_text("The studio does not answer; trying again")
    expect(easel.generate).to_be_disabled()
    studio.restart()
    expect(easel.generate).to_be_enabled()
    easel.paint()
