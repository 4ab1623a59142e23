"""One seed, one picture: whatever else is painted, and however many at once."""

import pytest
import torch

from pipelines.generation.noise import Noise
from pipelines.models.loading import LoadedModel
from tests.generation.painting import difference, paint


@pytest.mark.parametrize("sampler", ["euler", "euler_a", "dpmpp_2m_sde", "dpmpp_sde", "ddpm"])
def test_a_picture_is_the_same_in_a_batch_and_alone(sampler: str, starter: LoadedModel) -> None:
    batch = paint(starter, sampler=sampler, seed=10, count=3, batch_size=3)
    for index, picture in enumerate(batch):
        alone = paint(starter, sampler=sampler, seed=10 + index)[0]
        assert difference(picture, alone) <= 1


def test_pictures_made_one_by_one_are_exactly_those_of_their_seeds(starter: LoadedModel) -> None:
    row = paint(starter, sampler="euler_a", seed=10, count=3)
    assert [difference(row[i], paint(starter, sampler="euler_a", seed=10 + i)[0]) for i in range(3)] == [0, 0, 0]


def test_a_job_taken_up_again_paints_only_what_is_missing(starter: LoadedModel) -> None:
    whole = paint(starter, seed=10, count=5, batch_size=2)
    rest = paint(starter, seed=10, count=5, batch_size=2, first=3)
    assert len(rest) == 2
    assert max(difference(a, b) for a, b in zip(whole[3:], rest, strict=True)) <= 1


def test_different_seeds_are_different_pictures(starter: LoadedModel) -> None:
    one, other = paint(starter, seed=1, count=2)
    assert difference(one, other) > 30


def test_the_first_noise_is_what_torch_draws_for_the_seed() -> None:
    noise = Noise([7, 8], (4, 8, 8), torch.device("cpu"))
    assert torch.equal(noise.draw()[1], torch.randn((4, 8, 8), generator=torch.Generator("cpu").manual_seed(8)))


def test_later_noise_of_a_picture_does_not_depend_on_its_neighbours() -> None:
    together, alone = (Noise(seeds, (4, 8, 8), torch.device("cpu")) for seeds in ([7, 8], [8]))
    for _ in range(3):
        assert torch.equal(together.draw()[1], alone.draw()[0])
