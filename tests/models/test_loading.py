"""Loading: offline, complete, and in the right number format, or an error that names the file."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family, ModelInfo
from pipelines.core.request import Precision
from pipelines.models.loading import LoadedModel, Manner, chosen_dtype, load
from pipelines.models.memory import RanOut, is_memory_error
from pipelines.models.reading import read_model
from pipelines.models.residency import Residency
from tests.models.folders import copy_of, cut, edit
from tests.models.synthetic import networks, write_single

CPU = torch.device("cpu")
IN_FULL = Manner(CPU, torch.float32)


@pytest.fixture
def mine(tmp_path: Path, starter_folder: Path) -> Path:
    """A model folder to spoil."""
    return copy_of(starter_folder, tmp_path / "mine")


def rewrite(file: Path, change: Any) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def test_all_parts_are_there_ready_to_run(starter: LoadedModel) -> None:
    for network in (starter.unet, starter.vae, starter.towers[0].encoder):
        assert not network.training
        assert not any(weight.requires_grad for weight in network.parameters())
        assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert starter.scheduler_config["prediction_type"] == "v_prediction"


def test_the_weights_are_the_files(starter: LoadedModel, starter_folder: Path) -> None:
    stored = load_file(starter_folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(starter.unet.conv_in.weight, stored["conv_in.weight"].float())


@pytest.mark.parametrize(
    ("device", "precision", "dtype"),
    [
        ("cpu", Precision.AUTO, torch.float32),
        ("cuda", Precision.AUTO, torch.float16),
        ("cuda", Precision.FP32, torch.float32),
        ("cpu", Precision.BF16, torch.bfloat16),
        ("cpu", Precision.FP16, torch.float16),
    ],
)
def test_auto_keeps_the_files_format_on_a_gpu(
    device: str, precision: Precision, dtype: torch.dtype, starter: LoadedModel
) -> None:
    assert chosen_dtype(starter.info, torch.device(device), precision) is dtype


def test_asked_for_halves_every_part_is_in_halves(starter: LoadedModel) -> None:
    model = load(starter.info, Manner(CPU, torch.bfloat16))
    assert model.unet.dtype == model.vae.dtype == model.towers[0].encoder.dtype == model.dtype == torch.bfloat16


def test_files_of_the_fp16_variant_are_found(mine: Path) -> None:
    for weights in list(mine.glob("*/*.safetensors")):
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    assert load(read_model(mine, "mine"), IN_FULL).unet.dtype == torch.float32


def test_a_tokenizer_in_two_files_will_do(mine: Path, starter: LoadedModel) -> None:
    (mine / "tokenizer" / "tokenizer.json").unlink()
    starter.towers[0].tokenizer.backend_tokenizer.model.save(str(mine / "tokenizer"))
    tokenizer = load(read_model(mine, "mine"), IN_FULL).towers[0].tokenizer
    assert tokenizer("a red house").input_ids == starter.towers[0].tokenizer("a red house").input_ids


def test_a_file_cut_after_the_scan_is_named(mine: Path) -> None:
    info = read_model(mine, "mine")
    cut(mine / "vae" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ModelUnusable, match=r"vae/diffusion_pytorch_model.safetensors ends early"):
        load(info, IN_FULL)


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"])
def test_a_missing_tensor_is_never_filled_with_chance(part: str, mine: Path) -> None:
    rewrite(mine / f"{part}.safetensors", lambda tensors: tensors.pop(max(tensors)))
    refuse(read_model(mine, "mine"), Path(part).parent.name.replace("_", " "))


def test_tensors_of_another_width_are_refused(mine: Path) -> None:
    edit(mine / "unet" / "config.json", lambda config: config.update(block_out_channels=[32, 64, 96, 128]))
    refuse(read_model(mine, "mine"), "unet")


def test_a_config_that_makes_no_sense_is_refused(mine: Path) -> None:
    edit(mine / "vae" / "config.json", lambda config: config.update(up_block_types=["Evil"]))
    refuse(read_model(mine, "mine"), "vae")


def test_a_broken_tokenizer_is_refused(mine: Path) -> None:
    (mine / "tokenizer" / "tokenizer.json").write_text("{}", encoding="utf-8")
    refuse(read_model(mine, "mine"), "tokenizer")


def test_code_in_the_folder_is_never_run(mine: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "."):
        for name in ("pipeline.py", "modeling.py", "configuration.py", "tokenization.py"):
            (mine / part / name).write_text(f"open({str(mark)!r}, 'w')", encoding="utf-8")
    auto = {
        "AutoModel": "modeling.Evil",
        "AutoConfig": "configuration.Evil",
        "AutoTokenizer": ["tokenization.Evil"] * 2,
    }
    for file in ("text_encoder/config.json", "tokenizer/tokenizer_config.json", "unet/config.json"):
        edit(mine / file, lambda config: config.update(auto_map=auto))
    load(read_model(mine, "mine"), IN_FULL)
    assert not mark.exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("hidden", [False, True])
def test_too_little_memory_is_not_blamed_on_the_files(
    error: Exception, hidden: bool, starter: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        try:
            raise error
        except Exception:
            if hidden:  # as diffusers does
                raise OSError("Unable to load weights from checkpoint file") from None
            raise

    monkeypatch.setattr(AutoencoderKL, "from_config", full)
    with pytest.raises(RanOut):
        Residency("cpu").lend(starter.info)


def refuse(info: ModelInfo, part: str) -> None:
    with pytest.raises(
        ModelUnusable, match=rf"cannot be loaded: its {part} (does not fit|lacks|has).*; copy the folder again"
    ):
        load(info, IN_FULL)


@pytest.mark.parametrize(
    "said",
    ["CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate",
     "MPS backend out of memory (MPS", "CUDNN_STATUS_ALLOC_FAILED",
     "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"],
)  # fmt: skip
def test_every_way_of_saying_that_memory_ran_out_is_understood(said: str) -> None:
    assert is_memory_error(RuntimeError(said))
    assert not is_memory_error(RuntimeError("Expected all tensors to be on the same device"))


def test_a_device_that_fails_while_weights_travel_is_not_blamed_on_the_file(
    starter: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700)

    monkeypatch.setattr(torch.nn.Module, "to", broken)
    with pytest.raises(torch.AcceleratorError):
        load(starter.info, IN_FULL)


def test_a_vae_known_to_overflow_computes_in_full(tmp_path: Path) -> None:
    for family, expected in ((Family.SDXL, torch.float32), (Family.SD1, torch.float16)):
        file = write_single(tmp_path / f"{family.name}.safetensors", networks(family, small=True), torch.float16)
        model = load(read_model(file, family.name), Manner(CPU, torch.float16))
        assert (model.vae_dtype, model.dtype) == (expected, torch.float16)
