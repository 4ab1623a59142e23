"""Every family that can be loaded, from one file and from a folder, paints the picture that diffusers paints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.core.model import Family, Task
from pipelines.core.request import Precision
from pipelines.models.loading import LoadedModel, load
from pipelines.models.scan import ModelLibrary
from tests.generation.painting import PROMPT, difference, paint
from tests.models.synthetic import Networks, networks, stock_pipeline, write_folder, write_single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")

STEPS = 4


def opened(path: Path, made: Networks, *, single: bool, **scheduled: Any) -> LoadedModel:
    """`made` written to `path` and loaded as the studio loads it."""
    (write_single(path / "m.safetensors", made) if single else write_folder(path / "m", made, **scheduled))
    return load(ModelLibrary([path]).usable("m"), torch.device("cpu"), Precision.AUTO)


def painted(model: LoadedModel, **fields: Any) -> np.ndarray:
    return paint(model, sampler="euler", steps=STEPS, cfg=4.0, **fields)[0]


@pytest.mark.parametrize("single", [True, False], ids=["file", "folder"])
@pytest.mark.parametrize("family", [Family.SD1, Family.SD2, Family.SDXL], ids=str)
def test_a_picture_equals_the_stock_pipelines(family: Family, single: bool, tmp_path: Path) -> None:
    made = networks(family, small=True)
    pipe = stock_pipeline(made)
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        PROMPT, negative_prompt="rain", width=64, height=64, num_inference_steps=STEPS, guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    model = opened(tmp_path, made, single=single)
    assert (model.info.family, model.task) == (family, Task.TEXT_TO_IMAGE)
    assert difference(painted(model, negative_prompt="rain"), np.asarray(expected).astype(int)) <= 1


@pytest.mark.parametrize("single", [True, False], ids=["file", "folder"])
@pytest.mark.parametrize("family", [Family.SD1, Family.SD2, Family.SDXL], ids=str)
def test_an_inpainting_model_paints_a_whole_picture_as_if_all_of_it_were_masked(
    family: Family, single: bool, tmp_path: Path
) -> None:
    made = networks(family, small=True, channels=9)
    pipe = stock_pipeline(made)
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        PROMPT, negative_prompt="rain", image=Image.new("RGB", (64, 64)), mask_image=Image.new("L", (64, 64), 255),
        strength=1.0, width=64, height=64, num_inference_steps=STEPS, guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    model = opened(tmp_path, made, single=single)
    assert (model.info.family, model.task) == (family, Task.INPAINTING)
    assert difference(painted(model, negative_prompt="rain"), np.asarray(expected).astype(int)) <= 1


def test_sdxls_refiner_paints_the_same_from_a_file_and_from_a_folder(tmp_path: Path) -> None:
    made = networks(Family.SDXL_REFINER, small=True)
    pictures = [painted(opened(tmp_path / kind, made, single=kind == "file")) for kind in ("file", "folder")]
    assert difference(*pictures) <= 1
    assert pictures[0].std() > 1
