"""Which files of a repository are fetched, from listings like the hub's."""

import pytest

from pipelines.core.error import InvalidRequest
from pipelines.models.hub import HUB, Listing, endpoint, files_of, read_source

PARTS = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "tokenizer_2/merges.txt",
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]
OTHERS = [
    ".ipynb_checkpoints/config.json",
    "../x.safetensors",
    "README.md",
    "feature_extractor/preprocessor_config.json",
    "image_encoder/model.safetensors",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/onnx/model.safetensors",
    "vae_1_0/diffusion_pytorch_model.safetensors",
    "whole.safetensors",
]


def listing(names: list[str], sha: str = "abc123") -> Listing:
    return Listing.model_validate({"sha": sha, "siblings": [{"rfilename": name} for name in names]})


def test_of_a_model_in_folders_only_what_is_read_is_fetched() -> None:
    chosen = files_of(listing([*PARTS, *OTHERS]), "somebody/dream")
    assert sorted(file.path for file in chosen) == PARTS


def test_names_are_quoted_in_addresses_and_plain_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    (file,) = files_of(listing(["a#b c?%41.safetensors"], sha="a/b"), "somebody/lora")
    assert file.path == "a#b c?%41.safetensors"
    assert file.url == f"{HUB}/somebody/lora/resolve/a%2Fb/a%23b%20c%3F%2541.safetensors"


def test_an_empty_mirror_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "")
    assert endpoint() == HUB


def test_a_source_is_a_repository_and_perhaps_a_file() -> None:
    assert read_source("somebody/dream") == ("somebody/dream", "")
    assert read_source("somebody/dream/unet/x.safetensors") == ("somebody/dream", "unet/x.safetensors")
    for source in ("dream", "somebody/", "../etc/passwd", ""):
        with pytest.raises(InvalidRequest, match="names no model; write author/model"):
            read_source(source)
