"""Painting over a picture equals the stock inpaint pipeline of diffusers within 1/255 where both do the same.

The plain case: one hard mask on the latents' grid, the picture at the network's size. Stock draws the picture's latents
from what the VAE says; ours are the mean of it, so that nothing but the seed decides: the stock pipeline is asked for
the mean as well.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    UniPCMultistepScheduler,
)
from PIL import Image

from pipelines.core.inpaint import Area, InpaintRequest
from pipelines.core.model import Family, Task
from pipelines.core.stop import StopSignal
from pipelines.generation.generate import Painted, generate
from pipelines.generation.inpaint import ground_of
from pipelines.generation.parts import part_of
from pipelines.models.loading import LoadedModel, Manner, load
from pipelines.models.scan import ModelLibrary
from tests.generation.painting import PROMPT, ask, difference
from tests.models.synthetic import networks, stock_pipeline, write_single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")

SCHEDULERS: dict[str, Any] = {
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "ddim": DDIMScheduler,
    "unipc": UniPCMultistepScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
}
SIDE, STEPS = 64, 8
PLAIN = {"requires_safety_checker": False}


class Steady(StableDiffusionInpaintPipeline):  # type: ignore[misc] # diffusers is untyped
    """Takes the mean of what the VAE says of a picture."""

    def _encode_vae_image(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        mean: torch.Tensor = self.vae.encode(image).latent_dist.mode()
        return mean * float(self.vae.config.scaling_factor)


@pytest.fixture
def pixels() -> np.ndarray:
    """A picture with something in every corner."""
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([4 * across, 4 * down, 255 - 2 * (across + down)], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    hard = np.zeros((SIDE, SIDE), np.float32)
    hard[16:48, 24:56] = 1
    return hard


def stock(model: LoadedModel, sampler: str, strength: float, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pipe = Steady(
        vae=model.vae, text_encoder=model.towers[0].encoder, tokenizer=model.towers[0].tokenizer, unet=model.unet,
        scheduler=SCHEDULERS[sampler].from_config({**model.scheduler_config, "clip_sample": False}),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    return painted_by(pipe, strength, pixels, mask)


def painted_by(pipe: Steady, strength: float, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    image = pipe(
        PROMPT, image=Image.fromarray(pixels), mask_image=Image.fromarray((mask * 255).astype(np.uint8)),
        strength=strength, num_inference_steps=STEPS, guidance_scale=5.0, width=SIDE, height=SIDE,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    return np.asarray(image).astype(int)


def ours(model: LoadedModel, sampler: str, strength: float, pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What the network paints, before it is put into the picture."""
    request = InpaintRequest(
        picture=ask(sampler=sampler, steps=STEPS), source="0" * 64, mask="1" * 64, strength=strength,
        area=Area.WHOLE, soft_edge=0,
    )  # fmt: skip
    levels = (mask * 255).astype(np.uint8)
    part = part_of(request, (SIDE, SIDE), lambda rows, columns: pixels[rows, columns], [levels])
    assert part is not None
    events = generate(request.picture, model, StopSignal(), over=ground_of(model, part, request))
    return next(np.asarray(e.image).astype(int) for e in events if isinstance(e, Painted))


@pytest.mark.parametrize("strength", [0.5, 0.75, 1.0])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_an_ordinary_model(
    sampler: str, strength: float, starter: LoadedModel, pixels: np.ndarray, mask: np.ndarray
) -> None:
    expected = stock(starter, sampler, strength, pixels, mask)
    assert difference(ours(starter, sampler, strength, pixels, mask), expected) <= 1


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_an_inpainting_model(
    sampler: str, strength: float, inpainter: LoadedModel, pixels: np.ndarray, mask: np.ndarray
) -> None:
    expected = stock(inpainter, sampler, strength, pixels, mask)
    assert difference(ours(inpainter, sampler, strength, pixels, mask), expected) <= 1


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("family", [Family.SD1, Family.SD2], ids=str)
def test_an_inpainting_checkpoint_of_one_file(
    family: Family, strength: float, tmp_path: Path, pixels: np.ndarray, mask: np.ndarray
) -> None:
    made = networks(family, small=True, channels=9)
    write_single(tmp_path / "painter.safetensors", made)
    model = load(ModelLibrary([tmp_path]).usable("painter"), Manner(torch.device("cpu"), torch.float32))
    assert (model.info.family, model.task) == (family, Task.INPAINTING)  # told by the file alone
    # Stock has the networks themselves, not what our loader made of the file.
    expected = painted_by(Steady(**stock_pipeline(made).components, **PLAIN), strength, pixels, mask)
    assert difference(ours(model, "euler", strength, pixels, mask), expected) <= 1
    elsewhere = ours(model, "euler", strength, pixels, mask.T.copy())
    assert difference(elsewhere, expected) > 1  # the mask is seen
