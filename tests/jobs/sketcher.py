"""A performer without torch: small pictures drawn from the seed, and faults on demand.

It does everything a painter does (steps, previews, stops, saved files) in real processes and files, so that the queue
can be tested for what it promises. Words in the prompt make it fail: `raise`, `hang`, `abort`, or `abort-saved` (after
the picture is on disk, before anybody hears of it); `@N`: at picture N instead of 0; `once`: only the first time.
"""

import os
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.core.desk import PreviewRequest
from pipelines.core.error import ModelUnusable
from pipelines.core.event import DeviceStatus, Event, Finished, Loading, PictureSaved, Preview, Progress, Stopped
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopSignal
from pipelines.jobs.worker import Work, ended
from pipelines.storage.pictures import PictureFiles

SIDE = 64


def sketch(seed: int) -> Image.Image:
    """The one picture of `seed`."""
    return Image.frombytes("RGB", (SIDE, SIDE), random.Random(seed).randbytes(SIDE * SIDE * 3))


def grey(preview: PreviewRequest) -> Image.Image:
    """As bright as the weights of a mix are high: what an optimiser can find its way by."""
    weights = preview.mixture.mix.blocks["alpha"]
    return Image.new("RGB", (SIDE, SIDE), (round(255 * sum(weights) / len(weights)),) * 3)


@dataclass(frozen=True)
class Sketching:
    """Makes a sketcher in the worker process."""

    outputs: Path
    step_seconds: float = 0.01
    cannot_start: bool = False

    def __call__(self) -> "Sketcher":
        if self.cannot_start:
            raise ModelUnusable("The engine is broken", fix="repair it")
        return Sketcher(self)


class Sketcher:
    """Draws noise."""

    def __init__(self, setup: Sketching) -> None:
        self._setup = setup
        self._files = PictureFiles(setup.outputs)
        self._loaded: str | None = None

    def prepare(self) -> None:
        pass

    def device_status(self) -> DeviceStatus:
        return DeviceStatus(
            label="Pencil", used=1, total=2, room=8_000_000_000, models=(self._loaded,) if self._loaded else ()
        )

    def perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        return ended(self._perform(work, stop))

    def _perform(self, work: Work, stop: StopSignal) -> Iterator[Event]:
        assert isinstance(work.request, GenerateRequest | PreviewRequest)
        request = work.request.painted
        if self._loaded != request.model:
            yield Loading(model=request.model, size=1)
            self._loaded = request.model
        for index in range(work.first, request.count):
            for step in range(request.steps + 1):
                if stop.now or (step == 0 and stop.after_picture):
                    yield Stopped()
                    return
                yield Progress(picture=index + 1, count=request.count, step=step, steps=request.steps)
                if step == 1:
                    yield Preview(picture=index + 1, step=1, jpeg=b"\xff\xd8preview")
                    self._misbehave(request, index, ("raise", "hang", "abort"))
                time.sleep(self._setup.step_seconds)
            seed = request.seed_of(index)
            image = grey(work.request) if isinstance(work.request, PreviewRequest) else sketch(seed)
            saved = self._files.save(image, work.request, index=index, job=work.job, seconds=0.1)
            self._misbehave(request, index, ("abort-saved",))
            yield PictureSaved(index=index, seed=seed, file=saved.file, seconds=0.1)
        yield Finished(seconds=1.0)

    def _misbehave(self, request: GenerateRequest, index: int, faults: tuple[str, ...]) -> None:
        words = request.prompt.split()
        fault = next((word for word in words if word in faults), None)
        at = re.search(r"@(\d+)", request.prompt)
        if fault is None or index != (int(at[1]) if at else 0) or self._did_it("once" in words):
            return
        match fault:
            case "raise":
                raise ZeroDivisionError("a bug in the engine")
            case "hang":
                time.sleep(1000)
            case _:
                os._exit(7)

    def _did_it(self, only_once: bool) -> bool:
        mark = self._setup.outputs.parent / "misbehaved"
        done = mark.exists()
        mark.touch()
        return done and only_once
