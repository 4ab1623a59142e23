"""The objective: the papers' identities, diffusers' numbers, and a loss that falls."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMScheduler

from pipelines.training.diffusion import (
    SUBJECT_WEIGHT,
    UnetObjective,
    cumulative_alphas,
    noised,
    step_weights,
    subject_weights,
    velocity,
)
from pipelines.training.examples import Bucket, ExampleStream
from pipelines.training.latents import LatentSet
from pipelines.training.loop import Job, Pace, train
from pipelines.training.networks import new_text_encoder, new_unet
from pipelines.training.pictures import PictureSet
from pipelines.training.tokenizer import train_tokenizer, world_texts

TIMES = torch.tensor([0, 400, 999])


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 4, 8, 8, generator=generator)


def test_noise_and_velocity_are_those_of_diffusers(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    latents, noise = pair
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    alphas = cumulative_alphas()[TIMES]
    assert torch.allclose(noised(latents, noise, alphas), scheduler.add_noise(latents, noise, TIMES), atol=1e-6)
    assert torch.allclose(velocity(latents, noise, alphas), scheduler.get_velocity(latents, noise, TIMES), atol=1e-6)


def test_the_velocity_and_the_noisy_latent_give_the_clean_one_back(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    latents, noise = pair
    alphas = cumulative_alphas()[TIMES]
    a = alphas.view(-1, 1, 1, 1)
    clean = a.sqrt() * noised(latents, noise, alphas) - (1 - a).sqrt() * velocity(latents, noise, alphas)
    assert torch.allclose(clean, latents, atol=1e-4)


def test_noisy_steps_count_fully_and_clean_ones_less() -> None:
    weights = step_weights(cumulative_alphas())
    assert weights[-1] == 1
    assert weights[0] < 0.02
    assert (weights.diff() >= 0).all()


@pytest.mark.parametrize(("snr", "weight"), [(0.01, 1.0), (1.0, 1.0), (4.0, 1.0), (9.0, 0.5), (49.0, 0.1)])
def test_the_weight_of_a_step_follows_from_its_signal_to_noise(snr: float, weight: float) -> None:
    assert step_weights(torch.tensor([snr / (snr + 1)])).item() == pytest.approx(weight, rel=1e-3)


class Oracle(torch.nn.Module):
    """A UNet that knows the clean latents, and answers with the true velocity of whatever it is shown."""

    def __init__(self, clean: torch.Tensor) -> None:
        super().__init__()
        self.clean, self.device = clean, torch.device("cpu")

    def forward(self, shown: torch.Tensor, times: torch.Tensor, _: torch.Tensor) -> SimpleNamespace:
        a = cumulative_alphas()[times].view(-1, 1, 1, 1)
        noise = (shown - a.sqrt() * self.clean) / (1 - a).sqrt()
        return SimpleNamespace(sample=a.sqrt() * noise - (1 - a).sqrt() * self.clean)


def test_a_network_that_answers_the_true_velocity_has_nothing_left_to_learn() -> None:
    tokenizer = train_tokenizer(world_texts(1, 200))
    examples = toy_examples()
    oracle = Oracle(examples(3).latents)
    objective = UnetObjective(oracle, new_text_encoder(len(tokenizer)), tokenizer, examples, seed=1)
    assert objective(3).item() < 1e-6
    oracle.clean = oracle.clean + 0.1
    assert objective(3).item() > 1e-3


def test_the_subject_counts_more_than_what_is_around_it() -> None:
    boxes = torch.tensor([[[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.0, 0.0]]])
    weights = subject_weights(boxes, 4, 8)
    assert weights.shape == (1, 1, 4, 8)
    assert (weights[0, 0, 2:, 2:6] == 1 + SUBJECT_WEIGHT).all()
    assert weights.sum() == 4 * 8 + 8 * SUBJECT_WEIGHT


def toy_examples(steps: int = 20) -> ExampleStream:
    generator = torch.Generator().manual_seed(2)

    def bucket(width: int, height: int, enters: float) -> Bucket:
        latents = torch.randn(6, 4, height // 8, width // 8, generator=generator).half()
        source = LatentSet(PictureSet(1, 6, width, height), latents, torch.zeros(6, 2, 4))
        return Bucket(lambda: source, 4, enters=enters)

    return ExampleStream((bucket(64, 64, 0.0), bucket(64, 128, 0.5)), steps=steps, seed=1)


def test_the_same_step_shows_the_same_examples() -> None:
    once, again = toy_examples()(3), toy_examples()(3)
    assert torch.equal(once.latents, again.latents)
    assert once.texts == again.texts


def test_a_size_enters_when_its_time_has_come() -> None:
    examples = toy_examples()
    assert {tuple(examples(step).latents.shape[2:]) for step in range(10)} == {(8, 8)}
    assert {tuple(examples(step).latents.shape[2:]) for step in range(10, 20)} == {(8, 8), (16, 8)}


def test_captions_are_worded_anew_and_some_are_left_out() -> None:
    texts = [text for step in range(60) for text in toy_examples()(step).texts]
    assert len(set(texts)) > 60
    assert 0.03 < sum(text == "" for text in texts) / len(texts) < 0.15


def test_a_few_steps_lower_its_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(world_texts(1, 200))
    unet = new_unet(8)
    objective = UnetObjective(unet, new_text_encoder(len(tokenizer)), tokenizer, toy_examples(), seed=1)
    with torch.no_grad():
        before = sum(objective(step).item() for step in range(1000, 1004))
    pace = Pace(steps=12, rate=2e-3, warmup=2, bf16=0.0)
    for _ in train(Job(module=unet, objective=objective, pace=pace, checkpoint=tmp_path / "u.pt", averaging=0.5)):
        pass
    with torch.no_grad():
        assert sum(objective(step).item() for step in range(1000, 1004)) < before


def test_the_unet_has_sd1s_blocks_at_a_shippable_size() -> None:
    unet = new_unet(16)
    input_blocks = 1 + sum(len(b.resnets) + len(b.downsamplers or []) for b in unet.down_blocks)
    output_blocks = sum(len(b.resnets) for b in unet.up_blocks)
    assert (input_blocks, output_blocks) == (12, 12)
    assert unet.num_parameters() < 5.7e6
