"""A starter model as a folder that stock diffusers opens."""

from pathlib import Path
from typing import TypeVar

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.core.error import EaselError
from pipelines.training.networks import LATENT_CHANNELS
from pipelines.training.tokenizer import save_tokenizer
from pipelines.training.whole import replace_folder


def scheduler() -> DPMSolverMultistepScheduler:
    """DPM-Solver++ 2M on SD's schedule. Trailing spacing starts at the noisiest step, where v was trained too."""
    made: DPMSolverMultistepScheduler = DPMSolverMultistepScheduler.from_config(
        {
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
            "steps_offset": 1,
            # For the other scheduler classes that may be made from this config; as Stable Diffusion's own has them.
            # Without, stock DDIM and DDPM clip latents to -1..1, and PNDM begins with Runge-Kutta steps.
            "clip_sample": False,
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
        }
    )
    return made


def save_model(
    folder: Path,
    *,
    vae: AutoencoderKL,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> None:
    """Write the pipeline's folder in fp16, whole or not at all; what was in `folder` before is replaced."""
    kind = StableDiffusionPipeline if unet.config.in_channels == LATENT_CHANNELS else StableDiffusionInpaintPipeline
    pipeline = kind(
        vae=vae.to(memory_format=torch.contiguous_format).half(),
        text_encoder=text_encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    save_pipeline(folder, pipeline)


def save_pipeline(folder: Path, pipeline: DiffusionPipeline) -> None:
    """Write a pipeline with a tokenizer, whole or not at all; what was in `folder` before is replaced."""

    def fill(fresh: Path) -> None:
        pipeline.save_pretrained(fresh)
        save_tokenizer(pipeline.tokenizer, fresh / "tokenizer")

    replace_folder(folder, fill)


def open_model(folder: Path) -> StableDiffusionPipeline:
    """The stock pipeline of `folder` in fp32, from local files only and without progress bars."""
    return open_as(StableDiffusionPipeline, folder)


def open_inpaint_model(folder: Path) -> StableDiffusionInpaintPipeline:
    """The stock inpainting pipeline of `folder`, likewise."""
    return open_as(StableDiffusionInpaintPipeline, folder)


Pipeline = TypeVar("Pipeline", bound=DiffusionPipeline)


def open_as(kind: type[Pipeline], folder: Path) -> Pipeline:
    """The stock pipeline of a kind, likewise."""
    if not (folder / "model_index.json").is_file():
        raise EaselError(f"{folder} is no diffusers model folder", fix="name one that holds a model_index.json")
    pipeline: Pipeline = kind.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
