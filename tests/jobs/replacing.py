"""Drawings whose subject is painted over with another by the whole worker, for the test and the long measurement."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.core.event import PictureSaved
from pipelines.core.inpaint import Area, InpaintRequest
from pipelines.core.presets import STARTER_MODELS
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.jobs.keeping import Keeper
from pipelines.jobs.perform import Painter
from pipelines.jobs.worker import Work
from pipelines.models.residency import Residency
from pipelines.models.scan import ModelLibrary
from pipelines.storage.pictures import PictureFiles
from pipelines.storage.sources import SourceStore
from pipelines.training.effects import Replacement, replacements

SIZE = 192


def answers(tries: int, model: str, folder: Path, *, steps: int = 20) -> Iterator[tuple[Replacement, Image.Image]]:
    """Drawings whose subject was to be replaced, and what became of them."""
    sources, residency = SourceStore(folder / "sources"), Residency("cpu")
    files, keeper = PictureFiles(folder / "outputs"), Keeper(residency, folder / "models")
    painter = Painter(ModelLibrary([STARTER_MODELS]), residency, files, sources, keeper)
    for one in replacements(tries, seed=3):
        events = painter.perform(Work(asked_for(one, sources, model, steps)), StopSignal())
        (file,) = (event.file for event in events if isinstance(event, PictureSaved))
        with Image.open(files.outputs / file) as opened:
            yield one, opened.convert("RGB")


def asked_for(one: Replacement, sources: SourceStore, model: str, steps: int) -> InpaintRequest:
    """The subject painted over, with the words of another."""
    picture = GenerateRequest(
        prompt=one.prompt, seed=one.seed, steps=steps, cfg=4, width=SIZE, height=SIZE, model=model
    )
    mask = Image.fromarray(one.mask((SIZE, SIZE)).astype(np.uint8) * 255)
    return InpaintRequest(
        picture=picture, source=sources.keep(as_png(one.picture((SIZE, SIZE)))).id, mask=sources.keep(as_png(mask)).id,
        strength=1.0, area=Area.WHOLE, soft_edge=0,
    )  # fmt: skip


def changed_outside(one: Replacement, picture: Image.Image) -> int:
    """Pixels outside of the mask that are not what they were."""
    changed = (np.asarray(picture) != np.asarray(one.picture(picture.size))).any(axis=2)
    return int(changed[~one.mask(picture.size)].sum())


def as_png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
