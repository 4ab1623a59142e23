"""The starter models together, tried and shown: mixes of the styles, LoRAs, the new word, a subject replaced."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image

from pipelines.training import evaluate
from pipelines.training.checkers.judge import Judge
from pipelines.training.effects import (
    Replacement,
    flakes_in,
    nearness,
    outcome,
    repainted,
    replacements,
    shares,
    warmth_around,
)
from pipelines.training.embedding import recoloured
from pipelines.training.evaluate import ANSWER_AT_ONCE, Manner, distances, drawings, sit
from pipelines.training.exam import Question, Topic, expected_boxes, questions
from pipelines.training.model import open_inpaint_model, open_model
from pipelines.training.recipe import TEAL, LoraName
from pipelines.training.world.canvas import Box
from pipelines.training.world.scene import Style

INK_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the mixes
STRENGTHS = (0.0, 0.5, 1.0)  # of the LoRAs
COMPARED = 200  # pictures: 64 features need as many to have a covariance worth the name
NEW_WORD = "teal"
WORDS = ("green", NEW_WORD, "blue")  # the new word between those it began as

Reader = Callable[[Image.Image, Box], float]

READERS: Mapping[LoraName, Reader] = {
    LoraName.GLOW: lambda picture, box: warmth_around(np.asarray(picture), box),
    LoraName.SNOWFALL: lambda picture, box: flakes_in(picture),
}


@dataclass(frozen=True, slots=True)
class Effects:
    """All that is measured of what the family does together; `pictures` of each."""

    pictures: int
    mixes: Mapping[str, float]  # Fréchet distances
    loras: Mapping[str, Mapping[float, float]]  # by name, then strength: the mean of the LoRA's own reading
    words: Mapping[str, float]  # by word: the mean share of the subject that is of the new word's colour
    replaced: Mapping[str, float]  # see `effects.shares`


@torch.no_grad()
def mixed(first: UNet2DConditionModel, second: UNet2DConditionModel, share: float) -> UNet2DConditionModel:
    """A new UNet: every weight (1 - share) of the first's and share of the second's."""
    mix = deepcopy(first)
    others = second.state_dict()
    mix.load_state_dict({name: torch.lerp(weight, others[name], share) for name, weight in first.state_dict().items()})
    return mix


@dataclass(frozen=True, slots=True)
class Family:
    """The shipped files under `folder`, and how pictures are asked of them; `manner.style` is of no account."""

    folder: Path
    manner: Manner

    def mix(self, ink: float) -> StableDiffusionPipeline:
        """The flat model with the share `ink` (0-1) of the ink one's UNet."""
        pipeline, other = (open_model(self.folder / style) for style in (Style.FLAT, Style.INK))
        pipeline.unet = mixed(pipeline.unet, other.unet, ink)
        return pipeline

    def with_lora(self, name: LoraName, strength: float) -> StableDiffusionPipeline:
        """The flat model with a LoRA at `strength`."""
        pipeline = open_model(self.folder / Style.FLAT)
        pipeline.load_lora_weights(self.folder / "loras" / f"{name}.safetensors", adapter_name=name)
        pipeline.set_adapters(name, strength)
        return pipeline

    def with_word(self) -> StableDiffusionPipeline:
        """The flat model that has learnt the new word."""
        pipeline = open_model(self.folder / Style.FLAT)
        pipeline.load_textual_inversion(self.folder / "embeddings" / f"{NEW_WORD}.safetensors", token=NEW_WORD)
        return pipeline

    def measure(self, judge: Judge, count: int, *, compared: int = COMPARED, seed: int = 0) -> Effects:
        """Every effect, read from `count` pictures each, the distances from `compared`."""
        lone = questions(Topic.COMBINATIONS, count, seed=seed)
        return Effects(
            pictures=count,
            mixes=self._measure_mix(judge, evaluate.mixed(compared, seed=seed)),
            loras={name: {s: self._read_lora(name, s, lone) for s in STRENGTHS} for name in READERS},
            words={word: self._read_word(word, lone) for word in WORDS},
            replaced=self._measure_replacements(judge, replacements(count, seed=seed)),
        )

    def _measure_mix(self, judge: Judge, asked: Sequence[Question]) -> Mapping[str, float]:
        """The half-and-half mix, and the drawings of either style, against fresh drawings of both."""
        mix = evaluate.model(self.mix(0.5), self.manner)
        artists = {style: drawings(replace(self.manner, style=style)) for style in Style}
        made = {f"{style} drawings": sit(artist, asked, judge, style).features for style, artist in artists.items()}
        made["the half mix"] = sit(mix, asked, judge, Style.FLAT).features
        return distances(made, asked, judge, self.manner)

    def _read_lora(self, name: LoraName, strength: float, asked: Sequence[Question]) -> float:
        artist = evaluate.model(self.with_lora(name, strength), self.manner)
        return mean(
            READERS[name](picture, self._box(question)) for question, picture in evaluate.answers(artist, asked)
        )

    def _read_word(self, word: str, asked: Sequence[Question]) -> float:
        pictures = self._in_colour(self.with_word(), word, asked)
        return mean(
            nearness(np.asarray(picture), self._box(question), TEAL)
            for question, picture in zip(asked, pictures, strict=True)
        )

    def _in_colour(
        self, pipeline: StableDiffusionPipeline, word: str, asked: Sequence[Question]
    ) -> Iterator[Image.Image]:
        """The answers when every subject's colour is called `word`."""
        for start in range(0, len(asked), ANSWER_AT_ONCE):
            some = asked[start : start + ANSWER_AT_ONCE]
            prompts = [recoloured(question.prompt, word) for question in some]
            yield from evaluate.painted(pipeline, prompts, [question.seed for question in some], self.manner)

    def _measure_replacements(self, judge: Judge, asked: Sequence[Replacement]) -> Mapping[str, float]:
        return shares([outcome(one, picture, judge) for one, picture in zip(asked, self._repaint(asked), strict=True)])

    def _repaint(self, asked: Sequence[Replacement]) -> Iterator[Image.Image]:
        pipeline = open_inpaint_model(self.folder / "inpaint")
        for start in range(0, len(asked), ANSWER_AT_ONCE):
            yield from repainted(pipeline, asked[start : start + ANSWER_AT_ONCE], self.manner)

    def _box(self, question: Question) -> Box:
        return expected_boxes(question.scene, self.manner.width, self.manner.height)[0]

    def sheet(self) -> Image.Image:
        """Rows to look at: two ladders of mixes, the LoRAs, the new word, and two subjects replaced."""
        cells = [*self._mix_cells(), *self._lora_cells(), *self._word_cells(), *self._replaced_cells()]
        labels, pictures = zip(*cells, strict=True)
        return evaluate.sheet(pictures, columns=len(INK_SHARES), labels=labels)

    def _mix_cells(self) -> Iterator[tuple[str, Image.Image]]:
        asked = evaluate.mixed(3, seed=3)[::2]
        columns = [evaluate.model(self.mix(ink), self.manner)(asked) for ink in INK_SHARES]
        for row, question in enumerate(asked):
            for ink, column in zip(INK_SHARES, columns, strict=True):
                yield f"{evaluate.short_label(question.scene)}\nink {ink:g}", column[row]

    def _lora_cells(self) -> Iterator[tuple[str, Image.Image]]:
        asked = questions(Topic.COMBINATIONS, 1, seed=5)
        for name, strength in ((LoraName.GLOW, 0.0), *((name, s) for name in READERS for s in STRENGTHS[1:])):
            (picture,) = evaluate.model(self.with_lora(name, strength), self.manner)(asked)
            yield f"{evaluate.short_label(asked[0].scene)}\n{name} {strength:g}", picture

    def _word_cells(self) -> Iterator[tuple[str, Image.Image]]:
        pipeline, asked = self.with_word(), questions(Topic.COMBINATIONS, 3, seed=6)
        for word, question in (*((word, asked[0]) for word in WORDS), *((NEW_WORD, q) for q in asked[1:])):
            (picture,) = self._in_colour(pipeline, word, [question])
            yield f"{word} {question.scene.subjects[0].kind}\n{question.scene.sky}", picture

    def _replaced_cells(self) -> Iterator[tuple[str, Image.Image]]:
        first, second = asked = replacements(2, seed=7)
        done = list(self._repaint(asked))
        size = self.manner.width, self.manner.height
        yield "before", first.picture(size)
        yield "masked", first.masked(size)
        yield f"after:\n{evaluate.short_label(first.after)}", done[0]
        yield "before", second.picture(size)
        yield f"after:\n{evaluate.short_label(second.after)}", done[1]
