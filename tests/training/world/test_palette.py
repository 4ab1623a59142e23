"""The colours of the world: in ink as a wash on paper, and in every drawing as when the models learnt them."""

import numpy as np
import pytest

from pipelines.training.world.draw import draw
from pipelines.training.world.palette import PAPER, SKIES, shown, washed
from pipelines.training.world.scene import Colour, Ground, Kind, Relation, Scene, Sky, Style, Subject

SUBJECTS = (Subject(Kind.CAT, Colour.BLUE), Subject(Kind.HOUSE, Colour.RED))
SCENE = Scene(SUBJECTS, Sky.RAIN, Ground.SEA, relation=Relation.BEHIND)

# Nine pixels of drawing 7 of the scene, 40 apart. A model learns from drawings as they were when its training began:
# if these change, it has to be trained anew.
GOLDEN: dict[Style, list[tuple[int, int, int]]] = {
    Style.FLAT: [
        *((107, 117, 132), (100, 108, 121), (107, 117, 132)),
        *((149, 158, 168), (42, 88, 226), (149, 158, 168)),
        *((184, 164, 117), (163, 110, 94), (31, 104, 151)),
    ],
    Style.INK: [
        *((135, 137, 137), (127, 130, 131), (122, 125, 127)),
        *((160, 162, 157), (160, 162, 157), (159, 161, 156)),
        *((168, 152, 123), (149, 100, 96), (76, 123, 143)),
    ],
}


@pytest.mark.parametrize("style", Style)
def test_a_drawing_is_the_one_that_models_learnt_from(style: Style) -> None:
    seen = np.asarray(draw(SCENE, 7, style=style).image)[20::40, 24::40].reshape(-1, 3).astype(int)
    assert np.abs(seen - GOLDEN[style]).max() <= 1  # of 255


def test_a_wash_is_paler_than_its_paint_and_white_is_bare_paper() -> None:
    paints = np.array([(220, 42, 42), (255, 255, 255)], dtype=np.float32)
    red, white = washed(paints)
    assert np.ptp(red) < np.ptp(paints[0])
    assert red.mean() > paints[0].mean()
    assert np.allclose(white, PAPER)


def test_a_thicker_wash_is_darker() -> None:
    red = np.array([[220, 42, 42]], dtype=np.float32)
    assert (washed(red, 1.1) < washed(red)).all()


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("sky", Sky)
def test_a_paint_is_shown_in_drawings_as_the_palette_says(sky: Sky, style: Style) -> None:
    pictures = [draw(Scene(SUBJECTS, sky, Ground.SNOW), seed, style=style).image for seed in range(8)]
    row = np.median([np.asarray(picture)[38] for picture in pictures], axis=(0, 1))  # halfway to the horizon
    assert np.abs(row - shown([SKIES[sky][1]], style)[0]).max() < 12
