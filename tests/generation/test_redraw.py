"""A large picture painted over in tiles: its size, its shapes, what is told, and that no tile is seen in it."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.core.error import InvalidRequest
from pipelines.core.event import Preview, Progress
from pipelines.core.samplers import SAMPLERS
from pipelines.core.stop import StopMode, StopSignal
from pipelines.generation.encoding import encode_pixels
from pipelines.generation.generate import Happening, Painted, generate
from pipelines.generation.ground import Ground
from pipelines.generation.large import coloured, decoded, encode_large, padded
from pipelines.generation.masks import Pixels
from pipelines.generation.memo import FolderMemo
from pipelines.generation.pictures import pixels_of
from pipelines.generation.redraw import Redraw, redrawn
from pipelines.generation.seam_score import seam_score
from pipelines.models.budget import Thrift
from pipelines.models.loading import LoadedModel
from tests.generation.painting import ask


def hills(width: int, height: int) -> Pixels:
    """A soft picture: a sky, a hill, a sun."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width, y / height
    sky = np.stack([90 + 90 * y, 150 + 60 * y, 230 - 20 * y], axis=-1)
    hill = np.stack([70 + 0 * x, 150 - 30 * y, 60 + 20 * x], axis=-1)
    sun = np.exp(-((x - 0.3) ** 2 + (y - 0.25) ** 2) * 60)[..., None] * np.array([120, 60, -120])
    picture = np.where((y > 0.6 + 0.08 * np.sin(6 * x))[..., None], hill, sky + sun)
    return np.clip(picture, 0, 255).astype(np.uint8)


def events_of(how: Redraw, pixels: Pixels, model: LoadedModel, **more: object) -> list[Happening]:
    return list(redrawn(how, pixels, model, StopSignal(), **more))  # type: ignore[arg-type]


def end_of(events: list[Happening]) -> np.ndarray:
    assert isinstance(events[-1], Painted)
    return np.asarray(events[-1].image).astype(int)


@pytest.mark.parametrize(("width", "height"), [(150, 93), (64, 64), (33, 120), (7, 5)])
def test_a_picture_of_any_size_keeps_it(width: int, height: int, starter: LoadedModel) -> None:
    events = events_of(Redraw(ask(steps=2), 0.5), hills(width, height), starter)
    assert end_of(events).shape == (height, width, 3)


def test_what_is_told_counts_tiles(starter: LoadedModel) -> None:
    events = events_of(Redraw(ask(steps=4, preview_every=1), 0.5), hills(112, 64), starter)
    told = [(e.step, e.steps, e.seconds_left) for e in events if isinstance(e, Progress)]
    assert [step for step, _, _ in told] == [0, 1, 2, 3, 4, 4]  # two steps through two windows, and it is decoded
    assert {steps for _, steps, _ in told} == {4}
    assert told[0][2] is None and all(left is not None for _, _, left in told[1:])
    shown = [e for e in events if isinstance(e, Preview)]
    assert shown and Image.open(io.BytesIO(shown[0].jpeg)).size == (14, 8)


@pytest.mark.parametrize("sampler", [s.key for s in SAMPLERS])
def test_every_sampler_redraws_and_counts_to_the_end(sampler: str, starter: LoadedModel) -> None:
    events = events_of(Redraw(ask(sampler=sampler, steps=4), 0.5), hills(112, 64), starter)
    last = [e for e in events if isinstance(e, Progress)][-1]
    assert last.step == last.steps
    assert end_of(events).std() > 1


def test_one_tile_with_nothing_held_is_plain_image_to_image(starter: LoadedModel) -> None:
    pixels, request = hills(64, 64), ask(steps=4)
    latents = encode_pixels(starter, pixels)
    plain = generate(request, starter, StopSignal(), over=Ground(latents, latents, strength=0.5))
    assert np.array_equal(end_of(events_of(Redraw(request, 0.5, detail=0), pixels, starter)), end_of(list(plain)))


def test_shapes_and_colours_are_those_of_the_picture(starter: LoadedModel) -> None:
    pixels = hills(112, 112)
    held, free = (
        end_of(events_of(Redraw(ask(steps=5, cfg=6.0), 0.6, detail=detail), pixels, starter)) for detail in (1 / 8, 0)
    )
    away = [np.abs(_coarse(one) - _coarse(pixels)).mean() for one in (held, free)]
    assert away[0] < 8 and away[0] < away[1] / 2


def _coarse(pixels: np.ndarray) -> np.ndarray:
    """Means of 28 x 28 pixels."""
    means: np.ndarray = pixels.reshape(4, 28, 4, 28, 3).mean(axis=(1, 3))
    return means


def test_a_redraw_that_was_cut_off_comes_to_the_same_end(starter: LoadedModel, tmp_path: Path) -> None:
    how, pixels, memo = Redraw(ask(steps=6), 0.5), hills(112, 64), FolderMemo(tmp_path)
    uninterrupted = end_of(events_of(how, pixels, starter))
    told = redrawn(how, pixels, starter, StopSignal(), memo=memo)
    for event in told:
        if isinstance(event, Progress) and event.step == 3:
            break
    told.close()  # type: ignore[attr-defined]
    passes = []
    hook = starter.unet.register_forward_pre_hook(lambda *_: passes.append(1))
    try:
        again = events_of(how, pixels, starter, memo=memo)
    finally:
        hook.remove()
    assert len(passes) == 3
    assert np.array_equal(end_of(again), uninterrupted)


def test_a_stop_ends_it_in_silence_after_the_tile_at_hand(starter: LoadedModel) -> None:
    stop, seen = StopSignal(), []
    for event in redrawn(Redraw(ask(steps=6), 0.5), hills(112, 64), starter, stop):
        seen.append(event)
        if isinstance(event, Progress) and event.step == 3:
            stop.ask(StopMode.NOW)
    assert not any(isinstance(e, Painted) for e in seen)
    assert [e for e in seen if isinstance(e, Progress)][-1].step == 3


def test_too_few_steps_are_refused_with_a_fix(starter: LoadedModel) -> None:
    with pytest.raises(InvalidRequest, match="no step of 3 is left"):
        events_of(Redraw(ask(steps=3), 0.2), hills(64, 64), starter)


def test_an_inpainting_model_redraws_too(inpainter: LoadedModel) -> None:
    assert end_of(events_of(Redraw(ask(steps=2), 0.5), hills(112, 64), inpainter)).shape == (64, 112, 3)


@pytest.mark.parametrize("side", [64, 96])
def test_tiles_of_the_vae_are_nearly_the_whole(side: int, starter: LoadedModel) -> None:
    pixels, stop = hills(200, 136), StopSignal()
    whole = encode_pixels(starter, pixels)
    assert torch.equal(encode_large(starter, pixels, 512, stop), whole)
    in_tiles = encode_large(starter, pixels, side, stop)
    assert (in_tiles - whole).abs().mean() < 0.15
    strips = list(decoded(starter, whole, side, stop))
    drawn = np.concatenate([strip.rows for strip in strips if strip.rows is not None])
    plain = ((pixels_of(starter, whole)[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1) * 255).round().numpy()
    assert drawn.shape == (136, 200, 3)
    assert np.abs(drawn - plain).mean() < 5
    assert seam_score(drawn, [*range(48, 200, 48)], [*range(48, 136, 48)]) < 1.2
    assert [strip.done for strip in strips if strip.rows is None] == list(range(1, strips[-1].total + 1))


def test_tiles_from_the_top_when_memory_is_short(starter: LoadedModel) -> None:
    how, pixels = Redraw(ask(steps=2, width=640, height=64), 0.5), hills(640, 64)
    whole, sparing = (end_of(events_of(how, pixels, starter, thrift=Thrift(tiled=tiled))) for tiled in (False, True))
    assert 0 < np.abs(whole - sparing).mean() < 5


def test_slow_colours_come_from_the_old_picture_and_details_from_the_new() -> None:
    old, dots = hills(160, 96), np.zeros((96, 160, 3), int)
    dots[::8, ::8] = 40
    drifted = np.clip(old.astype(int) - [12, 4, -9] + dots, 0, 255).astype(np.uint8)
    new = coloured(drifted.copy(), old, 2.0).astype(int)
    assert np.abs((new - old).mean(axis=(0, 1))).max() < 0.6
    assert (
        abs((new[::8, ::8] - new[4::8, ::8]).mean() - (drifted[::8, ::8].astype(int) - drifted[4::8, ::8]).mean()) < 1
    )


def test_a_border_of_mirror_images_makes_a_side_whole() -> None:
    pixels = hills(13, 9)
    wide = padded(pixels, 8, 64)
    assert wide.shape == (64, 64, 3) and np.array_equal(wide[:9, :13], pixels)
    assert np.array_equal(wide[9, :13], pixels[8]) and np.array_equal(wide[:9, 13], pixels[:, 12])
    assert padded(wide, 8, 64) is wide


def test_borders_that_are_not_there_are_not_seen() -> None:
    noise = np.random.default_rng(0).integers(100, 130, (256, 256, 3)).astype(np.uint8)
    assert abs(seam_score(hills(256, 256), [64, 128, 192], [64, 128, 192]) - 1) < 0.15
    assert abs(seam_score(noise, [64, 128, 192], [64, 128, 192]) - 1) < 0.02
    assert seam_score(np.full((64, 64, 3), 7, np.uint8), [32], [32]) == 1
    assert seam_score(noise, [], []) == 1


@pytest.mark.parametrize("levels", [3, 10])
def test_a_step_at_a_border_is_seen(levels: int) -> None:
    stepped = hills(256, 256).astype(int)
    stepped[:, 128:] += levels
    assert seam_score(np.clip(stepped, 0, 255).astype(np.uint8), [128], []) > 1.3
    assert seam_score(np.clip(stepped, 0, 255).astype(np.uint8), [100], []) < 1.1
