"""A mask of what a text names in a picture: the model looks, its answer becomes a mask of the picture's size."""

import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.core.error import InvalidRequest, OutOfMemory
from pipelines.core.event import Event, Finished, Loading, Masked, Stopped
from pipelines.core.model import ModelInfo
from pipelines.core.placement import Phase
from pipelines.core.segment import SegmentRequest
from pipelines.core.stop import StopSignal
from pipelines.models.memory import RanOut, watched
from pipelines.models.residency import Residency
from pipelines.storage.pixels import Pixels, read_source
from pipelines.storage.sources import SourceStore

FAINTEST = 26
"""Of 255, a tenth: a model that is nowhere surer than this has not found what it looked for."""
Levels = NDArray[np.uint8]
"""(h, w), 255: found."""


def segment(
    request: SegmentRequest, info: ModelInfo, residency: Residency, sources: SourceStore, stop: StopSignal
) -> Iterator[Event]:
    """Look, and keep the mask; the last event is an End. Whoever stops it leaves nothing behind.

    Raises UnknownName for a picture that is gone, InvalidRequest when nothing is found, OutOfMemory, ModelUnusable.
    """
    began = time.monotonic()
    picture = read_source(sources.path_of(request.source)).pixels
    if not residency.is_lent(info):
        yield Loading(model=info.name, size=info.size)
    mask = None if stop.now else _looked(request, info, residency, picture)
    if mask is None or stop.now:
        yield Stopped()
        return
    if not mask.any():
        raise _nothing(request)
    kept = sources.keep(_as_png(mask), "The mask")
    yield Masked(mask=kept.id, share=round(float(mask.mean()) / 255, 6))
    yield Finished(seconds=time.monotonic() - began)


def _looked(request: SegmentRequest, info: ModelInfo, residency: Residency, picture: Pixels) -> Levels:
    """Other models give way to it. Raises OutOfMemory."""
    while True:
        try:
            with watched(Phase.DENOISING):
                answer = residency.lend_segmenter(info).find(picture, request.text)
                return mask_of(answer, (picture.shape[0], picture.shape[1]), request)
        except RanOut as ran:
            detail = ran.detail
        # Only here: before, the error held all that the attempt had in hand.
        if not residency.free_others(info):
            residency.free()
            raise OutOfMemory(
                f"The device has not enough memory to look at this picture with {info.name!r}",
                fix="close other programs that use it, or use a smaller picture", field="model", detail=detail,
            )  # fmt: skip


def mask_of(answer: Tensor, size: tuple[int, int], request: SegmentRequest) -> Levels:
    """The mask of `size` (h, w) that a `Finder`'s answer means; nothing but 0 where nothing was found.

    The answer is enlarged before it is cut off, which gives smooth edges rather than steps.
    """
    sure = F.interpolate(answer[None, None], size=size, mode="bilinear", align_corners=False).sigmoid_()[0, 0]
    if request.threshold is None:
        soft: Levels = (255 * sure).round().byte().numpy()
        return soft if soft.max() > FAINTEST else np.zeros_like(soft)
    found: NDArray[np.bool_] = (sure >= request.threshold).numpy()
    if request.grow and found.any():
        found = _distances(found) <= request.grow
    return found.astype(np.uint8) * np.uint8(255)


def _distances(found: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Pixels from each place to the nearest that was found, (h, w)."""
    import cv2  # noqa: PLC0415, a large library for a rare wish; scipy's own needs eight times the memory

    far = cv2.distanceTransform((~found).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far, np.float32)


def _nothing(request: SegmentRequest) -> InvalidRequest:
    lower = "" if request.threshold is None else ", or lower the threshold"
    return InvalidRequest(
        f'Nothing in the picture looks like "{request.text}"', fix=f"use other words{lower}", field="text"
    )


def _as_png(mask: Levels) -> bytes:
    buffer = BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return buffer.getvalue()
