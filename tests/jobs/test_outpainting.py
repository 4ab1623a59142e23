"""A picture that grows on its sides: no seam is to be seen, and the picture inside stays to the bit."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipelines.core.event import Event, Failed, PictureSaved, Preview, Progress, Stopped
from pipelines.core.inpaint import Border, InpaintRequest
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.perform import Painter
from pipelines.jobs.worker import Work
from pipelines.storage.deep import DeepPicture, read_deep_png, write_deep_png
from pipelines.storage.sources import SourceStore

SIDE = 192
MEADOW = "a green meadow under a blue sky"


@pytest.fixture(scope="module")
def scene(painter: Painter, folder: Path) -> bytes:
    """A picture that the starter model has painted, at its native size."""
    words = "a red house on a green meadow under a blue sky"
    request = GenerateRequest(prompt=words, seed=1, cfg=4, width=SIDE, height=SIDE, model="flat")
    return files(painter.perform(Work(request), StopSignal()), folder)[0].read_bytes()


@pytest.fixture(scope="module")
def small(scene: bytes) -> bytes:
    """Its middle."""
    buffer = BytesIO()
    with Image.open(BytesIO(scene)) as opened:
        opened.crop((64, 64, 128, 128)).save(buffer, "PNG")
    return buffer.getvalue()


def files(events: Iterator[Event], folder: Path) -> list[Path]:
    happened = list(events)
    saved = [folder / "outputs" / event.file for event in happened if isinstance(event, PictureSaved)]
    assert saved, happened[-1]
    return saved


def pixels(file: Path | BytesIO) -> np.ndarray:
    with Image.open(file) as opened:
        return np.asarray(opened).astype(int)


def order(sources: SourceStore, source: bytes, border: Border, **fields: Any) -> InpaintRequest:
    own = {name: fields.pop(name) for name in InpaintRequest.model_fields.keys() & fields.keys()}
    quick: dict[str, Any] = {
        "prompt": MEADOW,
        "seed": 5,
        "cfg": 4,
        "steps": 4,
        "width": 64,
        "height": 64,
        "model": "flat",
    }
    picture = GenerateRequest(**(quick | fields))
    return InpaintRequest(picture=picture, source=sources.keep(source).id, border=border, **own)


def steps_across(picture: np.ndarray) -> np.ndarray:
    """(w - 4,): by how much the colour changes over the middle of four columns, as the mean of all rows."""
    two = picture[:, :-1] + picture[:, 1:]
    change: np.ndarray = np.abs(two[:, 2:] - two[:, :-2]).mean(axis=(0, 2)) / 2
    return change


@pytest.mark.parametrize("model", ["flat", "inpaint"])
def test_half_of_it_more_on_each_side_shows_no_seam(
    model: str, painter: Painter, sources: SourceStore, scene: bytes, folder: Path
) -> None:
    half = SIDE // 2
    border = Border(left=half, top=half, right=half, bottom=half)
    request = order(sources, scene, border, model=model, steps=20, width=SIDE, height=SIDE)
    grown = pixels(files(painter.perform(Work(request), StopSignal()), folder)[0])
    inside = slice(half, half + SIDE)
    before = pixels(BytesIO(scene))
    assert (grown[inside, inside] == before).all()
    for picture, own in ((grown[inside], before), (grown[:, inside].swapaxes(0, 1), before.swapaxes(0, 1))):
        across, typical = steps_across(picture), steps_across(own).mean()
        for seam in (half, half + SIDE):
            near = across[seam - 12 : seam + 8]  # a seam that was only moved would be one, too
            assert near.mean() <= 1.5 * typical and near.max() <= 2.5 * typical


def test_far_out_it_neither_repeats_itself_nor_fades(
    painter: Painter, sources: SourceStore, scene: bytes, folder: Path
) -> None:
    request = order(sources, scene, Border(right=2 * SIDE), model="inpaint", steps=10, width=SIDE, height=SIDE)
    grown = pixels(files(painter.perform(Work(request), StopSignal()), folder)[0])
    assert grown.shape == (SIDE, 3 * SIDE, 3)
    ways = [grown[:, start : start + SIDE // 2] for start in range(SIDE, 3 * SIDE, SIDE // 2)]
    for number, one in enumerate(ways):
        assert one.std(axis=1).mean() > 1  # something is there
        assert all(np.abs(one - other).mean() > 2 for other in ways[:number])


def test_the_same_seed_grows_the_same_and_every_picture_its_own(
    painter: Painter, sources: SourceStore, small: bytes, folder: Path
) -> None:
    request = order(sources, small, Border(left=30, bottom=20), count=2)
    alone = order(sources, small, Border(left=30, bottom=20), seed=6)
    both = [pixels(file) for file in files(painter.perform(Work(request), StopSignal()), folder)]
    (second,) = (pixels(file) for file in files(painter.perform(Work(alone), StopSignal()), folder))
    assert len(both) == 2 and (both[0] != both[1]).any() and (both[1] == second).all()


def test_what_is_masked_is_painted_over_first_and_then_the_border(
    painter: Painter, sources: SourceStore, scene: bytes, folder: Path
) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[80:120, 80:120] = 255
    buffer = BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    kept = sources.keep(buffer.getvalue()).id
    for invert in (False, True):
        request = order(sources, scene, Border(right=32), mask=kept, soft_edge=0, invert=invert, strength=1.0)
        grown, before = (
            pixels(files(painter.perform(Work(request), StopSignal()), folder)[0]),
            pixels(BytesIO(scene)),
        )
        changed = (grown[:, :SIDE] != before).any(axis=2)
        assert changed[mask > 0].any() != invert and changed[mask == 0].any() == invert
        assert grown[:, SIDE:].std() > 5


def test_sixteen_bits_and_transparency_stay_inside(painter: Painter, sources: SourceStore, folder: Path) -> None:
    chance = np.random.default_rng(0)
    before = chance.integers(0, 65536, (60, 70, 4), dtype=np.uint16)
    buffer = BytesIO()
    write_deep_png(DeepPicture(before), PngImagePlugin.PngInfo(), buffer)
    request = order(sources, buffer.getvalue(), Border(left=11, top=40, right=5))
    now = read_deep_png(files(painter.perform(Work(request), StopSignal()), folder)[0].read_bytes())
    assert now.shape == (100, 86, 4) and (now[40:, 11:81] == before).all()
    assert (now[:40, ..., 3] == 65535).all()


class TestWhatIsTold:
    BORDER = Border(left=32, top=32, right=32, bottom=32)

    def test_steps_are_counted_through_all_passes(self, painter: Painter, sources: SourceStore, small: bytes) -> None:
        request = order(sources, small, self.BORDER, count=2, preview_every=1)
        events = list(painter.perform(Work(request), StopSignal()))
        told = [event for event in events if isinstance(event, Progress)]
        steps = told[0].steps
        assert steps > 2 * request.walked
        expected = [(picture, 2, step, steps) for picture in (1, 2) for step in range(steps + 1)]
        assert [(event.picture, event.count, event.step, event.steps) for event in told] == expected
        left = [event.seconds_left for event in told if event.seconds_left is not None]
        assert left[-1] < left[steps] < 2 * max(left)
        assert {event.picture for event in events if isinstance(event, Preview)} == {1, 2}

    def test_it_stops_within_a_pass(self, painter: Painter, sources: SourceStore, small: bytes) -> None:
        stop, told = StopSignal(), []
        for event in painter.perform(Work(order(sources, small, self.BORDER)), stop):
            told.append(event)
            if isinstance(event, Progress) and event.step == 5:
                stop.ask(StopMode.NOW)
        assert isinstance(told[-1], Stopped) and max(e.step for e in told if isinstance(e, Progress)) <= 6
        assert not any(isinstance(event, PictureSaved) for event in told)

    def test_after_this_picture_it_is_painted_to_its_end(
        self, painter: Painter, sources: SourceStore, small: bytes
    ) -> None:
        stop, told = StopSignal(), []
        for event in painter.perform(Work(order(sources, small, self.BORDER, count=2)), stop):
            told.append(event)
            if isinstance(event, Progress) and event.step == 5:
                stop.ask(StopMode.AFTER_PICTURE)
        assert isinstance(told[-1], Stopped) and sum(isinstance(event, PictureSaved) for event in told) == 1

    def test_a_border_beyond_all_measure_is_refused(self, painter: Painter, sources: SourceStore, small: bytes) -> None:
        request = order(sources, small, Border(left=8192, top=8192, right=8192, bottom=8192))
        end = list(painter.perform(Work(request), StopSignal()))[-1]
        assert isinstance(end, Failed) and end.problem.field == "border"
        assert end.problem.problem == "With its border the picture is 16448 x 16448"
