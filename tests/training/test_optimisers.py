"""Who moves which weight, and that both memory layouts of a convolution move alike."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from pipelines.training.networks import new_unet
from pipelines.training.optimisers import Muon, optimisers


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 48, 3, padding=1), nn.SiLU(), nn.Conv2d(48, 4, 1)
    )


def moved(net: nn.Module, steps: int = 3) -> list[torch.Tensor]:
    shown = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    movers = optimisers(net, 1e-2)
    for _ in range(steps):
        for mover in movers:
            mover.zero_grad()
        net(shown).square().mean().backward()
        for mover in movers:
            mover.step()
    return [weight.detach().clone() for weight in net.parameters()]


def test_muon_moves_the_inner_matrices_and_adamw_everything_else() -> None:
    net = small_net()
    muon, adamw = optimisers(net, 1e-3)
    assert isinstance(muon, Muon)
    assert [tuple(matrix.shape) for matrix in muon.param_groups[0]["params"]] == [(48, 32 * 9)]
    assert sum(len(group["params"]) for group in adamw.param_groups) == len(list(net.parameters())) - 1


def test_every_weight_that_learns_is_moved_once() -> None:
    unet = new_unet(8)
    held = sum(
        group["params"][i].numel()
        for mover in optimisers(unet, 1e-3)
        for group in mover.param_groups
        for i in range(len(group["params"]))
    )
    assert held == sum(weight.numel() for weight in unet.parameters())


def test_frozen_weights_stay_where_they_are() -> None:
    net = small_net()
    frozen = net.get_parameter("2.weight").requires_grad_(False)
    before = frozen.clone()
    moved(net)
    assert torch.equal(frozen, before)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_move_in_place_whatever_their_layout_in_memory(layout: torch.memory_format) -> None:
    net = small_net().to(memory_format=layout)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(moved(net), small_net().parameters(), strict=True))


def test_it_moves_as_torchs_own_does() -> None:
    layers = [nn.Linear(inside, outside, bias=False) for inside, outside in ((16, 48), (48, 16), (16, 48))]
    ours, theirs = nn.ModuleList(layers), deepcopy(nn.ModuleList(layers))
    movers = (
        Muon(list(ours.parameters()), 1e-2),
        torch.optim.Muon(
            theirs.parameters(), lr=1e-2, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        ),
    )
    for step in range(4):
        for net in (ours, theirs):
            torch.manual_seed(step)
            for weight in net.parameters():
                weight.grad = torch.randn(weight.shape)
        for mover in movers:
            mover.step()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    moved = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all((a - b).abs().max() < 1e-3 for a, b in moved)  # theirs is reckoned in bfloat16
    kept = [mover.state_dict()["state"][0]["momentum_buffer"] for mover in movers]
    assert torch.allclose(*kept)  # either goes on where the other stopped


def test_both_layouts_move_alike() -> None:
    plain, last = moved(small_net()), moved(small_net().to(memory_format=torch.channels_last))
    assert all(torch.allclose(a, b, atol=2e-3) for a, b in zip(plain, last, strict=True))
