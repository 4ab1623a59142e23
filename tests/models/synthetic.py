"""Checkpoints in the true layouts of the community's files, full-size by name and shape or small with real weights."""

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pipelines.core.model import Family
from pipelines.models.architecture import architectures
from pipelines.models.headers import Header, parse_header, read_header
from pipelines.models.names import Names, View, open_clip_names, unet_names, vae_names
from pipelines.models.vocabulary import clip_tokenizer

BYTES = {"F16": 2, "BF16": 2, "F32": 4, "F8_E4M3": 1, "I64": 8}
SPELLED = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}


@dataclass(frozen=True)
class Make:
    """A family's networks: their settings at full size and small."""

    attends: tuple[bool, ...]
    unet: Mapping[str, Any]
    small: Mapping[str, Any]
    texts: tuple[str, ...]
    """`clip`: OpenAI's spelling; `open_clip`."""
    roots: tuple[str, ...]


SDXL_EXTRA = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, "use_linear_projection": True}
MAKES: Mapping[Family, Make] = {
    Family.SD1: Make(
        (True, True, True, False),
        {"cross_attention_dim": 768, "attention_head_dim": 8},
        {"cross_attention_dim": 64, "attention_head_dim": 8},
        ("clip",),
        ("cond_stage_model.transformer.text_model.",),
    ),
    Family.SD2: Make(
        (True, True, True, False),
        {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
        {"cross_attention_dim": 64, "attention_head_dim": [1, 1, 2, 2], "use_linear_projection": True},
        ("open_clip",),
        ("cond_stage_model.model.",),
    ),
    Family.SDXL: Make(
        (False, True, True),
        {"cross_attention_dim": 2048, "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10],
         "projection_class_embeddings_input_dim": 2816, **SDXL_EXTRA},
        {"cross_attention_dim": 128, "attention_head_dim": [1, 1, 2], "transformer_layers_per_block": [1, 2, 3],
         "projection_class_embeddings_input_dim": 64 + 6 * 256, **SDXL_EXTRA},
        ("clip", "open_clip"),
        ("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."),
    ),
    Family.SDXL_REFINER: Make(
        (False, True, True, False),
        {"cross_attention_dim": 1280, "attention_head_dim": [6, 12, 24, 24], "transformer_layers_per_block": 4,
         "block_out_channels": [384, 768, 1536, 1536], "projection_class_embeddings_input_dim": 2560, **SDXL_EXTRA},
        {"cross_attention_dim": 64, "attention_head_dim": [1, 1, 2, 2], "transformer_layers_per_block": 2,
         "projection_class_embeddings_input_dim": 64 + 5 * 256, **SDXL_EXTRA},
        ("open_clip",),
        ("conditioner.embedders.0.model.",),
    ),
}  # fmt: skip
FULL_WIDTHS, SMALL_WIDTHS = (320, 640, 1280, 1280), (64, 64, 128, 128)


@dataclass(frozen=True)
class Networks:
    """The parts of one model, as diffusers and transformers have them."""

    family: Family
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    texts: tuple[CLIPTextModel, ...]

    def original(self) -> dict[str, Tensor]:
        """All tensors as a single file names them."""
        make, unet = MAKES[self.family], self.unet
        tensors = spelled(unet, unet_names(make.attends, unet.config.layers_per_block), "model.diffusion_model.")
        tensors |= spelled(self.vae, vae_names(len(self.vae.config.block_out_channels), 2), "first_stage_model.")
        for text, spelling, root in zip(self.texts, make.texts, make.roots, strict=True):
            layers = text.config.num_hidden_layers
            names = open_clip_names(layers) if spelling == "open_clip" else None
            tensors |= spelled(text, names, root)
            if self.family is Family.SD2:  # the layer that is in the file and never used
                last, unused = (f"{root}transformer.resblocks.{n}." for n in (layers - 1, layers))
                copies = {n.replace(last, unused): t for n, t in tensors.items() if n.startswith(last)}
                tensors |= {name: torch.zeros_like(t) for name, t in copies.items()}
        if "clip" in make.texts:  # an old trainer's habit: a tensor that is no weight
            tensors[make.roots[0] + "embeddings.position_ids"] = torch.arange(77).unsqueeze(0)
        return tensors


@cache
def networks(family: Family, *, small: bool, channels: int = 4, seed: int = 0) -> Networks:
    """The parts of a model: full-size on the meta device, small with random weights. Shared: leave them as they are."""
    make = MAKES[family]
    torch.manual_seed(seed)
    widths = (SMALL_WIDTHS if small else FULL_WIDTHS)[: len(make.attends)]
    settings = {
        "block_out_channels": list(widths),
        **(make.small if small else make.unet),
        "in_channels": channels,
        "sample_size": 64,
    }

    def unet() -> Any:
        return UNet2DConditionModel(
            down_block_types=["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in make.attends],
            up_block_types=["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(make.attends)],
            **settings,
        )

    def vae() -> Any:
        return AutoencoderKL(
            block_out_channels=[64, 64, 64, 64] if small else [128, 256, 512, 512],
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            layers_per_block=2,
        )

    texts = [_text(family, spelling, small=small) for spelling in make.texts]
    if not small:
        with init_empty_weights(include_buffers=True):
            return Networks(family, unet(), vae(), tuple(make_text() for make_text in texts))
    certain = vae().eval()
    with torch.no_grad():  # a trained encoder is sure of what it sees; one of chance would draw it by lot
        certain.quant_conv.weight[4:], certain.quant_conv.bias[4:] = 0, -30
    return Networks(family, unet().eval(), certain, tuple(make_text().eval() for make_text in texts))


def _text(family: Family, spelling: str, *, small: bool) -> Callable[[], Any]:
    opened = spelling == "open_clip"
    projects = opened and family is not Family.SD2
    width, layers, words = (64, 3, 49408) if small else (768, 12, 49408)
    if opened and not small:
        width, layers = (1024, 23) if family is Family.SD2 else (1280, 32)
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64,
        vocab_size=words, projection_dim=width, hidden_act="gelu" if opened else "quick_gelu",
    )  # fmt: skip
    return lambda: (CLIPTextModelWithProjection if projects else CLIPTextModel)(config)


def spelled(network: nn.Module, names: Names | None, root: str) -> dict[str, Tensor]:
    """The tensors of `network` by their original names."""
    tensors: dict[str, Tensor] = {}
    thirds: dict[str, dict[View, Tensor]] = {}
    for full, tensor in network.state_dict().items():
        name = full.removeprefix("text_model.")
        if names is None:
            tensors[root + name] = tensor
            continue
        origin = names.origin(name)
        assert origin is not None, name
        if origin.view is View.MATRIX:
            tensors[root + origin.name] = tensor[:, :, None, None]
        elif origin.view is View.TURNED:
            tensors[root + origin.name] = tensor.T
        elif origin.view is View.WHOLE:
            tensors[root + origin.name] = tensor
        else:
            thirds.setdefault(origin.name, {})[origin.view] = tensor
    for name, parts in thirds.items():
        tensors[root + name] = torch.cat([parts[View.QUERY], parts[View.KEY], parts[View.VALUE]])
    return tensors


def header_of(tensors: Mapping[str, Tensor] | Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None,
              dtype: str = "F16") -> Header:  # fmt: skip
    """The header that a file of these tensors, or shapes, has."""
    return parse_header(*_header(tensors, metadata, dtype))


def _header(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None, dtype: str) -> tuple[bytes, int]:
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, value in tensors.items():
        shape = tuple(value.shape) if isinstance(value, Tensor) else tuple(value)
        count = 1
        for side in shape:
            count *= side
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at := at + count * BYTES[dtype]]}
    text = json.dumps(entries).encode()
    return text, 8 + len(text) + at


def write_hollow(file: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None,
                 dtype: str = "F16") -> Path:  # fmt: skip
    """A file of the true size and layout that takes no room on the disk: its numbers are all zero."""
    text, size = _header(tensors, metadata, dtype)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as handle:
        handle.write(struct.pack("<Q", len(text)) + text)
        handle.truncate(size)
    return file


def write_full_size(file: Path, family: Family) -> Path:
    """A whole fp16 model of the true size and layout, of chance, tame enough to be run."""
    write_hollow(file, networks(family, small=False).original())
    header = read_header(file)
    generator = np.random.default_rng(0)
    chance = generator.standard_normal(1 << 22, dtype=np.float32).astype(np.float16)
    content = np.memmap(file, np.uint8, "r+")
    for number, (name, entry) in enumerate(header.tensors.items()):
        weights = content[entry.start : entry.end].view(np.float16)
        if len(entry.shape) == 1:  # norms and biases
            weights[:] = 1.0 if name.endswith("weight") else 0.0
            continue
        scale = np.float16(1 / math.sqrt(math.prod(entry.shape[1:])))
        for start in range(0, entry.numel, len(chance)):
            some = weights[start : start + len(chance)]
            some[:] = np.roll(chance, 7919 * number + start)[: len(some)] * scale
    content.flush()
    return file


def shapes(names: Iterable[str], shape: tuple[int, ...] = (8, 8)) -> dict[str, tuple[int, ...]]:
    """`names`, all of one shape: enough where only names count."""
    return dict.fromkeys(names, shape)


def write_single(file: Path, made: Networks, dtype: torch.dtype = torch.float32, **metadata: str) -> Path:
    """`made` as one file in the original's spelling."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: as_weights(t, dtype).contiguous() for name, t in made.original().items()}, file, metadata or None)
    return file


def as_weights(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def write_folder(folder: Path, made: Networks, **scheduled: Any) -> Path:
    """`made` as stock diffusers saves it."""
    stock_pipeline(made, **scheduled).save_pretrained(folder)
    return folder


def stock_pipeline(made: Networks, **scheduled: Any) -> Any:
    """The pipeline of diffusers for `made`, with its family's own scheduler."""
    numbers = architectures()[made.family]
    scheduler = EulerDiscreteScheduler.from_config({**numbers.scheduler, **scheduled})
    tokenizers = [clip_tokenizer(pad=text.pad) for text in numbers.text_encoders]
    common = {"vae": made.vae, "unet": made.unet, "scheduler": scheduler}
    common["vae"].register_to_config(**numbers.vae)
    if made.family in (Family.SDXL, Family.SDXL_REFINER):
        first = {"text_encoder": made.texts[0], "tokenizer": tokenizers[0]} if len(made.texts) == 2 else {}
        first = first or {"text_encoder": None, "tokenizer": None}
        second = {"text_encoder_2": made.texts[-1], "tokenizer_2": tokenizers[-1]}
        if made.family is Family.SDXL_REFINER:
            return StableDiffusionXLImg2ImgPipeline(**common, **first, **second, requires_aesthetics_score=True)
        kind = StableDiffusionXLPipeline if made.unet.config.in_channels == 4 else StableDiffusionXLInpaintPipeline
        return kind(**common, **first, **second, add_watermarker=False)
    plain = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    kind = StableDiffusionPipeline if made.unet.config.in_channels == 4 else StableDiffusionInpaintPipeline
    return kind(**common, text_encoder=made.texts[0], tokenizer=tokenizers[0], **plain)
