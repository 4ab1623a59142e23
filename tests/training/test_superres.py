"""The enlarging model's lessons: what it is shown, what it is told, and that stock diffusers enlarges with it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.core.error import EaselError
from pipelines.core.presets import STARTER_MODELS
from pipelines.training import stages
from pipelines.training.autoencoder import latent_means
from pipelines.training.diffusion import cumulative_alphas
from pipelines.training.enlarged import Manner, Trial, measures, trial_sheet, trials
from pipelines.training.loop import Job, Pace, train
from pipelines.training.networks import new_text_encoder
from pipelines.training.patches import Patches, PatchStream, patches
from pipelines.training.pictures import CropStream, PictureSet, as_tensor
from pipelines.training.recipe import STARTER, TOY
from pipelines.training.run import Run
from pipelines.training.stages import Product
from pipelines.training.superres import (
    BETAS,
    MAX_LEVEL,
    SCALING_FACTOR,
    SuperresObjective,
    low_res_scheduler,
    new_unet,
    open_superres,
    scheduler,
)
from pipelines.training.tokenizer import train_tokenizer, world_texts


@pytest.fixture(scope="module")
def words() -> tuple[CLIPTextModel, CLIPTokenizer]:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(world_texts(1, 200))
    return new_text_encoder(len(tokenizer)).requires_grad_(False), tokenizer


def examples(step: int) -> tuple[Tensor, Tensor, list[str]]:
    """Grey pictures, each its own shade, whose latents say so."""
    shades = torch.rand(8, 1, 1, 1, generator=torch.Generator().manual_seed(step))
    return (2 * shades - 1).expand(8, 4, 8, 8), shades.expand(8, 3, 32, 32), [""] * 8


class Spy(torch.nn.Module):
    """A UNet that remembers what it was shown."""

    device = torch.device("cpu")

    def forward(self, shown: Tensor, times: Tensor, _: Tensor, *, class_labels: Tensor) -> SimpleNamespace:
        self.shown, self.times, self.levels = shown, times, class_labels
        return SimpleNamespace(sample=torch.zeros_like(shown[:, :4]))


def test_noise_is_that_of_the_schedulers_it_is_shipped_with() -> None:
    alphas = cumulative_alphas(*BETAS)
    assert torch.allclose(alphas, scheduler().alphas_cumprod)
    assert torch.allclose(alphas, low_res_scheduler().alphas_cumprod)


def test_it_sees_the_small_picture_as_noisy_as_it_is_told(words: tuple[CLIPTextModel, CLIPTokenizer]) -> None:
    spy = Spy()
    objective = SuperresObjective(spy, *words, examples, seed=1)
    alphas, seen = cumulative_alphas(*BETAS), []
    for step in range(30):
        objective(step)
        assert spy.shown.shape == (8, 7, 8, 8)
        a = alphas[spy.levels].view(-1, 1, 1, 1)
        noise = (spy.shown[:, 4:] - a.sqrt() * examples(step)[0][:, :3]) / (1 - a).sqrt()
        clear = spy.levels > 50  # below, the rounding and wear of small pictures is more than the noise
        assert 0.85 < float(noise[clear].std()) < 1.15
        seen += spy.levels.tolist()
    assert 0 <= min(seen) < 5
    assert 300 < max(seen) <= MAX_LEVEL
    assert np.mean(np.array(seen) < MAX_LEVEL / 4) > 0.4


def test_levels_begin_as_near_to_each_other_as_they_are() -> None:
    levels = new_unet(8).class_embedding.weight.detach()
    near, far = (float(torch.dist(levels[20], levels[other])) for other in (21, 200))
    assert near < 0.3 * far


def test_a_few_steps_lower_its_loss(words: tuple[CLIPTextModel, CLIPTokenizer], tmp_path: Path) -> None:
    torch.manual_seed(0)
    unet = new_unet(8)
    objective = SuperresObjective(unet, *words, examples, seed=1)
    pace = Pace(steps=16, rate=3e-3, warmup=4, bf16=0.0)
    losses = [r.loss for r in train(Job(module=unet, objective=objective, pace=pace, checkpoint=tmp_path / "s.pt"))]
    assert losses[-1] < losses[0]


@pytest.fixture(scope="module")
def cut(toy_run: Run) -> Callable[[int], Patches]:
    """Patches of the toy run."""
    crops = toy_run.crops(TOY.superres.sets, TOY.superres.patches, 3)
    return lambda count: patches(toy_run.vae("superres-vae"), crops, count, toy_run.folder / "latents")


def test_kept_patches_are_squares_of_the_pictures_and_their_latents(
    toy_run: Run, cut: Callable[[int], Patches]
) -> None:
    cut(5)
    kept = cut(5)  # from the file
    with torch.no_grad():
        shown = as_tensor(kept.pixels.permute(0, 2, 3, 1).numpy())
        true = SCALING_FACTOR * latent_means(toy_run.vae("superres-vae"), shown)
    assert (kept.latents.float() - true).abs().mean() < 0.03  # encoded in bfloat16
    (pictures,) = (toy_run.pictures(wanted) for wanted in TOY.superres.sets)
    for pixels, scene in zip(kept.pixels, kept.scenes, strict=True):
        origin = [i for i in range(TOY.superres.sets[0].count) if pictures.made_of.scene(i) == scene]
        assert any(np.array_equal(pictures.pixels[i], pixels.permute(1, 2, 0)) for i in origin)  # as large as they


def test_the_same_step_shows_the_same_patches(cut: Callable[[int], Patches]) -> None:
    stream = PatchStream(cut(5), batch=3, seed=1)
    latents, pictures, texts = stream(4)
    assert torch.equal(latents, stream(4)[0])
    assert texts == stream(4)[2] != stream(5)[2]
    assert pictures.shape == (3, 3, 64, 64)
    assert 0 <= float(pictures.min()) < float(pictures.max()) <= 1


def test_a_crop_at_a_place_is_the_one_that_a_step_shows(toy_run: Run) -> None:
    crops = toy_run.crops(TOY.superres.sets, TOY.vae_crops, 3)
    assert isinstance(crops, CropStream)
    number, index, top, left = 0, 2, 5, 7
    assert np.array_equal(crops.at(number, index, top, left), crops.sets[0].pixels[2, 5:37, 7:39])


@pytest.fixture(scope="module")
def exported(toy_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stages.export(toy_run, Product.ENLARGE, tmp_path_factory.mktemp("export"))


def test_stock_diffusers_enlarges_with_it(exported: Path) -> None:
    pipeline = open_superres(exported)
    assert (pipeline.vae.config.scaling_factor, pipeline.config.max_noise_level) == (SCALING_FACTOR, MAX_LEVEL)
    small = Image.new("RGB", (24, 16), "grey")
    enlarged = pipeline("a red house", image=small, num_inference_steps=2, guidance_scale=2.0).images[0]
    assert enlarged.size == (96, 64)


def test_its_folder_is_laid_out_as_stabilitys(exported: Path) -> None:
    index = json.loads((exported / "model_index.json").read_text(encoding="utf-8"))
    assert index["_class_name"] == "StableDiffusionUpscalePipeline"
    parts = {"vae", "text_encoder", "tokenizer", "unet", "low_res_scheduler", "scheduler"}
    assert {path.name for path in exported.iterdir()} == {"model_index.json", *parts}
    unet = UNet2DConditionModel.load_config(exported / "unet")
    assert (unet["in_channels"], unet["num_class_embeds"]) == (7, 1000)
    noise = json.loads((exported / "low_res_scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    assert (noise["_class_name"], noise["beta_schedule"]) == ("DDPMScheduler", "scaled_linear")


def test_a_finished_vaes_latents_are_in_its_units(toy_run: Run) -> None:
    (pictures,) = (toy_run.pictures(wanted) for wanted in TOY.superres.sets)
    with torch.no_grad():
        latents = SCALING_FACTOR * latent_means(toy_run.vae("superres-vae"), as_tensor(pictures.pixels))
    assert latents.mean((0, 2, 3)).abs().max() < 0.15
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.15


def test_a_run_takes_the_words_of_a_finished_model(tmp_path: Path) -> None:
    run = Run(STARTER, tmp_path)
    stages.adopt_words(run, STARTER_MODELS / "flat")
    reports = list(stages.train_text(run))
    assert not reports  # nothing left to do
    theirs = CLIPTextModel.from_pretrained(STARTER_MODELS / "flat" / "text_encoder", dtype=torch.float32)
    ours = run.text_encoder().state_dict()
    assert all(torch.equal(weight, ours[name]) for name, weight in theirs.state_dict().items())
    with pytest.raises(EaselError, match="has learnt its words already; name another run folder"):
        stages.adopt_words(run, STARTER_MODELS / "flat")


def test_what_it_makes_is_shown_beside_the_usual_ways_and_measured(exported: Path) -> None:
    wanted = PictureSet(5, 2, 64, 96, held_out=True)
    tried = list(trials(open_superres(exported), wanted, Manner(steps=2)))
    assert trial_sheet(tried).size == (4 * 64, 2 * (96 + 16))
    found = measures(tried)
    assert set(found) == {"bicubic", "lanczos", "model"}
    assert found["lanczos"].psnr > found["model"].psnr  # it has seen four lessons
    assert found["lanczos"].sharpness < 0.9


def test_the_original_itself_would_be_perfect() -> None:
    original = Image.fromarray(PictureSet(5, 1, 64, 64).picture(0)[0])
    one = Trial(original, original.reduce(4), {"itself": original.copy()})
    found = measures([one])["itself"]
    assert found.sharpness == 1
    assert min(found.psnr, found.faithfulness) > 100
