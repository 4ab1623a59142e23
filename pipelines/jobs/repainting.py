"""A request to paint over a picture, made ready and painted: what is read, what is laid out, what goes into what."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from pipelines.core.error import InvalidRequest
from pipelines.core.event import Noted, Preview, Progress
from pipelines.core.inpaint import Area, Content, InpaintRequest
from pipelines.core.placement import Phase
from pipelines.core.request import MAX_SEED, GenerateRequest
from pipelines.core.stop import StopSignal, WithinPicture
from pipelines.generation.forecast import Forecast
from pipelines.generation.generate import Happening, Painted, generate
from pipelines.generation.inpaint import ground_of
from pipelines.generation.masks import Box
from pipelines.generation.outpaint import Look, extension_of, looks
from pipelines.generation.parts import Part, part_of
from pipelines.models.budget import Thrift
from pipelines.models.loading import LoadedModel
from pipelines.models.memory import watched
from pipelines.storage.deep import DeepPicture
from pipelines.storage.facts import MAX_PIXELS, MAX_SIDE
from pipelines.storage.pixels import SourcePicture, read_mask, read_source
from pipelines.storage.sources import SourceStore

CLOSER = 0.2
"""The strength of a closer look, if more is asked for: enough for details, too little for other shapes."""
STRIDE = 0x9E3779B9
"""Between the seeds of passes: with the same noise in each, a picture would repeat itself."""


@dataclass(frozen=True)
class Repainted:
    """A finished picture."""

    index: int
    """From 0."""
    seed: int
    image: Image.Image | DeepPicture
    seconds: float


@dataclass(frozen=True)
class Stage:
    """One pass of the network over one window."""

    request: InpaintRequest
    part: Part

    @property
    def steps(self) -> int:
        return self.request.walked

    def painted(self, model: LoadedModel, stop: StopSignal, first: int, thrift: Thrift) -> Iterator[Happening]:
        """Raises RanOut."""
        with watched(Phase.DENOISING):
            ground = ground_of(model, self.part, self.request, tiled=thrift.tiled)
        box = self.part.box
        where = {"box": (box.left, box.top, box.right, box.bottom)}
        for event in generate(self.request.picture, model, stop, first=first, thrift=thrift, over=ground):
            yield event.model_copy(update=where) if isinstance(event, Preview) else event

    def into(self, picture: SourcePicture, painted: Image.Image) -> SourcePicture:
        """`picture` with what was painted in it; what was not painted is as it was, to the bit."""
        new, mask = self.part.fitted(painted, match_colour=self.request.match_colour)
        return picture.repainted(*self.part.box.part, new, mask)


@dataclass(frozen=True)
class Repainting:
    """What is painted over, and where; then what is painted round it."""

    request: InpaintRequest
    picture: SourcePicture
    """With its border around it, black."""
    part: Part | None
    """What is painted over of the picture itself."""
    looks: tuple[Look, ...] = ()
    """Of the border, one after another."""

    @property
    def passes(self) -> int:
        return len(self.looks) + (self.part is not None)

    def stage(self, number: int, picture: SourcePicture, painted: GenerateRequest) -> Stage:
        """Pass `number` (from 0) over `picture` as it is by then."""
        request = self.request.model_copy(update={"picture": painted})
        if self.part is not None and number == 0:
            return Stage(request, self.part)
        look = self.looks[number - (self.part is not None)]
        alone: dict[str, Any] = {"mask": None, "regions": ()}
        if look.closer:
            alone |= {"content": Content.ORIGINAL, "strength": _closer(request)}
        seen = picture.seen(*look.box.part)
        part = extension_of(look, seen, (painted.width, painted.height), request.soft_edge)
        return Stage(request.model_copy(update=alone), part)

    def painted_in(self, number: int, index: int) -> GenerateRequest:
        """What is asked for in pass `number` over picture `index`, both from 0."""
        seed = (self.request.seed_of(index) + number * STRIDE) % (MAX_SEED + 1)
        return self.request.picture.model_copy(update={"seed": seed, "count": 1})

    @property
    def steps(self) -> int:
        """Of all passes."""
        closer = self.request.model_copy(update={"strength": _closer(self.request)})
        later = sum((closer if look.closer else self.request).walked for look in self.looks)
        return later + (self.request.walked if self.part is not None else 0)


def repainting(request: InpaintRequest, sources: SourceStore) -> Repainting:
    """Raises UnknownName for a picture that is gone, InvalidRequest for masks that do not fit it or are empty."""
    source = read_source(sources.path_of(request.source))
    size = (source.width, source.height)
    masks = [read_mask(sources.path_of(one), size) for one in request.masks]
    part = part_of(request, size, source.seen, masks) if masks or request.is_all else None
    if part is None and request.border.is_none:
        raise InvalidRequest("The mask is empty", fix="paint over what shall change", field="mask")
    if request.border.is_none:
        return Repainting(request, source, part)
    return _with_border(request, source, part)


def _with_border(request: InpaintRequest, source: SourcePicture, part: Part | None) -> Repainting:
    border = request.border
    inside = Box(0, 0, source.width, source.height).moved(border.left, border.top)
    whole = (inside.right + border.right, inside.bottom + border.bottom)
    if whole[0] * whole[1] > MAX_PIXELS or max(whole) > MAX_SIDE:
        raise InvalidRequest(
            f"With its border the picture is {whole[0]} x {whole[1]}",
            fix=f"add less: up to {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} on a side", field="border",
        )  # fmt: skip
    if part is not None:
        part = replace(part, box=part.box.moved(border.left, border.top))
    sides = ((border.top, border.bottom), (border.left, border.right), (0, 0))
    around = replace(source, array=np.pad(source.array, sides))
    if request.area is Area.WHOLE:
        return Repainting(request, around, part, (Look(Box(0, 0, *whole), inside, (), closer=False),))
    return Repainting(request, around, part, looks(inside, whole, (request.picture.width, request.picture.height)))


def _closer(request: InpaintRequest) -> float:
    """The strength of a closer look: that of one step at least."""
    return min(request.strength, max(CLOSER, 1.001 / request.picture.steps))


def repainted(
    over: Repainting, model: LoadedModel, stop: StopSignal, *, first: int, thrift: Thrift
) -> Iterator[Progress | Preview | Noted | Repainted]:
    """As `generate`, of pictures that are painted over. Raises as it."""
    request = over.request
    if over.passes > 1 or (request.content is Content.NOISE and request.pictures > 1):  # each begins from its own noise
        forecast = Forecast([1] * (over.request.pictures - first), over.steps)
        for index in range(first, over.request.pictures):
            if stop.after_picture:
                return
            yield from _pass_by_pass(over, model, stop, index, thrift, forecast)
        return
    stage = over.stage(0, over.picture, over.request.picture)
    for event in stage.painted(model, stop, first, thrift):
        if isinstance(event, Painted):
            image = event.image if over.request.is_all else as_image(stage.into(over.picture, event.image))
            yield Repainted(event.index, event.seed, image, event.seconds)
        else:
            yield event


def _pass_by_pass(
    over: Repainting, model: LoadedModel, stop: StopSignal, index: int, thrift: Thrift, forecast: Forecast
) -> Iterator[Progress | Preview | Noted | Repainted]:
    """One picture, each pass over what the one before has left; steps are told of all of them together."""
    began, picture, done = time.monotonic(), over.picture, 0
    of = {"picture": index + 1, "count": over.request.pictures, "steps": over.steps}
    yield Progress(**of, step=0, seconds_left=forecast.batch_begins())
    for number in range(over.passes):
        before, stage = picture, over.stage(number, picture, over.painted_in(number, index))
        for event in stage.painted(model, WithinPicture(stop), 0, thrift):
            match event:
                case Painted():
                    picture = stage.into(picture, event.image)
                case Progress(step=step):
                    if step:
                        yield Progress(**of, step=done + step, seconds_left=forecast.step_done(done + step))
                case Preview(step=step):
                    yield event.model_copy(update={"picture": index + 1, "step": done + step})
                case Noted():
                    yield event
        if picture is before:  # a person has stopped it
            return
        done += stage.steps
    forecast.batch_done()
    yield Repainted(index, over.request.seed_of(index), as_image(picture), time.monotonic() - began)


def as_image(picture: SourcePicture) -> Image.Image | DeepPicture:
    """As it is saved."""
    if picture.array.dtype == np.uint16:
        return DeepPicture(picture.array, picture.profile)
    image = Image.fromarray(picture.array)
    if picture.profile:
        image.info["icc_profile"] = picture.profile
    return image
