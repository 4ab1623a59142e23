"""Every family that can be loaded, from one file and from a folder, paints the picture that diffusers paints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family, Kind, Task
from pipelines.core.presets import STARTER_MODELS
from pipelines.models.asked import model_of
from pipelines.models.loading import LoadedModel, Manner, load
from pipelines.models.scan import ModelLibrary
from tests.generation.painting import PROMPT, ask, difference, paint
from tests.models.synthetic import Networks, networks, stock_pipeline, write_folder, write_single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")

STEPS = 4
IN_FULL = Manner(torch.device("cpu"), torch.float32)


def opened(path: Path, made: Networks, *, single: bool, **scheduled: Any) -> LoadedModel:
    """`made` written to `path` and loaded as the studio loads it."""
    (write_single(path / "m.safetensors", made) if single else write_folder(path / "m", made, **scheduled))
    return load(ModelLibrary([path]).usable("m"), IN_FULL)


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


def three(tmp_path: Path) -> tuple[ModelLibrary, Networks, Networks]:
    """A library with a whole model, another, and parts of the second."""
    one, other = networks(Family.SD1, small=True), networks(Family.SD1, small=True, seed=1)
    write_single(tmp_path / "one.safetensors", one)
    write_single(tmp_path / "other.safetensors", other)
    tensors = {name: t.contiguous() for name, t in other.original().items()}
    unet = "model.diffusion_model."
    save_file(
        {n.removeprefix(unet): t for n, t in tensors.items() if n.startswith(unet)}, tmp_path / "bare.safetensors"
    )
    vae = {n.removeprefix("first_stage_model."): t for n, t in tensors.items() if n.startswith("first_stage_model.")}
    save_file(vae, tmp_path / "other vae.safetensors")
    return ModelLibrary([tmp_path]), one, other


def lent(library: ModelLibrary, name: str, **fields: Any) -> LoadedModel:
    info = model_of(library, ask(model=name, **fields))
    assert info is not None
    return load(info, IN_FULL)


def test_another_vae_decodes_when_it_is_asked_for(tmp_path: Path) -> None:
    library, one, other = three(tmp_path)
    own = painted(lent(library, "one"))
    for vae in ("other vae", "other"):
        model = lent(library, "one", vae=vae)
        assert torch.equal(model.vae.decoder.conv_in.weight, other.vae.decoder.conv_in.weight)
        assert torch.equal(model.unet.conv_in.weight, one.unet.conv_in.weight)
        assert difference(painted(model), own) > 5
    with pytest.raises(ModelUnusable, match=r"'bare' has no VAE that can be used; choose another VAE"):
        model_of(library, ask(model="one", vae="bare"))


def test_a_unet_alone_borrows_what_it_lacks_from_a_whole_model(tmp_path: Path) -> None:
    library, one, other = three(tmp_path)
    info = library.usable("bare")
    assert info.kind is Kind.DENOISER and set(info.lacks) == {Kind.VAE, Kind.TEXT_ENCODER}
    model = lent(library, "bare", vae="other vae")
    assert torch.equal(model.unet.conv_in.weight, other.unet.conv_in.weight)
    borrowed = model.towers[0].encoder.get_input_embeddings().weight
    assert torch.equal(borrowed, one.texts[0].get_input_embeddings().weight)


def test_a_unet_alone_with_nothing_to_borrow_says_what_to_do(tmp_path: Path) -> None:
    three(tmp_path)
    for name in ("one", "other"):
        (tmp_path / f"{name}.safetensors").unlink()
    with pytest.raises(ModelUnusable, match=r"'bare' has no vae and text encoder of its own; put a whole SD 1.x model"):
        ModelLibrary([STARTER_MODELS, tmp_path]).usable("bare")
