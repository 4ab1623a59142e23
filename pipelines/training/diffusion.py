"""The UNet's objective: latent diffusion (Rombach et al. 2022, eq. 3) in v-prediction.

Notation of Ho et al. 2020 (DDPM): a_t is the cumulative product of 1 - beta, x_0 a latent, e unit Gaussian noise.

    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e            DDPM, eq. 4
    v_t = sqrt(a_t) e - sqrt(1 - a_t) x_0            Salimans & Ho 2022, appendix D
    loss = E[w_t |v_t - v(x_t, t, text)|^2]          DDPM, eq. 14, with v in place of e and a weight
    w_t = min(snr_t + 1, 5) / (snr_t + 1)            a cap as in min-SNR, Hang et al. 2023, section 3.4

with snr_t = a_t / (1 - a_t). Min-SNR caps snr where this caps snr + 1. For v its weight, min(snr, 5) / (snr + 1), falls
to nothing at the noisiest steps, where the words decide the composition; ours keeps them whole and takes strength from
the nearly clean steps only. At this size v obeys the prompt several times sooner than e does.
"""

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.training.examples import Batch, ExampleStream
from pipelines.training.text import hidden_states, token_ids

TIMESTEPS = 1000
SUBJECT_WEIGHT = 3.0  # added to the loss inside the subjects' boxes, and inside masks
CLIP_SKIP_SHARE = 0.15  # of the steps read the text tower's layer before the last, so that "clip skip 2" works
CAP = 5.0  # of snr + 1


def cumulative_alphas(first: float = 0.00085, last: float = 0.012) -> Tensor:
    """a_t for t = 0..999, from `scaled_linear` betas; if none are named, Stable Diffusion's."""
    schedule = DDPMScheduler(beta_start=first, beta_end=last, beta_schedule="scaled_linear")
    alphas: Tensor = schedule.alphas_cumprod
    return alphas


def noised(latents: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """x_t of x_0 (n, 4, h, w); `alphas` is a_t, (n)."""
    a = alphas.view(-1, 1, 1, 1)
    return a.sqrt() * latents + (1 - a).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """v_t of x_0 (n, 4, h, w); `alphas` is a_t, (n)."""
    a = alphas.view(-1, 1, 1, 1)
    return a.sqrt() * noise - (1 - a).sqrt() * latents


def step_weights(alphas: Tensor) -> Tensor:
    """w_t, (n), for a_t, (n)."""
    snr_and_one = 1 / (1 - alphas)
    return snr_and_one.clamp(max=CAP) / snr_and_one


def subject_weights(boxes: Tensor, height: int, width: int) -> Tensor:
    """Loss weights (n, 1, h, w): 1, plus `SUBJECT_WEIGHT` where a latent's middle is in one of the boxes (n, k, 4)."""
    rows = (torch.arange(height, device=boxes.device) + 0.5) / height
    columns = (torch.arange(width, device=boxes.device) + 0.5) / width
    left, top, right, bottom = boxes[..., None].unbind(-2)
    inside = ((rows >= top) & (rows <= bottom))[..., :, None] & ((columns >= left) & (columns <= right))[..., None, :]
    return 1 + SUBJECT_WEIGHT * inside.any(dim=1, keepdim=True).float()


def _area_weights(batch: Batch) -> Tensor:
    """Loss weights (n, 1, h, w): what is to be learnt there is the subject, or when inpainting what the mask hides."""
    if batch.known is not None:
        return 1 + SUBJECT_WEIGHT * batch.known[:, :1]
    return subject_weights(batch.boxes, *batch.latents.shape[-2:])


def spread_times(n: int, generator: torch.Generator) -> Tensor:
    """One time in each n-th of the range, so that every batch sees all noise levels."""
    share = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    return (share * TIMESTEPS).long().clamp(max=TIMESTEPS - 1)


class UnetObjective:
    """The loss of step k. A text tower with nothing to learn is only read."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        examples: ExampleStream,
        *,
        seed: int,
    ) -> None:
        self._unet, self._tokenizer, self._examples, self._seed = unet, tokenizer, examples, seed
        self._encoder = encoder.eval()
        self._words_learn = any(weight.requires_grad for weight in encoder.parameters())
        self._alphas = cumulative_alphas()

    def __call__(self, step: int) -> Tensor:
        generator = torch.Generator("cpu").manual_seed(self._seed * 1_000_003 + step)
        batch = self._examples(step)
        latents = batch.latents
        noise = torch.randn(latents.shape, generator=generator)
        times = spread_times(len(latents), generator)
        alphas = self._alphas[times]
        weights = step_weights(alphas).view(-1, 1, 1, 1) * _area_weights(batch)
        on = self._unet.device
        context = self._context(batch, skip=float(torch.rand((), generator=generator)) < CLIP_SKIP_SHARE)
        shown = noised(latents, noise, alphas)
        if batch.known is not None:
            shown = torch.cat([shown, batch.known], dim=1)
        predicted: Tensor = self._unet(shown.to(on), times.to(on), context).sample
        errors = (predicted.float() - velocity(latents, noise, alphas).to(on)).square()
        return torch.mean(weights.to(on) * errors)

    def _context(self, batch: Batch, *, skip: bool) -> Tensor:
        with torch.set_grad_enabled(self._words_learn):
            last, before = hidden_states(self._encoder, token_ids(self._tokenizer, batch.texts).to(self._unet.device))
        return before if skip else last
