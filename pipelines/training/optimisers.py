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
    """torch's Muon, which takes matrices only, for convolutions too: theirs is (out, in * height * width).

    Matrices of one shape are turned together, which takes a sixth of the time: there are hundreds, and all are small.
    """

    def __init__(self, weights: list[nn.Parameter], rate: float) -> None:
        self._weights = weights
        matrices = [nn.Parameter(_rows(weight, weight.detach()).view(len(weight), -1)) for weight in weights]
        super().__init__(
            matrices, lr=rate, momentum=AVERAGING, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"
        )
        self._matrices = matrices

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no loss is used
        """Move the weights by their gradients; the matrices share their memory."""
        (group,) = self.param_groups
        for matrix, gradient in self._gradients():
            average = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(gradient))
            average.lerp_(gradient, 1 - AVERAGING)
            matrix.grad = gradient.lerp(average, AVERAGING)
        for (height, width), alike in self._by_shape().items():
            moves = orthogonal(torch.stack([matrix.grad for matrix in alike if matrix.grad is not None]))
            torch._foreach_mul_(alike, 1 - group["lr"] * WEIGHT_DECAY)
            torch._foreach_add_(alike, list(moves), alpha=-group["lr"] * 0.2 * max(height, width) ** 0.5)

    def _gradients(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None
            if weight.grad is not None:
                yield matrix, _rows(weight, weight.grad).reshape(matrix.shape)

    def _by_shape(self) -> dict[torch.Size, list[Tensor]]:
        alike: dict[torch.Size, list[Tensor]] = {}
        for matrix in self._matrices:
            if matrix.grad is not None:
                alike.setdefault(matrix.shape, []).append(matrix)
        return alike

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the weights and of their matrices."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None


def orthogonal(matrices: Tensor) -> Tensor:
    """Nearly the nearest orthogonal matrix to each of (n, height, width), by torch's Newton-Schulz iteration."""
    tall = matrices.shape[1] > matrices.shape[2]
    turned = matrices.mT.contiguous() if tall else matrices
    turned = turned / turned.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = turned @ turned.mT
        turned = torch.baddbmm(turned, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), turned, beta=3.4445)
    return turned.mT if tall else turned


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
