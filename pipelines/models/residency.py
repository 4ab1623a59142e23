"""Who is in memory: the models used last, as many as there is room for."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, cast

import torch

from pipelines.core.attention import AUTO
from pipelines.core.event import DeviceStatus
from pipelines.core.model import ModelInfo
from pipelines.core.placement import Phase, Placement
from pipelines.core.request import GenerateRequest, Precision
from pipelines.models import budget
from pipelines.models.attention import find_attention
from pipelines.models.blueprint import Blueprint
from pipelines.models.budget import Forecast, Numbers, Thrift
from pipelines.models.devices import device_label, give_back, held, memory, resolve_device
from pipelines.models.folder import Fingerprint, fingerprint
from pipelines.models.loading import (
    LoadedEnlarger,
    LoadedModel,
    LoadedSegmenter,
    Manner,
    chosen_dtype,
    load,
    load_enlarger,
    load_segmenter,
)
from pipelines.models.memory import watched
from pipelines.models.opening import blueprint_of, enlarger_of, files_behind
from pipelines.models.segmenters import segmenter_at

SPARE = 0.9
"""How much of what is free is planned with: allocators waste some, and other programs live here too."""


class InMemory(Protocol):
    """A model that was loaded."""

    @property
    def info(self) -> ModelInfo: ...
    @property
    def manner(self) -> Manner: ...


Loaded = TypeVar("Loaded", bound=InMemory)


@dataclass(frozen=True)
class _Resident:
    model: InMemory
    files: Fingerprint
    """Its files as they were when it was loaded."""
    bytes: int
    """Of its weights on the device; on a CPU also those that lie in mapped files."""


class Residency:
    """Lends loaded models on one device, and keeps them until another needs the room. Used by the worker's thread."""

    def __init__(self, device: torch.device | str, *, attention: str = AUTO, limit: int | None = None) -> None:
        """`device`: a device, or `auto`, `cpu`, `cuda`, `cuda:N`, `mps`. `limit`: bytes to be used at most.

        Raises InvalidRequest when this machine has no such device, or cannot compute this attention on it.
        """
        self.device = resolve_device(device) if isinstance(device, str) else device
        self._attention = find_attention(attention, self.device)
        self._label = device_label(self.device)
        self._limit = limit
        self._residents: OrderedDict[str, _Resident] = OrderedDict()
        """The one used last at the end."""
        self._drawn: tuple[ModelInfo, Fingerprint, Blueprint] | None = None
        """The blueprint asked for last: reading the header of a large file takes a while."""

    def forecast(self, info: ModelInfo, request: GenerateRequest) -> Forecast:
        """What painting `request` with `info` needs, and how it can be made to fit. Raises ModelUnusable."""
        return budget.forecast(self._blueprint(info), request, self.room, self._numbers(info, request.precision))

    def work(self, info: ModelInfo, request: GenerateRequest, thrift: Thrift) -> int:
        """Bytes that painting `request` takes besides the weights. Raises ModelUnusable."""
        return budget.work_of(self._blueprint(info), request, thrift, self._numbers(info, request.precision)).most

    def lend(
        self, info: ModelInfo, precision: Precision = Precision.AUTO, *,
        placement: Placement = Placement.WHOLE, work: int = 0, make: Callable[[Manner], LoadedModel] | None = None,
    ) -> LoadedModel:  # fmt: skip
        """`info` in memory, loaded when it is not there yet; others are freed until `work` bytes fit beside it.

        `make`: how, for a model that is in no file; what is there is lent as it is.

        Raises ModelUnusable, or RanOut when the device is too small even for this model alone.
        """
        manner = self._manner(info, precision, placement)

        def weights() -> int:
            size = budget.weights_of(self._blueprint(info), self._numbers(info, precision)).on_device(placement)
            return size + (info.size if make and self.device.type == "cpu" else 0)  # its tensors lie in no file

        return self._lent(info, manner, work, weights, make or partial(load, info))

    def lend_segmenter(self, info: ModelInfo) -> LoadedSegmenter:
        """The same of a model that finds things in pictures. Raises ModelUnusable, RanOut."""
        manner = self._manner(info, Precision.AUTO, Placement.WHOLE)

        def weights() -> int:
            return segmenter_at(Path(info.path), info.name).network.bytes

        return self._lent(info, manner, 0, weights, partial(load_segmenter, info))

    def lend_enlarger(self, info: ModelInfo, precision: Precision = Precision.AUTO) -> LoadedEnlarger:
        """The same of a model that enlarges pictures, placed so that it can see at least what it was trained on.

        Raises ModelUnusable, RanOut.
        """
        plan, numbers = enlarger_of(info), self._numbers(info, precision)
        seen = max(plan.native_size // plan.factor, plan.multiple)
        work = budget.enlarging_work(plan, seen, passes=2, wide=numbers.map).most
        weights = budget.weights_of(plan, numbers)
        placement = budget.placed(weights, work, self.room, on_cpu=numbers.on_cpu)
        manner = self._manner(info, precision, placement)
        return self._lent(info, manner, work, lambda: weights.on_device(placement), partial(load_enlarger, info))

    def lend_network(self, info: ModelInfo, make: Callable[[ModelInfo, Manner], Loaded], *, work: int = 0) -> Loaded:
        """The same of a network that another room makes: half as wide on a GPU. Raises ModelUnusable, RanOut."""
        dtype = torch.float32 if self.device.type == "cpu" else torch.float16
        manner = Manner(self.device, dtype, Placement.WHOLE, self._attention)
        return self._lent(info, manner, work, lambda: 2 * info.size, partial(make, info))

    def _lent(
        self, info: ModelInfo, manner: Manner, work: int, weights: Callable[[], int], make: Callable[[Manner], Loaded]
    ) -> Loaded:
        files = fingerprint(*files_behind(info))  # before they are read: a change meanwhile must be noticed next time
        resident = self._residents.pop(_key(info), None)
        if resident is None or not _is(resident, info, manner, files):
            del resident
            size = weights()
            self._make_room(size + work)
            with watched(Phase.LOADING):
                resident = _Resident(make(manner), files, size)
        else:
            self._make_room(resident.bytes + work)
        self._residents[_key(info)] = resident
        return cast(Loaded, resident.model)  # of one path there is one kind

    def is_lent(
        self, info: ModelInfo, precision: Precision = Precision.AUTO, *, placement: Placement = Placement.WHOLE
    ) -> bool:
        """Whether `lend` would answer at once."""
        resident, manner = self._residents.get(_key(info)), self._manner(info, precision, placement)
        return resident is not None and _is(resident, info, manner, fingerprint(*files_behind(info)))

    def free(self, name: str | None = None) -> None:
        """Give the memory of the model `name` back, or that of all."""
        for key, resident in list(self._residents.items()):
            if name is None or resident.model.info.name == name:
                del self._residents[key]
        give_back(self.device)

    def free_others(self, info: ModelInfo) -> bool:
        """Give the memory of all models but `info` back; whether there were any."""
        others = [key for key in self._residents if key != _key(info)]
        for key in others:
            del self._residents[key]
        give_back(self.device)
        return bool(others)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models in memory, the one used last first."""
        return tuple(resident.model.info.name for resident in reversed(self._residents.values()))

    @property
    def room(self) -> int:
        """Bytes a job may use: what is free, and what models hold that could be freed."""
        used, total = memory(self.device)
        # What we hold could be freed. On a CPU that is mostly pages of files, which count as free anyway.
        free = max(0, int(SPARE * (total - used))) + held(self.device)
        return free if self._limit is None else min(free, self._limit)

    def device_status(self) -> DeviceStatus:
        used, total = memory(self.device)
        return DeviceStatus(
            label=self._label, kind=self.device.type, used=used, total=total, room=self.room, models=self.loaded
        )

    def _blueprint(self, info: ModelInfo) -> Blueprint:
        files = fingerprint(*files_behind(info))
        if self._drawn is None or self._drawn[:2] != (info, files):
            self._drawn = info, files, blueprint_of(info)
        return self._drawn[2]

    def _make_room(self, needed: int) -> None:
        """Free the models that were used longest ago until `needed` bytes fit beside the rest."""
        room, freed = self.room, False
        while self._residents and needed + sum(r.bytes for r in self._residents.values()) > room:
            self._residents.popitem(last=False)
            freed = True
        if freed:
            give_back(self.device)

    def _manner(self, info: ModelInfo, precision: Precision, placement: Placement) -> Manner:
        return Manner(self.device, chosen_dtype(info, self.device, precision), placement, self._attention)

    def _numbers(self, info: ModelInfo, precision: Precision) -> Numbers:
        return budget.numbers_of(info, precision, on_cpu=self.device.type == "cpu")


def _key(info: ModelInfo) -> str:
    """The path of a model; of a mix, of all that goes in."""
    return "\n".join(info.made_of) or info.path


def _is(resident: _Resident, info: ModelInfo, manner: Manner, files: Fingerprint) -> bool:
    """Whether it can be lent. One that waits by turns will also do where all would fit: little would be gained."""
    model, place = resident.model, resident.model.manner.placement
    will_do = place is Placement.TURNS and manner.placement is Placement.WHOLE
    manner = replace(manner, placement=place) if will_do else manner
    return model.info == info and files == resident.files and model.manner == manner
