"""A whole run in miniature: every stage, cut and resumed, exported and examined."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open

from pipelines.core.error import EaselError
from pipelines.training import networks, stages
from pipelines.training.checkers.judge import open_judge
from pipelines.training.embedding import learn_word
from pipelines.training.masks import mask_of
from pipelines.training.model import open_inpaint_model, open_model
from pipelines.training.pictures import PictureSet, as_tensor
from pipelines.training.recipe import TOY, LoraName
from pipelines.training.run import Run
from pipelines.training.stages import Product
from pipelines.training.world.scene import Style

# diffusers' solvers hand tensors to numpy in a way that numpy 2 will refuse some day; theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model_folder(toy_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    return stages.export(toy_run, Product.FLAT, folder)


def test_stock_diffusers_opens_the_exported_folder(model_folder: Path) -> None:
    pipeline = open_model(model_folder)
    assert isinstance(pipeline, StableDiffusionPipeline)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert pipeline.scheduler.config.timestep_spacing == "trailing"
    assert pipeline.vae.config.scaling_factor == 0.18215


@pytest.mark.parametrize("masked", [False, True])
def test_kept_latents_are_those_of_the_pictures(toy_run: Run, masked: bool) -> None:
    wanted = PictureSet(seed=9, count=3, width=64, height=96)
    toy_run.latents(wanted, masked=masked)
    kept = toy_run.latents(wanted, masked=masked)  # from the file
    shown = as_tensor(np.stack([wanted.picture(i)[0] for i in range(wanted.count)]))
    with torch.no_grad():
        true = networks.SCALING_FACTOR * toy_run.vae().encode(shown).latent_dist.mean
    assert (kept.latents.float() - true).abs().mean() < 0.03  # encoded in bfloat16
    assert torch.allclose(kept.boxes, torch.from_numpy(np.stack([wanted.picture(i)[1] for i in range(3)])))
    if masked:
        assert kept.known is not None
        hidden, seen = kept.known[:, :1], kept.known[:, 1:].float()
        assert set(hidden.flatten().tolist()) <= {0, 1}
        far = torch.nn.functional.max_pool2d(hidden.float(), 5, stride=1, padding=2) == 0
        assert ((seen - true).abs() * far).mean() < 0.1 * (seen - true).abs().mean() + 0.05


@pytest.mark.parametrize("name", ["ink", "inpaint"])
def test_the_family_descends_from_the_flat_unet(toy_run: Run, name: str) -> None:
    flat = toy_run.unet().state_dict()
    child = (toy_run.unet(Style.INK) if name == "ink" else toy_run.inpaint_unet()).state_dict()
    child["conv_in.weight"] = child["conv_in.weight"][:, :4]
    was, now = (torch.cat([weights[key].flatten() for key in flat]) for weights in (flat, child))
    assert not torch.equal(was, now)
    assert torch.cosine_similarity(was, now, dim=0) > 0.95


def test_an_inpainting_unet_begins_as_the_one_it_comes_from(toy_run: Run) -> None:
    flat = toy_run.unet()
    wider = networks.for_inpainting(flat).eval()
    latents, known = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 8, 8)
    told = (torch.tensor([500]), torch.randn(1, 77, 96))
    with torch.no_grad():
        assert torch.allclose(wider(torch.cat([latents, known], 1), *told).sample, flat(latents, *told).sample)


def test_stock_diffusers_paints_with_the_inpainting_model(toy_run: Run, tmp_path: Path) -> None:
    folder = stages.export(toy_run, Product.INPAINT, tmp_path)
    pipeline = open_inpaint_model(folder)
    grey, mask = Image.new("RGB", (64, 64), "grey"), Image.new("L", (64, 64), "white")
    picture = pipeline("a red house", image=grey, mask_image=mask, width=64, height=64, num_inference_steps=2).images[0]
    assert picture.size == (64, 64)


@pytest.mark.parametrize("name", LoraName)
def test_stock_diffusers_takes_every_tensor_of_a_lora(toy_run: Run, model_folder: Path, name: LoraName) -> None:
    file = stages.export(toy_run, Product(name), model_folder.parent)
    pipeline = open_model(model_folder)
    pipeline.load_lora_weights(file)
    trained = toy_run.lora_unet(name)
    told = (torch.randn(1, 4, 8, 8), torch.tensor([500]), torch.randn(1, 77, 96))
    with torch.no_grad():
        ours, theirs = trained(*told).sample, pipeline.unet(*told).sample
        pipeline.disable_lora()
        without = pipeline.unet(*told).sample
    assert torch.allclose(ours, theirs, atol=2e-3)  # files and base are half precision
    assert (without - theirs).abs().max() > 5 * (ours - theirs).abs().max()


def test_a_lora_says_in_its_file_what_it_is(toy_run: Run, tmp_path: Path) -> None:
    with safe_open(stages.export(toy_run, Product.GLOW, tmp_path), "pt") as file:
        told = file.metadata()
        alphas = {float(file.get_tensor(key)) for key in file.keys() if key.endswith(".alpha")}  # noqa: SIM118
        assert all(key.startswith("lora_unet_") for key in file.keys())  # noqa: SIM118
    assert (told["ss_network_dim"], told["ss_network_alpha"]) == ("2", "1")
    assert alphas == {1.0}


def test_stock_diffusers_reads_the_new_word_as_it_was_trained(toy_run: Run, model_folder: Path) -> None:
    file = stages.export(toy_run, Product.TEAL, model_folder.parent)
    pipeline = open_model(model_folder)
    pipeline.load_textual_inversion(file, token="teal")
    (read,) = pipeline.text_encoder.get_input_embeddings().weight[[-1]].detach()
    assert torch.allclose(read, toy_run.word().vector[0].detach(), atol=1e-3)
    ids = pipeline.tokenizer("a teal house").input_ids
    assert len(pipeline.tokenizer) - 1 in ids


def test_finding_a_word_changes_the_word_and_nothing_else(toy_run: Run) -> None:
    encoder, tokenizer = toy_run.text_encoder(), toy_run.tokenizer()
    began = learn_word(encoder, tokenizer, "teal", ("green", "blue"))
    known = encoder.get_input_embeddings().known.weight
    green, blue = (known[tokenizer.convert_tokens_to_ids(f"{word}</w>")] for word in ("green", "blue"))
    assert torch.allclose(began.vector[0], (green + blue) / 2)
    assert not torch.equal(began.vector, toy_run.word().vector)
    kept = torch.load(toy_run.checkpoint("embedding"), weights_only=True)
    assert list(kept["module"]) == ["vector"]


def test_an_exported_folder_holds_half_precision_safetensors_only(model_folder: Path) -> None:
    weights = [f for f in model_folder.rglob("*") if f.suffix in {".safetensors", ".bin", ".pt", ".ckpt"}]
    assert len(weights) == 3
    assert all(f.suffix == ".safetensors" for f in weights)
    assert sum(f.stat().st_size for f in model_folder.rglob("*") if f.is_file()) <= 15_000_000


def test_exporting_again_replaces_the_folder_and_leaves_nothing_beside_it(toy_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    (folder / "stale.txt").write_text("from before")
    assert stages.export(toy_run, Product.FLAT, tmp_path) == folder
    assert not (folder / "stale.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["flat"]
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"


def test_a_unet_run_that_was_cut_ends_exactly_like_one_that_was_not(toy_run: Run) -> None:
    whole = toy_run.unet().state_dict()
    toy_run.checkpoint("unet-flat").unlink()
    for part in (2, None):
        for _ in stages.train_unet(toy_run, until=part):
            pass
    resumed = toy_run.unet().state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_polishing_a_vae_changes_its_pictures_and_not_its_latents(toy_run: Run) -> None:
    before = toy_run.vae("refine").state_dict()
    polished = toy_run.vae().state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], polished[name])}
    assert changed == {"decoder", "post_quant_conv"}


def test_a_finished_vaes_latents_are_in_sds_units(toy_run: Run) -> None:
    latents = toy_run.latents(toy_run.recipe.vae_sets[0]).latents.float()
    assert latents.mean((0, 2, 3)).abs().max() < 0.15
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.15


def test_what_an_inpainting_unet_is_told_is_what_the_stock_pipeline_tells_it(toy_run: Run) -> None:
    wanted = PictureSet(seed=9, count=3, width=64, height=96)
    kept = toy_run.latents(wanted, masked=True)
    assert kept.known is not None
    pipeline = open_inpaint_model(stages.export(toy_run, Product.INPAINT, toy_run.folder / "models"))
    pipeline.vae = toy_run.vae("refine")
    for i in range(wanted.count):
        pixels, boxes = wanted.picture(i)
        mask = torch.from_numpy(mask_of(wanted.seed_of(i), boxes, (64, 96)).astype(np.float32))[None, None]
        hidden = as_tensor(pixels[None]) * (mask < 0.5)
        with torch.no_grad():
            small, seen = pipeline.prepare_mask_latents(
                mask, hidden, 1, 96, 64, torch.float32, torch.device("cpu"), torch.Generator().manual_seed(0), False
            )
        assert torch.equal(kept.known[i, :1].float(), small[0])
        assert (kept.known[i, 1:].float() - seen[0]).abs().mean() < 0.2 * seen.std()


def test_what_is_not_trained_to_its_end_is_not_built_on_nor_written_out(tmp_path: Path) -> None:
    run = Run(TOY, tmp_path)
    list(stages.make_tokenizer(run))
    list(stages.train_text(run, until=2))
    with pytest.raises(EaselError, match=r"The stage text has done 2 of 4 steps; run it to its end first"):
        run.text_encoder()
    assert replace(run, unfinished=True).text_encoder() is not None


def test_a_judge_is_shipped_as_it_was_trained(toy_run: Run, tmp_path: Path) -> None:
    opened = open_judge(stages.export(toy_run, Product.JUDGE, tmp_path))
    views = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(opened(views), toy_run.judge()(views), atol=2e-2)


def test_latents_of_another_recipe_are_not_taken_for_these(toy_run: Run) -> None:
    few, many = (replace(PictureSet(seed=9, count=4, width=64, height=64), duos=duos) for duos in (0.0, 1.0))
    assert not toy_run.latents(few).boxes[:, 1].any()
    assert toy_run.latents(many).boxes[:, 1].any(1).all()


def test_a_stage_without_the_one_before_says_what_to_run(tmp_path: Path) -> None:
    empty = Run(TOY, tmp_path)
    with pytest.raises(EaselError, match="run the stage `tokenizer` first"):
        next(iter(stages.train_text(empty)))
    with pytest.raises(EaselError, match="run the stage `vae` to its end"):
        empty.vae()
