"""How weights move: Muon for the matrices inside a network, AdamW for the rest.

Muon (Jordan et al. 2024; scaled as in Liu et al. 2025, "Muon is scalable for LLM training", section 2.2) steps along
the nearest orthogonal matrix to the gradient's average. On these small networks it needs about half the steps of AdamW.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

HIDDEN = 16  # channels a layer must have on both sides to count as inside: ends see pixels, latents or classes

AVERAGING = 0.95  # Muon's, of the gradient
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.01


class Muon(torch.optim.Muon):
    """torch's Muon, which takes matrices only, for convolutions too: theirs is (out, in * height * width)."""

    def __init__(self, weights: list[nn.Parameter], rate: float) -> None:
        self._weights = weights
        matrices = [nn.Parameter(_rows(weight, weight.detach()).view(len(weight), -1)) for weight in weights]
        super().__init__(
            matrices, lr=rate, momentum=AVERAGING, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"
        )
        self._matrices = matrices

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no loss is used
        """Move the weights by their gradients; the matrices share their memory."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _rows(weight, weight.grad).reshape(matrix.shape)
        super().step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the weights and of their matrices."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None


def _rows(weight: Tensor, values: Tensor) -> Tensor:
    """`values`, shaped like `weight`, with the columns of its matrix in the order in which `weight` lies in memory."""
    lies_last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return values.permute(0, 2, 3, 1) if lies_last else values


def optimisers(module: nn.Module, rate: float) -> tuple[torch.optim.Optimizer, ...]:
    """What moves the weights of `module` that require gradients; both optimisers take the same learning rate."""
    inside = [weight for weight in _hidden(module) if weight.requires_grad]
    known = {id(weight) for weight in inside}
    rest = [weight for weight in module.parameters() if weight.requires_grad and id(weight) not in known]
    made: list[torch.optim.Optimizer] = []
    if inside:
        made.append(Muon(inside, rate))
    if rest:
        made.append(torch.optim.AdamW(rest, lr=rate, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True))
    return tuple(made)


def _hidden(module: nn.Module) -> Iterator[nn.Parameter]:
    for layer in module.modules():
        match layer:
            case nn.Linear(in_features=before, out_features=after) | nn.Conv2d(in_channels=before, out_channels=after):
                if min(before, after) >= HIDDEN and isinstance(layer.weight, nn.Parameter):
                    yield layer.weight
            case _:
                pass
