"""How each kind of adapter changes a weight.

W is (out, in) or (out, in, k, k), m the strength, r the rank; the scale is alpha / r, and 1 where there is no alpha.
Everything in fp32. LoRA, LoHa, LoKr, full differences and norms add something that does not depend on W; DoRA, IA3,
GLoRA and OFT read W, so that their order counts.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pipelines.core.error import ModelUnusable
from pipelines.models.lora.fit import READ

Parts = Mapping[str, Tensor]
"""By part, as `file.py` calls them, in fp32."""
LOUDEST = 1e4
"""Of alpha / r: more is a slip of somebody's finger."""


class Misfit(ValueError):
    """Parts that do not fit the weight they are for; the text says how, after the module's name."""


def changed(weight: Tensor, parts: Parts, strength: float) -> Tensor:
    """`weight` as the adapter leaves it at `strength`. Raises Misfit, ModelUnusable for numbers that are none."""
    if "oft" in parts:
        return _rotated(weight, parts, strength)
    if "ia3" in parts:
        return weight + strength * weight * _ia3(weight, parts)
    if "a1" in parts:
        return weight + strength * _glora(weight, parts)
    delta = difference(parts, tuple(weight.shape))
    if "magnitude" in parts:  # PEFT's: always of rows, in whatever shape
        rows = parts["magnitude"].reshape(-1, *[1] * (weight.ndim - 1))
        return weight + strength * (_decomposed(weight + delta, rows) - weight)
    if "dora" in parts:
        return weight + strength * (_decomposed(weight + delta, parts["dora"]) - weight)
    return weight + strength * delta


def difference(parts: Parts, shape: tuple[int, ...]) -> Tensor:
    """What a kind that does not read W adds to one of `shape`, at strength 1. Raises Misfit."""
    delta = next(make(parts) for part, make in DIFFERENCES if part in parts)
    if delta.numel() != math.prod(shape):
        raise Misfit(f"changes {_sides(delta.shape)} numbers where the model has {_sides(shape)}")
    return delta.reshape(shape)


def is_additive(parts: Parts | Mapping[str, str]) -> bool:
    """Whether what it adds does not depend on the weight."""
    return not READ & parts.keys()


def scale_of(parts: Parts, rank: int) -> float:
    """alpha / r. Raises ModelUnusable for an alpha that is no number, or beyond all reason."""
    if "alpha" not in parts:
        return 1.0
    alpha = float(parts["alpha"])
    if not math.isfinite(alpha) or abs(alpha / rank) > LOUDEST:
        raise ModelUnusable(
            f"This LoRA has an alpha of {alpha:g} at rank {rank}", fix="do not use it; download another", field="lora"
        )
    return alpha / rank


def lora_factors(parts: Parts) -> tuple[Tensor, Tensor]:
    """(up, down) as matrices, the scale within up; without `mid`."""
    up, down = parts["up"], parts["down"]
    return scale_of(parts, down.shape[0]) * up.flatten(1), down.flatten(1)


def _lora(parts: Parts) -> Tensor:
    """scale up down; with `mid` (Tucker) up and down are 1x1: sum_mn up[o, m] mid[m, n, k, l] down[n, i]."""
    up, down = lora_factors(parts)
    if "mid" not in parts:
        return up @ down
    return torch.einsum("om,mnkl,ni->oikl", up, parts["mid"], down)


def _loha(parts: Parts) -> Tensor:
    """scale (w1a w1b) * (w2a w2b), number by number (Hyeon-Woo et al. 2021); with t1, t2 rebuilt from their cores."""
    scale = scale_of(parts, parts["hada_1b"].shape[0])
    return scale * _loha_side(parts, "1") * _loha_side(parts, "2")


def _loha_side(parts: Parts, side: str) -> Tensor:
    a, b = parts[f"hada_{side}a"], parts[f"hada_{side}b"]
    if f"hada_t{side}" not in parts:
        return a @ b
    return torch.einsum("ijkl,ir,js->rskl", parts[f"hada_t{side}"], a, b)


def _lokr(parts: Parts) -> Tensor:
    """kron(w1, w2), times alpha / r when either is itself a product."""
    one = parts["lokr_1"] if "lokr_1" in parts else parts["lokr_1a"] @ parts["lokr_1b"]
    two = _lokr_second(parts)
    scale = 1.0
    for factor in ("lokr_2b", "lokr_1b"):
        if factor in parts:
            scale = scale_of(parts, parts[factor].shape[0])
            break
    return scale * torch.kron(one.reshape(*one.shape, *[1] * (two.ndim - 2)).contiguous(), two.contiguous())


def _lokr_second(parts: Parts) -> Tensor:
    if "lokr_2" in parts:
        return parts["lokr_2"]
    a, b = parts["lokr_2a"], parts["lokr_2b"]
    if "lokr_t2" in parts:
        return torch.einsum("ijkl,ip,jr->prkl", parts["lokr_t2"], a, b)
    return (a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:])


DIFFERENCES: tuple[tuple[str, Callable[[Parts], Tensor]], ...] = (
    ("up", _lora), ("hada_1a", _loha), ("lokr_1", _lokr), ("lokr_1a", _lokr), ("diff", lambda parts: parts["diff"]),
    ("norm", lambda parts: parts["norm"]),
)  # fmt: skip


def _decomposed(turned: Tensor, magnitude: Tensor) -> Tensor:
    """V m / |V| (Liu et al. 2024, "DoRA"). Magnitudes of (1, in) are of columns, as old LyCORIS has them, else of rows.

    A strength between goes straight from W to this, as AUTOMATIC1111 and ComfyUI have it.
    """
    by_column = magnitude.ndim > 1 and magnitude.shape[0] == 1 and magnitude.shape[1] == turned.shape[1] > 1
    kept = 1 if by_column else 0
    others = [axis for axis in range(turned.ndim) if axis != kept]
    norms = torch.linalg.vector_norm(turned, dim=others, keepdim=True)
    if magnitude.numel() != norms.numel():
        raise Misfit(f"has {magnitude.numel()} magnitudes where the model has {norms.numel()}")
    rescaled: Tensor = turned * (magnitude.reshape(norms.shape) / norms.clamp_min(torch.finfo(torch.float32).tiny))
    return rescaled


def _ia3(weight: Tensor, parts: Parts) -> Tensor:
    """Factors of rows, or of columns when they are for the input (Liu et al. 2022, "(IA)^3")."""
    factors = parts["ia3"].flatten()
    on_input = bool(parts["on_input"].flatten()[0]) if "on_input" in parts else False
    axis = 1 if on_input else 0
    if factors.numel() != weight.shape[axis]:
        raise Misfit(f"has {factors.numel()} factors where the model has {weight.shape[axis]}")
    return factors.reshape([-1 if side == axis else 1 for side in range(weight.ndim)])


def _glora(weight: Tensor, parts: Parts) -> Tensor:
    """b + W a (Chavan et al. 2023, "GLoRA"). Older files multiply the factors the other way round: told by shape."""
    matrix = weight.flatten(1)
    rows, columns = matrix.shape
    a1, a2, b1, b2 = (parts[name].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    newer = (b1.shape[0], b2.shape[-1]) == (rows, columns)
    older = (b2.shape[0], b1.shape[-1]) == (rows, columns)
    if newer == older and not (newer and b1.shape[1] == b2.shape[0]):
        raise Misfit(f"does not fit {_sides(weight.shape)}")
    rank = b1.shape[1] if newer else b1.shape[0]
    change = b1 @ b2 + matrix @ (a1 @ a2) if newer else b2 @ b1 + matrix @ (a2 @ a1)
    return scale_of(parts, rank) * change.reshape(weight.shape)


def _rotated(weight: Tensor, parts: Parts, strength: float) -> Tensor:
    """R W, R of the blocks (I + Q)(I - Q)^-1, Q skew (Cayley); OFT (Qiu et al. 2023) and BOFT (Liu et al. 2023).

    alpha is how far Q may go, times the rows, and 0 is no limit, as LyCORIS and AUTOMATIC1111 have it. Strength goes
    from I to R; of BOFT's factors, to the first.
    """
    blocks = parts["oft"]
    if blocks.ndim < 3:
        raise Misfit("has OFT blocks of a kind that is not known")
    size, rows = blocks.shape[-1], weight.shape[0]
    if size * blocks.shape[-3] != rows or blocks.shape[-2] != size:
        raise Misfit(f"turns {size * blocks.shape[-3]} rows where the model has {rows}")
    skew = blocks - blocks.transpose(-1, -2)
    skew = _limited(skew, float(parts["alpha"]) * rows if "alpha" in parts else 0.0)
    one = torch.eye(size, device=blocks.device)
    turn = (one + skew) @ torch.linalg.inv(one - skew)
    flat = weight.flatten(1)
    turned = _turned(flat, turn, strength) if blocks.ndim == 3 else _butterfly(flat, turn, strength)
    if "rescale" in parts:
        rescale = parts["rescale"].reshape(-1, 1)
        turned = turned * (1 + strength * (rescale - 1))
    return turned.reshape(weight.shape)


def _limited(skew: Tensor, limit: float) -> Tensor:
    length = float(skew.norm())
    if limit <= 0 or length <= limit:
        return skew
    return skew * ((limit + 1e-8) / (length + 1e-8))


def _turned(rows: Tensor, turn: Tensor, strength: float) -> Tensor:
    """(blocks, b, b) on the rows, b of them at a time."""
    weighted = strength * turn + (1 - strength) * torch.eye(turn.shape[-1], device=turn.device)
    blocks = rows.reshape(turn.shape[0], turn.shape[1], -1)
    return torch.einsum("knm,kn...->km...", weighted, blocks).reshape(rows.shape)


def _butterfly(rows: Tensor, turns: Tensor, strength: float) -> Tensor:
    """(factors, blocks, b, b): each factor turns rows that lie farther apart."""
    factors, _, size, _ = turns.shape
    across, half, width = rows.shape[1], size // 2, rows.shape[0]
    for factor in range(factors):
        stride = 2**factor * half
        turn = turns[factor]
        if factor == 0:
            turn = strength * turn + (1 - strength) * torch.eye(size, device=turn.device)
        mixed = rows.reshape(width // (2 * stride), 2, stride, across).transpose(1, 2).reshape(-1, size, across)
        mixed = torch.einsum("bij,bj...->bi...", turn, mixed).reshape(width // (2 * stride), stride, 2, across)
        rows = mixed.transpose(1, 2).reshape(width, across)
    return rows


def _sides(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(map(str, shape)) or "one"
