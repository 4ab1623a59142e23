"""Masks look as people paint them: around subjects mostly, of every extent, the same for the same seed."""

import random

import numpy as np

from pipelines.training.masks import mask_of, random_mask, subject_mask
from pipelines.training.pictures import PictureSet

BOXES = np.array([[0.2, 0.4, 0.5, 0.8], [0.0, 0.0, 0.0, 0.0]], np.float32)


def masks(count: int) -> list[np.ndarray]:
    return [random_mask(random.Random(seed), BOXES, (96, 64)) for seed in range(count)]


def test_the_same_seed_paints_the_same_mask() -> None:
    assert all(np.array_equal(a, b) for a, b in zip(masks(20), masks(20), strict=True))


def test_most_masks_hide_the_subject_and_some_leave_it() -> None:
    inside = [mask[32:48, 24:44].all() for mask in masks(200)]
    assert 0.55 < np.mean(inside) < 0.85


def test_some_masks_hide_everything_and_none_hides_nothing_as_a_rule() -> None:
    shares = np.array([mask.mean() for mask in masks(200)])
    assert 0.03 < (shares == 1).mean() < 0.2
    assert (shares < 0.005).mean() < 0.05


def test_a_mask_around_a_subject_reaches_a_little_beyond_its_box() -> None:
    mask = subject_mask((0.25, 0.25, 0.75, 0.75), (80, 40), margin=0.1)
    assert mask.shape == (40, 80)
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (16, 64, 8, 32)


def test_a_mask_stays_within_the_picture() -> None:
    assert subject_mask((0.0, 0.0, 1.0, 1.0), (64, 64)).all()


def test_how_a_picture_is_masked_does_not_follow_from_what_it_shows() -> None:
    wanted = PictureSet(seed=7, count=1500, duos=0.5)
    whole: dict[int, list[bool]] = {1: [], 2: []}
    for i in range(wanted.count):
        mask = mask_of(wanted.seed_of(i), BOXES, (32, 32))
        whole[len(wanted.scene(i).subjects)].append(bool(mask.all()))
    assert min(map(len, whole.values())) > 500
    assert abs(np.mean(whole[1]) - np.mean(whole[2])) < 0.05
    assert 0.05 < np.mean(whole[2]) < 0.2
