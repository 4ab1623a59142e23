"""Models that enlarge by diffusion: what is known of them, who may use them, and how they come into memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.error import EaselError, ModelUnusable
from pipelines.core.model import Family, Kind, ModelInfo, Prediction, Task
from pipelines.core.placement import Placement
from pipelines.core.request import Precision
from pipelines.models import budget
from pipelines.models.forms import folder_as_file, write_as_folder
from pipelines.models.hub import Listing, files_of
from pipelines.models.loading import LoadedEnlarger
from pipelines.models.opening import blueprint_of, enlarger_of
from pipelines.models.residency import Residency
from pipelines.models.rounding import Rounding
from pipelines.models.scan import ModelLibrary
from pipelines.models.verify import verify
from tests.models.enlargers import latent, ldm, write_x4_file, x4, x4_tensors
from tests.models.folders import copy_of, edit

NAMES = ("x4", "latent", "ldm", "single")
UNET, VAE = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with each of them. Shared: leave it as it is."""
    root, first = tmp_path_factory.mktemp("models"), x4()
    for name, pipeline in {"x4": first, "latent": latent(), "ldm": ldm()}.items():
        pipeline.save_pretrained(root / name)
    write_x4_file(root / "single.safetensors", first)
    return root


@pytest.fixture(scope="module")
def library(root: Path) -> ModelLibrary:
    return ModelLibrary([root])


@pytest.mark.parametrize(
    ("name", "family", "native_size", "prediction"),
    [
        ("x4", Family.X4_UPSCALER, 512, Prediction.V),
        ("single", Family.X4_UPSCALER, 512, Prediction.V),
        ("latent", Family.LATENT_UPSCALER, 1024, Prediction.EDM),
        ("ldm", Family.LDM, 256, Prediction.EPSILON),
    ],
)
def test_what_is_known_without_loading(
    name: str, family: Family, native_size: int, prediction: Prediction, library: ModelLibrary
) -> None:
    info = library.upscaler(name)
    assert (info.kind, info.task, info.problem) == (Kind.CHECKPOINT, Task.UPSCALING, None)
    assert (info.family, info.native_size, info.prediction) == (family, native_size, prediction)
    assert (info.dtype, info.lacks, info.paints) == ("fp32", (), False)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_not_to_paint_with(name: str, library: ModelLibrary) -> None:
    with pytest.raises(ModelUnusable, match=r"is no model to paint with .upscaling.; choose it on the Upscale tab"):
        library.usable(name)
    with pytest.raises(ModelUnusable, match="has no VAE that can be used"):
        library.vae(name)


def test_a_model_to_paint_with_does_not_enlarge(starter_folder: Path) -> None:
    library = ModelLibrary([starter_folder.parent])
    with pytest.raises(ModelUnusable, match="does not enlarge pictures"):
        library.upscaler("flat")
    with pytest.raises(ModelUnusable, match="does not enlarge pictures; choose an upscaler"):
        enlarger_of(library.usable("flat"))


@pytest.mark.parametrize("name", NAMES)
def test_they_are_whole(name: str, library: ModelLibrary) -> None:
    assert list(verify(library.upscaler(name)))


@pytest.mark.parametrize("name", NAMES)
def test_they_keep_their_form(name: str, library: ModelLibrary, tmp_path: Path) -> None:
    plan = blueprint_of(library.upscaler(name))
    with pytest.raises(ModelUnusable, match="keeps its form; use it as it is"):
        write_as_folder(plan, Rounding(None), tmp_path)
    with pytest.raises(ModelUnusable, match="keeps its form; use it as it is"):
        folder_as_file(plan, Rounding(None))


def test_the_single_file_is_spelled_as_stock_reads_it() -> None:
    made = x4()
    tensors = x4_tensors(made)
    unet = convert_ldm_unet_checkpoint(dict(tensors), made.unet.config)
    vae = convert_ldm_vae_checkpoint(dict(tensors), made.vae.config)
    text = convert_open_clip_checkpoint(made.text_encoder, dict(tensors), prefix="cond_stage_model.model.")
    text = {name.removeprefix("text_model."): tensor for name, tensor in text.items()}  # as older releases name them
    for network, theirs in ((made.unet, unet), (made.vae, vae), (made.text_encoder, text)):
        wanted = network.state_dict()
        assert theirs.keys() >= wanted.keys() and (theirs is text or len(theirs) == len(wanted))
        assert all(torch.equal(theirs[name].reshape(tensor.shape), tensor) for name, tensor in wanted.items())


def test_all_of_a_folder_is_fetched_from_the_hub(root: Path) -> None:
    for name in ("x4", "latent", "ldm"):
        files = [file.relative_to(root / name).as_posix() for file in (root / name).rglob("*") if file.is_file()]
        listed = Listing.model_validate({"sha": "1", "siblings": [{"rfilename": file, "size": 1} for file in files]})
        assert {one.path for one in files_of(listed, "author/model")} == set(files)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_weights_are_the_files(library: ModelLibrary) -> None:
    residency, stock = Residency("cpu"), x4()
    for name in ("x4", "single"):
        model = residency.lend_enlarger(library.upscaler(name))
        assert same(model.unet, stock.unet) and same(model.vae, stock.vae)
        assert same(model.towers[0].encoder, stock.text_encoder)
        assert model.unet.config.only_cross_attention == [True, True, True, False]
    betas = enlarger_of(library.upscaler("single")).low_res["trained_betas"]
    assert torch.equal(torch.tensor(betas), stock.low_res_scheduler.betas)
    plain = residency.lend_enlarger(library.upscaler("ldm"))
    assert same(plain.unet, ldm().unet) and same(plain.vae, ldm().vqvae)


def test_they_are_lent_kept_and_freed_like_others(library: ModelLibrary, starter_folder: Path) -> None:
    residency = Residency("cpu")
    first = residency.lend_enlarger(library.upscaler("x4"))
    assert residency.lend_enlarger(library.upscaler("x4")) is first
    residency.lend(ModelLibrary([starter_folder.parent]).usable("flat"))
    residency.lend_enlarger(library.upscaler("ldm"))
    assert list(residency.loaded) == ["ldm", "flat", "x4"]
    residency.free("x4")
    assert list(residency.loaded) == ["ldm", "flat"]
    assert residency.lend_enlarger(library.upscaler("x4")) is not first


def test_room_is_made_for_what_it_was_trained_on(library: ModelLibrary, starter_folder: Path) -> None:
    info = library.upscaler("x4")
    plan, numbers = enlarger_of(info), budget.numbers_of(info, Precision.AUTO, on_cpu=True)
    work = budget.enlarging_work(plan, 128, passes=2, wide=4).most
    weights = budget.weights_of(plan, numbers).on_device(Placement.WHOLE)
    residency = Residency("cpu", limit=weights + work + 1)
    residency.lend(ModelLibrary([starter_folder.parent]).usable("flat"))
    residency.lend_enlarger(info)
    assert residency.loaded == ("x4",)


def test_more_is_worked_with_the_more_is_seen(library: ModelLibrary) -> None:
    for name in NAMES:
        plan = enlarger_of(library.upscaler(name))
        small, large = (budget.enlarging_work(plan, side, passes=2, wide=2) for side in (64, 128))
        assert large.denoising == 4 * small.denoising and large.decoding == 4 * small.decoding
        alone = budget.enlarging_work(plan, 64, passes=1, wide=2)
        assert 2 * alone.denoising == small.denoising and alone.decoding == small.decoding


def test_where_there_is_little_room_parts_take_turns() -> None:
    weights = budget.Weights(unet=100, vae=50, texts=50, largest=10)
    assert budget.placed(weights, 40, 250, on_cpu=False) is Placement.WHOLE
    assert budget.placed(weights, 40, 249, on_cpu=False) is Placement.TURNS
    assert budget.placed(weights, 40, 149, on_cpu=False) is Placement.STREAMED
    assert budget.placed(weights, 40, 0, on_cpu=False) is Placement.STREAMED
    assert budget.placed(weights, 40, 0, on_cpu=True) is Placement.WHOLE


@pytest.mark.parametrize(("name", "in_full"), [("x4", True), ("single", True), ("ldm", True), ("latent", False)])
def test_vaes_known_to_overflow_compute_in_full(name: str, in_full: bool, library: ModelLibrary) -> None:
    model = Residency("cpu").lend_enlarger(library.upscaler(name), Precision.FP16)
    assert model.dtype is torch.float16
    assert model.vae_dtype is (torch.float32 if in_full else torch.float16)
    assert {weight.dtype for weight in model.vae.parameters()} == {model.vae_dtype}


def changed(file: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def test_old_names_of_attention_are_understood(root: Path, tmp_path: Path) -> None:
    """As the folder on the hub was saved, in 2022."""
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def age(tensors: dict[str, Tensor]) -> None:
        for name in list(tensors):
            for new, was in old.items():
                if new in name:
                    tensors[name.replace(new, was)] = tensors.pop(name)

    folder = copy_of(root / "ldm", tmp_path / "old")
    for part in ("unet", "vqvae"):
        changed(folder / part / "diffusion_pytorch_model.safetensors", age)
    model = Residency("cpu").lend_enlarger(ModelLibrary([tmp_path]).upscaler("old"))
    assert same(model.unet, ldm().unet) and same(model.vae, ldm().vqvae)


def test_the_codebook_is_there_whole(root: Path, tmp_path: Path) -> None:
    """Also of a file in halves: others than its module read it."""
    folder = copy_of(root / "ldm", tmp_path / "halves")
    for part in ("unet", "vqvae"):
        changed(folder / part / "diffusion_pytorch_model.safetensors",
                lambda tensors: tensors.update({name: tensor.half() for name, tensor in tensors.items()}))  # fmt: skip
    model = Residency("cpu").lend_enlarger(ModelLibrary([tmp_path]).upscaler("halves"))
    assert model.vae.quantize.embedding.weight.dtype is torch.float32
    assert model.vae.decode(torch.zeros((1, 3, 8, 8)), return_dict=False)[0].shape == (1, 3, 32, 32)


def lacking(part: str) -> Callable[[dict[str, Tensor]], None]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors.pop(next(name for name in tensors if part in name))

    return change


SPOILT: list[tuple[str, Callable[[Path], object], str]] = [
    ("x4", lambda at: (at / VAE).unlink(), "lacks vae/diffusion_pytorch_model.safetensors; copy the folder again"),
    ("x4", lambda at: (at / UNET).rename(at / "unet/diffusion_pytorch_model.bin"),
     "lacks unet/diffusion_pytorch_model.safetensors: its diffusion_pytorch_model.bin is a pickle, and opening it can "
     "run code; convert that with app.py models convert"),
    ("x4", lambda at: (at / "low_res_scheduler/scheduler_config.json").unlink(), "lacks low_res_scheduler/"),
    ("x4", lambda at: edit(at / "model_index.json", lambda index: index.update(low_res_scheduler=["x", "y"])),
     "names an unknown low_res_scheduler .y.; in model_index.json use DDPMScheduler"),
    ("x4", lambda at: edit(at / "model_index.json", lambda index: index.update(max_noise_level="all")),
     "how much noise its pictures may have is no number"),
    ("x4", lambda at: edit(at / "unet/config.json", lambda config: config.update(in_channels=9)),
     "its UNet takes 9 channels, and is shown 4 of latents and 3 of the picture"),
    ("x4", lambda at: edit(at / "unet/config.json", lambda config: config.update(num_class_embeds=None)),
     "how much noise its pictures may have is no number"),
    ("x4", lambda at: edit(at / "scheduler/scheduler_config.json", lambda config: config.update(prediction_type="?")),
     "predicts '[?]', which cannot run yet; set prediction_type"),
    ("x4", lambda at: edit(at / "low_res_scheduler/scheduler_config.json", lambda c: c.update(beta_end="much")),
     "beta_end in low_res_scheduler/scheduler_config.json is 'much', no number"),
    ("x4", lambda at: edit(at / "vae/config.json", lambda config: config.update(block_out_channels=[32])),
     "its VAE reduces pictures 1 times"),
    ("x4", lambda at: edit(at / "vae/config.json", lambda config: config.update(latent_channels="four")),
     "its VAE has 'four' channels, no number"),
    ("x4", lambda at: changed(at / UNET, lacking("class_embedding")), "its UNet is no SD x4 upscaler"),
    ("latent", lambda at: edit(at / "unet/config.json", lambda config: config.update(time_cond_proj_dim=7)),
     "its UNet is not told 192 numbers with the time"),
    ("latent", lambda at: edit(at / "scheduler/scheduler_config.json", lambda c: c.update(prediction_type="epsilon")),
     "set prediction_type in scheduler/scheduler_config.json to original_sample or sample"),
    ("ldm", lambda at: edit(at / "vqvae/config.json", lambda config: config.update(block_out_channels=0)),
     "block_out_channels in vqvae/config.json are no widths"),
    ("ldm", lambda at: edit(at / "model_index.json", lambda index: index.update(vqvae=["diffusers", "VaeModel"])),
     "names an unknown vqvae .VaeModel.; in model_index.json use VQModel"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "says"), SPOILT, ids=[f"{name}-{says[:40]}" for name, _, says in SPOILT])
def test_a_spoilt_folder_says_what_to_do(
    name: str, spoil: Callable[[Path], object], says: str, root: Path, tmp_path: Path
) -> None:
    spoil(copy_of(root / name, tmp_path / "mine"))
    library = ModelLibrary([tmp_path])
    [info] = library.list()
    assert (info.task, info.paints) == (Task.UPSCALING, False)
    with pytest.raises(ModelUnusable, match=says):
        library.upscaler("mine")


def test_what_only_loading_shows_is_named(root: Path, tmp_path: Path) -> None:
    folder = copy_of(root / "ldm", tmp_path / "mine")
    changed(folder / "vqvae/diffusion_pytorch_model.safetensors", lacking("quantize"))
    info = ModelLibrary([tmp_path]).upscaler("mine")
    with pytest.raises(ModelUnusable, match=r"its vae lacks 1 tensors, quantize.embedding.weight the first of them"):
        Residency("cpu").lend_enlarger(info)


def single(tmp_path: Path, change: Callable[[dict[str, Tensor]], object]) -> ModelInfo:
    tensors = {name: tensor.clone() for name, tensor in x4_tensors(x4()).items()}
    change(tensors)
    save_file(tensors, tmp_path / "mine.safetensors")
    return ModelLibrary([tmp_path]).upscaler("mine")


def test_a_single_file_without_its_own_noise_takes_the_published_one(tmp_path: Path) -> None:
    plan = enlarger_of(single(tmp_path, lambda tensors: tensors.pop("low_scale_model.betas")))
    assert plan.low_res["beta_schedule"] == "scaled_linear" and "trained_betas" not in plan.low_res
    assert plan.most_noise == 350


def test_a_unet_alone_takes_the_rest_from_a_whole_one(root: Path, tmp_path: Path) -> None:
    copy_of(root / "x4", tmp_path / "whole")
    info = single(tmp_path, lambda tensors: [tensors.pop(n) for n in list(tensors) if not n.startswith("model.")])
    assert info.lacks == (Kind.VAE, Kind.TEXT_ENCODER)
    model = Residency("cpu").lend_enlarger(info)
    assert isinstance(model, LoadedEnlarger) and (model.factor, model.most_noise) == (4, 350)


def test_a_single_file_of_another_width_of_input_is_refused(tmp_path: Path) -> None:
    first = "model.diffusion_model.input_blocks.0.0.weight"
    info = single(tmp_path, lambda tensors: tensors.update({first: tensors[first][:, :6].contiguous()}))
    with pytest.raises(ModelUnusable, match="its UNet takes 6 channels; use one that takes 7"):
        Residency("cpu").lend_enlarger(info)


def test_the_original_file_of_ldm_says_what_to_use(tmp_path: Path) -> None:
    names = [
        "model.diffusion_model.middle_block.1.proj_in.weight",
        "first_stage_model.decoder.mid.block_1.norm1.weight",
        "first_stage_model.quantize.embedding.weight",
    ]
    tensors = {name: torch.zeros((8, 8)) for name in names}
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros((8, 6, 3, 3))
    save_file(tensors, tmp_path / "ldsr.safetensors")
    with pytest.raises(EaselError, match=r"cannot run yet .LDM.; use it as the folder that diffusers reads"):
        ModelLibrary([tmp_path]).upscaler("ldsr")


def test_damaged_settings_are_no_python_errors(root: Path, tmp_path: Path) -> None:
    """Whatever stands in a config, it is a model with a problem, and others are listed."""
    values: list[Any] = [None, "x", -1, [], {}, 1e30]
    keys = {"unet/config.json": ("in_channels", "num_class_embeds", "sample_size", "block_out_channels"),
            "vae/config.json": ("latent_channels", "block_out_channels"),
            "model_index.json": ("max_noise_level", "unet"),
            "low_res_scheduler/scheduler_config.json": ("num_train_timesteps", "beta_end")}  # fmt: skip
    folder = copy_of(root / "x4", tmp_path / "mine")
    for file, names in keys.items():
        whole = (folder / file).read_bytes()
        for key in names:
            for value in values:
                edit(folder / file, lambda config, key=key, value=value: config.update({key: value}))  # type: ignore[misc]
                [info] = ModelLibrary([tmp_path]).list()
                assert info.task is Task.UPSCALING
                (folder / file).write_bytes(whole)
