"""How the UNet and the VAE attend: one attention block, and the functions that may sit in it.

Each function computes softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, eq. 1) of (batch, heads, tokens, d) tensors.
`set_attention_backend` does nothing on UNets, so the block is set as their attention processor.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from pipelines.core import attention as attentions
from pipelines.core.attention import ATTENTIONS, AUTO
from pipelines.core.error import InvalidRequest
from pipelines.models.memory import is_memory_error

CHUNK_BYTES = 16 * 1024 * 1024
"""Of the scores that `chunked` holds at a time: large enough for full speed, small beside what else a UNet holds."""

USUAL_WIDTH = 64
"""Of the heads of most families; SD 1.x has 40, 80 and 160."""

AttentionFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


def naive(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The whole matrix of scores at once."""
    scores: Tensor = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.softmax(-1) @ v


def chunked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As many queries at a time as `CHUNK_BYTES` of scores allow."""
    batch, heads, tokens, _ = q.shape
    row = batch * heads * k.shape[2] * q.element_size()
    answer = torch.empty_like(q)
    for start in range(0, tokens, at_once := max(1, CHUNK_BYTES // row)):
        answer[:, :, start : start + at_once] = naive(q[:, :, start : start + at_once], k, v)
    return answer


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's, with the kernel it thinks best."""
    return scaled_dot_product_attention(q, k, v)


def with_kernel(kernel: SDPBackend) -> AttentionFunction:
    """PyTorch's, with one kernel and no other."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(kernel):
            return scaled_dot_product_attention(q, k, v)

    return attend


def xformers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The one of the xformers package, which wants the heads behind the tokens."""
    attend: AttentionFunction = importlib.import_module("xformers.ops").memory_efficient_attention
    return attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)


FUNCTIONS: Mapping[str, AttentionFunction] = {
    AUTO: sdpa,
    "sdpa": sdpa,
    "flash": with_kernel(SDPBackend.FLASH_ATTENTION),
    "efficient": with_kernel(SDPBackend.EFFICIENT_ATTENTION),
    "cudnn": with_kernel(SDPBackend.CUDNN_ATTENTION),
    "xformers": xformers,
    "chunked": chunked,
    "naive": naive,
}
OF_VAE: Mapping[str, AttentionFunction] = {"chunked": chunked, "naive": naive}
"""Else `sdpa`: the VAE's one head is wider than the special kernels take."""


class AttentionBlock:
    """What diffusers calls an attention processor: projections around an attention function."""

    def __init__(self, attend: AttentionFunction) -> None:
        self._attend = attend

    def __call__(
        self, block: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, temb: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """(batch, tokens, channels), or (batch, channels, height, width) in a VAE; to the same shape."""
        if attention_mask is not None:
            raise NotImplementedError("no model of ours masks its attention")
        shape, residual = hidden_states.shape, hidden_states
        if len(shape) == 4:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        if block.group_norm is not None:
            hidden_states = block.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and block.norm_cross:
            context = block.norm_encoder_hidden_states(context)
        q, k, v = (
            project(states).unflatten(-1, (block.heads, -1)).transpose(1, 2)
            for project, states in ((block.to_q, hidden_states), (block.to_k, context), (block.to_v, context))
        )
        answer = block.to_out[0](self._attend(q, k, v).transpose(1, 2).flatten(2))
        if len(shape) == 4:
            answer = answer.transpose(1, 2).reshape(shape)
        whole: Tensor = (answer + residual if block.residual_connection else answer) / block.rescale_output_factor
        return whole


def find_attention(name: str, device: torch.device) -> str:
    """The key of the attention called `name`, tried on `device` in its usual number format.

    Raises UnknownName, or InvalidRequest when this machine cannot compute it.
    """
    attention = ATTENTIONS.find(name, field="attention")
    _try_out(attention, USUAL_WIDTH, device, torch.float32 if device.type == "cpu" else torch.float16)
    return attention.key


def set_attention(unet: Any, vae: Any, key: str, device: torch.device, dtype: torch.dtype) -> None:
    """Have both networks attend as `key` says. Raises InvalidRequest when their heads cannot be computed that way."""
    blocks = [block for block in unet.modules() if isinstance(block, Attention)]
    for width in {block.inner_dim // block.heads for block in blocks}:
        _try_out(ATTENTIONS.find(key), width, device, dtype)
    for block in blocks:
        block.set_processor(AttentionBlock(FUNCTIONS[key]))
    for block in (block for block in vae.modules() if isinstance(block, Attention)):
        block.set_processor(AttentionBlock(OF_VAE.get(key, sdpa)))


def _try_out(attention: attentions.Attention, width: int, device: torch.device, dtype: torch.dtype) -> None:
    """Whether heads of this width can be computed so: kernels differ in what they take."""
    q = torch.zeros((1, 8, 64, width), device=device, dtype=dtype)
    try:
        FUNCTIONS[attention.key](q, q, q)
    except (ImportError, RuntimeError, NotImplementedError, ValueError) as error:
        if is_memory_error(error):
            raise
        word = str(dtype).removeprefix("torch.")
        raise InvalidRequest(
            f"The attention {attention.label} does not run here ({device.type}, {word}, heads {width} wide)",
            fix="use --attention auto", field="attention", detail=str(error),
        ) from error  # fmt: skip
