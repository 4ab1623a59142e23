"""The Inpaint tab: a mask is painted on a picture, and only what lies under it changes."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.browser.canvas import Canvas, png, scene, strokes
from tests.browser.conftest import Studio, new_context
from tests.browser.easel import Easel, until

SIZE = (240, 160)


@pytest.fixture
def canvas(easel: Easel, studio: Studio) -> Iterator[Canvas]:
    yield Canvas(easel, studio)


@pytest.fixture(scope="module")
def desk(browser: Browser, studio: Studio) -> Iterator[Canvas]:
    """One page for all: each test begins a work of its own on it, as people do."""
    context = new_context(browser)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    easel = Easel(page, studio.url)
    easel.open()
    canvas = Canvas(easel, studio)
    canvas.show()
    yield canvas
    context.close()
    assert not broken, f"scripts failed: {broken[:3]}"


@pytest.fixture
def opened(desk: Canvas) -> Canvas:
    """With a picture of `SIZE`, all settings as they are at first but for quick ones, and a hard brush of 12 pixels."""
    desk.studio.wait_until_idle()
    desk.page.evaluate("Easel.canvas.change(Easel.canvasDefaults)")
    desk.open(scene(*SIZE))
    desk.tool("b")
    desk.brush(size=12, hardness=1, strength=1)
    return desk


def test_strokes_at_two_zooms_reach_the_studio_as_they_were_painted(opened: Canvas) -> None:
    first, second = [(40.0, 50.0), (120.0, 90.0)], [(150.0, 40.0), (170.0, 60.0)]
    opened.drag(*first)
    opened.wheel((160, 50), -400)
    assert opened.page.evaluate("Easel.canvasAt().z") > 6
    opened.drag(*second)
    result = opened.paint()
    sent = opened.sent_mask(result)
    wanted = np.maximum(strokes(SIZE, first, 12), strokes(SIZE, second, 12))
    # The mouse goes by whole pixels of the window: a pixel of the edge may be a little lighter or darker.
    assert np.abs(sent - wanted).max() < 90
    assert np.abs(sent - wanted).mean() < 0.5
    assert np.array_equal(sent == 255, opened.mask() == 255)
    assert np.array_equal(sent, opened.mask())


def test_what_was_painted_outlives_undo_redo_and_a_reload(opened: Canvas) -> None:
    opened.drag((40, 40), (80, 60))
    one = opened.mask()
    opened.drag((140, 40), (180, 120))
    two = opened.mask()
    opened.page.keyboard.press("Control+z")
    assert np.array_equal(opened.mask(), one)
    opened.page.keyboard.press("Control+z")
    assert not opened.mask().any()
    opened.page.keyboard.press("Control+Shift+z")
    opened.page.keyboard.press("Control+y")
    assert np.array_equal(opened.mask(), two)
    opened.page.keyboard.press("Control+z")
    opened.easel.reload()
    opened.wait_until_drawn()
    assert np.array_equal(opened.mask(), one)
    opened.area.focus()
    opened.page.keyboard.press("Control+Shift+z")
    assert np.array_equal(opened.mask(), two)
    opened.page.keyboard.press("Control+z")
    opened.page.keyboard.press("Control+z")
    assert not opened.mask().any()


def test_a_red_house_becomes_blue_and_nothing_else_changes(canvas: Canvas, shots: Path) -> None:
    canvas.easel.fill(prompt="a red house under a night sky", seed=7)
    canvas.easel.paint()
    canvas.page.get_by_role("button", name="Repaint", exact=True).first.click()
    canvas.wait_until_drawn()
    assert canvas.prompt.input_value() == "a red house under a night sky"
    before = canvas.pixels(canvas.page.evaluate("Easel.canvas.node.source.url"))
    canvas.tool("r")
    canvas.drag((36, 84), (156, 184))
    canvas.prompt.fill("a blue house under a night sky")
    canvas.change(strength=1, soft_edge=4, steps=20, seed=3, fresh_seed=False)
    result = canvas.paint()
    after = canvas.pixels(result["url"])
    house = (slice(100, 170), slice(50, 140))
    assert reds(before[house]) > 1500 > 8 * reds(after[house])
    assert blues(after[house]) > blues(before[house]) + 500
    reach = np.array(Image.fromarray(canvas.sent_mask(result)).resize((192, 192))) > 0
    reach = grown(reach, 5)
    assert np.array_equal(after[~reach], before[~reach])
    canvas.page.get_by_role("button", name="Difference").click()
    told = canvas.page.locator(".views .told")
    expect(told).to_contain_text(", 0 beyond the mask and its soft edge")
    canvas.page.wait_for_timeout(400)  # until it is drawn
    canvas.page.screenshot(path=shots / "inpaint_difference.png")


def reds(pixels: np.ndarray) -> int:
    r, g, b = (pixels[..., k].astype(int) for k in range(3))
    return int(((r > 150) & (g < 90) & (b < 90)).sum())


def blues(pixels: np.ndarray) -> int:
    return int(((pixels[..., 2] > 130) & (pixels[..., 0] < 90)).sum())


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    for _ in range(by):
        padded = np.pad(mask, 1)
        mask = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:] | mask
    return mask


def test_a_soft_brush_fades_and_never_adds_up(opened: Canvas) -> None:
    opened.brush(size=40, hardness=0, strength=0.5)
    line = [(80.0, 80.0), (160.0, 80.0)]
    opened.drag(*line, *reversed(line), *line)
    mask = opened.mask().astype(float)
    assert mask.max() in (127, 128)
    assert len(np.unique(mask)) > 100
    assert np.abs(mask - strokes(SIZE, line, 40, hardness=0, strength=0.5)).max() < 6


def test_the_eraser_the_right_button_and_alt_take_away(opened: Canvas) -> None:
    opened.tool("r")
    opened.drag((20, 20), (200, 140))
    assert (opened.mask()[20:140, 20:200] == 255).all()
    assert opened.mask().sum() == 255 * 120 * 180
    opened.tool("e")
    opened.drag((40, 40), (60, 40))
    opened.tool("b")
    opened.drag((100, 40), (120, 40), button="right")
    opened.page.keyboard.down("Alt")
    opened.drag((160, 40), (180, 40))
    opened.page.keyboard.up("Alt")
    holes = strokes(SIZE, [(40, 40), (60, 40)], 12) + strokes(SIZE, [(100, 40), (120, 40)], 12)
    holes += strokes(SIZE, [(160, 40), (180, 40)], 12)
    mask = opened.mask()
    assert (mask[holes == 255] < 60).all()
    assert (mask[20:140, 20:200][holes[20:140, 20:200] == 0] > 200).all()


def test_a_lasso_is_filled_inside(opened: Canvas) -> None:
    opened.tool("l")
    opened.drag((40, 40), (200, 40), (120, 140), (40, 40))
    mask = opened.mask()
    assert mask[60, 120] == 255
    assert mask[120, 50] == mask[120, 190] == mask[20, 120] == 0
    assert abs((mask > 127).sum() - 160 * 100 / 2) < 250


def test_a_fill_stops_at_the_line(opened: Canvas) -> None:
    opened.brush(size=4)
    opened.drag((60, 40), (180, 40), (180, 120), (60, 120), (60, 40))
    opened.tool("f")
    opened.page.mouse.click(*opened.at((120, 80)))
    mask = opened.mask()
    assert (mask[38:122, 58:182] > 0).all()
    assert not mask[:30].any()
    assert not mask[:, :50].any()


def test_a_mask_is_turned_round_grown_shrunk_softened_and_cleared(opened: Canvas) -> None:
    page = opened.page
    opened.tool("r")
    opened.drag((80, 60), (160, 100))
    page.get_by_role("button", name="Find, edge and file of the mask").click()
    menu = page.get_by_role("dialog", name="Find, edge and file of the mask")
    menu.get_by_role("button", name="Grow").click()
    mask = opened.mask()
    assert (mask[60:100, 72:168] == 255).all()
    assert (mask[52:108, 80:160] == 255).all()
    assert not mask[:52].any()
    assert mask[52, 72] == 0  # rounded, not a square
    menu.get_by_role("button", name="Shrink").click()
    assert np.abs(int((opened.mask() > 0).sum()) - 80 * 40) < 80
    menu.get_by_role("button", name="Soften").click()
    soft = opened.mask()
    assert soft[80, 120] == 255
    assert 60 < soft[80, 80] < 195
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Turn the mask round").click()
    assert np.array_equal(opened.mask(), 255 - soft)
    page.get_by_role("button", name="Clear the mask").click()
    assert not opened.mask().any()
    expect(opened.repaint).to_be_disabled()
    expect(page.get_by_text("Paint over what shall change.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    assert np.array_equal(opened.mask(), 255 - soft)


def test_the_picture_is_moved_with_space_the_wheel_and_the_middle_button(opened: Canvas) -> None:
    place = "Easel.canvasAt()"
    at = opened.page.evaluate(place)
    opened.area.focus()
    opened.page.keyboard.down("Space")
    opened.drag((100, 80), (120, 80))
    opened.page.keyboard.up("Space")
    moved = opened.page.evaluate(place)
    assert moved["x"] == pytest.approx(at["x"] + 20 * at["z"], abs=3)
    opened.drag((100, 80), (80, 80), button="middle")
    assert opened.page.evaluate(place)["x"] == pytest.approx(at["x"], abs=6)
    assert not opened.mask().any()
    under = opened.at((60, 60))
    opened.wheel((60, 60), -300)
    assert opened.at((60, 60)) == pytest.approx(under, abs=2)
    opened.page.keyboard.press("0")
    assert opened.page.evaluate(place) == pytest.approx(at)


def test_a_stroke_outside_the_picture_and_one_that_is_given_up_leave_nothing(opened: Canvas) -> None:
    opened.drag((-20, -15), (60, -15))
    opened.page.mouse.move(*opened.at((60, 60)))
    opened.page.mouse.down()
    opened.page.mouse.move(*opened.at((120, 60)), steps=4)
    opened.page.keyboard.press("Escape")
    opened.page.mouse.up()
    assert not opened.mask().any()
    expect(opened.page.get_by_role("button", name="Undo")).to_be_disabled()
    opened.drag((-3, 80), (20, 80))  # from outside into it
    assert opened.mask()[80, :20].all()


def test_the_canvas_is_painted_by_keyboard(opened: Canvas) -> None:
    opened.area.focus()
    keys = opened.page.keyboard
    keys.press("ArrowRight")  # the cursor comes up in the middle
    keys.press("Enter")
    assert np.abs(opened.mask() - strokes(SIZE, [(120, 80)], 12)).max() <= 1
    keys.press("Shift+ArrowRight")
    assert np.abs(opened.mask() - strokes(SIZE, [(120, 80), (132, 80)], 12)).max() <= 1
    expect(opened.page.locator(".canvas-area > .spoken[role=status]")).to_have_text("132, 80: 100 % painted")
    keys.press("Control+z")
    keys.press("]")
    assert float(opened.page.locator(".options output").first.text_content().split()[0]) == 14  # type: ignore[union-attr]
    keys.press("r")
    keys.press("Enter")
    keys.press("ArrowDown")
    keys.press("ArrowRight")
    keys.press("Enter")
    assert (opened.mask()[80:93, 132:145] == 255).all()


def test_a_pen_paints_as_hard_as_it_presses_and_two_fingers_zoom(opened: Canvas) -> None:
    session = opened.page.context.new_cdp_session(opened.page)
    x, y = opened.at((60, 80))

    def pen(kind: str, x: float, force: float) -> None:
        pressed = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseReleased" else {"button": "left"}
        where = {"type": kind, "x": x, "y": y, "pointerType": "pen", "force": force}
        session.send("Input.dispatchMouseEvent", where | pressed)

    pen("mousePressed", x, 0.1)
    pen("mouseReleased", x, 0)
    light = int((opened.mask() > 0).sum())
    x2 = opened.at((160, 80))[0]
    pen("mousePressed", x2, 1.0)
    pen("mouseReleased", x2, 0)
    hard = int((opened.mask()[:, 110:] > 0).sum())
    assert hard == pytest.approx(np.pi * 12.5**2, rel=0.1)
    assert hard > 5 * light > 0

    before = opened.mask()
    zoom = opened.page.evaluate("Easel.canvasAt().z")

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    a, b = opened.at((80, 80)), opened.at((160, 80))
    fingers("touchStart", a)
    fingers("touchStart", a, b)
    for k in range(1, 5):
        fingers("touchMove", (a[0] - 20 * k, a[1]), (b[0] + 20 * k, b[1]))
    fingers("touchEnd")
    assert opened.page.evaluate("Easel.canvasAt().z") > 1.2 * zoom
    assert np.array_equal(opened.mask(), before)


def test_a_mask_goes_into_a_file_and_comes_back(opened: Canvas, tmp_path: Path) -> None:
    page = opened.page
    opened.brush(size=30, hardness=0.2)
    opened.drag((60, 60), (160, 100))
    mask = opened.mask()
    page.get_by_role("button", name="Find, edge and file of the mask").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the mask").click()
    file = tmp_path / "mask.png"
    waiting.value.save_as(file)
    with Image.open(file) as image:
        assert (image.mode, image.size) == ("L", SIZE)
        assert np.array_equal(np.array(image), mask)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear the mask").click()
    load(opened, file)
    assert np.array_equal(opened.mask(), mask)
    page.keyboard.press("Control+z")
    assert not opened.mask().any()


def load(canvas: Canvas, file: Path) -> None:
    canvas.page.get_by_role("button", name="Find, edge and file of the mask").click()
    with canvas.page.expect_file_chooser() as waiting:
        canvas.page.get_by_role("button", name="Load a mask").click()
    waiting.value.set_files(file)
    canvas.page.wait_for_timeout(300)


def test_a_mask_of_another_size_is_told_and_can_be_stretched(opened: Canvas, tmp_path: Path) -> None:
    opened.tool("r")
    opened.drag((20, 20), (60, 60))
    before = opened.mask()
    file = tmp_path / "small.png"
    half = np.zeros((40, 60), np.uint8)
    half[:, 30:] = 255
    Image.fromarray(half).save(file)
    load(opened, file)
    expect(opened.problem).to_contain_text("The mask is 60 × 40, the picture 240 × 160")
    assert np.array_equal(opened.mask(), before)
    opened.problem.get_by_role("button", name="Stretch it").click()
    expect(opened.problem).to_be_hidden()
    opened.page.wait_for_timeout(300)
    mask = opened.mask()
    assert (mask[:, 130:] == 255).all()
    assert not mask[:, :110].any()
    noise = tmp_path / "noise.png"
    noise.write_bytes(b"not a picture at all")
    load(opened, noise)
    expect(opened.problem).to_contain_text("This file is no picture")
    assert np.array_equal(opened.mask(), mask)


def test_pictures_are_dropped_pasted_and_chosen_and_bad_files_cost_nothing(opened: Canvas, tmp_path: Path) -> None:
    page = opened.page
    opened.drag((40, 40), (90, 60))
    mask = opened.mask()
    hand_over(opened, b"GIF89a nothing", "drop")
    expect(opened.problem).to_be_visible()
    opened.problem.get_by_role("button", name="Close").click()
    assert np.array_equal(opened.mask(), mask)
    hand_over(opened, png(scene(100, 60)), "paste")
    until(page, "Easel.canvas.node.source.width === 100")
    hand_over(opened, png(scene(90, 70)), "drop")
    until(page, "Easel.canvas.node.source.width === 90")
    file = tmp_path / "grey.jpg"
    scene(80, 64).convert("L").save(file)
    with page.expect_file_chooser() as waiting:
        page.get_by_role("button", name="Open a picture").last.click()
    waiting.value.set_files(file)
    until(page, "Easel.canvas.node.source.width === 80")


def hand_over(canvas: Canvas, content: bytes, how: str) -> None:
    """As the browser hands a dropped or pasted file to the page."""
    canvas.page.evaluate(
        """([data, how]) => {
          const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], 'picture.png', { type: 'image/png' }));
          const node = document.querySelector('.canvas-area');
          const event = how === 'drop'
            ? new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true })
            : new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true });
          (how === 'drop' ? node : document.body).dispatchEvent(event);
        }""",
        [base64.b64encode(content).decode(), how],
    )


def test_two_masks_with_words_of_their_own_go_in_one_job(opened: Canvas) -> None:
    page = opened.page
    opened.tool("r")
    opened.drag((20, 20), (100, 140))
    page.get_by_text("More masks · none").click()
    page.get_by_role("button", name="Add", exact=True).click()
    opened.drag((140, 20), (220, 140))
    page.get_by_role("textbox", name="What should be under this mask").fill("a purple castle")
    expect(page.get_by_text("More masks · 1")).to_be_visible()
    opened.prompt.fill("a white boat")
    asked = opened.paint()["request"]
    assert asked["picture"]["prompt"] == "a white boat"
    (region,) = asked["regions"]
    assert region["prompt"] == "a purple castle"
    sent = opened.fetch(f"api/sources/{region['mask']}")
    with Image.open(io.BytesIO(sent)) as image:
        assert np.array(image)[20:140, 140:220].all()
    page.get_by_role("button", name="Remove this mask").click()
    expect(page.get_by_text("More masks · none")).to_be_visible()
    page.get_by_role("button", name="Undo brings it back").click()
    expect(page.get_by_text("More masks · 1")).to_be_visible()
    key = page.evaluate("Easel.canvas.node.regions[0].key")
    # What was typed since then is not taken back with the mask.
    page.get_by_role("textbox", name="What should be under this mask").fill("a green castle")
    page.get_by_role("button", name="Remove this mask").click()
    page.get_by_role("button", name="Undo brings it back").click()
    assert page.evaluate("Easel.canvas.node.regions[0].prompt") == "a green castle"
    assert (opened.mask(key)[20:140, 140:220] == 255).all()


def test_a_result_is_the_next_picture_and_the_work_branches(opened: Canvas) -> None:
    opened.tool("r")
    opened.drag((60, 40), (180, 120))
    first = opened.paint()
    second = opened.paint()
    assert second["id"] > first["id"]
    opened.area.focus()
    opened.page.keyboard.press("n")
    until(opened.page, f"Easel.canvas.node.image === {second['id']}")
    assert (opened.mask()[40:120, 60:180] == 255).all()  # the mask came along
    third = opened.paint()
    assert np.array_equal(opened.pixels(third["url"])[:30], opened.pixels(first["url"])[:30])
    # From the first result on, another way.
    opened.page.get_by_role("button", name="Result 1").last.click()
    until(opened.page, f"Easel.repaint.shown?.id === {first['id']}")
    opened.page.locator("#go-on").click()
    until(opened.page, f"Easel.canvas.node.image === {first['id']}")
    assert opened.page.evaluate("Easel.canvas.family().length") == 3
    opened.easel.reload()
    opened.wait_until_drawn()
    assert opened.page.evaluate("Easel.canvas.node.image") == first["id"]
    expect(opened.strip).to_have_count(6)


def test_a_second_press_opens_no_second_copy(opened: Canvas) -> None:
    page = opened.page
    first = page.evaluate("Easel.canvas.node.id")
    works = "Easel.canvas.otherWorks().length"
    opened.open(scene(64, 64))
    before = page.evaluate(works)
    page.get_by_role("button", name="Go back to this work (240 × 160)").first.dblclick()
    until(page, f"Easel.canvas.node.id === {json.dumps(first)}")
    page.wait_for_timeout(300)
    assert page.evaluate("Easel.canvas.node.id") == first
    assert page.evaluate(works) == before
    assert page.evaluate("Easel.canvas.family().length") == 1


def test_painting_goes_on_while_a_job_runs_and_the_picture_may_be_another(opened: Canvas) -> None:
    opened.tool("r")
    opened.drag((60, 40), (180, 120))
    opened.change(steps=60)
    node = opened.page.evaluate("Easel.canvas.node.id")
    opened.repaint.click()
    until(opened.page, "Easel.repaint.live?.stage === 'running'")
    expect(opened.page.locator(".canvas-area .hud")).to_be_visible()
    opened.tool("b")
    opened.drag((20, 20), (40, 140))
    assert opened.mask()[80, 30] == 255
    opened.open(scene(100, 100))
    opened.studio.wait_until_idle()
    opened.page.wait_for_timeout(300)
    assert opened.page.evaluate("Easel.canvas.node.source.width") == 100
    assert opened.page.evaluate("Easel.repaint.shown") is None
    # What was worked on before waits in the strip, with every stroke and what came meanwhile.
    opened.page.get_by_role("button", name="Go back to this work (240 × 160)").first.click()
    until(opened.page, f"Easel.canvas.node.id === {json.dumps(node)}")
    expect(opened.page.get_by_role("button", name="Result 1, new")).to_be_visible()
    assert opened.mask()[80, 30] == 255
    opened.page.get_by_role("button", name="Result 1, new").click()
    expect(opened.page.get_by_role("button", name="Result 1", exact=True)).to_be_visible()


def test_keys_in_the_middle_of_a_stroke_leave_nothing_that_cannot_be_undone(opened: Canvas) -> None:
    opened.area.focus()
    opened.page.mouse.move(*opened.at((60, 60)))
    opened.page.mouse.down()
    opened.page.mouse.move(*opened.at((90, 60)), steps=3)
    for key in ("Enter", "Shift+ArrowRight", "n", "f"):
        opened.page.keyboard.press(key)
    opened.page.get_by_role("button", name="Turn the mask round").dispatch_event("click")
    opened.page.mouse.move(*opened.at((150, 60)), steps=3)
    opened.page.mouse.up()
    painted = opened.mask()
    assert painted[60, 75] == 0 and painted[140, 200] == 255  # turned round, and the stroke ended there
    opened.page.keyboard.press("Control+z")
    assert opened.mask()[60, 75] == 255
    opened.page.keyboard.press("Control+z")
    assert not opened.mask().any()
    expect(opened.page.get_by_role("button", name="Undo")).to_be_disabled()


def test_keys_work_after_a_tool_was_pressed_and_from_anywhere_on_the_page(opened: Canvas) -> None:
    opened.page.get_by_role("button", name="Brush (B)").click()
    at = opened.page.evaluate("Easel.canvasAt()")
    opened.page.mouse.move(*opened.at((100, 80)))
    opened.page.keyboard.down("Space")
    opened.drag((100, 80), (130, 80))
    opened.page.keyboard.up("Space")
    assert not opened.mask().any()
    assert opened.page.evaluate("Easel.canvasAt().x") > at["x"] + 20
    opened.page.keyboard.press("e")
    expect(opened.page.get_by_role("button", name="Eraser (E)")).to_have_attribute("aria-pressed", "true")
    opened.page.keyboard.press("b")
    opened.drag((100, 80), (120, 80))
    assert opened.mask().any()
    opened.page.evaluate("document.activeElement.blur()")
    opened.page.keyboard.press("Control+z")
    assert not opened.mask().any()
    opened.page.keyboard.press("Control+y")
    opened.prompt.fill("b")
    opened.prompt.press("Control+z")  # of the text
    assert opened.mask().any()


def test_each_weak_stroke_of_the_eraser_takes_its_share(opened: Canvas) -> None:
    opened.tool("r")
    opened.drag((20, 20), (220, 140))
    opened.brush(strength=0.4)
    opened.tool("e")
    for left in (153, 92):
        opened.drag((80, 80), (160, 80), (80, 80))
        assert opened.mask()[80, 120] == left


def test_esc_stops_the_job_and_a_reload_finds_what_ended_meanwhile(opened: Canvas) -> None:
    opened.tool("r")
    opened.drag((60, 40), (180, 120))
    opened.change(steps=100)
    opened.repaint.click()
    until(opened.page, "Easel.repaint.live?.stage === 'running'")
    opened.page.keyboard.press("Escape")
    until(opened.page, "!Easel.repaint.live")
    opened.change(steps=12)
    opened.repaint.click()
    until(opened.page, "Easel.repaint.live")
    opened.easel.reload()
    opened.wait_until_drawn()
    opened.studio.wait_until_idle()
    expect(opened.strip).to_have_count(2)


def test_two_windows_with_one_picture_do_not_paint_into_each_other(opened: Canvas) -> None:
    opened.tool("r")
    opened.drag((20, 20), (60, 60))
    page = opened.page.context.new_page()
    easel = Easel(page, opened.studio.url)
    page.goto(f"{easel.url}#inpaint")
    easel.ready()
    other = Canvas(easel, opened.studio)
    other.wait_until_drawn()
    assert np.array_equal(other.mask(), opened.mask())
    other.tool("r")
    other.drag((100, 20), (140, 60))
    opened.drag((20, 100), (60, 140))
    mine, theirs = opened.mask(), other.mask()
    opened.easel.reload()
    opened.wait_until_drawn()
    assert np.array_equal(opened.mask(), mine)
    easel.reload()
    other.wait_until_drawn()
    assert np.array_equal(other.mask(), theirs)
    assert not np.array_equal(mine, theirs)
    page.close()


def test_extending_shows_the_frame_and_keeps_the_picture(opened: Canvas) -> None:
    opened.page.get_by_text("Extend the picture · off").click()
    opened.page.get_by_role("spinbutton", name="Left").fill("48")
    opened.page.keyboard.press("Tab")
    expect(opened.page.get_by_text("Extend the picture · 288 × 160")).to_be_visible()
    expect(opened.page.locator(".marks .added")).to_be_attached()
    result = opened.paint()
    after = opened.pixels(result["url"])
    assert after.shape == (160, 288, 3)
    assert np.array_equal(after[:, 48:], np.array(scene(*SIZE)))


def test_all_of_it_and_everything_else_are_asked_as_such(opened: Canvas) -> None:
    page = opened.page
    page.get_by_role("button", name="All of it").click()
    expect(opened.repaint).to_be_enabled()
    asked = opened.paint()["request"]
    assert (asked["mask"], asked["picture"]["width"] % 8) == (None, 0)
    assert asked["picture"]["width"] > asked["picture"]["height"]
    page.get_by_role("button", name="Everything else").click()
    expect(opened.repaint).to_be_disabled()
    opened.tool("r")
    opened.drag((60, 40), (180, 120))
    result = opened.paint()
    assert result["request"]["invert"] is True
    after, before = opened.pixels(result["url"]), np.array(scene(*SIZE))
    assert np.array_equal(after[40:120, 60:180], before[40:120, 60:180])
    assert not np.array_equal(after[:40], before[:40])


def test_a_refusal_stands_over_the_picture_and_costs_nothing(opened: Canvas) -> None:
    opened.tool("r")
    opened.drag((60, 40), (180, 120))
    opened.change(strength=0.05, steps=4)
    opened.repaint.click()
    expect(opened.problem).to_contain_text("no step of 4 is left")
    opened.problem.get_by_role("button", name="Close").click()
    assert opened.mask()[80, 120] == 255
    opened.change(strength=1)
    assert opened.paint()["request"]["strength"] == 1


def test_many_pictures_are_painted_over_with_their_masks(opened: Canvas, tmp_path: Path) -> None:
    pictures, masks = tmp_path / "pictures", tmp_path / "masks"
    pictures.mkdir()
    masks.mkdir()
    for k, name in enumerate(("one", "two", "three")):
        scene(96 + 8 * k, 96).save(pictures / f"{name}.png")
        if name != "three":
            mask = np.zeros((96, 96 + 8 * k), np.uint8)
            mask[20:60, 20:60] = 255
            Image.fromarray(mask).save(masks / f"{name}.png")
    page = opened.page
    page.get_by_text("Many pictures · none").click()
    for button, folder in (("Folder of pictures", pictures), ("Folder of masks", masks)):
        with page.expect_file_chooser() as waiting:
            page.get_by_role("button", name=button).click()
        waiting.value.set_files(folder)
    expect(page.locator(".batch")).to_contain_text("3 pictures, 2 to paint; 1 without a mask are left out: three.png")
    before = opened.page.evaluate("Easel.pictures.list[0]?.id ?? 0")
    page.get_by_role("button", name="Everything else").click()
    page.get_by_role("button", name="Repaint 2").click()
    expect(page.locator(".batch")).to_contain_text("2 of 2 in the queue")
    opened.studio.wait_until_idle()
    listed = opened.studio.get("api/images?limit=2")["images"]
    assert {row["width"] for row in listed} == {96, 104}
    assert all(row["id"] > before and row["request"]["invert"] for row in listed)


def test_every_state_has_its_address_and_fits_the_window(easel: Easel, shots: Path) -> None:
    page = easel.page
    seen = {
        "empty": page.locator(".canvas-area .invite"),
        "loading": page.locator(".canvas-area .hud"),
        "running": page.locator(".canvas-area .hud"),
        "done": page.locator(".splitline"),
        "error": page.locator(".canvas-area .problem"),
        "disabled": page.locator(".bar-foot .reason", has_text="The worker cannot start"),
    }
    looks: list[tuple[Literal["dark", "light"], tuple[int, int]]] = [
        ("dark", (1440, 900)), ("light", (1280, 720)), ("dark", (390, 844))
    ]  # fmt: skip
    for scheme, (width, height) in looks:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        for state, what in seen.items():
            page.evaluate("state => { location.hash = `inpaint:${state}`; }", state)
            expect(what.last).to_be_visible()
            expect(page.locator(".canvaspage")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.wait_for_timeout(150)  # until it is drawn
            page.screenshot(path=shots / f"inpaint_{state}_{scheme}_{width}.png")
