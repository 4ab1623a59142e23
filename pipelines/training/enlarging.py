"""The starter upscaler: a compact network (Real-ESRGAN's, Wang et al. 2021) that learns to make pictures four times as
large from pictures that were made small in the ways pictures are.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from safetensors.torch import save
from spandrel.architectures.Compact import Compact
from torch import Tensor

from pipelines.training.whole import write_whole

FACTOR = 4
FEATURES, LAYERS = 48, 16
NOISE = 4 / 255
WORN = 0.3
"""Share of the pictures that are noisy, or have been a JPEG, before they are enlarged."""
INVENTED = 0.25
"""Share of the pictures that show no scene but shapes, lines and shades of every kind."""
EDGE = 1e-3
"""Below it the loss is square, above it straight (Charbonnier)."""

Crops = Callable[[int], Tensor]
"""step -> pictures (n, 3, h, w) in -1..1"""


def new_upscaler(seed: int) -> Compact:
    """Untrained: what it begins with is the nearest pixel, four times as large."""
    torch.manual_seed(seed)
    network = Compact(num_feat=FEATURES, num_conv=LAYERS, upscale=FACTOR)
    torch.nn.init.zeros_(network.body[-1].weight)
    torch.nn.init.zeros_(network.body[-1].bias)
    return network


class EnlargeObjective:
    """How far enlarged pictures are from the large ones; all chance depends on (seed, step)."""

    def __init__(self, network: Compact, crops: Crops, *, seed: int) -> None:
        self._network, self._crops, self._seed = network, crops, seed

    def __call__(self, step: int) -> Tensor:
        rng = np.random.default_rng((self._seed, step))
        large = (self._crops(step) + 1) / 2
        for at in np.flatnonzero(rng.random(len(large)) < INVENTED):
            large[at] = invented(large.shape[-1], rng).to(large.device)
        small = torch.cat([made_small(one[None], rng) for one in large])
        apart = self._network(small) - large
        return torch.sqrt(apart.square() + EDGE**2).mean()


def made_small(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """(1, 3, h/4, w/4) of (1, 3, h, w) in 0..1, by one of the ways there are; now and then worn."""
    mode = rng.choice(["area", "bilinear", "bicubic", "bicubic"])
    slant = {} if mode == "area" else {"antialias": bool(rng.random() < 0.9)}
    small = F.interpolate(picture, scale_factor=1 / FACTOR, mode=mode, **slant).clamp(0, 1)
    if rng.random() < WORN:
        small = _worn(small, rng)
    return (small * 255).round() / 255


def _worn(small: Tensor, rng: np.random.Generator) -> Tensor:
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(0, NOISE), small.shape).astype(np.float32)
        return (small + torch.from_numpy(noise).to(small.device)).clamp(0, 1)
    pixels = (small[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    held = BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=int(rng.integers(60, 96)))
    with Image.open(held) as image:
        back = np.asarray(image, np.float32) / 255
    return torch.from_numpy(back).permute(2, 0, 1)[None].to(small.device)


def invented(side: int, rng: np.random.Generator) -> Tensor:
    """(3, side, side) in 0..1: shapes and lines over a shade, drawn twice as large and made smooth."""
    large = 2 * side
    down, across = np.mgrid[:large, :large] / large
    ends = rng.integers(0, 256, (2, 3))
    share = np.clip(rng.normal() * down + rng.normal() * across + rng.random(), 0, 1)[..., None]
    image = Image.fromarray((ends[0] * share + ends[1] * (1 - share)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 12))):
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        points = [(float(x), float(y)) for x, y in rng.random((int(rng.integers(3, 7)), 2)) * large]
        match rng.integers(3):
            case 0:
                draw.polygon(points, fill=colour)
            case 1:
                draw.line(points, fill=colour, width=int(rng.integers(1, 12)), joint="curve")
            case _:
                (left, right), (top, bottom) = (sorted(pair) for pair in zip(*points[:2], strict=True))
                draw.ellipse((left, top, right, bottom), fill=colour)
    small = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS), np.float32) / 255
    return torch.from_numpy(small).permute(2, 0, 1)


def save_upscaler(file: Path, network: Compact) -> None:
    """As other tools open it: the field's names, fp16."""
    tensors = {name: weight.half().contiguous() for name, weight in network.state_dict().items()}
    told = {"modelspec.title": "Starter x4", "modelspec.architecture": "compact", "modelspec.license": "Apache-2.0"}
    write_whole(file, lambda opened: opened.write(save(tensors, told)))
