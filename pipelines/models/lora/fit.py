"""How a LoRA fits a model, known before anything is changed: nothing is left out in silence."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.core.error import ModelUnusable
from pipelines.core.model import Family
from pipelines.models.lora.file import LoraFile, Module
from pipelines.models.lora.names import Part, Target, targets
from pipelines.models.names import View
from pipelines.models.recognise import family_of_lora

READ = frozenset({"oft", "ia3", "a1", "dora", "magnitude"})
"""Parts of the kinds that read the weight they change."""
NAMED = 5
"""Modules that a message names."""
FITS: Mapping[Family, frozenset[Family]] = {Family.SDXL_REFINER: frozenset({Family.SDXL, Family.SDXL_REFINER})}
"""Whose LoRAs a model takes besides its own family's."""


@dataclass(frozen=True)
class Fit:
    """A LoRA on a model."""

    lora: LoraFile
    matched: Sequence[tuple[Module, Target]]
    unmatched: tuple[str, ...]
    """Modules of the file that the model has no place for, and tensors of unknown kinds."""
    family: Family | None
    """What the file itself says it is for."""

    @property
    def reads_weights(self) -> bool:
        """Whether the order counts in which it is applied with others."""
        return any(READ & module.parts.keys() for module, _ in self.matched)

    @property
    def report(self) -> dict[str, object]:
        """For people and programs."""
        parts = [target.part for _, target in self.matched]
        return {
            "lora": self.lora.name,
            "family": self.family,
            "kinds": list(self.lora.kinds),
            "ranks": list(self.lora.ranks),
            "modules": len(self.lora.modules),
            "matched": {"unet": parts.count(Part.UNET), "text": parts.count(Part.TEXT)},
            "unmatched": list(self.unmatched),
            "order_counts": self.reads_weights,
        }


@dataclass(frozen=True)
class Model:
    """What must be known of a model to put LoRAs on it."""

    name: str
    family: Family | None
    table: Mapping[str, Target]
    """Spelled name -> module."""
    shapes: Mapping[Target, tuple[int, ...]]
    """Of the modules' weights."""


def model_of(name: str, family: Family | None, shapes: Mapping[str, tuple[int, ...]]) -> Model:
    """The model called `name`, with its weights' shapes by original name."""
    table = targets(shapes, family) if family else {}
    return Model(name, family, table, {target: _of_module(shapes[target.weight], target) for target in table.values()})


def _of_module(shape: tuple[int, ...], target: Target) -> tuple[int, ...]:
    """As the module has it, which the original keeps turned, or with two others."""
    if target.view is View.TURNED:
        return shape[::-1]
    return shape if target.view in {View.WHOLE, View.MATRIX} else (shape[0] // 3, *shape[1:])


def fit(lora: LoraFile, model: Model) -> Fit:
    """`lora` on `model`.

    Raises ModelUnusable when it is for another family, or nothing of it fits: that would change nothing, unseen.
    """
    own = family_of_lora(lora.header)
    family = model.family
    takes = FITS.get(family, frozenset({family})) if family else frozenset()
    if own and takes and own not in takes:
        raise ModelUnusable(
            f"The LoRA {lora.name!r} is for {own}, and {model.name!r} is {family}", fix=f"use one for {family}",
            field="lora",
        )  # fmt: skip
    matched, unmatched = [], list(lora.unread)
    for name, module in lora.modules.items():
        target = model.table.get(name)
        if target is None or module.kind is None or (target.bias is None and _is_bias(module)):
            unmatched.append(name)
        else:
            _check_shape(lora, module, model.shapes[target], model.name)
            matched.append((module, target))
    if not matched:
        raise ModelUnusable(
            f"Nothing of the LoRA {lora.name!r} fits {model.name!r} ({', '.join(unmatched[:NAMED])})",
            fix="use a LoRA for this kind of model", field="lora",
        )  # fmt: skip
    return Fit(lora, matched, tuple(unmatched), own)


def _is_bias(module: Module) -> bool:
    """Whether it changes nothing but a bias."""
    return not module.parts.keys() - {"diff_bias", "norm_bias", "alpha"}


def _check_shape(lora: LoraFile, module: Module, shape: tuple[int, ...], model: str) -> None:
    """Of what can be told from headers: the other kinds are seen when they are used."""
    sides = {part: lora.header.tensors[name].shape for part, name in module.parts.items()}
    if "up" in sides and "mid" not in sides:
        changes = sides["up"][0] * math.prod(sides["down"][1:])
    elif "diff" in sides:
        changes = math.prod(sides["diff"])
    else:
        return
    if changes != math.prod(shape):
        raise ModelUnusable(
            f"The LoRA {lora.name!r} is for another model: at {module.name} it changes {changes:,} numbers where "
            f"{model!r} has {math.prod(shape):,}",
            fix="use a LoRA for this kind of model", field="lora",
        )  # fmt: skip


def warnings(fitted: Fit) -> Iterator[str]:
    """What a person should know of it."""
    name = fitted.lora.name
    if fitted.unmatched:
        more = f" and {len(fitted.unmatched) - NAMED} more" if len(fitted.unmatched) > NAMED else ""
        yield f"{name!r}: the model has no place for {', '.join(fitted.unmatched[:NAMED])}{more}"
    if fitted.reads_weights:
        yield f"{name!r} reads the weights it changes: it counts in which order LoRAs are given"
