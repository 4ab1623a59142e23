"""Pictures that are worked on in bands come out as if they were worked on whole."""

import numpy as np
import pytest
from PIL import Image

from pipelines.core.upscale import Resampler
from pipelines.upscaling.flow import FILTERS, Flow, blended, cut, plain, resized
from pipelines.upscaling.tiles import Levels


def picture(width: int, height: int, seed: int = 1) -> Levels:
    return np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)


def in_bands(levels: Levels, step: int) -> Flow:
    for top in range(0, len(levels), step):
        yield None
        yield levels[top : top + step]


def whole(flow: Flow) -> Levels:
    return np.concatenate([rows for rows in flow if rows is not None])


@pytest.mark.parametrize("after", [(100, 777), (333, 50), (64, 300), (1, 1), (640, 3000)])
@pytest.mark.parametrize("resampler", [Resampler.LANCZOS, Resampler.BICUBIC])
def test_bands_are_resized_as_the_whole_is(after: tuple[int, int], resampler: Resampler) -> None:
    levels = picture(64, 300)
    expected = np.stack(
        [np.asarray(Image.fromarray(levels[..., k]).resize(after, FILTERS[resampler])) for k in range(3)], axis=-1
    ).clip(0, 1)
    come = whole(resized(in_bands(levels, 37), (64, 300), after, resampler))
    assert come.shape == expected.shape and np.abs(come - expected).max() < 1e-5
    direct = np.concatenate(list(plain(lambda r, c: levels[r, c], (64, 300), after, resampler)))
    assert np.array_equal(direct, come)


def test_nearest_repeats_the_very_pixels() -> None:
    levels = picture(9, 200)
    large = whole(resized(in_bands(levels, 50), (9, 200), (27, 600), Resampler.NEAREST))
    assert np.array_equal(large, levels.repeat(3, axis=0).repeat(3, axis=1))


def test_the_rest_of_a_picture_follows_on_what_is_there() -> None:
    levels = picture(40, 90)
    all_of_it = np.concatenate(list(plain(lambda r, c: levels[r, c], (40, 90), (80, 360), Resampler.LANCZOS)))
    rest = np.concatenate(list(plain(lambda r, c: levels[r, c], (40, 90), (80, 360), Resampler.LANCZOS, first=201)))
    assert np.abs(all_of_it[201:] - rest).max() < 1e-6


def test_two_pictures_blend_whatever_bands_they_came_in() -> None:
    one, two = picture(20, 300), picture(20, 300, seed=2)
    size = (20, 300)
    first = resized(in_bands(one, 37), size, size, Resampler.LANCZOS)
    second = resized(in_bands(two, 111), size, size, Resampler.LANCZOS)
    assert np.allclose(whole(blended(first, second, 0.25)), 0.75 * one + 0.25 * two)


def test_what_stands_out_is_cut_off() -> None:
    levels = picture(30, 200)
    assert np.array_equal(whole(cut(in_bands(levels, 33), (3, 40, 28, 170))), levels[40:170, 3:28])
