"""CLIP's tokenizer, built from the vocabulary that OpenAI published: single files bring none along.

The file (openai/CLIP, `bpe_simple_vocab_16e6.txt.gz`, MIT) lists merges, most frequent first. A token's id is its place
in: the 256 byte symbols, the same ending a word, the merges, the beginning, the end.
"""

import gzip
from collections.abc import Sequence
from functools import cache

from transformers import CLIPTokenizer

from pipelines.core.presets import PRESETS

FILE = PRESETS / "architectures" / "clip" / "bpe_simple_vocab_16e6.txt.gz"
MERGES = 48_894
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
ENDING = "</w>"
Pairs = list[tuple[str, str]]
TOKENS = 77
"""A chunk: the beginning, 75 of the text, the end."""


def clip_tokenizer(*, pad: str, merges: Sequence[str] = ()) -> CLIPTokenizer:
    """The tokenizer of every Stable Diffusion; chunks are filled with `pad`: the end, or `!` for OpenCLIP's.

    `merges`: pairs with a space between, of a model that has learnt other words.
    """
    pairs = [(a, b) for a, b in (pair.split() for pair in merges)]
    vocabulary, listed = _ordered(pairs) if pairs else _vocabulary()
    return CLIPTokenizer(vocab=dict(vocabulary), merges=list(listed), pad_token=pad, model_max_length=TOKENS)


@cache
def _vocabulary() -> tuple[dict[str, int], Pairs]:
    lines = gzip.decompress(FILE.read_bytes()).decode().split("\n")[1 : MERGES + 1]
    return _ordered([(a, b) for a, b in (line.split() for line in lines)])


def _ordered(merges: Pairs) -> tuple[dict[str, int], Pairs]:
    """The numbers of the tokens that `merges` make."""
    symbols = [chr(code) for code in _code_points()]
    tokens = [*symbols, *(s + ENDING for s in symbols), *(a + b for a, b in merges), BEGIN, END]
    return {token: number for number, token in enumerate(tokens)}, merges


def _code_points() -> list[int]:
    """The character that stands for each byte: itself where it prints, else one from 256 on; those that print first."""
    printing = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printing)
    return [*printing, *range(256, 256 + others)]
