"""Textual inversion (Gal et al. 2022, eq. 2): a new word is found, and no weight is changed.

The word's vector is trained with the UNet's own objective; text tower and UNet stay as they are. A file holds the
vector as `emb_params` (vectors, width), as AUTOMATIC1111's WebUI stores it in safetensors; the file's name is the word.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.training.examples import spoken
from pipelines.training.world.scene import Colour, Kind, Scene

COLOURED = re.compile(rf"\b(?:an? )?({'|'.join(Colour)}) ({'|'.join(Kind)})\b")  # and not "a blue sky"


class NewWord(nn.Module):
    """The vector (1, width) of a word that comes after all known ones; it begins as the mean of some of them."""

    def __init__(self, known: nn.Embedding, like: list[int]) -> None:
        super().__init__()
        self.vector = nn.Parameter(known.weight[like].detach().mean(0, keepdim=True).clone())


class WiderEmbedding(nn.Module):
    """A text tower's token table with one more word."""

    def __init__(self, known: nn.Embedding, word: NewWord) -> None:
        super().__init__()
        self.known, self.word = known, word

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, torch.cat([self.known.weight, self.word.vector]))


def learn_word(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, word: str, like: tuple[str, ...]) -> NewWord:
    """Teach `word`, which begins as the mean of the words `like`, to tokenizer and tower; its vector is returned."""
    encoder.requires_grad_(False)
    known = encoder.get_input_embeddings()
    new = NewWord(known, [tokenizer.convert_tokens_to_ids(f"{near}</w>") for near in like])
    tokenizer.add_tokens([word])
    encoder.set_input_embeddings(WiderEmbedding(known, new))
    return new


def with_colour(word: str) -> Callable[[Scene, random.Random], str]:
    """A way to say scenes in which every subject's colour is `word`."""

    def say(scene: Scene, rng: random.Random) -> str:
        return recoloured(spoken(scene, rng), word)

    return say


def recoloured(text: str, word: str) -> str:
    """`text` with every subject's colour called `word`, and the article that goes with it."""

    def other(match: re.Match[str]) -> str:
        article = "an " if word[0] in "aeiou" else "a "
        return f"{article if match[0].startswith(('a ', 'an ')) else ''}{word} {match[2]}"

    return COLOURED.sub(other, text)


def save_word(file: Path, word: NewWord) -> None:
    """Write the vector."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({"emb_params": word.vector.detach().half().cpu().contiguous()}, file)
