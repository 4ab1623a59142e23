"""LoRAs as products of two thin matrices: added exactly, and brought to a rank as near as any of that rank can be.

up is (out, R), down (R, in x k x k); what a module adds is up @ down. Every strength and every alpha / r is within.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.core.error import ModelUnusable
from pipelines.merging.sizes import Size
from pipelines.models.lora.adapters import difference, is_additive, lora_factors, scale_of


@dataclass(frozen=True, slots=True)
class Factors:
    """What a LoRA adds to one weight."""

    up: Tensor
    down: Tensor
    kernel: tuple[int, ...] = ()
    """Of the weight: (in, k, k) for a convolution, (in,) for a matrix."""

    @property
    def rank(self) -> int:
        return self.up.shape[1]

    @property
    def product(self) -> Tensor:
        """(out, in x k x k)"""
        return self.up @ self.down


def factors_of(parts: dict[str, Tensor], shape: tuple[int, ...] | None, name: str) -> Factors | Tensor:
    """The factors of a module's parts, exactly; the whole difference for kinds that have none.

    `shape`: of the weight, where it is known. Raises ModelUnusable for kinds that read the weight they change.
    """
    if not is_additive(parts):
        raise ModelUnusable(
            f"{name} is of a kind that reads the weight it changes: it cannot be added to others",
            fix="bake it into its model, then extract a LoRA from that", field="lora",
        )  # fmt: skip
    if "up" in parts:
        up, down = _balanced(*lora_factors(parts))
        if "mid" in parts:
            core = torch.einsum("mnkl,ni->mikl", parts["mid"], down)
            return Factors(up, core.flatten(1), tuple(core.shape[1:]))
        return Factors(up, down, tuple(parts["down"].shape[1:]))
    if "hada_1a" in parts and "hada_t1" not in parts:
        return _of_products(parts, shape)
    if "lokr_2a" in parts and "lokr_t2" not in parts:
        return _of_kronecker(parts)
    return difference(parts, shape or _shape_of(parts))


def _balanced(up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """The same product, with factors of one size: a large alpha must not overflow one of them."""
    sizes = float(up.norm()), float(down.norm())
    if not min(sizes) > 0:
        return up, down
    root = (sizes[1] / sizes[0]) ** 0.5
    return up * root, down / root


def _of_products(parts: dict[str, Tensor], shape: tuple[int, ...] | None) -> Factors:
    """(a b) * (c d), number by number, is of rank r^2: the products of each pair of columns, and of rows."""
    a, b, c, d = (parts[f"hada_{n}"] for n in ("1a", "1b", "2a", "2b"))
    up = torch.einsum("or,os->ors", a, c).flatten(1) * scale_of(parts, b.shape[0])
    down = torch.einsum("ri,si->rsi", b, d).flatten(0, 1)
    return Factors(up, down, tuple(shape[1:]) if shape else (down.shape[1],))


def _of_kronecker(parts: dict[str, Tensor]) -> Factors:
    """kron(w1, a b) = kron(w1, a) kron(1, b)."""
    one = parts["lokr_1"] if "lokr_1" in parts else parts["lokr_1a"] @ parts["lokr_1b"]
    a, b = parts["lokr_2a"], parts["lokr_2b"]
    kernel = (one.shape[1] * b.shape[1], *b.shape[2:])
    inner = b.reshape(b.shape[0], b.shape[1], -1)
    down = torch.einsum("xy,rik->xryik", torch.eye(one.shape[1]), inner)
    return Factors(torch.kron(one, a) * scale_of(parts, b.shape[0]), down.flatten(2).flatten(0, 1), kernel)


def _shape_of(parts: dict[str, Tensor]) -> tuple[int, ...]:
    """Of a whole difference, or of a Kronecker or Tucker product: as it comes."""
    if "diff" in parts:
        return tuple(parts["diff"].shape)
    if "lokr_2" in parts or "lokr_t2" in parts:
        one = parts["lokr_1"] if "lokr_1" in parts else parts["lokr_1a"] @ parts["lokr_1b"]
        if "lokr_2" in parts:
            two = tuple(parts["lokr_2"].shape)
        else:
            two = (parts["lokr_2a"].shape[1], parts["lokr_2b"].shape[1], *parts["lokr_t2"].shape[2:])
        return (one.shape[0] * two[0], one.shape[1] * two[1], *two[2:])
    core = parts["hada_t1"]
    return (parts["hada_1a"].shape[1], parts["hada_1b"].shape[1], *core.shape[2:])


def added(factors: Sequence[tuple[Factors, float]]) -> Factors:
    """The sum of each times its weight: the factors side by side, the root of the weight's size in both."""
    ups, downs = [], []
    for one, weight in factors:
        root = abs(weight) ** 0.5
        ups.append(one.up * (root if weight >= 0 else -root))
        downs.append(one.down * root)
    return Factors(torch.cat(ups, 1), torch.cat(downs), factors[0][0].kernel)


def shrunk(factors: Factors, size: Size) -> Factors:
    """The nearest of its rank (Eckart & Young 1936), without ever making the product.

    QR of both factors leaves a core of R x R, whose singular values are the product's: (o + i) R^2 instead of o i min.
    """
    q_up, r_up = torch.linalg.qr(factors.up)
    q_down, r_down = torch.linalg.qr(factors.down.T)
    u, values, v = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
    rank = size.of(values.double().square().tolist())
    root = values[:rank].sqrt()
    return Factors(q_up @ (u[:, :rank] * root), (root.unsqueeze(1) * v[:rank]) @ q_down.T, factors.kernel)


def factored(whole: Tensor, size: Size) -> Factors:
    """The nearest to a whole difference (out, in[, k, k])."""
    matrix = whole.flatten(1)
    wide = matrix.shape[1] > matrix.shape[0]
    q, r = torch.linalg.qr(matrix.T if wide else matrix)
    u, values, v = torch.linalg.svd(r, full_matrices=False)
    rank = size.of(values.double().square().tolist())
    root = values[:rank].sqrt()
    thin, flat = q @ (u[:, :rank] * root), root.unsqueeze(1) * v[:rank]
    up, down = (flat.T, thin.T) if wide else (thin, flat)
    return Factors(up, down, tuple(whole.shape[1:]))
