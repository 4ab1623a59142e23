"""Weights that wait elsewhere, or in another number format, and are brought in a module at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

TINY = 64 * 1024
"""Bytes: a module with no more weights than this (norms, biases) is brought once and stays."""


class BroughtOnUse:
    """Lets `network` compute on `device` in `dtype` while its weights stay as they are: in main memory, in fp8, in a
    file mapped into memory.

    Each module with weights of its own gets copies just before it runs and drops them after it. That costs one pass
    over the weights a run, and no more memory than the largest module needs.
    """

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._kept: dict[nn.Module, dict[str, nn.Parameter]] = {}
        self._handles: list[RemovableHandle] = []
        self._settled: dict[nn.Module, dict[str, nn.Parameter]] = {}
        try:
            for module in network.modules():
                self._begin(module)
        except BaseException:  # memory ran out: a network half brought could never be used again
            self.remove()
            raise

    def remove(self) -> None:
        """Leave the network as it was."""
        for handle in self._handles:
            handle.remove()
        for module, weights in self._settled.items():
            _put(module, weights)

    def _begin(self, module: nn.Module) -> None:
        _bring_buffers(module, self._device)
        if sum(weight.nbytes for weight in module.parameters(recurse=False)) <= TINY:
            waiting = self._settled[module] = self._waiting(module)
            self._bring(module, waiting)
            return
        # Also where nothing waits: within another of these, what is here now may be brought elsewhere just before.
        self._handles.append(module.register_forward_pre_hook(self._before))
        # First of the hooks after it: whoever was brought last goes first, so that two of these can be nested.
        self._handles.append(module.register_forward_hook(self._after, prepend=True, always_call=True))

    def _waiting(self, module: nn.Module) -> dict[str, nn.Parameter]:
        """The module's own weights that are not where and what they must be."""
        own = module.named_parameters(recurse=False)
        return {name: w for name, w in own if w.dtype != self._dtype or w.device != self._device}

    def _bring(self, module: nn.Module, waiting: dict[str, nn.Parameter]) -> None:
        for name, weight in waiting.items():
            setattr(module, name, nn.Parameter(self._here(weight.detach()), requires_grad=False))

    def _here(self, weight: Tensor) -> Tensor:
        """On the device, and wide; the narrower of the two formats travels."""
        if weight.element_size() <= self._dtype.itemsize:
            return weight.to(self._device, non_blocking=True).to(self._dtype)
        return weight.to(self._dtype).to(self._device, non_blocking=True)

    def _before(self, module: nn.Module, _arguments: Any) -> None:
        self._kept[module] = self._waiting(module)
        self._bring(module, self._kept[module])

    def _after(self, module: nn.Module, _arguments: Any, _output: Any) -> None:
        _put(module, self._kept.pop(module, {}))


@contextmanager
def brought(network: nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """`network` computing on `device` in `dtype` meanwhile; no weight is changed."""
    on_use = BroughtOnUse(network, device, dtype)
    try:
        yield
    finally:
        on_use.remove()


def _put(module: nn.Module, weights: dict[str, nn.Parameter]) -> None:
    for name, weight in weights.items():
        setattr(module, name, weight)


def _bring_buffers(module: nn.Module, device: torch.device) -> None:
    """Buffers are few and small (CLIP's position numbers)."""
    for name, buffer in module.named_buffers(recurse=False):
        if buffer.device != device:
            setattr(module, name, buffer.to(device))
