"""What a file is, told from true key layouts: shapes and names as they were published."""

from collections.abc import Callable, Mapping
from typing import Any

import diffusers
import pytest
from accelerate import init_empty_weights
from torch import nn

from pipelines.core.model import Family, Kind, Prediction, Task
from pipelines.models.recognise import Recognised, recognise
from tests.models.synthetic import MAKES, header_of, networks, shapes

Shapes = Mapping[str, tuple[int, ...]]


def seen(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Recognised:
    return recognise(header_of(tensors, metadata))


def below(root: str, names: Mapping[str, Any]) -> dict[str, Any]:
    return {root + name: shape for name, shape in names.items()}


def part(tensors: Mapping[str, Any], root: str) -> dict[str, Any]:
    return {name.removeprefix(root): t for name, t in tensors.items() if name.startswith(root)}


UNET = "model.diffusion_model."


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("family", list(MAKES), ids=str)
def test_a_checkpoint_of_each_family(family: Family, small: bool) -> None:
    found = seen(networks(family, small=small).original())
    assert (found.kind, found.family, found.task) == (Kind.CHECKPOINT, family, Task.TEXT_TO_IMAGE)
    assert found.vae is not None
    assert len(found.text_encoders) == len(MAKES[family].texts)


@pytest.mark.parametrize("family", list(MAKES), ids=str)
def test_its_unet_alone_in_either_spelling(family: Family) -> None:
    made = networks(family, small=False)
    for tensors in (part(made.original(), UNET), made.unet.state_dict()):
        found = seen(tensors)
        assert (found.kind, found.family) == (Kind.DENOISER, family)


@pytest.mark.parametrize(
    ("family", "channels", "task"),
    [
        (Family.SD1, 9, Task.INPAINTING),
        (Family.SD1, 8, Task.EDITING),
        (Family.SD2, 9, Task.INPAINTING),
        (Family.SD2, 5, Task.DEPTH),
        (Family.SDXL, 9, Task.INPAINTING),
        (Family.SDXL, 8, Task.EDITING),
    ],
)
def test_what_a_unet_is_shown_tells_its_task(family: Family, channels: int, task: Task) -> None:
    found = seen(networks(family, small=True, channels=channels).original())
    assert (found.kind, found.family, found.task) == (Kind.CHECKPOINT, family, task)


def test_an_old_file_whose_text_encoder_has_a_shorter_name() -> None:
    tensors = networks(Family.SD1, small=True).original()
    old = {name.replace("transformer.text_model.", "transformer."): t for name, t in tensors.items()}
    assert len(seen(old).text_encoders) == 1


def test_a_file_without_vae_or_text_encoder_is_still_a_checkpoint() -> None:
    tensors = networks(Family.SDXL, small=True).original()
    for missing in ("first_stage_model.", "conditioner."):
        left = {name: t for name, t in tensors.items() if not name.startswith(missing)}
        assert (seen(left).kind, seen(left).family) == (Kind.CHECKPOINT, Family.SDXL)


def test_copies_for_training_do_not_confuse() -> None:
    tensors = networks(Family.SD1, small=True).original()
    ema = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): t for name, t in tensors.items() if UNET in name
    }
    assert seen(tensors | ema).family is Family.SD1


@pytest.mark.parametrize(
    ("mark", "metadata", "prediction"),
    [
        ("v_pred", {}, Prediction.V),
        ("", {"modelspec.prediction_type": "v"}, Prediction.V),
        ("", {"modelspec.prediction_type": "epsilon"}, Prediction.EPSILON),
        ("edm_vpred.sigma_max", {}, Prediction.EDM),
        ("edm_mean", {}, Prediction.EDM),
        ("", {}, None),
    ],
)
def test_marks_that_tell_the_prediction(mark: str, metadata: dict[str, str], prediction: Prediction | None) -> None:
    tensors = networks(Family.SDXL, small=True).original() | (shapes([mark], ()) if mark else {})
    assert seen(tensors, metadata).prediction is prediction


def test_the_mark_of_zero_terminal_snr() -> None:
    tensors = networks(Family.SDXL, small=True).original()
    assert not seen(tensors).zero_snr
    assert seen(tensors | shapes(["v_pred", "ztsnr"], (0,))).zero_snr


def on_meta(make: Callable[[], nn.Module]) -> dict[str, Any]:
    with init_empty_weights(include_buffers=True):
        return make().state_dict()


OTHER_FAMILIES: list[tuple[Family, Callable[[], Any]]] = [
    (Family.SD3, lambda: diffusers.SD3Transformer2DModel(num_layers=2)),
    (Family.FLUX, lambda: diffusers.FluxTransformer2DModel(num_layers=1, num_single_layers=1)),
    (Family.PIXART, lambda: diffusers.PixArtTransformer2DModel(num_layers=1, caption_channels=64)),
    (Family.QWEN_IMAGE, lambda: diffusers.QwenImageTransformer2DModel(num_layers=1)),
    (
        Family.IF,
        lambda: diffusers.UNet2DConditionModel(
            in_channels=3, encoder_hid_dim=64, addition_embed_type="text", cross_attention_dim=64,
            down_block_types=["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"], block_out_channels=[64, 64],
            up_block_types=["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        ),
    ),
    (
        Family.X4_UPSCALER,
        lambda: diffusers.UNet2DConditionModel(
            in_channels=7, num_class_embeds=1000, block_out_channels=[64, 64, 64, 64], cross_attention_dim=64,
            down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 3, use_linear_projection=True,
            up_block_types=["CrossAttnUpBlock2D"] * 3 + ["UpBlock2D"], only_cross_attention=[True, True, True, False],
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("family", "make"), OTHER_FAMILIES, ids=[str(family) for family, _ in OTHER_FAMILIES])
def test_other_families_as_diffusers_spells_them(family: Family, make: Callable[[], nn.Module]) -> None:
    found = seen(on_meta(make))
    assert (found.kind, found.family) == (Kind.DENOISER, family)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (Family.SD3, ["joint_blocks.0.x_block.attn.qkv.weight", "x_embedder.proj.weight"]),
        (Family.FLUX, ["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight", "img_in.weight"]),
        (Family.FLUX2, ["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight",
                        "single_stream_modulation.lin.weight"]),
        (Family.CHROMA, ["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight",
                         "distilled_guidance_layer.in_proj.bias"]),
        (Family.PIXART, ["blocks.0.cross_attn.q_linear.weight", "y_embedder.y_proj.fc1.weight", "t_block.1.weight"]),
        (Family.SANA, ["blocks.0.cross_attn.q_linear.weight", "blocks.0.mlp.inverted_conv.conv.weight"]),
        (Family.AURAFLOW, ["double_layers.0.attn.w2q.weight", "cond_seq_linear.weight"]),
        (Family.Z_IMAGE, ["cap_embedder.0.weight", "layers.0.adaLN_modulation.0.weight"]),
        (Family.LUMINA2, ["cap_embedder.0.weight", "layers.0.attention.qkv.weight"]),
        (Family.CASCADE, ["clip_txt_mapper.weight", "down_blocks.0.0.channelwise.0.weight"]),
    ],
    ids=lambda value: str(value) if isinstance(value, Family) else "",
)  # fmt: skip
@pytest.mark.parametrize("root", ["", UNET])
def test_other_families_as_their_authors_spell_them(family: Family, names: list[str], root: str) -> None:
    assert seen(below(root, shapes(names))).family is family


@pytest.mark.parametrize(
    ("task", "channels", "names"),
    [
        (Task.TEXT_TO_IMAGE, 4, ["cond_stage_model.transformer.token_emb.weight"]),
        (Task.CLASSES, 3, ["cond_stage_model.embedding.weight"]),
        (Task.UNCONDITIONAL, 3, []),
        (Task.UPSCALING, 6, []),
    ],
)
def test_the_models_of_the_latent_diffusion_paper(task: Task, channels: int, names: list[str]) -> None:
    unet = shapes([UNET + "middle_block.1.proj_in.weight"]) | {UNET + "input_blocks.0.0.weight": (8, channels, 3, 3)}
    vae = ["first_stage_model.decoder.mid.block_1.norm1.weight", "first_stage_model.quantize.embedding.weight"]
    found = seen({**unet, **shapes([*vae, *names])})
    assert (found.kind, found.family, found.task) == (Kind.CHECKPOINT, Family.LDM, task)


@pytest.mark.parametrize(
    ("module", "width", "family"),
    [
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768, Family.SD1),
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 1024, Family.SD2),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048, Family.SDXL),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768, Family.SDXL),
        ("lora_unet_double_blocks_0_img_attn_qkv", 3072, Family.FLUX),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536, Family.SD3),
    ],
)
def test_the_family_of_a_lora(module: str, width: int, family: Family) -> None:
    found = seen(
        {f"{module}.lora_down.weight": (16, width), f"{module}.lora_up.weight": (320, 16), f"{module}.alpha": ()}
    )
    assert (found.kind, found.family, found.detail, found.rank) == (Kind.LORA, family, "LoRA", 16)


KOHYA = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.mark.parametrize(
    ("detail", "tensors"),
    [
        ("LoRA", {"unet.mid_block.attentions.0.to_k.lora_A.weight": (4, 768), "unet.x.lora_B.weight": (8, 4)}),
        ("LoRA", {"mid_block.attentions.0.attn2.processor.to_k_lora.down.weight": (4, 768),
                  "mid_block.attentions.0.attn2.processor.to_q_lora.up.weight": (8, 4)}),
        ("LoCon", {f"{KOHYA}.lora_down.weight": (8, 320, 3, 3), f"{KOHYA}.lora_up.weight": (320, 8, 1, 1)}),
        ("LoCon", {f"{KOHYA}.lora_down.weight": (8, 320, 1, 1), f"{KOHYA}.lora_mid.weight": (8, 8, 3, 3),
                   f"{KOHYA}.lora_up.weight": (320, 8, 1, 1)}),
        ("LoHa", {f"{KOHYA}.hada_w1_a": (320, 4), f"{KOHYA}.hada_w1_b": (4, 768), f"{KOHYA}.hada_w2_a": (320, 4)}),
        ("LoKr", {f"{KOHYA}.lokr_w1": (4, 4), f"{KOHYA}.lokr_w2": (80, 192)}),
        ("IA3", {f"{KOHYA}.weight": (320,), f"{KOHYA}.on_input": ()}),
        ("OFT", {f"{KOHYA}.oft_blocks": (4, 80, 80)}),
        ("GLoRA", {f"{KOHYA}.{name}.weight": (8, 8) for name in ("a1", "a2", "b1", "b2")}),
        ("DoRA", {f"{KOHYA}.lora_down.weight": (8, 768), f"{KOHYA}.lora_up.weight": (320, 8),
                  f"{KOHYA}.dora_scale": (1, 768)}),
        ("full difference", {f"{KOHYA}.diff": (320, 768)}),
    ],
)  # fmt: skip
def test_what_kind_of_adapter_a_lora_is(detail: str, tensors: Shapes) -> None:
    found = seen(tensors)
    assert (found.kind, found.detail) == (Kind.LORA, detail)


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"ss_base_model_version": "sdxl_base_v1-0"}, Family.SDXL),
        ({"ss_base_model_version": "sd_v1"}, Family.SD1),
        ({"modelspec.architecture": "stable-diffusion-v2-768-v/lora"}, Family.SD2),
        ({}, None),
    ],
)
def test_a_lora_of_an_unusual_width_is_what_its_metadata_says(metadata: dict[str, str], family: Family | None) -> None:
    assert seen({f"{KOHYA}.lora_down.weight": (8, 96), f"{KOHYA}.lora_up.weight": (64, 8)}, metadata).family is family


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        (Family.SD1, {"cross_attention_dim": 768}),
        (Family.SD2, {"cross_attention_dim": 1024, "use_linear_projection": True}),
        (
            Family.SDXL,
            {
                "cross_attention_dim": 2048,
                "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                "block_out_channels": [320, 640, 1280],
                "use_linear_projection": True,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": 2816,
            },
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Family) else "",
)
def test_a_controlnet_is_no_unet(family: Family, settings: dict[str, Any]) -> None:
    found = seen(on_meta(lambda: diffusers.ControlNetModel(**settings)))
    assert (found.kind, found.family) == (Kind.CONTROLNET, family)


def test_a_vae_alone_in_either_spelling() -> None:
    made = networks(Family.SD1, small=True)
    for tensors in (part(made.original(), "first_stage_model."), made.vae.state_dict()):
        assert seen(tensors).kind is Kind.VAE


def test_a_text_encoder_alone_in_either_spelling() -> None:
    for family, root in ((Family.SD1, "cond_stage_model.transformer."), (Family.SD2, "cond_stage_model.model.")):
        assert seen(part(networks(family, small=True).original(), root)).kind is Kind.TEXT_ENCODER


@pytest.mark.parametrize(
    ("tensors", "family"),
    [
        ({"emb_params": (4, 768)}, Family.SD1),
        ({"emb_params": (4, 1024)}, Family.SD2),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, Family.SDXL),
        ({"<teal>": (768,)}, Family.SD1),
    ],
)
def test_embeddings(tensors: Shapes, family: Family) -> None:
    assert (seen(tensors).kind, seen(tensors).family) == (Kind.EMBEDDING, family)


@pytest.mark.parametrize(
    ("tensors", "kind", "detail"),
    [
        (shapes(["conv_first.weight", "body.0.rdb1.conv1.weight"]), Kind.UPSCALER, "ESRGAN"),
        (shapes(["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"]), Kind.UPSCALER, "ESRGAN"),
        ({"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,), "body.2.weight": (64, 64, 3, 3)}, Kind.UPSCALER,
         "Compact"),
        (shapes(["control_model.time_embed.0.weight"]), Kind.CONTROLNET, ""),
        (shapes(["controlnet_cond_embedding.conv_in.weight", "conv_in.weight"]), Kind.CONTROLNET, ""),
        (shapes(["ip_adapter.1.to_k_ip.weight"]), Kind.ADAPTER, "IP-Adapter"),
        (shapes(["something.else"]), Kind.UNKNOWN, ""),
        ({}, Kind.UNKNOWN, ""),
    ],
)  # fmt: skip
def test_what_else_lies_in_models_folders(tensors: Shapes, kind: Kind, detail: str) -> None:
    assert (seen(tensors).kind, seen(tensors).detail) == (kind, detail)
