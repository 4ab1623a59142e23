"""Byte-pair encoding in the layout of CLIP's, learned from the world's captions.

Every word of the world becomes one token; any other word falls back to its letters.
"""

import json
import random
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from pipelines.training.networks import TOKENS
from pipelines.training.world import captions
from pipelines.training.world.sampling import random_scene

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
# CLIP's own rule (Radford et al. 2021, `simple_tokenizer.py`): contractions, words, digits, runs of other signs.
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def world_texts(seed: int, count: int) -> list[str]:
    """Captions enough to meet every word, with the words that surround prompts."""
    rng = random.Random(seed)
    texts = [captions.caption(random_scene(rng), rng).text for _ in range(count)]
    return [*texts, *(captions.OPENINGS * 3), *(captions.PRAISE * 3), *(captions.BLAME * 3)]


def train_tokenizer(texts: Iterable[str]) -> CLIPTokenizer:
    """Merge until every word that occurs at least twice is one token."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=4096,  # never reached: merging ends when nothing occurs twice
        min_frequency=2,
        initial_alphabet=letters,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    # CLIP's order: letters, letters that end a word, one token per merge, start, end.
    tokens = [*letters, *(letter + WORD_END for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write `tokenizer.json`, and the `vocab.json` and `merges.txt` that older programs read."""
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
