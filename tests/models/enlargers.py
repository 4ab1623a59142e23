"""Small models of chance that enlarge, in the true layouts: as stock diffusers saves them, and as a single file."""

from itertools import product
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    LDMSuperResolutionPipeline,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from pipelines.core.model import Family
from pipelines.models.architecture import architectures
from pipelines.models.names import open_clip_names, unet_names, vae_names
from pipelines.models.vocabulary import END, clip_tokenizer
from tests.models.synthetic import spelled

WIDTH = 64
"""Of its words."""


def _text(activation: str, seed: int) -> CLIPTextModel:
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2, num_attention_heads=1, vocab_size=49408,
        projection_dim=WIDTH, hidden_act=activation, bos_token_id=49406, eos_token_id=49407,
    )  # fmt: skip
    return CLIPTextModel(config).eval()


def _vae(levels: int) -> AutoencoderKL:
    """One that is sure of what it sees, as a trained one is."""
    vae = AutoencoderKL(
        block_out_channels=[32] * levels, down_block_types=["DownEncoderBlock2D"] * levels, layers_per_block=2,
        up_block_types=["UpDecoderBlock2D"] * levels, latent_channels=4, norm_num_groups=32,
    ).eval()  # fmt: skip
    with torch.no_grad():
        vae.quant_conv.weight[4:], vae.quant_conv.bias[4:] = 0, -30
    return vae


def x4(seed: int = 0, **scheduled: Any) -> StableDiffusionUpscalePipeline:
    """The SD x4 upscaler: its first three levels see only words, its VAE reduces fourfold."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        in_channels=7, out_channels=4, num_class_embeds=1000, block_out_channels=[32, 64, 64, 64], layers_per_block=2,
        down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 3, cross_attention_dim=WIDTH, sample_size=128,
        up_block_types=["CrossAttnUpBlock2D"] * 3 + ["UpBlock2D"], only_cross_attention=[True, True, True, False],
        use_linear_projection=True, attention_head_dim=8,
    ).eval()  # fmt: skip
    vae, numbers = _vae(3), architectures()[Family.X4_UPSCALER]
    vae.register_to_config(**numbers.vae)
    return StableDiffusionUpscalePipeline(
        vae=vae, text_encoder=_text("gelu", seed), tokenizer=clip_tokenizer(pad="!"), unet=unet,
        low_res_scheduler=DDPMScheduler.from_config(dict(numbers.low_res_scheduler)),
        scheduler=DDIMScheduler.from_config({**numbers.scheduler, **scheduled}),
    )  # fmt: skip


def x4_tensors(made: StableDiffusionUpscalePipeline) -> dict[str, Tensor]:
    """As `x4-upscaler-ema.safetensors` names them, with the text encoder's last layer, which is never used."""
    tensors = spelled(made.unet, unet_names([False, True, True, True], 2), "model.diffusion_model.")
    tensors |= spelled(made.vae, vae_names(3, 2), "first_stage_model.")
    root, layers = "cond_stage_model.model.", made.text_encoder.config.num_hidden_layers
    tensors |= spelled(made.text_encoder, open_clip_names(layers), root)
    last, unused = (f"{root}transformer.resblocks.{n}." for n in (layers - 1, layers))
    tensors |= {n.replace(last, unused): torch.zeros_like(t) for n, t in tensors.items() if n.startswith(last)}
    return tensors | {"low_scale_model.betas": made.low_res_scheduler.betas}


def write_x4_file(file: Path, made: StableDiffusionUpscalePipeline) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in x4_tensors(made).items()}, file)
    return file


def latent(seed: int = 0) -> StableDiffusionLatentUpscalePipeline:
    """The SD x2 latent upscaler: blocks of k-diffusion, preconditioned."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        act_fn="gelu", attention_head_dim=8, norm_num_groups=None, block_out_channels=[32, 32, 64, 64],
        time_cond_proj_dim=128 + WIDTH, conv_in_kernel=1, conv_out_kernel=1, cross_attention_dim=WIDTH, in_channels=8,
        down_block_types=["KDownBlock2D"] + ["KCrossAttnDownBlock2D"] * 3, mid_block_type=None, out_channels=5,
        resnet_time_scale_shift="scale_shift", time_embedding_type="fourier", timestep_post_act="gelu",
        up_block_types=["KCrossAttnUpBlock2D"] * 3 + ["KUpBlock2D"], only_cross_attention=False, sample_size=128,
    ).eval()  # fmt: skip
    return StableDiffusionLatentUpscalePipeline(
        vae=_vae(4), text_encoder=_text("quick_gelu", seed), tokenizer=clip_tokenizer(pad=END), unet=unet,
        scheduler=EulerDiscreteScheduler(
            prediction_type="original_sample", beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
        ),
    )  # fmt: skip


def ldm(seed: int = 0) -> LDMSuperResolutionPipeline:
    """LDM's, which reads no words and has a codebook."""
    torch.manual_seed(seed)
    unet = UNet2DModel(
        in_channels=6, out_channels=3, block_out_channels=[32, 32, 64], layers_per_block=2, attention_head_dim=32,
        down_block_types=["DownBlock2D", "DownBlock2D", "AttnDownBlock2D"], sample_size=64,
        up_block_types=["AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    ).eval()  # fmt: skip
    vq = VQModel(
        block_out_channels=[32, 32, 32], down_block_types=["DownEncoderBlock2D"] * 3, layers_per_block=2,
        up_block_types=["UpDecoderBlock2D"] * 3, latent_channels=3, num_vq_embeddings=8,
    ).eval()  # fmt: skip
    with torch.no_grad():  # words far apart: else a latent in a thousand would fall to another one by rounding
        vq.quantize.embedding.weight.copy_(6 * torch.tensor(list(product((-1.0, 1.0), repeat=3))))
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0155, clip_sample=False, set_alpha_to_one=False
    )
    return LDMSuperResolutionPipeline(vqvae=vq, unet=unet, scheduler=scheduler)
