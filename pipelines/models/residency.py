"""Who is in memory: the model used last stays, the one before makes room."""

import gc

import torch

from pipelines.core.error import ModelUnusable
from pipelines.core.event import DeviceStatus
from pipelines.core.model import ModelInfo
from pipelines.core.request import Precision
from pipelines.models.devices import device_label, memory, resolve_device
from pipelines.models.folder import Fingerprint, fingerprint
from pipelines.models.loading import LoadedModel, chosen_dtype, files_behind, load


class Residency:
    """Lends loaded models on one device. Used by one thread: the worker's."""

    def __init__(self, device: torch.device | str) -> None:
        """`device`: a device, or `auto`, `cpu`, `cuda`, `cuda:N`, `mps`. Raises InvalidRequest when it is not here."""
        self.device = resolve_device(device) if isinstance(device, str) else device
        self._label = device_label(self.device)
        self._model: LoadedModel | None = None
        self._files: Fingerprint = frozenset()
        """The files of the model in memory, as they were when it was loaded."""

    def lend(self, info: ModelInfo, precision: Precision = Precision.AUTO) -> LoadedModel:
        """`info` in memory, loaded when it is not there yet; the former model is freed first.

        Raises ModelUnusable.
        """
        files = fingerprint(*files_behind(info))  # before they are read: a change meanwhile must be noticed next time
        model = self._model
        if model is not None and self._is(model, info, precision, files):
            return model
        del model
        self.free()
        try:
            self._model, self._files = load(info, self.device, precision), files
        except MemoryError as error:
            self.free()
            raise ModelUnusable(
                f"The model {info.name!r} does not fit into the memory of {self._label}",
                fix="use precision fp16, or close other programs that use the device", field="model", detail=str(error),
            ) from error  # fmt: skip
        return self._model

    def is_lent(self, info: ModelInfo, precision: Precision = Precision.AUTO) -> bool:
        """Whether `lend` would answer at once."""
        model = self._model
        return model is not None and self._is(model, info, precision, fingerprint(*files_behind(info)))

    def free(self) -> None:
        """Give the memory back."""
        self._model = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def loaded(self) -> str | None:
        """The name of the model in memory."""
        return self._model.info.name if self._model is not None else None

    def device_status(self) -> DeviceStatus:
        used, total = memory(self.device)
        return DeviceStatus(label=self._label, used=used, total=total, model=self.loaded)

    def _is(self, model: LoadedModel, info: ModelInfo, precision: Precision, files: Fingerprint) -> bool:
        same = model.info == info and files == self._files
        return same and model.dtype == chosen_dtype(info, self.device, precision)
