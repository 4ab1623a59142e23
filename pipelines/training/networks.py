"""The three networks of a starter model, in the layout of Stable Diffusion 1.x and small enough for a repository."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

TOKENS = 77  # what the text tower reads, always padded to
TEXT_WIDTH = 96
LATENT_CHANNELS = 4
PIXELS_PER_LATENT = 8
SCALING_FACTOR = 0.18215  # of SD 1.x; `autoencoder.fold_statistics` makes it true of ours


def new_vae(
    widths: tuple[int, ...] = (16, 32, 64, 64), *, sample_size: int = 256, scaling_factor: float = SCALING_FACTOR
) -> AutoencoderKL:
    """1.3 M parameters by default; every width but the last halves the side.

    One norm group: with few channels a group, the norm would remove the level of a flat colour.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=2,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=1,
        sample_size=sample_size,
        scaling_factor=scaling_factor,
    )


def new_text_encoder(vocabulary: int) -> CLIPTextModel:
    """0.4 M parameters; the last two of the `vocabulary` tokens are the start and the end of a text."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            projection_dim=TEXT_WIDTH,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )


def new_unet(latent_side: int) -> UNet2DConditionModel:
    """5.6 M parameters: 12 input blocks, a middle and 12 output blocks, as in SD 1.x, at a tenth of the width.

    `latent_side` is the native size in latents. The output convolutions of every residual branch start at zero
    (Rombach et al. 2022 do so; diffusers does not), so that the untrained network is nearly the identity.
    """
    unet = UNet2DConditionModel(
        sample_size=latent_side,
        down_block_types=(*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        block_out_channels=(64, 80, 80, 64),
        layers_per_block=2,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,  # diffusers' old name for the number of heads
        norm_num_groups=4,
    )
    return start_still(unet)


def start_still(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """`unet`, with nothing at the end of every residual branch."""
    for name, module in unet.named_modules():
        if name.endswith((".conv2", "proj_out")) or name == "conv_out":
            zero(module)
    return unet


def for_inpainting(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy of `unet` that is also shown a mask and the latents of what is around it: 4 + 1 + 4 channels.

    The new channels begin without weight, as in Stable Diffusion's inpainting model, so that at first nothing changes.
    """
    wider = UNet2DConditionModel.from_config(unet.config, in_channels=2 * LATENT_CHANNELS + 1)
    weights = unet.state_dict()
    narrow = weights["conv_in.weight"]
    weights["conv_in.weight"] = torch.cat([narrow, torch.zeros_like(narrow[:, :1]), torch.zeros_like(narrow)], dim=1)
    wider.load_state_dict(weights)
    return wider


def zero(module: nn.Module) -> None:
    """Set every parameter of `module` to 0."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
