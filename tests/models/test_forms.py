"""A model in another form holds the same numbers, under the names that other tools expect."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.model import Family
from pipelines.models.folder import FolderReader
from pipelines.models.forms import folder_as_file, write_as_folder
from pipelines.models.headers import read_header
from pipelines.models.recognise import recognise
from pipelines.models.rounding import Rounding, same_file
from pipelines.models.single import read_single
from pipelines.models.writing import Planned, write_tensors
from tests.models.synthetic import MAKES, networks, write_single

AS_IT_IS = Rounding(None)


def written(planned: list[Planned], file: Path) -> dict[str, torch.Tensor]:
    with file.open("wb") as handle:
        *_, size = write_tensors(handle, planned, {"note": "kept"})
    header = read_header(file)
    assert (size, header.metadata) == (file.stat().st_size, {"note": "kept"})
    tensors: dict[str, torch.Tensor] = load_file(file)
    return tensors


@pytest.mark.parametrize("family", list(MAKES), ids=str)
def test_to_a_folder_and_back_every_number_stays(family: Family, tmp_path: Path) -> None:
    file = write_single(tmp_path / "m.safetensors", networks(family, small=True), torch.float16)
    source = read_single(file, "m")
    (tmp_path / "folder").mkdir()
    write_as_folder(source.blueprint(), AS_IT_IS, tmp_path / "folder")
    back = written(
        folder_as_file(FolderReader(tmp_path / "folder", "m").blueprint(), AS_IT_IS), tmp_path / "b.safetensors"
    )
    before = load_file(file)
    unused = {name for name in before if name.endswith("position_ids")}
    if family is Family.SD2:
        unused |= {name for name in before if ".resblocks.3." in name}
    assert set(before) - set(back) == unused
    assert not set(back) - set(before)
    assert all(torch.equal(before[name], back[name]) for name in back)
    assert recognise(read_header(tmp_path / "b.safetensors")).family is family


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_another_number_format_is_one_rounding_away(dtype: torch.dtype, tmp_path: Path) -> None:
    file = write_single(tmp_path / "m.safetensors", networks(Family.SD1, small=True))
    before = load_file(file)
    after = written(same_file(read_single(file, "m"), Rounding(dtype), pruned=False), tmp_path / "n.safetensors")
    assert set(after) == set(before)
    for name, tensor in before.items():
        expected = tensor.to(dtype) if tensor.is_floating_point() else tensor
        assert torch.equal(after[name], expected)


def test_eight_bits_are_for_the_denoisers_matrices_only(tmp_path: Path) -> None:
    file = write_single(tmp_path / "m.safetensors", networks(Family.SD1, small=True))
    after = written(
        same_file(read_single(file, "m"), Rounding(torch.float8_e4m3fn), pruned=False), tmp_path / "n.safetensors"
    )
    root = "model.diffusion_model."
    assert after[f"{root}input_blocks.0.0.weight"].dtype == torch.float8_e4m3fn
    assert after[f"{root}out.0.weight"].dtype == torch.float16
    assert after["first_stage_model.decoder.conv_in.weight"].dtype == torch.float16


def test_pruned_is_without_copies_for_training_and_what_is_no_part(tmp_path: Path) -> None:
    made = networks(Family.SD1, small=True)
    more = {"model_ema.decay": torch.ones(1), "optimizer.step": torch.ones(1), "v_pred": torch.zeros(0)}
    tensors = {name: t.contiguous() for name, t in made.original().items()}
    save_file(tensors | more, tmp_path / "m.safetensors")
    after = written(
        same_file(read_single(tmp_path / "m.safetensors", "m"), AS_IT_IS, pruned=True), tmp_path / "n.safetensors"
    )
    assert set(tensors) | {"v_pred"} == set(after)


def test_pruning_a_lora_takes_nothing_from_it(tmp_path: Path) -> None:
    tensors = {"lora_unet_x.lora_down.weight": torch.ones(4, 8), "lora_unet_x.lora_up.weight": torch.ones(8, 4)}
    save_file(tensors, tmp_path / "m.safetensors")
    source = read_single(tmp_path / "m.safetensors", "m")
    assert set(written(same_file(source, AS_IT_IS, pruned=True), tmp_path / "n.safetensors")) == set(tensors)
