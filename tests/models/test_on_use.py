"""Weights that come a layer at a time: the same answers, and afterwards everything is as it was."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from pipelines.core.model import Family
from pipelines.core.placement import Placement
from pipelines.models.loading import LoadedModel, Manner, load
from pipelines.models.on_use import BroughtOnUse, brought
from pipelines.models.reading import read_model
from tests.generation.painting import difference, paint
from tests.models.synthetic import networks, write_single

CPU = torch.device("cpu")


class Watch:
    """The most bytes of weights in `dtype` that a network held at once."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        self.most = 0
        self._network, self._dtype = network, dtype
        for module in network.modules():
            module.register_forward_hook(self._look)

    def _look(self, *_: object) -> None:
        held = sum(weight.nbytes for weight in self._network.parameters() if weight.dtype == self._dtype)
        self.most = max(self.most, held)


def vae(dtype: torch.dtype) -> AutoencoderKL:
    torch.manual_seed(0)
    made = AutoencoderKL(
        block_out_channels=(64, 128), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=8,
    )  # fmt: skip
    return made.eval().requires_grad_(False).to(dtype)


@torch.no_grad()
def test_a_decoder_in_halves_computes_in_full_without_being_full() -> None:
    """Diffusers looks at a weight's type in the midst of it, so this one is easily got wrong."""
    halves, latents = vae(torch.float16), torch.randn((1, 4, 8, 8))
    expected = vae(torch.float16).float().decode(latents).sample
    before = [(name, weight.data_ptr()) for name, weight in halves.named_parameters()]
    with brought(halves, CPU, torch.float32):
        watch = Watch(halves, torch.float32)
        assert torch.equal(halves.decode(latents).sample, expected)
    assert [(name, weight.data_ptr()) for name, weight in halves.named_parameters()] == before
    assert watch.most < sum(weight.numel() * 4 for weight in halves.parameters()) / 4


@torch.no_grad()
def test_one_may_be_brought_within_another() -> None:
    halves, latents = vae(torch.float16), torch.randn((1, 4, 8, 8))
    outer = BroughtOnUse(halves, CPU, torch.bfloat16)
    rough = halves.decode(latents.bfloat16()).sample
    with brought(halves, CPU, torch.float32):
        fine = halves.decode(latents).sample
    assert fine.dtype == torch.float32
    assert torch.equal(halves.decode(latents.bfloat16()).sample, rough)
    outer.remove()
    assert {weight.dtype for weight in halves.parameters()} == {torch.float16}


@torch.no_grad()
def test_weights_that_lie_there_in_full_are_brought_in_full_within_one_that_narrows_them() -> None:
    full, latents = vae(torch.float32), torch.randn((1, 4, 8, 8))
    expected = full.decode(latents).sample
    BroughtOnUse(full, CPU, torch.bfloat16)
    with brought(full, CPU, torch.float32):
        assert torch.allclose(full.decode(latents).sample, expected, atol=0.02)  # small layers have been narrow


@torch.no_grad()
def test_a_network_that_could_not_be_brought_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    halves, latents = vae(torch.float16), torch.randn((1, 4, 8, 8)).half()
    expected, calls = halves.decode(latents).sample, []

    def full(on_use: BroughtOnUse, weight: torch.Tensor) -> torch.Tensor:
        calls.append(weight)
        if len(calls) == 5:
            raise torch.OutOfMemoryError
        return weight.float()

    monkeypatch.setattr(BroughtOnUse, "_here", full)
    with pytest.raises(torch.OutOfMemoryError), brought(halves, CPU, torch.float32):
        pass
    assert torch.equal(halves.decode(latents).sample, expected)


@torch.no_grad()
def test_a_layer_that_fails_puts_its_weights_back() -> None:
    halves = vae(torch.float16)
    with brought(halves, CPU, torch.float32), pytest.raises(RuntimeError):
        halves.decode(torch.zeros((1, 5, 8, 8)))
    assert {weight.dtype for weight in halves.parameters()} == {torch.float16}


@pytest.mark.parametrize("family", [Family.SD1, Family.SD2, Family.SDXL], ids=str)
@pytest.mark.parametrize("placement", [Placement.TURNS, Placement.STREAMED])
def test_where_weights_wait_does_not_change_the_picture(placement: Placement, family: Family, tmp_path: Path) -> None:
    file = write_single(tmp_path / "m.safetensors", networks(family, small=True), dtype=torch.float16)
    info = read_model(file, "m")
    whole, waiting = (load(info, Manner(CPU, torch.float32, place)) for place in (Placement.WHOLE, placement))
    assert torch.float16 in {weight.dtype for weight in waiting.vae.parameters()}
    assert difference(paint(whole)[0], paint(waiting)[0]) <= 1


def test_a_waiting_model_takes_memory_for_its_small_layers_only(starter: LoadedModel) -> None:
    waiting = load(starter.info, Manner(CPU, torch.float32, Placement.STREAMED))
    wide = sum(weight.nbytes for weight in waiting.unet.parameters() if weight.dtype == torch.float32)
    assert wide < sum(weight.nbytes for weight in starter.unet.parameters()) / 2
