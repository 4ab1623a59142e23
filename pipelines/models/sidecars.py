"""What other programs leave beside a model: a picture, and a text that tells how it is used. Read, never trusted.

`NAME.preview.png` and `NAME.json` come from AUTOMATIC1111 and its kin, `NAME.civitai.info` from Civitai's helpers.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.models.recipes import stem_of

PICTURES = (".preview.png", ".preview.jpg", ".preview.jpeg", ".preview.webp", ".png", ".jpg", ".jpeg", ".webp")
TEXTS = (".civitai.info", ".json")
MOST_TEXT = 4 * 1024 * 1024
"""Bytes of a sidecar; larger ones are something else."""
MOST_WORDS = 20
LONGEST = 2_000
"""Characters of anything that is shown."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What the texts beside a model say."""

    description: str = ""
    triggers: tuple[str, ...] = ()
    """Words that call up what a LoRA or embedding has learnt."""


def preview_of(model: Path) -> Path | None:
    """The picture that belongs to the model at `model`, a file or a folder."""
    return next((file for suffix in PICTURES if (file := _beside(model, suffix)).is_file()), None)


def belongings_of(model: Path) -> Iterator[Path]:
    """The pictures and texts beside the model at `model`."""
    return (file for suffix in (*PICTURES, *TEXTS) if (file := _beside(model, suffix)).is_file())


def sidecar_of(model: Path) -> Sidecar:
    """What the texts beside the model at `model` say; nothing where there are none, or they cannot be read."""
    said = [_read(file) for suffix in TEXTS if (file := _beside(model, suffix)).is_file()]
    description = next((text for one in said for text in _texts(one, "description", "notes")), "")
    words = [word for one in said for word in (*_texts(one, "trainedWords"), *_texts(one, "activation text"))]
    return Sidecar(description, tuple(dict.fromkeys(words))[:MOST_WORDS])


def _beside(model: Path, suffix: str) -> Path:
    return model.with_name(f"{stem_of(model)}{suffix}")


def _read(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > MOST_TEXT:
            return {}
        said = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # a sidecar that cannot be read is as good as none
        return {}
    return said if isinstance(said, dict) else {}


def _texts(said: Mapping[str, Any], *keys: str) -> Iterator[str]:
    for key in keys:
        value = said.get(key)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text.strip():
                yield text.strip()[:LONGEST]


def triggers_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Trigger words from a safetensors header: the one its author names, else the commonest tags of its training."""
    if phrase := metadata.get("modelspec.trigger_phrase", "").strip():
        return (phrase[:LONGEST],)
    try:
        counted = json.loads(metadata.get("ss_tag_frequency", "{}"))
    except (ValueError, RecursionError):
        return ()
    totals: dict[str, int] = {}
    for folder in counted.values() if isinstance(counted, dict) else ():
        for tag, number in folder.items() if isinstance(folder, dict) else ():
            if isinstance(tag, str) and isinstance(number, int):
                totals[tag.strip()] = totals.get(tag.strip(), 0) + number
    return tuple(sorted(totals, key=lambda tag: -totals[tag]))[:5]
