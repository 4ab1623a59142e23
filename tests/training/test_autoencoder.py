"""The VAE: a good beginning, a loss that falls, and units that fit SD's 0.18215."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from pipelines.training.autoencoder import VaeObjective, decoded, fold_statistics, latent_means, psnr, start_as_identity
from pipelines.training.loop import Job, Pace, train
from pipelines.training.networks import SCALING_FACTOR, new_vae
from pipelines.training.pictures import CropStream, Pictures, PictureSet, as_tensor


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    wanted = PictureSet(seed=3, count=6, width=64, height=64)
    pixels, boxes = zip(*(wanted.picture(i) for i in range(wanted.count)), strict=True)
    return Pictures(wanted, np.stack(pixels), np.stack(boxes))


@pytest.fixture
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    vae = new_vae().eval()
    start_as_identity(vae)
    return vae


@torch.no_grad()
def test_before_any_training_it_passes_a_picture_through_coarsely(vae: AutoencoderKL, pictures: Pictures) -> None:
    shown = as_tensor(pictures.pixels)
    assert psnr(decoded(vae, latent_means(vae, shown)), shown) > 14


@torch.no_grad()
def test_folding_makes_sds_scaling_factor_true(vae: AutoencoderKL, pictures: Pictures) -> None:
    shown = as_tensor(pictures.pixels)
    fold_statistics(vae, [latent_means(vae, shown)])
    latents = SCALING_FACTOR * latent_means(vae, shown)
    assert torch.allclose(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(latents.std((0, 2, 3), correction=0), torch.ones(4), atol=1e-4)


@torch.no_grad()
def test_sets_of_many_and_of_few_pictures_count_the_same(vae: AutoencoderKL) -> None:
    shares = [torch.full((60, 4, 2, 2), 3.0), torch.full((2, 4, 4, 4), 5.0)]
    fold_statistics(vae, shares)
    assert torch.allclose(vae.quant_conv.bias[:4], torch.full((4,), -4 / SCALING_FACTOR), atol=1e-3)


@torch.no_grad()
def test_folding_changes_no_picture(vae: AutoencoderKL, pictures: Pictures) -> None:
    shown = as_tensor(pictures.pixels)
    before = decoded(vae, latent_means(vae, shown))
    fold_statistics(vae, [latent_means(vae, shown)])
    assert torch.allclose(decoded(vae, latent_means(vae, shown)), before, atol=1e-4)


@torch.no_grad()
def test_a_folded_vae_says_that_its_latents_are_nearly_certain(vae: AutoencoderKL, pictures: Pictures) -> None:
    shown = as_tensor(pictures.pixels)
    fold_statistics(vae, [latent_means(vae, shown)])
    spread = vae.encode(shown).latent_dist.std * SCALING_FACTOR
    assert torch.allclose(spread, torch.tensor(0.05), atol=1e-4)


def test_a_few_steps_lower_its_loss(vae: AutoencoderKL, pictures: Pictures, tmp_path: Path) -> None:
    objective = VaeObjective(vae, CropStream((pictures,), batch=2, side=32, seed=1), seed=1)
    with torch.no_grad():
        before = sum(objective(step).item() for step in range(1000, 1006))
    pace = Pace(steps=25, rate=1e-3, warmup=10, bf16=0.0)
    for _ in train(Job(module=vae, objective=objective, pace=pace, checkpoint=tmp_path / "vae.pt", averaging=0.5)):
        pass
    with torch.no_grad():
        after = sum(objective(step).item() for step in range(1000, 1006))
    assert after < 0.97 * before


def test_the_same_step_takes_the_same_crops(pictures: Pictures) -> None:
    crops = CropStream((pictures,), batch=3, side=32, seed=1)
    assert torch.equal(crops(4), crops(4))
    assert not torch.equal(crops(4), crops(5))
    assert crops(4).shape == (3, 3, 32, 32)
    assert crops(4).abs().max() <= 1
