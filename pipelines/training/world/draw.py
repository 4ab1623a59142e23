"""From a scene and a seed to a picture."""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.core.error import EaselError
from pipelines.training.world.canvas import Box, Canvas, Outline
from pipelines.training.world.grounds import paint_ground
from pipelines.training.world.palette import PAPER, washed
from pipelines.training.world.scene import PLAIN, Scene, Sky, Style, Twist
from pipelines.training.world.skies import paint_rainfall, paint_sky, paint_snowfall
from pipelines.training.world.subjects import paint_subjects


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture (RGB) and where its subjects are: `boxes` in fractions of it, in the order of the scene's subjects."""

    image: Image.Image
    boxes: tuple[Box, ...]


def draw(
    scene: Scene,
    seed: int,
    *,
    width: int = 128,
    height: int = 128,
    style: Style = Style.FLAT,
    twist: Twist = PLAIN,
) -> Drawing:
    """Draw `scene`; `width` and `height` are pixels, multiples of 8. The same arguments give the same picture."""
    for side in (width, height):
        if side % 8 or side < 64:
            raise EaselError(f"A picture cannot be {side} px wide or high", fix="use a multiple of 8, at least 64")
    rng = random.Random(seed)
    canvas = Canvas(width, height, rng, Outline() if style is Style.INK else None)
    horizon = rng.uniform(0.56, 0.64) * canvas.height
    paint_sky(canvas, scene.sky, horizon)
    paint_ground(canvas, scene.ground, scene.sky, horizon)
    boxes = paint_subjects(canvas, scene, horizon, twist)
    if scene.sky is Sky.RAIN:
        paint_rainfall(canvas)
    if twist.snowfall:
        paint_snowfall(canvas)
    image = canvas.picture()
    return Drawing(_on_paper(image, rng.randrange(1 << 30)) if style is Style.INK else image, boxes)


def _on_paper(image: Image.Image, seed: int) -> Image.Image:
    """Wash the colours unevenly and tear the rim, so that bare paper shows around the picture."""
    picture = np.asarray(image).astype(np.float32)
    height, width = picture.shape[:2]
    unit = min(width, height) / 128
    rng = np.random.default_rng(seed)

    def cloud(cells: int) -> np.ndarray:
        grain = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        return np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC)) - 0.5

    covering = washed(picture, (1 + 0.16 * cloud(9) + 0.10 * cloud(26))[..., None])
    rows, columns = np.mgrid[0:height, 0:width]
    rim = np.minimum.reduce([columns, width - 1 - columns, rows, height - 1 - rows]) / unit + 14 * cloud(14)
    painted = np.clip((rim - 5) / 5, 0, 1)[..., None]
    paper = np.array(PAPER, dtype=np.float32)
    torn = covering * painted + paper * (1 - painted)
    return Image.fromarray(torn.clip(0, 255).astype(np.uint8))
