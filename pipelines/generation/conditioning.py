"""From words to what the UNet attends to: CLIP's hidden states, for prompts of any length."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.core.error import InvalidRequest
from pipelines.models.loading import LoadedModel


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The two texts, encoded: each (1, tokens, width), of equal length."""

    prompt: Tensor
    negative: Tensor | None
    """None: not needed."""


def encode(model: LoadedModel, prompt: str, negative: str | None, *, clip_skip: int) -> Conditioning:
    """Both texts as CLIP's hidden states, padded to the same number of 77-token chunks.

    `clip_skip` 1 takes the text encoder's last layer, 2 the one before, ...
    Raises InvalidRequest when the encoder has fewer layers.
    """
    layers = model.text_encoder.config.num_hidden_layers
    if clip_skip > layers:
        raise InvalidRequest(
            f"CLIP skip {clip_skip} leaves nothing: this model's text encoder has {layers} layers",
            fix=f"use 1 to {layers}", field="clip_skip",
        )  # fmt: skip
    encoded = _encoded(model, prompt, clip_skip)
    if negative is None:
        return Conditioning(encoded, None)
    other, empty = _encoded(model, negative, clip_skip), _encoded(model, "", clip_skip)
    length = max(encoded.shape[1], other.shape[1])
    return Conditioning(_padded(encoded, empty, length), _padded(other, empty, length))


def _encoded(model: LoadedModel, text: str, clip_skip: int) -> Tensor:
    """(1, 77 * chunks, width), remembered as long as the model is in memory."""
    return model.recall.get(("text", text, clip_skip), lambda: _run(model, chunks(model, text), clip_skip))


def chunks(model: LoadedModel, text: str) -> list[list[int]]:
    """Token ids in chunks of 77: beginning, up to 75 of the text, end, padding. At least one chunk."""
    tokenizer = model.tokenizer
    ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    length = model.text_encoder.config.max_position_embeddings
    begin, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    parts = _parts(ids, length - 2)
    return [[begin, *part, end] + [pad] * (length - 2 - len(part)) for part in parts]


def _parts(ids: list[int], length: int) -> Iterator[list[int]]:
    for start in range(0, max(len(ids), 1), length):
        yield ids[start : start + length]


@torch.inference_mode()
def _run(model: LoadedModel, token_ids: list[list[int]], clip_skip: int) -> Tensor:
    ids = torch.tensor(token_ids, device=model.device)
    encoder = model.text_encoder
    if clip_skip == 1:
        states = encoder(ids).last_hidden_state
    else:
        hidden = encoder(ids, output_hidden_states=True).hidden_states[-clip_skip]
        # The UNet was trained on normed states. The norm's place depends on the release of transformers.
        states = getattr(encoder, "text_model", encoder).final_layer_norm(hidden)
    encoded: Tensor = states.reshape(1, -1, states.shape[-1])
    return encoded


def _padded(encoded: Tensor, empty: Tensor, length: int) -> Tensor:
    """`encoded` with chunks of the empty text added up to `length` tokens."""
    missing = (length - encoded.shape[1]) // empty.shape[1]
    return torch.cat([encoded, *[empty] * missing], dim=1) if missing else encoded
