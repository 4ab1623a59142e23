"""The enlarging model: latent diffusion that is shown the small picture, in the layout of Stability's x4 upscaler.

The small picture stands beside the noisy latents, which are as large, after some noise was put on it; how much is told
by a class label (Ho et al. 2022, "Cascaded diffusion models", section 4.2, call this conditioning augmentation). So the
model trusts a picture as far as it is told to, and at a high level invents what it cannot see.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.training import networks
from pipelines.training.diffusion import cumulative_alphas, noised, spread_times, step_weights, velocity
from pipelines.training.enlarging import made_small
from pipelines.training.model import open_as, save_pipeline
from pipelines.training.networks import LATENT_CHANNELS, TEXT_WIDTH, start_still
from pipelines.training.text import hidden_states, token_ids

SCALING_FACTOR = 0.08333
BETAS = (0.0001, 0.02)
LEVELS = 1000
MAX_LEVEL = 350
"""Of the noise on the small picture; the labels above it are there because Stability's model has them."""

Examples = Callable[[int], tuple[Tensor, Tensor, list[str]]]
"""step -> scaled latents (n, 4, h, w), their pictures (n, 3, 4h, 4w) in 0..1, n texts"""


def new_vae() -> AutoencoderKL:
    """0.6 M parameters, 4 pixels to a latent."""
    return networks.new_vae((16, 32, 48), sample_size=128, scaling_factor=SCALING_FACTOR)


def new_unet(latent_side: int) -> UNet2DConditionModel:
    """2.0 M parameters; attention as in Stability's: none where it is finest, and to the text only in most places.

    Noise levels begin as near to each other as they are (a table of chance would make each a stranger), so that the
    seldom seen ones profit from their neighbours.
    """
    unet = UNet2DConditionModel(
        sample_size=latent_side,
        in_channels=LATENT_CHANNELS + 3,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 3),
        up_block_types=(*("CrossAttnUpBlock2D",) * 3, "UpBlock2D"),
        block_out_channels=(48, 48, 32, 32),
        layers_per_block=2,
        only_cross_attention=(True, True, True, False),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,  # diffusers' old name for the number of heads
        use_linear_projection=True,
        norm_num_groups=4,
        num_class_embeds=LEVELS,
    )
    levels = unet.class_embedding.weight
    with torch.no_grad():
        levels.copy_(get_timestep_embedding(torch.arange(LEVELS), levels.shape[1]))
    return start_still(unet)


def scheduler() -> DDIMScheduler:
    """Stability's, but for the spacing: trailing starts at the noisiest step, where v was trained too."""
    first, last = BETAS
    return DDIMScheduler(
        beta_start=first,
        beta_end=last,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
    )


def low_res_scheduler() -> DDPMScheduler:
    """What puts noise on the small picture: Stability's."""
    first, last = BETAS
    return DDPMScheduler(beta_start=first, beta_end=last, beta_schedule="scaled_linear")


class SuperresObjective:
    """The loss of step k, that of `diffusion.UnetObjective`; small levels are drawn most, as they are used most."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        examples: Examples,
        *,
        seed: int,
    ) -> None:
        self._unet, self._encoder, self._tokenizer = unet, encoder.eval(), tokenizer
        self._examples, self._seed = examples, seed
        self._alphas = cumulative_alphas(*BETAS)

    def __call__(self, step: int) -> Tensor:
        generator = torch.Generator("cpu").manual_seed(self._seed * 1_000_003 + step)
        latents, pictures, texts = self._examples(step)
        noise = torch.randn(latents.shape, generator=generator)
        times = spread_times(len(latents), generator)
        alphas = self._alphas[times]
        levels = ((MAX_LEVEL + 1) * torch.rand(len(latents), generator=generator).square()).long()
        shown = torch.cat([noised(latents, noise, alphas), self._small(pictures, levels, step, generator)], dim=1)
        on = self._unet.device
        with torch.no_grad():
            context, _ = hidden_states(self._encoder, token_ids(self._tokenizer, texts).to(on))
        predicted: Tensor = self._unet(shown.to(on), times.to(on), context, class_labels=levels.to(on)).sample
        errors = (predicted.float() - velocity(latents, noise, alphas).to(on)).square()
        return torch.mean(step_weights(alphas).view(-1, 1, 1, 1).to(on) * errors)

    def _small(self, pictures: Tensor, levels: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """(n, 3, h, w) in -1..1 and noise."""
        rng = np.random.default_rng((self._seed, step))
        small = 2 * torch.cat([made_small(one[None], rng) for one in pictures]) - 1
        return noised(small, torch.randn(small.shape, generator=generator), self._alphas[levels])


def save_superres(
    folder: Path,
    *,
    vae: AutoencoderKL,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> None:
    """Write the pipeline's folder in fp16, whole or not at all."""
    pipeline = StableDiffusionUpscalePipeline(
        vae=vae.to(memory_format=torch.contiguous_format).half(),
        text_encoder=text_encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        low_res_scheduler=low_res_scheduler(),
        scheduler=scheduler(),
        max_noise_level=MAX_LEVEL,
    )
    save_pipeline(folder, pipeline)


def open_superres(folder: Path) -> StableDiffusionUpscalePipeline:
    """The stock pipeline of `folder` in fp32, from local files only and without progress bars."""
    return open_as(StableDiffusionUpscalePipeline, folder)
