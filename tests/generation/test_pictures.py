"""Decoding never hands out a black picture in silence."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.core.error import EaselError
from pipelines.generation.pictures import decode
from pipelines.models.loading import LoadedModel


def test_latents_without_numbers_are_an_error_with_a_way_out(starter: LoadedModel) -> None:
    with pytest.raises(EaselError, match="came out empty"):
        decode(starter, torch.full((1, 4, 8, 8), float("nan")))


def test_a_decoder_that_overflows_in_halves_is_tried_again_in_float32(starter: LoadedModel) -> None:
    vae = copy.deepcopy(starter.vae)
    vae.post_quant_conv.weight.data *= 60_000
    vae.post_quant_conv.bias.data *= 60_000
    loud = replace(starter, vae=vae)
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    expected = np.asarray(decode(loud, latents)).astype(int)
    loud = replace(loud, vae=vae.half(), vae_dtype=torch.float16)
    assert np.abs(np.asarray(decode(loud, latents)).astype(int) - expected).mean() < 4
    assert loud.vae.dtype == torch.float16
