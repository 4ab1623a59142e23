"""Weights kept in one number format and computed in another, a module at a time."""

from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


class WidenOnUse:
    """Lets `network` compute in `dtype` while its weights stay as they are: in fp8, or in a file mapped into memory.

    Each module with weights of its own gets wide copies just before it runs and drops them after it. That costs one
    pass over the weights a step, and no more memory than the largest module needs.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._kept: dict[nn.Module, dict[str, nn.Parameter]] = {}
        self._handles: list[RemovableHandle] = []
        for module in network.modules():
            if any(weight.dtype != dtype for weight in module.parameters(recurse=False)):
                self._handles.append(module.register_forward_pre_hook(self._widen))
                self._handles.append(module.register_forward_hook(self._restore, always_call=True))

    def remove(self) -> None:
        """Leave the network as it was."""
        for handle in self._handles:
            handle.remove()

    def _widen(self, module: nn.Module, _arguments: Any) -> None:
        narrow = {
            name: weight for name, weight in module.named_parameters(recurse=False) if weight.dtype != self._dtype
        }
        self._kept[module] = narrow
        for name, weight in narrow.items():
            setattr(module, name, nn.Parameter(weight.detach().to(self._dtype), requires_grad=False))

    def _restore(self, module: nn.Module, _arguments: Any, _output: Any) -> None:
        for name, weight in self._kept.pop(module, {}).items():
            setattr(module, name, weight)
