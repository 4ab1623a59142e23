"""Pictures enlarged in tiles are the pictures that would be made in one go."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipelines.core.error import InvalidRequest
from pipelines.upscaling.tiles import Levels, Strip, Tiling, enlarged

SMALL = Tiling(side=24, margin=5, feather=3)


class Looker(nn.Module):
    """Looks four pixels far in every direction, and makes everything twice as large."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2), nn.Tanh(), nn.Conv2d(8, 12, 5, padding=2), nn.Sigmoid(), nn.PixelShuffle(2)
        )

    def __call__(self, pixels: Levels) -> Levels:
        with torch.inference_mode():
            made = self.layers(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None])
        large: Levels = made[0].permute(1, 2, 0).numpy()
        return large


def noise(height: int, width: int) -> Levels:
    return np.random.default_rng(height * 1000 + width).random((height, width, 3), np.float32)


def in_tiles(picture: Levels, enlarge: Looker, tiling: Tiling) -> tuple[Levels, list[Strip]]:
    size = (picture.shape[1], picture.shape[0])
    strips = list(enlarged(size, lambda rows, columns: picture[rows, columns], enlarge, 2, tiling))
    return np.concatenate([strip.rows for strip in strips if strip.rows is not None]), strips


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90))
def test_tiles_of_any_picture_make_the_whole(height: int, width: int) -> None:
    picture, looker = noise(height, width), Looker()
    made, strips = in_tiles(picture, looker, SMALL)
    assert made.shape == (2 * height, 2 * width, 3)
    assert np.abs(made - looker(picture)).max() < 1e-5
    assert [strip.done for strip in strips if strip.rows is None] == list(range(1, strips[-1].total + 1))


def test_a_margin_that_is_too_small_would_be_seen() -> None:
    picture, looker = noise(60, 60), Looker()
    made, _ = in_tiles(picture, looker, Tiling(side=16, margin=1, feather=2))
    assert np.abs(made - looker(picture)).max() > 0.01


def test_only_some_rows_are_there_at_once() -> None:
    picture = noise(200, 30)
    _, strips = in_tiles(picture, Looker(), SMALL)
    assert max(strip.rows.shape[0] for strip in strips if strip.rows is not None) <= 2 * SMALL.side


def test_tiles_begin_where_windows_do() -> None:
    spans = Tiling(side=64, margin=8, feather=4, multiple=16).spans(300)
    assert all(span.seen_from % 16 == 0 and (span.seen_to % 16 == 0 or span.seen_to == 300) for span in spans)
    assert spans[0].start == 0 and spans[-1].end == 300


def test_tiles_without_room_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="too small; use 80 or more"):
        Tiling(side=64, margin=32, feather=8)
