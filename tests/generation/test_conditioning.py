"""From words to what the UNet attends to."""

import copy
from dataclasses import replace

import pytest
import torch

from pipelines.generation.conditioning import chunks, encode
from pipelines.models.loading import LoadedModel


def test_a_short_text_is_what_clip_makes_of_it(starter: LoadedModel) -> None:
    inputs = starter.towers[0].tokenizer("a red house", padding="max_length", return_tensors="pt")
    with torch.inference_mode():
        expected = starter.towers[0].encoder(inputs.input_ids).last_hidden_state
    assert torch.equal(encode(starter, "a red house", None, clip_skip=1).prompt.states, expected)


def test_the_last_layer_normed_is_what_clip_skip_one_gives(starter: LoadedModel) -> None:
    inputs = starter.towers[0].tokenizer("a red house", padding="max_length", return_tensors="pt")
    with torch.inference_mode():
        hidden = starter.towers[0].encoder(inputs.input_ids, output_hidden_states=True).hidden_states
        norm = getattr(starter.towers[0].encoder, "text_model", starter.towers[0].encoder).final_layer_norm
        assert torch.equal(norm(hidden[-1]), encode(starter, "a red house", None, clip_skip=1).prompt.states)
        assert torch.equal(norm(hidden[-2]), encode(starter, "a red house", None, clip_skip=2).prompt.states)


@pytest.mark.parametrize(("words", "count"), [(0, 1), (1, 1), (75, 1), (76, 2), (150, 2), (151, 3)])
def test_seventy_five_tokens_to_a_chunk(words: int, count: int, starter: LoadedModel) -> None:
    parts = chunks(starter.towers[0], "red " * words)
    assert len(parts) == count
    assert {len(part) for part in parts} == {77}
    tokenizer = starter.towers[0].tokenizer
    assert all(part[0] == tokenizer.bos_token_id and tokenizer.eos_token_id in part for part in parts)


def test_a_tokenizer_that_does_not_know_the_length_of_a_chunk_is_not_asked(starter: LoadedModel) -> None:
    tokenizer = copy.deepcopy(starter.towers[0].tokenizer)
    tokenizer.model_max_length = int(1e30)
    assert chunks(replace(starter.towers[0], tokenizer=tokenizer), "red") == chunks(starter.towers[0], "red")


@pytest.mark.parametrize(("prompt", "negative"), [("red " * 200, ""), ("", "red " * 200)])
def test_both_texts_end_up_equally_long(prompt: str, negative: str, starter: LoadedModel) -> None:
    both = encode(starter, prompt, negative, clip_skip=1)
    assert both.negative is not None
    assert both.prompt.states.shape == both.negative.states.shape == (1, 3 * 77, both.prompt.states.shape[-1])


def test_a_text_is_encoded_once(starter: LoadedModel) -> None:
    passes = []
    hook = starter.towers[0].encoder.register_forward_pre_hook(lambda *_: passes.append(1))
    try:
        first, again = (encode(starter, "only once, please", "", clip_skip=1) for _ in range(2))
    finally:
        hook.remove()
    assert first.prompt.states is again.prompt.states
    assert len(passes) <= 2  # the text and, the first time, the empty one
