"""From words to what the UNet attends to: CLIP's hidden states, for prompts of any length."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.core.error import InvalidRequest
from pipelines.models.loading import LoadedModel, TextTower


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as the UNet reads it."""

    states: Tensor
    """(1, tokens, width): those of all towers side by side."""
    summary: Tensor | None
    """(1, width): SDXL's second tower sums up the first chunk; None where no tower does."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The two texts, encoded to equal length."""

    prompt: Encoded
    negative: Encoded | None
    """None: not needed."""


def encode(model: LoadedModel, prompt: str, negative: str | None, *, clip_skip: int) -> Conditioning:
    """Both texts as CLIP's hidden states, padded to the same number of 77-token chunks.

    `clip_skip` 1 takes the layer the model was trained on, 2 the one before, ...
    Raises InvalidRequest when the encoder has fewer layers.
    """
    for tower in model.towers:
        layers = tower.encoder.config.num_hidden_layers - (tower.last_layer - 1)
        if clip_skip > layers:
            raise InvalidRequest(
                f"CLIP skip {clip_skip} leaves nothing: this model's text encoder has {layers} layers",
                fix=f"use 1 to {layers}", field="clip_skip",
            )  # fmt: skip
    encoded = _encoded(model, prompt, clip_skip)
    if negative is None:
        return Conditioning(encoded, None)
    other, empty = _encoded(model, negative, clip_skip), _encoded(model, "", clip_skip)
    length = max(encoded.states.shape[1], other.states.shape[1])
    return Conditioning(_padded(encoded, empty, length), _padded(other, empty, length))


def _encoded(model: LoadedModel, text: str, clip_skip: int) -> Encoded:
    """`text` by all towers, remembered as long as the model is in memory."""
    states, *summary = model.recall.get(("text", text, clip_skip), lambda: _side_by_side(model, text, clip_skip))
    return Encoded(states, summary[0] if summary else None)


def _side_by_side(model: LoadedModel, text: str, clip_skip: int) -> tuple[Tensor, ...]:
    """The states of all towers, and the summary of the one that makes one."""
    seen = [_run(tower, chunks(tower, text), clip_skip, model.device) for tower in model.towers]
    summaries = [summary for _, summary in seen if summary is not None]
    return torch.cat([states for states, _ in seen], dim=-1), *summaries


def chunks(tower: TextTower, text: str) -> list[list[int]]:
    """Token ids in chunks of 77: beginning, up to 75 of the text, end, padding. At least one chunk."""
    tokenizer = tower.tokenizer
    ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    length = tower.encoder.config.max_position_embeddings
    begin, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    parts = _parts(ids, length - 2)
    return [[begin, *part, end] + [pad] * (length - 2 - len(part)) for part in parts]


def _parts(ids: list[int], length: int) -> Iterator[list[int]]:
    for start in range(0, max(len(ids), 1), length):
        yield ids[start : start + length]


@torch.inference_mode()
def _run(
    tower: TextTower, token_ids: list[list[int]], clip_skip: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """(1, tokens, width), and (1, width) of the first chunk."""
    encoder = tower.encoder
    output = encoder(torch.tensor(token_ids, device=device), output_hidden_states=True)
    states = output.hidden_states[-(clip_skip + tower.last_layer - 1)]
    if tower.normed:
        # The UNet was trained on normed states. The norm's place depends on the release of transformers.
        states = getattr(encoder, "text_model", encoder).final_layer_norm(states)
    return states.reshape(1, -1, states.shape[-1]), output.text_embeds[:1] if tower.projects else None


def _padded(encoded: Encoded, empty: Encoded, length: int) -> Encoded:
    """`encoded` with chunks of the empty text added up to `length` tokens."""
    missing = (length - encoded.states.shape[1]) // empty.states.shape[1]
    if not missing:
        return encoded
    return Encoded(torch.cat([encoded.states, *[empty.states] * missing], dim=1), encoded.summary)
