"""A request to paint over a picture, made ready: the picture read, its masks laid on it, the part that is worked on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.core.error import InvalidRequest
from pipelines.core.inpaint import Border, InpaintRequest
from pipelines.generation.ground import Ground
from pipelines.generation.inpaint import Part, ground_of, part_of
from pipelines.generation.masks import Mask, filled
from pipelines.models.loading import LoadedModel
from pipelines.storage.deep import DeepPicture
from pipelines.storage.pixels import SourcePicture, read_mask, read_source
from pipelines.storage.sources import SourceStore


@dataclass(frozen=True)
class Repainting:
    """What is painted over, and where."""

    request: InpaintRequest
    source: SourcePicture
    part: Part

    def ground(self, model: LoadedModel, *, tiled: bool) -> Ground:
        """What the walk needs to know of it."""
        return ground_of(model, self.part, self.request, tiled=tiled)

    def finished(self, painted: Image.Image) -> Image.Image | DeepPicture:
        """The picture with what was painted in it; what was not painted is as it was, to the bit."""
        if self.request.is_all:
            return painted
        new = self.part.fitted(painted, match_colour=self.request.match_colour)
        whole = self.source.repainted(*self.part.box.part, new, self.part.mask)
        if whole.array.dtype == np.uint16:
            return DeepPicture(whole.array.astype(np.uint16), whole.profile)
        image = Image.fromarray(whole.array.astype(np.uint8))
        if whole.profile:
            image.info["icc_profile"] = whole.profile
        return image


def repainting(request: InpaintRequest, sources: SourceStore) -> Repainting:
    """Raises UnknownName for a picture that is gone, InvalidRequest for masks that do not fit it or are empty."""
    source = read_source(sources.path_of(request.source))
    size = (source.width, source.height)
    masks = [read_mask(sources.path_of(one), size) for one in request.masks]
    if not request.border.is_none:
        source, masks = _extended(source, masks, request)
    part = part_of(request, source.pixels, masks)
    if part is None:
        raise InvalidRequest("The mask is empty", fix="paint over what shall change", field="mask")
    return Repainting(request, source, part)


def _extended(source: SourcePicture, masks: list[Mask], request: InpaintRequest) -> tuple[SourcePicture, list[Mask]]:
    """With the border around it, in the colours of the picture's edge, and to be painted."""
    border = request.border
    outside = _around(np.zeros((source.height, source.width), np.float32), border, value=1)
    array = _around(source.array, border)
    shown = filled(_around(source.pixels, border), outside)
    levels = 257 if array.dtype == np.uint16 else 1
    array[..., :3] = np.where(outside[..., None] > 0, shown.astype(array.dtype) * levels, array[..., :3])
    if array.shape[2] == 4:
        array[..., 3] = np.where(outside > 0, 255 * levels, array[..., 3])
    laid = [_around(mask, border) for mask in masks]
    if request.mask is None:
        laid.insert(0, outside)
    else:
        laid[0] = np.maximum(laid[0], outside)
    return replace(source, array=array), laid


def _around(array: NDArray[Any], border: Border, *, value: int = 0) -> NDArray[Any]:
    sides = ((border.top, border.bottom), (border.left, border.right), *[(0, 0)] * (array.ndim - 2))
    return np.pad(array, sides, constant_values=value)
