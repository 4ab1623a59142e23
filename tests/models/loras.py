"""LoRAs of every kind, of chance, for small models in their true layouts; and what each does, in float64 by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Make = Callable[[tuple[int, ...], torch.Generator], dict[str, Tensor]]
RANK, ALPHA = 3, 2.0


def chance(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) * 0.3


def _lora(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    ones = (1,) * (len(shape) - 2)
    return {"lora_up.weight": chance((shape[0], RANK, *ones), g), "lora_down.weight": chance((RANK, *shape[1:]), g),
            "alpha": torch.tensor(ALPHA)}  # fmt: skip


def _tucker(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    return {"lora_up.weight": chance((shape[0], RANK, 1, 1), g), "lora_down.weight": chance((RANK, shape[1], 1, 1), g),
            "lora_mid.weight": chance((RANK, RANK, *shape[2:]), g), "alpha": torch.tensor(ALPHA)}  # fmt: skip


def _loha(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    inner = int(np.prod(shape[1:]))
    return {
        f"hada_w{n}_{s}": chance((shape[0], RANK) if s == "a" else (RANK, inner), g) for n in "12" for s in "ab"
    } | {"alpha": torch.tensor(ALPHA)}


def _loha_tucker(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    made = {f"hada_w{n}_{s}": chance((RANK, shape[0] if s == "a" else shape[1]), g) for n in "12" for s in "ab"}
    return made | {f"hada_t{n}": chance((RANK, RANK, *shape[2:]), g) for n in "12"} | {"alpha": torch.tensor(ALPHA)}


def _lokr(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    return {"lokr_w1": chance((4, 2), g), "lokr_w2": chance((shape[0] // 4, shape[1] // 2, *shape[2:]), g),
            "alpha": torch.tensor(ALPHA)}  # fmt: skip


def _lokr_factors(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    return {"lokr_w1_a": chance((4, RANK), g), "lokr_w1_b": chance((RANK, 2), g),
            "lokr_w2_a": chance((shape[0] // 4, RANK), g),
            "lokr_w2_b": chance((RANK, int(np.prod(shape[1:])) // 2), g), "alpha": torch.tensor(ALPHA)}  # fmt: skip


def _lokr_tucker(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    return {"lokr_w1": chance((4, 2), g), "lokr_w2_a": chance((RANK, shape[0] // 4), g),
            "lokr_w2_b": chance((RANK, shape[1] // 2), g), "lokr_t2": chance((RANK, RANK, *shape[2:]), g),
            "alpha": torch.tensor(ALPHA)}  # fmt: skip


def _ia3(shape: tuple[int, ...], g: torch.Generator, *, on_input: bool = False) -> dict[str, Tensor]:
    return {"weight": chance((shape[1],) if on_input else (shape[0],), g), "on_input": torch.tensor(on_input)}


def _glora(shape: tuple[int, ...], g: torch.Generator, *, older: bool = False) -> dict[str, Tensor]:
    o, i = shape[:2]
    sides = {"a1": (i, RANK), "a2": (RANK, i), "b1": (o, RANK), "b2": (RANK, i)}
    if older:
        sides = {"a2": (i, RANK), "a1": (RANK, i), "b2": (o, RANK), "b1": (RANK, i)}
    return {f"{name}.weight": chance(side, g) for name, side in sides.items()} | {"alpha": torch.tensor(ALPHA)}


def _oft(shape: tuple[int, ...], g: torch.Generator, **more: Tensor) -> dict[str, Tensor]:
    return {"oft_blocks": chance((shape[0] // 8, 8, 8), g) * 0.5, **more}


def _boft(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    return {"oft_blocks": chance((3, shape[0] // 8, 8, 8), g) * 0.5}


def _dora(shape: tuple[int, ...], g: torch.Generator, *, by_column: bool = False) -> dict[str, Tensor]:
    sides = [1] * len(shape)
    sides[1 if by_column else 0] = shape[1 if by_column else 0]
    return _lora(shape, g) | {"dora_scale": chance(tuple(sides), g).abs() + 0.5}


def _full(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    return {"diff": chance(shape, g), "diff_b": chance(shape[:1], g)}


def _norm(shape: tuple[int, ...], g: torch.Generator) -> dict[str, Tensor]:
    return {"w_norm": chance(shape, g), "b_norm": chance(shape, g)}


KINDS: Mapping[str, Make] = {
    "LoRA": _lora,
    "LoRA without alpha": lambda s, g: {k: v for k, v in _lora(s, g).items() if k != "alpha"},
    "LoHa": _loha,
    "LoKr": _lokr,
    "LoKr of factors": _lokr_factors,
    "IA3": _ia3,
    "IA3 on the input": lambda s, g: _ia3(s, g, on_input=True),
    "OFT": _oft,
    "OFT within a limit": lambda s, g: _oft(s, g, alpha=torch.tensor(1e-3)),
    "OFT with alpha 0": lambda s, g: _oft(s, g, alpha=torch.tensor(0.0)),
    "OFT rescaled": lambda s, g: _oft(s, g, rescale=chance((s[0], *[1] * (len(s) - 1)), g) + 1),
    "BOFT": _boft,
    "DoRA": _dora,
    "DoRA by column": lambda s, g: _dora(s, g, by_column=True),
    "full difference": _full,
}
OF_CONVOLUTIONS: Mapping[str, Make] = {
    "LoCon, Tucker": _tucker,
    "LoHa, Tucker": _loha_tucker,
    "LoKr, Tucker": _lokr_tucker,
}
OF_MATRICES: Mapping[str, Make] = {"GLoRA": _glora, "older GLoRA": lambda s, g: _glora(s, g, older=True)}
OF_NORMS: Mapping[str, Make] = {"norm": _norm}


@dataclass(frozen=True)
class Expected:
    """What becomes of a weight and its bias."""

    weight: Array
    bias: Array | None


def expected(weight: Tensor, bias: Tensor | None, parts: Mapping[str, Tensor], m: float) -> Expected:
    """As the paper or its first program says, written down once more."""
    w = weight.double().numpy()
    p = {name.removesuffix(".weight"): t.double().numpy() for name, t in parts.items()}
    b = None if bias is None else bias.double().numpy()
    for name in ("diff_b", "b_norm"):
        if name in p and b is not None:
            b = b + m * p[name]
    if "weight" in parts:
        factors = p["weight"] if "weight" in p else parts["weight"].double().numpy()
        sides = [1] * w.ndim
        sides[1 if bool(parts["on_input"]) else 0] = -1
        return Expected(w + m * w * factors.reshape(sides), b)
    if "oft_blocks" in p:
        return Expected(_rotated(w, p, m), b)
    if "a1" in p:
        return Expected(w + m * _generalised(w, p), b)
    delta = _delta(p, w.shape)
    if "dora_scale" in p:
        turned, scale = w + delta, p["dora_scale"]
        axes = tuple(axis for axis in range(w.ndim) if scale.shape[axis] == 1)
        norms = np.sqrt((turned**2).sum(axis=axes, keepdims=True))
        return Expected(w + m * (turned * scale / norms - w), b)
    return Expected(w + m * delta, b)


def _delta(p: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    scale = float(p["alpha"]) / RANK if "alpha" in p else 1.0
    delta: Any
    if "w_norm" in p or "diff" in p:
        delta = p["w_norm"] if "w_norm" in p else p["diff"]
    elif "lora_mid" in p:
        up, down = p["lora_up"][:, :, 0, 0], p["lora_down"][:, :, 0, 0]
        delta = scale * np.einsum("onkl,ni->oikl", np.tensordot(up, p["lora_mid"], (1, 0)), down)
    elif "lora_up" in p:
        delta = scale * p["lora_up"].reshape(shape[0], RANK) @ p["lora_down"].reshape(RANK, -1)
    elif "hada_t1" in p:
        one, two = (np.einsum("ijkl,ir,js->rskl", p[f"hada_t{n}"], p[f"hada_w{n}_a"], p[f"hada_w{n}_b"]) for n in "12")
        delta = scale * one * two
    elif "hada_w1_a" in p:
        delta = scale * (p["hada_w1_a"] @ p["hada_w1_b"]) * (p["hada_w2_a"] @ p["hada_w2_b"])
    else:
        delta = _kronecker(p, shape, scale)
    made: Array = delta.reshape(shape)
    return made


def _kronecker(p: Mapping[str, Array], shape: tuple[int, ...], scale: float) -> Array:
    one = p["lokr_w1"] if "lokr_w1" in p else p["lokr_w1_a"] @ p["lokr_w1_b"]
    two: Any = p.get("lokr_w2")
    if two is None and "lokr_t2" in p:
        two = scale * np.einsum("ijkl,ip,jr->prkl", p["lokr_t2"], p["lokr_w2_a"], p["lokr_w2_b"])
    elif two is None:
        two = scale * (p["lokr_w2_a"] @ p["lokr_w2_b"]).reshape(shape[0] // 4, shape[1] // 2, *shape[2:])
    rows = [np.concatenate([number * two for number in row], axis=1) for row in one]
    return np.concatenate(rows, axis=0)


def _generalised(w: Array, p: Mapping[str, Array]) -> Array:
    flat, scale = w.reshape(w.shape[0], -1), float(p["alpha"]) / RANK
    if p["b1"].shape[0] == w.shape[0]:
        change = p["b1"] @ p["b2"] + flat @ p["a1"] @ p["a2"]
    else:
        change = p["b2"] @ p["b1"] + flat @ p["a2"] @ p["a1"]
    return (scale * change).reshape(w.shape)


def _rotated(w: Array, p: Mapping[str, Array], m: float) -> Array:
    blocks = p["oft_blocks"]
    skew = blocks - np.swapaxes(blocks, -1, -2)
    limit = float(p.get("alpha", 0.0)) * w.shape[0]
    length = np.sqrt((skew**2).sum())
    if limit and length > limit:
        skew = skew * (limit + 1e-8) / (length + 1e-8)
    one = np.eye(blocks.shape[-1])
    turn = (one + skew) @ np.linalg.inv(one - skew)
    rows: Any = w.reshape(w.shape[0], -1)
    if blocks.ndim == 3:
        size = blocks.shape[-1]
        parts = [(m * turn[k] + (1 - m) * one).T @ rows[k * size : (k + 1) * size] for k in range(len(turn))]
        rows = np.concatenate(parts)
    else:
        rows = _butterfly(rows, turn, m)
    if "rescale" in p:
        rows = rows * (1 + m * (p["rescale"].reshape(-1, 1) - 1))
    turned: Array = rows.reshape(w.shape)
    return turned


def _butterfly(rows: Array, turns: Array, m: float) -> Array:
    count, size = rows.shape[0], turns.shape[-1]
    for factor, turn in enumerate(turns):
        if factor == 0:
            turn = m * turn + (1 - m) * np.eye(size)  # noqa: PLW2901
        stride = 2**factor * size // 2
        order = [
            c * 2 * stride + g * stride + k for c in range(count // (2 * stride)) for k in range(stride) for g in (0, 1)
        ]
        mixed = rows[order]
        mixed = np.concatenate([turn[d] @ mixed[d * size : (d + 1) * size] for d in range(count // size)])
        rows = np.empty_like(rows)
        rows[order] = mixed
    return rows
