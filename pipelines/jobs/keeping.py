"""What is done to models rather than with them: load and unload, verify, convert. Lives where torch does."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pipelines.core.desk import AddLorasRequest, CompareRequest, ExtractRequest, MergeRequest
from pipelines.core.error import EaselError, OutOfMemory
from pipelines.core.event import Compared, Event, Finished, Loading, Noted, Stopped, Worked
from pipelines.core.kinds import ConvertRequest, LoadRequest, LoraWork, ModelRequest, UnloadRequest, VerifyRequest
from pipelines.core.model import ModelInfo
from pipelines.core.request import GenerateRequest, Precision
from pipelines.core.stop import StopSignal
from pipelines.jobs.converting import Form, convert
from pipelines.jobs.desk import check_name
from pipelines.jobs.hashes import OwnBook
from pipelines.jobs.making_loras import Place, add_loras, extract_lora
from pipelines.jobs.merging import keep_recipe, merge, one_thread
from pipelines.jobs.orders import ordered, strength_of
from pipelines.merging.compare import Comparison
from pipelines.merging.lora import Extraction
from pipelines.merging.sizes import Size
from pipelines.merging.sources import opened
from pipelines.models.headers import SUFFIX
from pipelines.models.memory import RanOut
from pipelines.models.recipes import ENDINGS
from pipelines.models.residency import Residency
from pipelines.models.verify import verify
from pipelines.models.writing import BYTES_A_WORD
from pipelines.storage.files import safe_name


class Keeper:
    """Looks after the models in memory and on disk; what it makes goes to `folder`."""

    def __init__(self, residency: Residency, folder: Path) -> None:
        self._residency, self._folder, self._book = residency, folder, OwnBook()

    def perform(
        self, request: ModelRequest, info: ModelInfo | None, stop: StopSignal, parts: tuple[ModelInfo, ...] = ()
    ) -> Iterator[Event]:
        """Do it; the last event is an End. `parts`: what the request names besides its model. Raises EaselError."""
        began = time.monotonic()
        with closing(self._work(request, info, parts)) as work:  # what it had begun to write goes, if it is stopped
            for event in work:
                yield event
                if stop.now:
                    yield Stopped()
                    return
        yield Finished(seconds=time.monotonic() - began)

    def _work(self, request: ModelRequest, info: ModelInfo | None, parts: tuple[ModelInfo, ...]) -> Generator[Event]:
        match request:
            case LoadRequest():
                yield from self._load(_there(info), request.precision)
            case UnloadRequest():
                self._residency.free(request.model or None)
            case VerifyRequest():
                yield from verify(_there(info))
            case ConvertRequest():
                yield from self._convert(request, _there(info))
            case MergeRequest():
                yield from self._merge(request, parts)
            case CompareRequest():
                yield from _compare(parts)
            case AddLorasRequest():
                pairs = tuple((info, strength_of(asked)) for info, asked in zip(parts, request.loras, strict=True))
                with one_thread():
                    yield from add_loras(pairs, Size(request.rank, request.energy), self._place(request))
            case ExtractRequest():
                kernels = Size(request.conv_rank, request.energy) if request.conv_rank else None
                wanted = Extraction(Size(request.rank, request.energy), kernels)
                with one_thread():
                    yield from extract_lora(parts[0], parts[1], wanted, self._place(request))

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

    def _place(self, request: LoraWork) -> Place:
        name = check_name(request.name, self._folder)
        return Place(self._folder / f"{name}{SUFFIX}", dtype=request.dtype)

    def _merge(self, request: MergeRequest, parts: tuple[ModelInfo, ...]) -> Iterator[Event]:
        name = check_name(request.name, self._folder)
        target = self._folder / f"{name}{ENDINGS[0] if request.only_recipe else SUFFIX}"
        order = replace(ordered(request.mixture, parts, target), notes=request.notes)
        with one_thread():
            yield from keep_recipe(order, self._book) if request.only_recipe else merge(order, self._book)


def _compare(parts: tuple[ModelInfo, ...]) -> Iterator[Event]:
    with opened(parts[0]) as a, opened(parts[1]) as b, one_thread():
        comparison, told = Comparison(a, b), 0
        for done, total in comparison.run():
            if done - told >= BYTES_A_WORD or done == total:
                told = done
                yield Worked(done=done, total=total)
        yield Compared(blocks=dict(comparison.found))


def _there(info: ModelInfo | None) -> ModelInfo:
    if info is None:
        raise EaselError("No model was named", fix="choose one", field="model")
    return info
