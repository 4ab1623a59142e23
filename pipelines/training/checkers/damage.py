"""What can happen to a view (64, 64, 3) uint8: the wear of a VAE and a sampler, and ruin that leaves no kind."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipelines.training.checkers.judge import VIEW

Ruin = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def worn(view: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Blurred or without its fine lines, as by a VAE; crooked and of uneven colour, as by a sampler: still nameable."""
    seen = _bent(view, chance.uniform(0, 0.2), chance)
    if chance.random() < 0.3:
        seen = np.asarray(Image.fromarray(seen).filter(ImageFilter.MedianFilter(3)))
    seen = _through(seen, int(chance.integers(24, VIEW + 1)), Image.Resampling.BILINEAR)
    contrast, unevenness, noise = chance.uniform(0.8, 1.1), chance.uniform(0, 16), chance.uniform(0, 10)
    uneven = 128 + (seen - 128.0) * contrast + _clouds(chance, cells=6, planes=3) * unevenness
    speckled = uneven + chance.standard_normal(view.shape, dtype=np.float32) * noise
    return speckled.clip(0, 255).astype(np.uint8)


def recoloured(view: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Every second time with its channels in another order."""
    return view[..., chance.permutation(3)] if chance.random() < 0.5 else view


def patched(view: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """The subject painted over with formless patches in colours of the view."""
    picture, edge = Image.fromarray(view), VIEW // 7
    pen = ImageDraw.Draw(picture)

    def ends() -> tuple[int, int]:
        a, b = sorted(int(end) for end in chance.integers(edge - 6, VIEW - edge + 7, 2))
        return a, b + 2

    pen.rectangle((edge, edge, VIEW - edge, VIEW - edge), fill=tuple(view[chance.integers(VIEW), 0].tolist()))
    for _ in range(chance.integers(2, 6)):
        (left, right), (top, bottom) = ends(), ends()
        row, column = chance.integers(VIEW // 4, VIEW * 3 // 4, 2)
        pen.ellipse((left, top, right, bottom), fill=tuple(view[row, column].tolist()))
    return np.asarray(picture)


def jumbled(view: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Its four quarters in another order."""
    half = VIEW // 2
    quarters = [view[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    orders = ((3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1), (2, 0, 3, 1), (3, 0, 1, 2))
    a, b, c, d = (quarters[i] for i in orders[chance.integers(len(orders))])
    return np.concatenate([np.concatenate([a, b], 1), np.concatenate([c, d], 1)], 0)


def melted(view: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Bent out of shape."""
    return _bent(view, chance.uniform(1.0, 1.6), chance)


def smeared(view: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """A few blots of its colours."""
    return _through(view, int(chance.integers(4, 7)), Image.Resampling.BICUBIC)


RUINS: tuple[Ruin, ...] = (patched, jumbled, melted, smeared)


def _bent(view: np.ndarray, strength: float, chance: np.random.Generator) -> np.ndarray:
    """Wrung: each of 4 to 10 places along each side moves by about `strength` of the way to the next."""
    cells = int(chance.integers(4, 11))
    moves = _clouds(chance, cells=cells, planes=2) * strength * VIEW / cells
    rows, columns = np.indices((VIEW, VIEW)) + moves.transpose(2, 0, 1)
    at_rows, at_columns = (at.round().clip(0, VIEW - 1).astype(int) for at in (rows, columns))
    bent: np.ndarray = view[at_rows, at_columns]
    return bent


def _clouds(chance: np.random.Generator, *, cells: int, planes: int) -> np.ndarray:
    """Unit noise (64, 64, planes) that varies slowly, over `cells` along each side."""
    grains = [Image.fromarray(chance.standard_normal((cells, cells), dtype=np.float32)) for _ in range(planes)]
    return np.stack([np.asarray(grain.resize((VIEW, VIEW), Image.Resampling.BICUBIC)) for grain in grains], -1)


def _through(view: np.ndarray, side: int, back: Image.Resampling) -> np.ndarray:
    """Shrunk to `side` pixels and enlarged again."""
    small = Image.fromarray(view).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.resize((VIEW, VIEW), back))
