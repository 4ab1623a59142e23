"""Mixes in memory: nothing is written, and a change of the mix makes only what it touches anew."""

import weakref
from contextlib import ExitStack
from dataclasses import dataclass

from torch import Tensor

from pipelines.core.model import ModelInfo
from pipelines.jobs.merging import Kitchen, kitchen_of, one_thread
from pipelines.jobs.orders import NOWHERE, Order
from pipelines.merging.merge import Merge
from pipelines.merging.metadata import kept_of
from pipelines.merging.sources import Source, opened
from pipelines.models.blueprint import Blueprint
from pipelines.models.loading import LoadedModel, Manner, build, refresh
from pipelines.models.opening import completed
from pipelines.models.peculiar import Peculiar, read_peculiar
from pipelines.models.recognise import recognise
from pipelines.models.single import SingleFile
from pipelines.models.tensors import HeldTensors
from pipelines.models.writing import header_of


@dataclass(frozen=True)
class Built:
    """What a set of tensors is built like."""

    shapes: tuple[tuple[str, object, tuple[int, ...]], ...]
    """(name, format, sides), in their order."""


class HeldMix:
    """The tensors of a mix of some files, which stay open; and a model that is filled with them."""

    def __init__(self, order: Order) -> None:
        """Raises what `merge` does."""
        self._open = ExitStack()
        weakref.finalize(self, self._open.close)
        try:
            self._sources: tuple[Source, ...] = tuple(self._open.enter_context(opened(info)) for info in order.models)
            self._vae = self._open.enter_context(opened(order.vae_from)) if order.vae_from else None
        except BaseException:
            self._open.close()
            raise
        self._tensors: dict[str, Tensor] = {}
        self._made_of: dict[str, object] = {}
        self._built: Built | None = None
        self._merge: Merge | None = None
        self._stale: set[str] = set()
        """Made anew since the model was last brought up to date."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """By original name, rounded as the file would have them."""
        return self._tensors

    def bring(self, order: Order) -> bool:
        """Become what `order` makes of the same files; whether a model filled before can be brought along.

        Raises what `merge` does; what was made until then stays, and the next call goes on from there.
        """
        kitchen = kitchen_of(order, self._sources, self._vae)
        built = Built(tuple((one.name, one.dtype, one.shape) for one in kitchen.planned))
        same = built == self._built
        if not same:
            self._tensors, self._made_of, self._built = {}, {}, built
            self._stale.clear()
        with one_thread():
            self._look(kitchen.merge)
            self._make(kitchen)
        return same

    def _look(self, merge: Merge) -> None:
        if self._merge is None or not merge.look_as(self._merge):
            for _ in merge.look():
                pass
        self._merge = merge

    def _make(self, kitchen: Kitchen) -> None:
        for step in kitchen.plan.steps:
            made_of = kitchen.merge.made_of(step)
            if self._made_of.get(step.name) == made_of:
                continue
            made = kitchen.merge.tensor(step)
            if step.name in self._tensors:
                self._tensors[step.name].copy_(made)  # networks have views of it
            else:
                self._tensors[step.name] = made
            self._made_of[step.name] = made_of
            self._stale.add(step.name)

    def model(self, info: ModelInfo, order: Order, manner: Manner) -> LoadedModel:
        """The mix as a model that paints. Raises ModelUnusable, MemoryError."""
        self.bring(order)
        made = build(info, self._blueprint(info, order), manner, {NOWHERE: HeldTensors(self._tensors)})
        self._stale.clear()
        made.behind = self
        return made

    def bring_along(self, model: LoadedModel, order: Order) -> bool:
        """Bring the mix, and a model filled with it before, up to date; False: it must be built anew."""
        if not self.bring(order):
            return False
        if self._stale:
            refresh(model, HeldTensors(self._tensors), self._stale)
            self._stale.clear()
        return True

    def _blueprint(self, info: ModelInfo, order: Order) -> Blueprint:
        assert self._merge
        metadata = dict(kept_of(self._sources[0]))
        metadata |= _as_scanned(read_peculiar(metadata), info).metadata
        header = header_of(self._merge.planned(), metadata)
        return completed(SingleFile(NOWHERE, info.name, header, recognise(header)), info)


def _as_scanned(said: Peculiar, info: ModelInfo) -> Peculiar:
    """What the network answers was found when A was scanned; from numbers in memory it could not be told."""
    if "prediction_type" in said.scheduler or info.prediction is None:
        return said
    return said.model_copy(update={"scheduler": {**said.scheduler, "prediction_type": str(info.prediction)}})
