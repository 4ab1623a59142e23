"""Every word on the screen, by key, in one language; the tables are `locales/*.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.registry import find

LOCALES = Path(__file__).parent / "locales"


@dataclass(frozen=True)
class Words:
    """`words("stage.step", step=3, steps=20)` is "Step 3 of 20"."""

    language: str
    table: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text `key` with its {names} filled in. An unknown key is a mistake of ours: KeyError."""
        return self.table[key].format_map(values)


def languages() -> dict[str, Path]:
    """The languages there are, by their code."""
    return {path.stem: path for path in sorted(LOCALES.glob("*.json"))}


def read_words(language: str = "en") -> Words:
    """The words of a language. Raises UnknownName with the ones there are."""
    path = find(languages(), language, noun="language")
    return Words(language, json.loads(path.read_text(encoding="utf-8")))
