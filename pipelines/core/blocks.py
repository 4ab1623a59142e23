"""Which block a tensor belongs to: the unit in which a merge is weighted. No torch here, the page draws faders of it.

Names are those of the original layout. A UNet is counted as `input_blocks.i` (IN), `middle_block` (M00) and
`output_blocks.i` (OUT); BASE are the text encoders. `time_embed` and `label_emb` go with IN00, `out.*` with the last
OUT: as bbc-mc's MBW, supermerger and sd-meh have it (sd-mecha puts the first two into BASE).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipelines.core.error import InvalidRequest
from pipelines.core.model import Family

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXTS = ("cond_stage_model.", "conditioner.")
BASE, MIDDLE = "BASE", "M00"
NUMBERED = re.compile(r"(input|output)_blocks\.(\d+)\.")
WITH_FIRST = ("time_embed.", "label_emb.")


@dataclass(frozen=True)
class Blocks:
    """The blocks of a family, in the order of their weights."""

    down: int
    up: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """BASE, IN00, ..., M00, OUT00, ..."""
        ins, outs = (f"IN{n:02}" for n in range(self.down)), (f"OUT{n:02}" for n in range(self.up))
        return (BASE, *ins, MIDDLE, *outs)

    def __len__(self) -> int:
        return len(self.names)

    def of(self, name: str) -> str | None:
        """The block of a tensor; None for the VAE's and for what belongs to no network."""
        if name.startswith(TEXTS):
            return BASE
        if not name.startswith(UNET):
            return None
        inner = name.removeprefix(UNET)
        if inner.startswith("middle_block."):
            return MIDDLE
        if found := NUMBERED.match(inner):
            side, number = ("IN", self.down) if found[1] == "input" else ("OUT", self.up)
            return f"{side}{int(found[2]):02}" if int(found[2]) < number else None
        if inner.startswith(WITH_FIRST):
            return "IN00"
        return f"OUT{self.up - 1:02}" if inner.startswith("out.") else None

    def weights(self, given: Sequence[float], base: float) -> tuple[float, ...]:
        """One number for each block. A list without BASE takes `base`; SDXL also takes one made for SD 1.x.

        Raises InvalidRequest for another count.
        """
        numbers = tuple(given)
        if len(numbers) in {len(self) - 1, len(SD) - 1}:
            numbers = (base, *numbers)
        if len(numbers) == len(SD) and self != SD:  # as supermerger: IN09 to IN11 and OUT09 to OUT11 are dropped
            by_name = dict(zip(SD.names, numbers, strict=True))
            numbers = tuple(by_name[name] for name in self.names)
        if len(numbers) != len(self):
            raise InvalidRequest(
                f"There are {len(given)} block weights, and {len(self)} blocks",
                fix=f"give {len(self)} numbers: {', '.join(self.names[:3])}, ... {self.names[-1]}", field="blocks",
            )  # fmt: skip
        return numbers


SD = Blocks(down=12, up=12)
"""SD 1.x, SD 2.x and SDXL's refiner, which has four levels too: 26 weights."""
XL = Blocks(down=9, up=9)
"""SDXL: 20 weights."""


LORA_XL = ("BASE", "IN04", "IN05", "IN07", "IN08", "M00", *(f"OUT{n:02}" for n in range(6)))
LORA_SD = (
    "BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00", *(f"OUT{n:02}" for n in range(3, 12)),
)  # fmt: skip
"""The blocks that have attention, which is what most LoRAs change: 12 of SDXL, 17 of SD 1.x."""


def lora_weights(given: Sequence[float], blocks: Blocks) -> Mapping[str, float]:
    """A number for each block: 12 or 17 of those with attention, or all. Raises InvalidRequest for another count.

    Blocks that a short list leaves out get 0, as hako-mikan's LoRA block weight extension has it (kohya's keep 1).
    """
    short = LORA_XL if blocks == XL else LORA_SD
    if len(given) == len(short):
        return dict.fromkeys(blocks.names, 0.0) | dict(zip(short, given, strict=True))
    if len(given) not in {len(blocks), len(SD)}:
        raise InvalidRequest(
            f"There are {len(given)} block weights for a LoRA",
            fix=f"give {len(short)} numbers ({', '.join(short[:3])}, ...) or {len(blocks)}", field="lora",
        )  # fmt: skip
    return dict(zip(blocks.names, blocks.weights(given, 0.0), strict=True))


def blocks_of(family: Family | None) -> Blocks:
    """The blocks of a family. Raises InvalidRequest for one that has no UNet of these."""
    match family:
        case Family.SD1 | Family.SD2 | Family.SDXL_REFINER:
            return SD
        case Family.SDXL:
            return XL
        case _:
            raise InvalidRequest(f"{family} has no blocks that are known here", fix="mix SD 1.x, SD 2.x or SDXL")


def family_by_names(names: Iterable[str]) -> Family | None:
    """Of a model whose shapes are nobody's: enough to know its blocks. None: it has no UNet of these names."""
    unet = [name for name in names if name.startswith((UNET, "conditioner."))]
    if not any(name.startswith(UNET) for name in unet):
        return None
    xl = any(name.startswith((f"{UNET}label_emb.", "conditioner.")) for name in unet)
    return Family.SDXL if xl else Family.SD1


def read_numbers(text: str) -> tuple[float, ...]:
    """`0, 0.5, 1` as numbers, with commas, semicolons, spaces or line breaks between. Raises InvalidRequest."""
    parts = [part for part in re.split(r"[,;\s]+", text.strip()) if part]
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        wrong = next(part for part in parts if not _is_number(part))
        raise InvalidRequest(
            f"{wrong[:40]!r} is no number", fix="write numbers with commas between, or the name of a preset",
            field="blocks",
        ) from None  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
