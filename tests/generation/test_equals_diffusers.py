"""Plain generation equals the stock pipeline of diffusers within 1/255, for every sampler it has in the same form."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UniPCMultistepScheduler,
)

from pipelines.models.loading import LoadedModel
from tests.generation.painting import PROMPT, configured, difference, paint

# numpy's complaint about how diffusers' schedulers turn a tensor into an array
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")

SCHEDULERS: dict[str, Any] = {
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "heun": HeunDiscreteScheduler,
    "lms": LMSDiscreteScheduler,
    "ddim": DDIMScheduler,
    "pndm": PNDMScheduler,
    "unipc": UniPCMultistepScheduler,
    "ddpm": DDPMScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
    "dpmpp_2m_sde": DPMSolverMultistepScheduler,
}

SD15 = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
    "trained_betas": None, "prediction_type": "epsilon", "timestep_spacing": "leading", "steps_offset": 1,
    "set_alpha_to_one": False, "skip_prk_steps": True, "clip_sample": False,
}  # fmt: skip
SILENT = {key: value for key, value in SD15.items() if key not in {"timestep_spacing", "set_alpha_to_one"}}
"""As the first published folders: each sampler then has a spacing of its own."""

NEEDED = {"skip_prk_steps": True, "clip_sample": False}
"""What the stock pipeline needs to be told for PLMS and for latents; a model that says so itself is untouched."""

STRETCHED = {"dpmpp_2m_sde": {"algorithm_type": "sde-dpmsolver++"}}


def stock(model: LoadedModel, sampler: str, **call: Any) -> np.ndarray:
    config = {**model.scheduler_config, **NEEDED, **STRETCHED.get(sampler, {})}
    pipe = StableDiffusionPipeline(
        vae=model.vae, text_encoder=model.towers[0].encoder, tokenizer=model.towers[0].tokenizer, unet=model.unet,
        scheduler=SCHEDULERS[sampler].from_config(config),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    call = {"guidance_scale": 5.0, "width": 64, "height": 64, **call}
    image = pipe(PROMPT, generator=torch.Generator("cpu").manual_seed(3), **call).images[0]
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("steps", [8])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_with_the_starter_models_own_config(sampler: str, steps: int, starter: LoadedModel) -> None:
    expected = stock(starter, sampler, num_inference_steps=steps)
    assert difference(paint(starter, sampler=sampler, steps=steps)[0], expected) <= 1


@pytest.mark.parametrize("steps", [7, 8])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_with_the_config_of_a_stable_diffusion_1_5(sampler: str, steps: int, starter: LoadedModel) -> None:
    model = configured(starter, SD15)
    expected = stock(model, sampler, num_inference_steps=steps)
    assert difference(paint(model, sampler=sampler, steps=steps)[0], expected) <= 1


@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_with_a_config_that_names_no_spacing(sampler: str, starter: LoadedModel) -> None:
    model = configured(starter, SILENT)
    expected = stock(model, sampler, num_inference_steps=7)
    assert difference(paint(model, sampler=sampler, steps=7)[0], expected) <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"timestep_spacing": "linspace"},
        {"use_karras_sigmas": True},
        {"final_sigmas_type": "sigma_min"},
        {"rescale_betas_zero_snr": True},
        {"beta_schedule": "squaredcos_cap_v2"},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_with_the_configs_other_words(sampler: str, change: dict[str, Any], starter: LoadedModel) -> None:
    model = configured(starter, {**starter.scheduler_config, **change})
    expected = stock(model, sampler, num_inference_steps=5)
    assert difference(paint(model, sampler=sampler, steps=5)[0], expected) <= 1


@pytest.mark.parametrize("sampler", ["lms", "pndm", "unipc"])
def test_in_a_single_step(sampler: str, starter: LoadedModel) -> None:
    expected = stock(starter, sampler, num_inference_steps=1)
    assert difference(paint(starter, sampler=sampler, steps=1)[0], expected) <= 1


def test_with_a_negative_prompt_and_another_shape(starter: LoadedModel) -> None:
    expected = stock(starter, "euler", num_inference_steps=4, negative_prompt="rain", width=128, height=72)
    assert (
        difference(paint(starter, sampler="euler", steps=4, negative_prompt="rain", width=128, height=72)[0], expected)
        <= 1
    )


def test_without_guidance(starter: LoadedModel) -> None:
    expected = stock(starter, "euler", num_inference_steps=4, guidance_scale=1.0)
    assert difference(paint(starter, sampler="euler", steps=4, cfg=1.0)[0], expected) <= 1


def test_with_an_empty_prompt_for_both(starter: LoadedModel) -> None:
    ours = paint(starter, sampler="euler", steps=4, prompt="", cfg=5.0)[0]
    free = paint(starter, sampler="euler", steps=4, prompt="", cfg=1.0)[0]
    assert difference(ours, free) <= 1  # guidance from a text to itself leads nowhere
