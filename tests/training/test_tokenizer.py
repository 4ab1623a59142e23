"""The tokenizer: CLIP's layout, the world's words, and letters for the rest."""

import json
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from pipelines.training.text import token_ids
from pipelines.training.tokenizer import save_tokenizer, train_tokenizer, world_texts
from pipelines.training.world.scene import Colour, Kind, Relation

PROMPT = "a red house on a hill under a night sky"


@pytest.fixture(scope="module")
def learnt() -> CLIPTokenizer:
    return train_tokenizer(world_texts(seed=1, count=600))


@pytest.fixture(scope="module")
def stored(learnt: CLIPTokenizer, tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(learnt, folder)
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def test_a_prompt_survives_the_round_trip(stored: CLIPTokenizer) -> None:
    assert stored.decode(stored(PROMPT).input_ids, skip_special_tokens=True) == PROMPT


@pytest.mark.parametrize("word", [*Kind, *Colour, "hill", "behind", "sunset", "an"])
def test_every_word_of_the_world_is_one_token(stored: CLIPTokenizer, word: str) -> None:
    assert stored.tokenize(word) == [f"{word}</w>"]


def test_a_relation_of_two_words_is_two_tokens(stored: CLIPTokenizer) -> None:
    assert len(stored.tokenize(Relation.LEFT_OF)) == 2


@pytest.mark.parametrize("word", ["zyx", "крот", "猫", "42", "¿?"])
def test_an_unknown_word_falls_back_to_known_letters(stored: CLIPTokenizer, word: str) -> None:
    assert len(stored.tokenize(word)) >= 2
    assert stored.decode(stored(word).input_ids, skip_special_tokens=True).replace(" ", "") == word


def test_capitals_and_spaces_do_not_matter(stored: CLIPTokenizer) -> None:
    assert stored("A  RED\nhouse").input_ids == stored("a red house").input_ids


def test_texts_are_padded_and_cut_to_77(stored: CLIPTokenizer) -> None:
    ids = token_ids(stored, ["", PROMPT, "cat " * 200])
    assert ids.shape == (3, 77)
    assert (ids[:, 0] == len(stored) - 2).all()
    assert (ids[:, -1] == len(stored) - 1).all()


def test_a_stored_tokenizer_reads_as_it_did_before(learnt: CLIPTokenizer, stored: CLIPTokenizer) -> None:
    texts = ["a big pink castle, sunset", "(masterpiece:1.2), best quality", "naïve café's"]
    assert [stored(t).input_ids for t in texts] == [learnt(t).input_ids for t in texts]


def test_vocabulary_and_merges_alone_suffice(learnt: CLIPTokenizer, tmp_path: Path) -> None:
    save_tokenizer(learnt, tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    lines = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    rebuilt = CLIPTokenizer(vocab=vocabulary, merges=[tuple(line.split(" ")) for line in lines])
    assert rebuilt(PROMPT).input_ids == learnt(PROMPT).input_ids
    assert vocabulary["<|endoftext|>"] == len(vocabulary) - 1
