"""A CLIPSeg of chance, small and real, as transformers saves it."""

from pathlib import Path

import torch
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegProcessor, ViTImageProcessor

from pipelines.models.vocabulary import END, clip_tokenizer

SIDE = 64
"""Pixels that its network sees."""
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}


def write_clipseg(folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Path:
    """The usual folder: config, weights, preprocessor and tokenizer."""
    torch.manual_seed(seed)
    config = CLIPSegConfig(
        text_config={**TOWER, "num_hidden_layers": 2, "projection_dim": 32},
        vision_config={**TOWER, "num_hidden_layers": 3, "image_size": SIDE, "patch_size": 8},
        projection_dim=32, extract_layers=[0, 1, 2], reduce_dim=16, decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )  # fmt: skip
    CLIPSegForImageSegmentation(config).to(dtype).save_pretrained(folder)
    processor(folder)
    return folder


def processor(folder: Path, *, whole: bool = False) -> None:
    """What reads pictures and words. `whole`: in one file, as newer releases of transformers save it."""
    pictures, words = ViTImageProcessor(size={"height": SIDE, "width": SIDE}), clip_tokenizer(pad=END)
    if whole:
        CLIPSegProcessor(pictures, words).save_pretrained(folder)
        return
    pictures.save_pretrained(folder)
    words.save_pretrained(folder)
