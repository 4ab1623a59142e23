"""The judge: what it is shown, how it answers, and what it knows after a few seconds of lessons."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from pipelines.training.checkers.judge import (
    FEATURES,
    KIND,
    QUESTIONS,
    VIEW,
    Judge,
    by_question,
    features_of,
    kinds_of,
    overview,
    view,
)
from pipelines.training.frechet import Gaussian, fitted, frechet_distance
from pipelines.training.pictures import PictureSet, as_tensor
from pipelines.training.world.draw import draw
from pipelines.training.world.scene import Colour, Ground, Kind, Scene, Sky, Style, Subject
from tests.training.judges import shipped_judge

COUNT = 320  # pictures in a set; with fewer, even two sets of drawings seem far apart


def drawn(style: Style, seed: int) -> list[Image.Image]:
    wanted = PictureSet(seed, COUNT, 64, 64, style)
    return [Image.fromarray(wanted.picture(i)[0]) for i in range(COUNT)]


def gaussian(pictures: list[Image.Image]) -> Gaussian:
    return fitted(features_of(shipped_judge(), pictures))


@pytest.fixture(scope="module")
def flat() -> list[Image.Image]:
    return drawn(Style.FLAT, 1)


@pytest.fixture(scope="module")
def fresh() -> Gaussian:
    return gaussian(drawn(Style.FLAT, 2))


def test_it_is_small() -> None:
    assert sum(weight.numel() for weight in Judge().parameters()) <= 500_000


def test_a_view_shows_the_subject_and_not_the_picture() -> None:
    drawing = draw(Scene((Subject(Kind.MUSHROOM, Colour.PURPLE),), Sky.DAY, Ground.MEADOW), 1)
    seen = view(drawing.image, drawing.boxes[0])
    assert seen.shape == (VIEW, VIEW, 3)
    purple = np.abs(seen.astype(int) - (136, 66, 190)).sum(-1) < 60
    assert purple.mean() > 0.1


def test_a_view_may_reach_beyond_the_picture() -> None:
    assert view(Image.new("RGB", (64, 64), "white"), (-0.5, 0.2, 0.5, 0.8)).shape == (VIEW, VIEW, 3)


def test_the_same_subject_looks_alike_in_pictures_of_all_sizes() -> None:
    scene = Scene((Subject(Kind.CAR, Colour.RED),), Sky.DAY, Ground.SNOW)
    small, large = (draw(scene, 2, width=side, height=side) for side in (128, 256))
    seen = [view(drawing.image, drawing.boxes[0]).astype(int) for drawing in (small, large)]
    assert np.abs(seen[0] - seen[1]).mean() < 6


def test_the_answer_none_is_no_kind() -> None:
    judge = Judge().eval()
    with torch.no_grad():
        judge.answers.weight.zero_()
        judge.answers.bias.zero_()
        by_question(judge.answers.bias[None])["kind"][0, KIND.index(None)] = 1
    assert kinds_of(judge, Image.new("RGB", (64, 64)), [(0.2, 0.2, 0.8, 0.8)]) == (None,)


def test_a_picture_is_judged_alike_alone_and_among_others(flat: list[Image.Image]) -> None:
    together, alone = features_of(shipped_judge(), flat[:5]), features_of(shipped_judge(), flat[2:3])
    assert together.shape == (5, FEATURES)
    assert np.allclose(together[2], alone[0], atol=1e-4)


@pytest.mark.parametrize("style", Style)
@torch.no_grad()
def test_a_few_lessons_teach_it_style_and_sky(style: Style) -> None:
    wanted = PictureSet(5, 40, 192, 192, style, held_out=True)
    scenes = [wanted.scene(i) for i in range(wanted.count)]
    views = np.stack([overview(Image.fromarray(wanted.picture(i)[0])) for i in range(wanted.count)])
    answers = {
        question: logits.argmax(-1) for question, logits in by_question(shipped_judge()(as_tensor(views))).items()
    }
    assert np.mean([QUESTIONS["style"][a] is style for a in answers["style"]]) > 0.9
    assert np.mean([QUESTIONS["sky"][a] is s.sky for a, s in zip(answers["sky"], scenes, strict=True)]) > 0.8


def test_drawings_are_nearer_to_other_drawings_than_to_another_style(flat: list[Image.Image], fresh: Gaussian) -> None:
    same, other = frechet_distance(gaussian(flat), fresh), frechet_distance(gaussian(drawn(Style.INK, 3)), fresh)
    assert other > 4 * same


def test_the_more_a_set_is_blurred_the_farther_it_is(flat: list[Image.Image], fresh: Gaussian) -> None:
    blurred = ([p.filter(ImageFilter.GaussianBlur(reach)) for p in flat] for reach in (0, 2, 4, 8))
    distances = [frechet_distance(gaussian(pictures), fresh) for pictures in blurred]
    assert distances == sorted(distances)
    assert distances[-1] > 2 * distances[0]


def test_a_set_that_leaves_something_out_is_farther_than_one_that_does_not(
    flat: list[Image.Image], fresh: Gaussian
) -> None:
    wanted = PictureSet(1, COUNT, 64, 64)
    lacking = [picture for i, picture in enumerate(flat) if wanted.scene(i).sky is not Sky.NIGHT]
    assert frechet_distance(gaussian(lacking), fresh) > 1.5 * frechet_distance(gaussian(flat), fresh)
