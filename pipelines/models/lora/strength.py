"""How much of a LoRA, and where. No torch here."""

from dataclasses import dataclass

from pipelines.core.blocks import BASE, Blocks, lora_weights
from pipelines.core.error import InvalidRequest
from pipelines.models.lora.names import Part, Target

STRONGEST = 10.0


@dataclass(frozen=True, slots=True)
class Strength:
    """How much of a LoRA, by part and by block."""

    unet: float = 1.0
    text: float = 1.0
    blocks: tuple[float, ...] = ()
    """12, 17, 20 or 26 numbers that the others are multiplied by; empty: 1 for all."""

    def at(self, target: Target, blocks: Blocks) -> float:
        """What it comes to for one module. Raises InvalidRequest for another count of blocks."""
        plain = self.unet if target.part is Part.UNET else self.text
        if not self.blocks:
            return plain
        block = blocks.of(target.weight) if target.part is Part.UNET else BASE
        return plain * lora_weights(self.blocks, blocks).get(block or "", 0.0)


def check_strength(strength: Strength, name: str) -> None:
    """Raises InvalidRequest for what is no number, or beyond all reason."""
    for value in (strength.unet, strength.text, *strength.blocks):
        if not -STRONGEST <= value <= STRONGEST:  # NaN is neither
            raise InvalidRequest(
                f"The LoRA {name!r} cannot be used at {value:g}", fix=f"use {-STRONGEST:g} to {STRONGEST:g}",
                field="lora",
            )  # fmt: skip
