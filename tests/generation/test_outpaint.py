"""Where the network looks when a picture is painted round: all of the border, and nothing of the picture."""

import numpy as np
import pytest

from pipelines.core.error import InvalidRequest
from pipelines.generation.masks import Box
from pipelines.generation.outpaint import Look, Size, looks


def laid(picture: Size, border: tuple[int, int, int, int], window: Size) -> tuple[Box, Size, tuple[Look, ...]]:
    left, top, right, bottom = border
    inside = Box(0, 0, *picture).moved(left, top)
    whole = (inside.right + right, inside.bottom + bottom)
    return inside, whole, looks(inside, whole, window)


CASES = {
    "half on each side": ((192, 192), (96, 96, 96, 96), (192, 192)),
    "far to the right": ((192, 192), (0, 0, 384, 0), (192, 192)),
    "far to all sides": ((128, 128), (256, 256, 256, 256), (128, 128)),
    "off the grid": ((131, 77), (3, 0, 50, 119), (64, 64)),
    "a speck": ((1, 1), (100, 0, 0, 100), (64, 64)),
    "a wide one": ((600, 100), (0, 90, 0, 0), (128, 64)),
    "smaller than the window": ((40, 40), (8, 8, 8, 8), (512, 512)),
    "a large one": ((900, 700), (0, 0, 150, 0), (128, 128)),
}


@pytest.mark.parametrize("case", CASES)
def test_all_of_the_border_is_painted_and_nothing_of_the_picture(case: str) -> None:
    inside, whole, found = laid(*CASES[case])
    painted = np.zeros(whole[::-1], bool)
    for look in found:
        painted[look.box.part] |= look.added > 0
    assert not painted[inside.part].any()
    painted[inside.part] = True
    assert painted.all()


@pytest.mark.parametrize("case", CASES)
def test_in_the_end_all_of_it_is_as_sharp_as_the_network_paints(case: str) -> None:
    inside, whole, found = laid(*CASES[case])
    window = CASES[case][2]
    sharp = np.zeros(whole[::-1], bool)
    for look in found:
        fine = look.box.width <= window[0] and look.box.height <= window[1]
        sharp[look.box.part] = np.where(look.added > 0, fine, sharp[look.box.part])
    sharp[inside.part] = True
    assert sharp.all()


@pytest.mark.parametrize("case", ["half on each side", "far to the right", "far to all sides", "a large one"])
def test_every_look_sees_something_to_go_on_from(case: str) -> None:
    for look in laid(*CASES[case])[2]:
        assert look.closer or look.added.mean() < 0.9


def test_a_long_way_is_walked_in_many_steps_and_a_short_one_in_one() -> None:
    assert len(laid((192, 192), (0, 0, 96, 0), (192, 192))[2]) == 1
    assert len(laid((192, 192), (0, 0, 384, 0), (192, 192))[2]) == 4


def test_a_horizon_goes_straight_on() -> None:
    _, _, (look,) = laid((64, 64), (0, 0, 32, 0), (64, 64))
    seen = np.zeros((64, 64, 3), np.uint8)
    seen[:20, :32], seen[20:, :32] = 200, 90
    begun = look.begun(seen)
    assert (begun[:20] == 200).all() and (begun[20:] == 90).all()


def test_a_walk_without_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than 1000 passes at 64 x 64; use a narrower one, or a larger size"):
        laid((64, 64), (3000, 3000, 3000, 3000), (64, 64))
