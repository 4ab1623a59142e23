"""What a file of the LoRA family holds: modules, each of the parts that its kind consists of. From the header alone.

Every trainer has its own words for the parts; here they have one. Sources: kohya-ss/sd-scripts, KohakuBlueleaf/LyCORIS
(`locon`, `loha`, `lokr`, `ia3`, `glora`, `diag-oft`, `boft`, `full`, `norm`), huggingface/peft and diffusers.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipelines.core.error import ModelUnusable
from pipelines.models.headers import DamagedFile, Header, TensorEntry, read_header

PARTS: tuple[tuple[str, str], ...] = (
    (r"\.lora_up\.weight", "up"), (r"\.lora_down\.weight", "down"), (r"\.lora_mid\.weight", "mid"),
    (r"\.lora_B(?:\.default)?\.weight", "up"), (r"\.lora_A(?:\.default)?\.weight", "down"),
    (r"\.lora_linear_layer\.up\.weight", "up"), (r"\.lora_linear_layer\.down\.weight", "down"),
    (r"\.lora\.up\.weight", "up"), (r"\.lora\.down\.weight", "down"),
    (r"_lora\.up\.weight", "up"), (r"_lora\.down\.weight", "down"),
    (r"\.lora_magnitude_vector(?:\.default)?(?:\.weight)?", "magnitude"), (r"\.dora_scale", "dora"),
    (r"\.hada_w1_a", "hada_1a"), (r"\.hada_w1_b", "hada_1b"), (r"\.hada_w2_a", "hada_2a"), (r"\.hada_w2_b", "hada_2b"),
    (r"\.hada_t1", "hada_t1"), (r"\.hada_t2", "hada_t2"),
    (r"\.lokr_w1", "lokr_1"), (r"\.lokr_w1_a", "lokr_1a"), (r"\.lokr_w1_b", "lokr_1b"),
    (r"\.lokr_w2", "lokr_2"), (r"\.lokr_w2_a", "lokr_2a"), (r"\.lokr_w2_b", "lokr_2b"), (r"\.lokr_t2", "lokr_t2"),
    (r"\.on_input", "on_input"), (r"\.diff", "diff"), (r"\.diff_b", "diff_bias"),
    (r"\.w_norm", "norm"), (r"\.b_norm", "norm_bias"),
    (r"\.a1\.weight", "a1"), (r"\.a2\.weight", "a2"), (r"\.b1\.weight", "b1"), (r"\.b2\.weight", "b2"),
    (r"\.oft_blocks", "oft"), (r"\.oft_diag", "oft"), (r"\.rescale", "rescale"),
    (r"\.alpha", "alpha"), (r"\.weight", "ia3"),
)  # fmt: skip
"""How a tensor's name ends, and the part that it is. All of an end must match."""
ENDING = re.compile("|".join(f"(?P<p{number}>{end})$" for number, (end, _) in enumerate(PARTS)))
PROCESSOR = re.compile(r"\.processor(?=\.to_[a-z]+$)")
"""Of the oldest files: they belong to `attn1.processor.to_q`, that is, to `attn1.to_q`."""


@dataclass(frozen=True, slots=True)
class Module:
    """The parts that change one weight."""

    name: str
    """As the file spells it, without the parts."""
    parts: Mapping[str, str]
    """Part -> name of its tensor."""

    @property
    def kind(self) -> str | None:
        """What people call it; None: nothing that is known."""
        has = self.parts.keys()
        kinds = (
            ({"up", "down"}, "LoRA"), ({"hada_1a", "hada_1b", "hada_2a", "hada_2b"}, "LoHa"), ({"oft"}, "OFT"),
            ({"ia3", "on_input"}, "IA3"), ({"a1", "a2", "b1", "b2"}, "GLoRA"), ({"diff"}, "full difference"),
            ({"diff_bias"}, "full difference"), ({"norm"}, "norm"),
        )  # fmt: skip
        if ({"lokr_1"} <= has or {"lokr_1a", "lokr_1b"} <= has) and (
            {"lokr_2"} <= has or {"lokr_2a", "lokr_2b"} <= has
        ):
            return "LoKr"
        return next((kind for wanted, kind in kinds if wanted <= has), None)


@dataclass(frozen=True)
class LoraFile:
    """A file, its header read and looked through."""

    name: str
    path: Path
    header: Header
    modules: Mapping[str, Module]
    """By name."""
    unread: tuple[str, ...]
    """Tensors that are no part of anything known."""

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds there are, the commonest first."""
        found = [module.kind for module in self.modules.values() if module.kind]
        return tuple(sorted(set(found), key=lambda kind: (-found.count(kind), kind)))

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """The ranks there are, the smallest first."""
        downs = (module.parts.get("down") for module in self.modules.values())
        return tuple(sorted({self.header.tensors[name].shape[0] for name in downs if name}))


def read_lora(path: Path, name: str) -> LoraFile:
    """The LoRA at `path`. Raises ModelUnusable for a file that is damaged, or whose parts do not fit each other."""
    try:
        header = read_header(path)
    except DamagedFile as error:
        raise ModelUnusable(f"The LoRA {name!r} {error}", fix="download it again", field="lora") from error
    except OSError as error:
        raise ModelUnusable(
            f"The LoRA {name!r} cannot be read ({error.strerror})", fix="allow reading it", field="lora",
            detail=str(error),
        ) from error  # fmt: skip
    modules, unread = _modules(header)
    if not modules:
        raise ModelUnusable(f"{name!r} holds nothing of a LoRA", fix="choose a LoRA", field="lora")
    lora = LoraFile(name, path, header, modules, tuple(unread))
    for fault in faults(lora):
        raise ModelUnusable(f"The LoRA {name!r} {fault}", fix="download it again", field="lora")
    return lora


def _modules(header: Header) -> tuple[dict[str, Module], list[str]]:
    parts: dict[str, dict[str, str]] = {}
    unread = []
    for tensor in header.tensors:
        found = ENDING.search(tensor)
        if found is None or found.lastgroup is None or not found.start():
            unread.append(tensor)
            continue
        module = PROCESSOR.sub("", tensor[: found.start()])
        parts.setdefault(module, {})[PARTS[int(found.lastgroup[1:])][1]] = tensor
    made = {name: Module(name, own) for name, own in parts.items()}
    return made, unread


def faults(lora: LoraFile) -> Iterator[str]:
    """What is wrong with it, a sentence each, to be read after its name."""
    for module in lora.modules.values():
        yield from _faults_of(module, {part: lora.header.tensors[name] for part, name in module.parts.items()})


TOGETHER = (
    ("up", "down"), ("hada_1a", "hada_1b"), ("hada_2a", "hada_2b"), ("lokr_1a", "lokr_1b"), ("lokr_2a", "lokr_2b"),
    ("a1", "a2"), ("b1", "b2"),
)  # fmt: skip
"""Parts of which neither means anything without the other."""


FACTORS = {"hada_1b", "hada_2b", "lokr_1b", "lokr_2b", "a1", "a2", "b1", "b2"}
"""Parts that a rank is read from, besides LoRA's own."""


def _faults_of(module: Module, entries: Mapping[str, TensorEntry]) -> Iterator[str]:
    for one, other in TOGETHER:
        for there, missing in ((one, other), (other, one)):
            if there in entries and missing not in entries:
                yield f"lacks the part {missing!r} of {module.name}"
    for part, entry in entries.items():
        if entry.dtype not in {"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"} and part not in {"alpha", "on_input"}:
            yield f"keeps {module.parts[part]} as {entry.dtype}, which no weights are"
        if part == "alpha" and entry.numel != 1:
            yield f"has more than one alpha at {module.name}"
    for part in FACTORS & entries.keys():
        if not entries[part].numel:
            yield f"has no rank at {module.name}"
    up, down = entries.get("up"), entries.get("down")
    if up and down:
        if len(up.shape) < 2 or len(down.shape) < 2 or not math.prod(down.shape[:1]):
            yield f"has no rank at {module.name}"
        elif up.shape[1] != down.shape[0]:
            yield f"has two ranks at {module.name}: {down.shape[0]} and {up.shape[1]}"
