"""Block weights by name: what `presets/merges/blocks.json` holds, the field's own presets. No torch here."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.core.blocks import SD, XL, Blocks, read_numbers
from pipelines.core.error import InvalidRequest
from pipelines.core.methods import LIMIT
from pipelines.core.presets import PRESETS, Kept
from pipelines.core.registry import unknown

FILE = PRESETS / "merges" / "blocks.json"
"""The values of bbc-mc's MBW; for SDXL those of model-mixer, which follow the same curves over fewer blocks."""


Weight = Annotated[float, Field(ge=-LIMIT, le=LIMIT)]


class BlockPreset(Kept):
    """A curve over the blocks: of both kinds of UNet, or of the one it was drawn for."""

    sd: tuple[Weight, ...] = ()
    """26 numbers, BASE first; empty: none."""
    xl: tuple[Weight, ...] = ()
    """20 numbers."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len(self.sd) not in {0, len(SD)} or len(self.xl) not in {0, len(XL)} or not (self.sd or self.xl):
            raise ValueError(f"it needs {len(SD)} numbers in sd, or {len(XL)} in xl, or both")
        return self

    def weights(self, blocks: Blocks) -> tuple[float, ...]:
        """BASE first. SDXL takes what was drawn for SD 1.x; the other way, InvalidRequest."""
        if drawn := self.sd if blocks == SD else self.xl:
            return drawn
        if not self.sd:
            raise InvalidRequest(f"{self.name} was drawn for SDXL", fix="choose another preset", field="blocks")
        return blocks.weights(self.sd, 0.0)


@cache
def block_presets(file: Path = FILE) -> tuple[BlockPreset, ...]:
    """Those that ship with Easel; names hold signs (`SMOOTHSTEP*2`) that tell them apart."""
    presets = json.loads(file.read_text(encoding="utf-8"))
    return tuple(BlockPreset.model_validate({**one, "factory": True}) for one in presets)


def block_weights(text: str, blocks: Blocks, presets: Iterable[BlockPreset]) -> tuple[float, ...]:
    """The weights that `text` means: one of the presets, or numbers. Raises UnknownName, InvalidRequest."""
    known = {spelling: one for one in presets for spelling in (one.name, *one.aliases)}
    spelled = {name.casefold(): preset for name, preset in known.items()}
    if preset := spelled.get(text.strip().casefold()):
        return preset.weights(blocks)
    if text.strip()[:1].isalpha():
        raise unknown(text.strip(), known, noun="preset of block weights", field="blocks")
    return read_numbers(text)
