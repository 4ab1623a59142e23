"""The text tower learns to tell scenes apart from their captions alone, before any picture is shown."""

import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.training.networks import TEXT_WIDTH
from pipelines.training.world.captions import Aspect, Caption, caption
from pipelines.training.world.sampling import random_scene
from pipelines.training.world.scene import Colour, Ground, Kind, Place, Relation, Scene, Size, Sky

UNSAID = -100  # the class that cross-entropy ignores
CLASSES: dict[Aspect, int] = {
    Aspect.KIND_1: len(Kind),
    Aspect.COLOUR_1: len(Colour),
    Aspect.KIND_2: len(Kind) + 1,  # the last: there is none
    Aspect.COLOUR_2: len(Colour),
    Aspect.SIZE: len(Size),
    Aspect.PLACE: len(Place),
    Aspect.RELATION: len(Relation),
    Aspect.SKY: len(Sky),
    Aspect.GROUND: len(Ground),
}


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Ids (n, 77), padded and cut as every program for SD 1.x does."""
    ids: Tensor = tokenizer(
        texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    return ids


def hidden_states(encoder: CLIPTextModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The last layer's states and the one's before ("clip skip 2"), both (n, 77, width) after the final norm."""
    out = encoder(ids, output_hidden_states=True)
    return out.last_hidden_state, _final_norm(encoder)(out.hidden_states[-2])


def _final_norm(encoder: CLIPTextModel) -> nn.Module:
    # transformers 5.18 moved the tower's parts up one level
    norm: nn.Module = getattr(encoder, "text_model", encoder).final_layer_norm
    return norm


def truth(scene: Scene, told: Caption) -> dict[Aspect, int]:
    """The class of every aspect, `UNSAID` where the caption does not tell it."""
    first, *rest = scene.subjects
    second = rest[0] if rest else None
    classes = {
        Aspect.KIND_1: list(Kind).index(first.kind),
        Aspect.COLOUR_1: list(Colour).index(first.colour),
        Aspect.KIND_2: list(Kind).index(second.kind) if second else len(Kind),
        Aspect.COLOUR_2: list(Colour).index(second.colour) if second else UNSAID,
        Aspect.SIZE: list(Size).index(first.size),
        Aspect.PLACE: list(Place).index(scene.place),
        Aspect.RELATION: list(Relation).index(scene.relation),
        Aspect.SKY: list(Sky).index(scene.sky),
        Aspect.GROUND: list(Ground).index(scene.ground),
    }
    always = {Aspect.KIND_2}  # that there is no second subject shows without being said
    return {a: c if a in told.said | always else UNSAID for a, c in classes.items()}


class TextTask(nn.Module):
    """A text tower with one linear head per aspect, read at the end-of-text token."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({a.name: nn.Linear(TEXT_WIDTH, n) for a, n in CLASSES.items()})

    def forward(self, ids: Tensor) -> tuple[dict[Aspect, Tensor], dict[Aspect, Tensor]]:
        """Logits (n, classes) per aspect from the last layer and from the one before; `ids` is (n, 77)."""
        ends = (ids == self.encoder.config.eos_token_id).int().argmax(-1)
        rows = torch.arange(len(ids), device=ids.device)
        last, before = (states[rows, ends] for states in hidden_states(self.encoder, ids))
        return self._read(last), self._read(before)

    def _read(self, states: Tensor) -> dict[Aspect, Tensor]:
        return {a: self.heads[a.name](states) for a in CLASSES}


class TextObjective:
    """Cross-entropy summed over the aspects told, from the last layer and, at half weight, the one before."""

    def __init__(self, task: TextTask, tokenizer: CLIPTokenizer, *, batch: int, seed: int) -> None:
        self._task, self._tokenizer, self._batch, self._seed = task, tokenizer, batch, seed

    def __call__(self, step: int) -> Tensor:
        ids, classes = self.examples(step)
        last, before = self._task(ids)
        return _cross_entropy(last, classes) + 0.5 * _cross_entropy(before, classes)

    def examples(self, step: int) -> tuple[Tensor, dict[Aspect, Tensor]]:
        """Ids (n, 77) and classes (n) of the captions of `step`."""
        rng = random.Random(self._seed * 1_000_003 + step)
        scenes = [random_scene(rng, duos=0.4) for _ in range(self._batch)]
        told = [caption(scene, rng) for scene in scenes]
        truths = [truth(scene, words) for scene, words in zip(scenes, told, strict=True)]
        device = next(self._task.parameters()).device
        ids = token_ids(self._tokenizer, [words.text for words in told])
        return ids.to(device), {a: torch.tensor([t[a] for t in truths], device=device) for a in CLASSES}


def _cross_entropy(logits: dict[Aspect, Tensor], classes: dict[Aspect, Tensor]) -> Tensor:
    # A sum over the told over the whole batch: finite also when nobody told an aspect
    losses = [
        F.cross_entropy(logits[a].float(), classes[a], ignore_index=UNSAID, reduction="sum") / len(classes[a])
        for a in CLASSES
    ]
    return torch.stack(losses).sum()
