"""Both spellings of Stable Diffusion's tensors, against the converters of diffusers."""

from collections.abc import Mapping

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor

from pipelines.core.model import Family
from pipelines.models.names import Names, unet_names, vae_names
from tests.models.synthetic import MAKES, networks

PUBLISHED = {Family.SD1: 1131, Family.SDXL: 2515}
"""Tensors in the files as they were published, `position_ids` of the first text encoder with them."""


@pytest.mark.parametrize("family", list(MAKES), ids=str)
def test_the_unet_of_the_original_becomes_what_diffusers_makes_of_it(family: Family) -> None:
    unet = networks(family, small=False).unet
    names = unet_names(MAKES[family].attends, 2)
    wanted = unet.state_dict()
    original = spelled(wanted, names)
    assert len(original) == len(wanted)
    theirs = convert_ldm_unet_checkpoint({f"model.diffusion_model.{k}": t for k, t in original.items()}, unet.config)
    assert {name: tensor for name, tensor in theirs.items() if tensor is wanted[name]} == theirs
    assert set(theirs) == set(wanted)


def test_the_vae_of_the_original_becomes_what_diffusers_makes_of_it() -> None:
    vae = networks(Family.SD1, small=False).vae
    names = vae_names(4, 2)
    original = spelled(vae.state_dict(), names)
    theirs = convert_ldm_vae_checkpoint({f"first_stage_model.{k}": t for k, t in original.items()}, vae.config)
    assert set(theirs) == set(vae.state_dict())


def test_open_clips_three_in_one_become_what_diffusers_makes_of_them() -> None:
    made = networks(Family.SDXL_REFINER, small=True)
    (text,) = made.texts
    theirs = convert_open_clip_checkpoint(text, made.original(), prefix="conditioner.embedders.0.model.")
    assert set(theirs) == set(text.state_dict())
    assert all(torch.equal(theirs[name], tensor) for name, tensor in text.state_dict().items())


@pytest.mark.parametrize(("family", "count"), PUBLISHED.items(), ids=str)
def test_a_file_of_the_original_has_as_many_tensors_as_was_published(family: Family, count: int) -> None:
    published = networks(family, small=False).original()
    extra = {Family.SD1: 0, Family.SDXL: 1}  # `logit_scale`, which no picture needs
    assert len(published) + extra[family] == count


def test_a_name_that_is_none_has_no_other_spelling() -> None:
    assert unet_names([True, False], 2).origin("down_blocks.7.resnets.0.conv1.weight") is None


def spelled(tensors: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    origins = {name: names.origin(name) for name in tensors}
    return {origin.name: tensors[name] for name, origin in origins.items() if origin}
