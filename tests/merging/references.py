"""Every merge method once more, written down from its paper or its first program, number by number in float64.

Plain numpy, no torch, no line in common with the engine: where the two agree, both are right, or both misread.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def weighted_sum(a: Array, b: Array, alpha: float) -> Array:
    return (1 - alpha) * a + alpha * b


def add_difference(a: Array, b: Array, c: Array, alpha: float) -> Array:
    return a + alpha * (b - c)


def triple_sum(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    return (1 - alpha - beta) * a + alpha * b + beta * c


def sum_twice(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    return (1 - beta) * ((1 - alpha) * a + alpha * b) + beta * c


def train_difference(a: Array, b: Array, c: Array, alpha: float) -> Array:
    out = a.copy()
    for place in np.ndindex(a.shape):
        to_c, to_a = abs(b[place] - c[place]), abs(b[place] - a[place])
        if to_c != 0:
            out[place] += 1.8 * alpha * (b[place] - c[place]) * to_a / (to_a + to_c)
    return out


def multiply_difference(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    size = np.abs(a - c) ** (1 - alpha) * np.abs(b - c) ** alpha
    return c + np.copysign(size, (1 - beta) * a + beta * b - c)


def similarity_add_difference(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    out = np.empty_like(a)
    for place in np.ndindex(a.shape):
        x, y, z = a[place], b[place], c[place]
        largest = max(abs(x), abs(y))
        s = beta * ((x * y / largest**2 + 1) / 2 if largest else 1.0)
        out[place] = (1 - s) * (x + alpha * (y - z)) + s * ((1 - alpha / 2) * x + alpha / 2 * y)
    return out


def geometric(a: Array, b: Array, alpha: float) -> Array:
    return np.real(a.astype(complex) ** (1 - alpha) * b.astype(complex) ** alpha)


def tensor_sum(a: Array, b: Array, alpha: float, beta: float) -> Array:
    if a.ndim == 0:
        return b if alpha >= 0.5 else a
    rows, out = a.shape[0], []
    for row in range(rows):
        if alpha + beta <= 1:
            of_b = int(rows * beta) <= row < int(rows * (alpha + beta))
        else:
            of_b = not int(rows * (alpha + beta - 1)) <= row < int(rows * beta)
        out.append(b[row] if of_b else a[row])
    return np.stack(out)


def top_k_tensor_sum(a: Array, b: Array, alpha: float, beta: float) -> Array:
    flat, count = a.ravel(), a.size
    inside = alpha + beta <= 1
    begin = round((beta if inside else alpha + beta - 1) * count)
    end = round((alpha + beta if inside else beta) * count)
    sizes = sorted(abs(x) for x in flat)
    low, high = (sizes[k - 1] if k > 0 else -1 for k in (begin, end))
    ordered = sorted(flat)
    out = flat.copy()
    for rank, place in enumerate(sorted(range(count), key=lambda i: b.ravel()[i])):
        comes = ordered[rank]
        if bool(low < abs(comes) <= high) == inside:
            out[place] = comes
    return out.reshape(a.shape)


def distribution_crossover(a: Array, b: Array, c: Array, alpha: float, beta: float) -> Array:
    if a.size == 1:
        return alpha * a + (1 - alpha) * b
    order = np.argsort(c.ravel(), kind="stable")
    low, high = np.fft.rfft(a.ravel()[order]), np.fft.rfft(b.ravel()[order])
    mixed = np.empty_like(low)
    for k in range(len(low)):
        f = k / len(low)
        share = min(max((f - alpha) / beta + 0.5, 0), 1) if beta > 0 else float(f >= alpha)
        mixed[k] = (1 - share) * low[k] + share * high[k]
    out = np.empty(a.size)
    out[order] = np.fft.irfft(mixed, a.size)
    return out.reshape(a.shape)


def slerp(a: Array, b: Array, alpha: float) -> Array:
    lengths = math.sqrt((a**2).sum() * (b**2).sum())
    cosine = (a * b).sum() / lengths if lengths else 1.0
    if abs(cosine) > 0.9995:
        return (1 - alpha) * a + alpha * b
    w = math.acos(cosine)
    arc: Array = (math.sin((1 - alpha) * w) * a + math.sin(alpha * w) * b) / math.sin(w)
    return arc


def rotate(a: Array, b: Array, alpha: float, beta: float) -> Array:
    """Only for beta 0 and 1, where no fraction of a rotation is asked for."""
    if a.ndim < 2:
        return (1 - alpha) * a + alpha * b
    width = a[0, 0].size if a.ndim == 4 and a[0, 0].size > 1 else a[0].size
    x, y = a.reshape(-1, width), b.reshape(-1, width)
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, _, v = np.linalg.svd((x - mean_x).T @ (y - mean_y))
    if np.linalg.det(u @ v) < 0:
        u[:, -1] = -u[:, -1]
    turn = u @ v
    mixed = (1 - alpha) * (x - mean_x) + alpha * (y - mean_y) @ turn.T
    turned = mixed @ turn if beta == 1 else mixed
    whole: Array = turned + (1 - beta) * mean_x + beta * mean_y
    return whole.reshape(a.shape)


def smooth_add(a: Array, b: Array, c: Array, alpha: float) -> Array:
    """median of 3 and gaussian of sigma 1 (cut at 4) along every axis, edges mirrored (scipy's `reflect`)."""
    learnt = b - c
    if learnt.ndim == 0:
        return a + alpha * learnt
    padded = np.pad(learnt, 1, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3,) * learnt.ndim)
    smooth = np.median(windows.reshape(*learnt.shape, -1), axis=-1)
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    kernel /= kernel.sum()
    for axis in range(smooth.ndim):
        padding = [(4, 4) if n == axis else (0, 0) for n in range(smooth.ndim)]
        wide = np.pad(smooth, padding, mode="symmetric")
        rows = np.lib.stride_tricks.sliding_window_view(wide, 9, axis=axis)
        smooth = rows @ kernel
    return a + alpha * smooth


def task_arithmetic(*models: Array, alpha: float, weights: Sequence[float]) -> Array:
    *tuned, base = models
    return base + alpha * sum(w * (m - base) for w, m in zip(weights, tuned, strict=True))


def trimmed(delta: Array, density: float) -> Array:
    keep = int(density * delta.size)
    if keep == 0:
        return np.zeros_like(delta)
    least = sorted(np.abs(delta).ravel())[delta.size - keep]
    return np.where(np.abs(delta) >= least, delta, 0)


def agreed(deltas: Sequence[Array], weights: Sequence[float]) -> Array:
    out = np.zeros_like(deltas[0])
    for place in np.ndindex(out.shape):
        votes = [w * d[place] for w, d in zip(weights, deltas, strict=True)]
        sign = np.sign(sum(votes))
        winners = [(v, abs(w)) for v, w in zip(votes, weights, strict=True) if v != 0 and np.sign(v) == sign]
        if winners:
            out[place] = sum(v for v, _ in winners) / sum(w for _, w in winners)
    return out


def ties(*models: Array, alpha: float, weights: Sequence[float], density: float) -> Array:
    *tuned, base = models
    return base + alpha * agreed([trimmed(m - base, density) for m in tuned], weights)


def breadcrumbs(*models: Array, alpha: float, weights: Sequence[float], density: float, gamma: float) -> Array:
    *tuned, base = models
    total = np.zeros_like(base)
    for w, model in zip(weights, tuned, strict=True):
        delta = (model - base).ravel()
        order = sorted(range(delta.size), key=lambda i: abs(delta[i]))
        out = int(gamma * delta.size)
        stay = min(int(density * delta.size), delta.size - out)
        kept = np.zeros_like(delta)
        for i in order[delta.size - out - stay : delta.size - out]:
            kept[i] = delta[i]
        total += w * kept.reshape(base.shape)
    return base + alpha * total


def model_stock(*models: Array) -> Array:
    *tuned, base = models
    deltas = [(m - base).ravel() for m in tuned]
    n = len(deltas)
    cosines: list[float] = []
    for i in range(n):
        for j in range(i + 1, n):
            lengths = np.linalg.norm(deltas[i]) * np.linalg.norm(deltas[j])
            cosines.append(float(deltas[i] @ deltas[j] / lengths) if lengths else 0.0)
    cosine = min(max(float(np.mean(cosines)), 0), 1)
    t = n * cosine / (1 + (n - 1) * cosine)
    stock: Array = base + t * np.mean(deltas, axis=0).reshape(base.shape)
    return stock


def cosine_likeness(a: Array, b: Array, *, unit_columns: bool) -> Array:
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    columns_a, columns_b = np.sqrt((a**2).sum(0)), np.sqrt((b**2).sum(0))
    own = (a * b).sum(0) / np.maximum(columns_a * columns_b, 1e-300)
    if unit_columns:
        a, b = a / np.maximum(columns_a, 1e-12), b / np.maximum(columns_b, 1e-12)
    whole = (a * b).sum() / max(math.sqrt((a**2).sum() * (b**2).sum()), 1e-300)
    likeness: Array = (own + whole) / 2
    return likeness


def cosine_scale(likenesses: Sequence[Array]) -> tuple[float, float]:
    found = sorted(float(x) for one in likenesses for x in np.ravel(one) if not math.isnan(x))

    def percentile(values: list[float], q: float) -> float:  # numpy's "midpoint"
        at = (len(values) - 1) * q / 100
        return (values[math.floor(at)] + values[math.ceil(at)]) / 2 if at % 1 else values[int(at)]

    low = percentile(found, 1)
    found = [x for x in found if x >= low]
    high = percentile(found, 99)
    found = [x for x in found if x <= high]
    return found[0], found[-1]


def cosine(a: Array, b: Array, likeness: Array, scale: tuple[float, float], alpha: float) -> Array:
    k = np.clip((likeness - scale[0]) / (scale[1] - scale[0]) - alpha, 0, 1)
    return (k * np.atleast_1d(a) + (1 - k) * np.atleast_1d(b)).reshape(a.shape)
