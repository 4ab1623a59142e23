"""Block weights by name: what `presets/merges/blocks.json` holds, the field's own presets. No torch here."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.blocks import SD, XL, Blocks, read_numbers
from pipelines.core.presets import PRESETS
from pipelines.core.registry import unknown

FILE = PRESETS / "merges" / "blocks.json"
"""The values of bbc-mc's MBW; for SDXL those of model-mixer, which follow the same curves over fewer blocks."""


class BlockPreset(BaseModel):
    """A curve over the blocks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()
    sd: tuple[float, ...] = Field(min_length=len(SD), max_length=len(SD))
    xl: tuple[float, ...] = Field(min_length=len(XL), max_length=len(XL))

    @property
    def key(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        return self.name

    def weights(self, blocks: Blocks) -> tuple[float, ...]:
        """BASE first."""
        return self.sd if blocks == SD else self.xl


@cache
def block_presets(file: Path = FILE) -> Mapping[str, BlockPreset]:
    """By name and by every other spelling, in upper case; names hold signs (`SMOOTHSTEP*2`) that tell them apart."""
    presets = [BlockPreset.model_validate(one) for one in json.loads(file.read_text(encoding="utf-8"))]
    return {spelling: one for one in presets for spelling in (one.name, *one.aliases)}


def block_weights(text: str, blocks: Blocks) -> tuple[float, ...]:
    """The weights that `text` means: a preset's name, or numbers. Raises UnknownName, InvalidRequest."""
    known = block_presets()
    spelled = {name.upper(): preset for name, preset in known.items()}
    if preset := spelled.get(text.strip().upper()):
        return preset.weights(blocks)
    if text.strip()[:1].isalpha():
        raise unknown(text.strip(), known, noun="preset of block weights", field="blocks")
    return read_numbers(text)
