"""What is done to models rather than with them: load and unload, verify, convert. Lives where torch does."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from pipelines.core.error import EaselError, OutOfMemory
from pipelines.core.event import Event, Finished, Loading, Noted, Stopped
from pipelines.core.model import ModelInfo
from pipelines.core.request import (
    ConvertRequest,
    GenerateRequest,
    LoadRequest,
    ModelRequest,
    Precision,
    UnloadRequest,
    VerifyRequest,
)
from pipelines.core.stop import StopSignal
from pipelines.jobs.converting import Form, convert
from pipelines.models.headers import SUFFIX
from pipelines.models.memory import RanOut
from pipelines.models.residency import Residency
from pipelines.models.verify import verify
from pipelines.storage.files import safe_name


class Keeper:
    """Looks after the models in memory and on disk; what it makes goes to `folder`."""

    def __init__(self, residency: Residency, folder: Path) -> None:
        self._residency, self._folder = residency, folder

    def perform(self, request: ModelRequest, info: ModelInfo | None, stop: StopSignal) -> Iterator[Event]:
        """Do it; the last event is an End. Raises EaselError."""
        began = time.monotonic()
        with closing(self._work(request, info)) as work:  # what it had begun to write goes, if it is stopped
            for event in work:
                yield event
                if stop.now:
                    yield Stopped()
                    return
        yield Finished(seconds=time.monotonic() - began)

    def _work(self, request: ModelRequest, info: ModelInfo | None) -> Generator[Event]:
        match request:
            case LoadRequest():
                yield from self._load(_there(info), request.precision)
            case UnloadRequest():
                self._residency.free(request.model or None)
            case VerifyRequest():
                yield from verify(_there(info))
            case ConvertRequest():
                yield from self._convert(request, _there(info))

    def _load(self, info: ModelInfo, precision: Precision) -> Iterator[Event]:
        """Into the place where a picture of its own size will want it."""
        usual = GenerateRequest(
            model=info.name, precision=precision, width=info.native_size, height=info.native_size
        )  # fmt: skip
        place = self._residency.forecast(info, usual).thrift.placement
        if self._residency.is_lent(info, precision, placement=place):
            return
        yield Loading(model=info.name, size=info.size)
        try:
            self._residency.lend(info, precision, placement=place)
        except RanOut as ran:
            raise OutOfMemory(
                f"The model {info.name!r} does not fit into the device's memory",
                fix="use a smaller one, or close other programs that use the device", field="model", detail=ran.detail,
            ) from ran  # fmt: skip

    def _convert(self, request: ConvertRequest, info: ModelInfo) -> Iterator[Event]:
        name = safe_name(request.name, noun="name", field="name")
        target = self._folder / (name if request.as_folder else f"{name}{SUFFIX}")
        yield from convert(info, Form(request.dtype, pruned=request.pruned), target)
        yield Noted(text=target.name)


def _there(info: ModelInfo | None) -> ModelInfo:
    if info is None:
        raise EaselError("No model was named", fix="choose one", field="model")
    return info
