"""Which file is what: an ordered table of the tensor names and shapes by which published models are told apart.

First match wins, so what is more special stands first. Names are relative to the place where a network stands in its
file (`ROOTS`); widths are not compared where a structure tells the same, so that pruned and small variants are found.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.core.model import Family, Kind, Task

Shape = tuple[int | None, ...]
"""None: any side."""
CONVOLUTION: Shape = (None, None, None, None)
LINEAR: Shape = (None, None)


@dataclass(frozen=True, slots=True)
class Layout:
    """A network is what this says when its file has all of `has`, none of `lacks`, and `shapes` where it names any."""

    kind: Kind
    family: Family | None
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    shapes: tuple[tuple[str, Shape], ...] = ()
    task: Task = Task.TEXT_TO_IMAGE
    detail: str = ""
    """What else people call it: `ESRGAN`, `CLIP-L`."""


ROOTS = ("model.diffusion_model.", "diffusion_model.", "unet.", "transformer.", "net.", "")
"""Where a denoiser may stand in a file, most telling first."""

FIRST, LABEL = "input_blocks.0.0.weight", "label_emb.0.0.weight"
ENTRY = "input_blocks.1.1.proj_in.weight"  # the way into the first attention of the first level
OTHER_FIRST, OTHER_LABEL = "conv_in.weight", "add_embedding.linear_1.weight"
OTHER_ENTRY = "down_blocks.0.attentions.0.proj_in.weight"


def _denoiser(family: Family, *has: str, lacks: tuple[str, ...] = (), task: Task = Task.TEXT_TO_IMAGE) -> Layout:
    return Layout(Kind.DENOISER, family, has, lacks, task=task)


def _unet(family: Family, *has: str, entry: Shape | None = None, lacks: tuple[str, ...] = ()) -> tuple[Layout, Layout]:
    """As the original names it, and as diffusers does."""
    shapes = ((ENTRY, entry),) if entry else ()
    other = tuple(UNET_WORDS[name] for name in has), tuple(UNET_WORDS[name] for name in lacks)
    other_shapes = ((OTHER_ENTRY, entry),) if entry else ()
    return (
        Layout(Kind.DENOISER, family, (FIRST, *has), lacks, shapes),
        Layout(Kind.DENOISER, family, (OTHER_FIRST, *other[0]), other[1], other_shapes),
    )


UNET_WORDS = {
    ENTRY: OTHER_ENTRY,
    LABEL: OTHER_LABEL,
    "input_blocks.11.0.in_layers.0.weight": "down_blocks.3.resnets.0.norm1.weight",
    "label_emb.weight": "class_embedding.weight",
}

DENOISERS: tuple[Layout, ...] = (
    _denoiser(Family.IF, OTHER_FIRST, "encoder_hid_proj.weight"),
    *_unet(Family.SDXL_REFINER, LABEL, "input_blocks.11.0.in_layers.0.weight", lacks=(ENTRY,)),
    *_unet(Family.SDXL, LABEL, lacks=(ENTRY,)),
    _denoiser(Family.UNCLIP, FIRST, LABEL, ENTRY),
    _denoiser(Family.UNCLIP, OTHER_FIRST, "class_embedding.linear_1.weight", OTHER_ENTRY),
    *_unet(Family.X4_UPSCALER, "label_emb.weight"),
    _denoiser(Family.LATENT_UPSCALER, OTHER_FIRST, "time_proj.weight", "time_embedding.cond_proj.weight"),
    *_unet(Family.SD2, entry=LINEAR),
    *_unet(Family.SD1, entry=CONVOLUTION),
    _denoiser(Family.LDM, FIRST, "middle_block.1.qkv.weight"),
    _denoiser(Family.LDM, FIRST, "middle_block.1.proj_in.weight"),
    _denoiser(Family.LDM, OTHER_FIRST, "mid_block.attentions.0.to_q.weight"),
    _denoiser(Family.LDM, OTHER_FIRST, "mid_block.attentions.0.query.weight"),
    _denoiser(Family.FLUX2, "single_stream_modulation.lin.weight"),
    _denoiser(Family.CHROMA, "distilled_guidance_layer.in_proj.bias"),
    _denoiser(Family.FLUX, "double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight"),
    _denoiser(Family.FLUX, "single_transformer_blocks.0.attn.to_q.weight", "x_embedder.weight"),
    _denoiser(Family.SD3, "joint_blocks.0.x_block.attn.qkv.weight"),
    _denoiser(Family.SD3, "transformer_blocks.0.attn.add_q_proj.weight", "pos_embed.proj.weight"),
    _denoiser(Family.QWEN_IMAGE, "transformer_blocks.0.img_mod.1.weight", "txt_norm.weight"),
    _denoiser(Family.SANA, "blocks.0.cross_attn.q_linear.weight", "blocks.0.mlp.inverted_conv.conv.weight"),
    _denoiser(Family.PIXART, "blocks.0.cross_attn.q_linear.weight", "y_embedder.y_proj.fc1.weight"),
    _denoiser(Family.PIXART, "adaln_single.linear.weight", "caption_projection.linear_1.weight"),
    _denoiser(Family.AURAFLOW, "double_layers.0.attn.w2q.weight"),
    _denoiser(Family.Z_IMAGE, "cap_embedder.0.weight", "layers.0.adaLN_modulation.0.weight"),
    _denoiser(Family.LUMINA2, "cap_embedder.0.weight"),
    _denoiser(Family.CASCADE, "clip_txt_mapper.weight"),
    _denoiser(Family.CASCADE, "down_blocks.1.0.channelwise.0.weight"),
    _denoiser(Family.HIDREAM, "double_stream_blocks.0.block.adaLN_modulation.1.bias"),
    _denoiser(Family.VIDEO, "head.modulation", "patch_embedding.weight"),
    _denoiser(Family.VIDEO, "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias"),
    _denoiser(Family.VIDEO, "patchify_proj.weight"),
    _denoiser(Family.VIDEO, "blocks.0.attn.qkv_x.weight"),
)

CHANNELS: Mapping[int, Task] = {
    9: Task.INPAINTING,  # latents, mask, latents of the masked picture
    8: Task.EDITING,  # latents, latents of the picture to change (InstructPix2Pix)
    5: Task.DEPTH,  # latents, depth map
}
"""What the UNets of Stable Diffusion are shown beside the four channels of their latents."""

VAE_ROOTS = ("first_stage_model.", "vae.", "")
OTHER_VAE = "decoder.mid_block.resnets.0.norm1.weight"
VAES: tuple[Layout, ...] = (
    Layout(Kind.VAE, Family.LDM, ("decoder.mid.block_1.norm1.weight", "quantize.embedding.weight"), detail="VQ"),
    Layout(Kind.VAE, None, ("decoder.mid.block_1.norm1.weight", "encoder.conv_in.weight")),
    Layout(Kind.VAE, None, (OTHER_VAE, "encoder.conv_in.weight")),
    Layout(Kind.VAE, None, ("decoder.layers.0.weight", "encoder.layers.0.weight"), detail="TAESD"),
    Layout(Kind.VAE, None, ("decoder.1.weight", "decoder.3.conv.0.weight"), detail="TAESD"),
)

TEXT_ROOTS = (
    "cond_stage_model.transformer.", "cond_stage_model.model.", "cond_stage_model.",
    "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model.", "conditioner.embedders.0.model.",
    "text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer.", "text_encoders.t5xxl.transformer.", "",
)  # fmt: skip
TEXT_ENCODERS: tuple[Layout, ...] = (
    Layout(Kind.TEXT_ENCODER, None, ("text_model.embeddings.token_embedding.weight",), detail="CLIP"),
    Layout(Kind.TEXT_ENCODER, None, ("embeddings.token_embedding.weight", "final_layer_norm.weight"), detail="CLIP"),
    Layout(Kind.TEXT_ENCODER, None, ("token_embedding.weight", "ln_final.weight"), detail="OpenCLIP"),
    Layout(Kind.TEXT_ENCODER, Family.LDM, ("token_emb.weight",), detail="BERT"),
    Layout(Kind.TEXT_ENCODER, Family.LDM, ("embedding.weight",), detail="classes"),
    Layout(Kind.TEXT_ENCODER, None, ("encoder.block.0.layer.0.SelfAttention.q.weight",), detail="T5"),
)

CONTROLNETS: tuple[Layout, ...] = (
    Layout(Kind.CONTROLNET, Family.SDXL, ("controlnet_cond_embedding.conv_in.weight", OTHER_LABEL)),
    Layout(Kind.CONTROLNET, Family.SD2, ("controlnet_cond_embedding.conv_in.weight",), shapes=((OTHER_ENTRY, LINEAR),)),
    Layout(Kind.CONTROLNET, Family.SD1, ("controlnet_cond_embedding.conv_in.weight",)),
    Layout(Kind.CONTROLNET, Family.SD2, ("control_model.time_embed.0.weight",),
           shapes=((f"control_model.{ENTRY}", LINEAR),)),
    Layout(Kind.CONTROLNET, Family.SD1, ("control_model.time_embed.0.weight",)),
    Layout(Kind.CONTROLNET, None, ("controlnet_x_embedder.weight",)),
)  # fmt: skip
"""They hold half a UNet, so they are looked for before UNets are."""

OTHERS: tuple[Layout, ...] = (
    Layout(Kind.SEGMENTER, None, ("decoder.film_mul.weight", "clip.visual_projection.weight"), detail="CLIPSeg"),
    Layout(Kind.ADAPTER, None, ("ip_adapter.1.to_k_ip.weight",), detail="IP-Adapter"),
    Layout(Kind.ADAPTER, None, ("image_proj.proj.weight",), detail="IP-Adapter"),
    Layout(Kind.ADAPTER, None, ("body.0.in_conv.weight",), detail="T2I-Adapter"),
    Layout(Kind.ADAPTER, None, ("adapter.body.0.resnets.0.block1.weight",), detail="T2I-Adapter"),
    Layout(Kind.ADAPTER, None, ("adapter.body.0.in_conv.weight",), detail="T2I-Adapter"),
    Layout(Kind.EMBEDDING, Family.SDXL, ("clip_l", "clip_g")),
    Layout(Kind.EMBEDDING, None, ("emb_params",)),
    Layout(Kind.UPSCALER, None, ("conv_first.weight", "body.0.rdb1.conv1.weight"), detail="ESRGAN"),
    Layout(Kind.UPSCALER, None, ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"), detail="ESRGAN"),
    Layout(Kind.UPSCALER, None, ("conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight"), detail="ESRGAN"),
    Layout(Kind.UPSCALER, None, ("conv_first.weight", "layers.0.residual_group.overlap_attn.norm1.weight"),
           detail="HAT"),
    Layout(Kind.UPSCALER, None, ("conv_first.weight", "layers.0.residual_group.blocks.0.norm1.weight"),
           detail="SwinIR"),
    Layout(Kind.UPSCALER, None, ("conv_first.weight", "layers.0.blocks.0.attn.qkv.weight", "before_RG.1.weight"),
           detail="DAT"),
    Layout(Kind.UPSCALER, None, ("conv_1.sk.weight", "block_1.c1_r.sk.weight"), detail="SPAN"),
    Layout(Kind.UPSCALER, None, ("residual_layer.0.residual_layer.0.layer.0.fn.0.weight",), detail="OmniSR"),
    Layout(Kind.UPSCALER, None, ("feats.0.weight", "feats.1.channe_mixer.0.weight"), detail="PLKSR"),
    Layout(Kind.UPSCALER, None, ("body.0.weight", "body.1.weight", "body.2.weight"),
           shapes=(("body.0.weight", CONVOLUTION), ("body.1.weight", (None,))), detail="Compact"),
    Layout(Kind.UPSCALER, None, ("stylegan_decoder.style_mlp.1.weight",), detail="GFPGAN"),
    Layout(Kind.UPSCALER, None, ("quantize.embedding.weight", "position_emb"), detail="CodeFormer"),
)  # fmt: skip
