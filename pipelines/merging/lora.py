"""LoRAs made of LoRAs, and out of tuned models."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from pipelines.core.blocks import blocks_of
from pipelines.core.error import InvalidRequest, ModelUnusable
from pipelines.core.model import Family
from pipelines.merging.factors import Factors, added, factored, factors_of, shrunk
from pipelines.merging.plan import fits
from pipelines.merging.sizes import Size
from pipelines.merging.sources import Source
from pipelines.models.lora.adapters import Misfit
from pipelines.models.lora.changes import parts_of
from pipelines.models.lora.file import LoraFile, Module
from pipelines.models.lora.names import ATTENDS, Target, every_name, targets, written
from pipelines.models.lora.strength import Strength
from pipelines.models.names import View
from pipelines.models.recognise import family_of_lora
from pipelines.models.tensors import OpenTensors

SPECIAL = ("diff_bias", "norm", "norm_bias")
"""Parts that are vectors: they are added as they are."""
WORDS = {"diff_bias": "diff_b", "norm": "w_norm", "norm_bias": "b_norm"}
BASES: Mapping[Family, str] = {
    Family.SD1: "sd_v1", Family.SD2: "sd_v2", Family.SDXL: "sdxl_base_v1-0", Family.SDXL_REFINER: "sdxl_refiner_v1-0",
}  # fmt: skip
"""kohya's words for what a LoRA is for."""
NO_CHANGE = 1e-6
"""Largest number of a difference that is none."""
Maker = tuple[LoraFile, Strength]


@dataclass
class MadeLora:
    """A LoRA in memory, by kohya's names."""

    family: Family
    modules: dict[str, Factors] = field(default_factory=dict)
    vectors: dict[str, Tensor] = field(default_factory=dict)
    """Whole name of the tensor -> what is added to a norm or a bias."""

    def tensors(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """As the file has them; alpha is the rank, so that the factors are all there is."""
        made: dict[str, Tensor] = {}
        for name in sorted(self.modules):
            factors = self.modules[name]
            ones = (1,) * (len(factors.kernel) - 1)
            made[f"{name}.alpha"] = torch.tensor(float(factors.rank))
            made[f"{name}.lora_down.weight"] = factors.down.reshape(factors.rank, *factors.kernel).to(dtype)
            made[f"{name}.lora_up.weight"] = factors.up.reshape(*factors.up.shape, *ones).to(dtype)
        return made | {name: tensor.to(dtype) for name, tensor in sorted(self.vectors.items())}

    def metadata(self, sources: Sequence[tuple[str, object]]) -> dict[str, str]:
        """What other programs read of it, and what it was made of."""
        ranks = sorted({factors.rank for factors in self.modules.values()})
        rank = str(ranks[0]) if len(ranks) == 1 else "Dynamic"
        convolves = any(len(factors.kernel) == 3 and factors.kernel[1] > 1 for factors in self.modules.values())
        return {
            "format": "pt", "ss_network_module": "networks.lora", "ss_network_dim": rank, "ss_network_alpha": rank,
            "ss_v2": str(self.family is Family.SD2), "ss_base_model_version": BASES[self.family],
            **({"ss_network_args": json.dumps({"conv_dim": rank, "conv_alpha": rank})} if convolves else {}),
            "easel_lora": json.dumps(dict(sources)),
        }  # fmt: skip


def combined(makers: Sequence[Maker], size: Size) -> Iterator[tuple[int, int] | MadeLora]:
    """The sum of LoRAs, each at its strength; told module by module (done, all), the result last.

    Exact while `size` is open. Raises ModelUnusable for kinds that cannot be added, and for LoRAs of two families.
    """
    family = _common_family([lora for lora, _ in makers])
    table, blocks = targets(set(every_name(family)), family), blocks_of(family)
    modules: dict[str, list[tuple[Factors | Tensor, float]]] = {}
    made = MadeLora(family)
    count, total = 0, sum(len(lora.modules) for lora, _ in makers)
    for lora, strength in makers:
        tensors = OpenTensors(lora.path, lora.header)
        for module in lora.modules.values():
            count += 1
            target = _target_of(module, table, lora)
            weight = strength.at(target, blocks)
            parts = parts_of(lora, tensors, module)
            name = written(target, family)
            with _fitting(module.name):
                _add_vectors(made, name, parts, weight)
                if set(parts) - {*SPECIAL, "alpha"} and weight:
                    whole = {part: tensor for part, tensor in parts.items() if part not in SPECIAL}
                    factors = _with_kernel(factors_of(whole, None, module.name), target)
                    modules.setdefault(name, []).append((factors, weight))
    for done, (name, several) in enumerate(modules.items(), start=1):
        with _fitting(name):
            made.modules[name] = _sum_of(name, several, size)
        yield done + count, len(modules) + total
    if not made.modules and not made.vectors:
        raise InvalidRequest("Nothing would be left: every strength is 0", fix="give another", field="lora")
    yield made


CONVOLVE = ("conv1", "conv2", "conv_in", "conv_out", "conv")
"""How modules end whose kernels are 3x3."""


def _with_kernel(factors: Factors | Tensor, target: Target) -> Factors | Tensor:
    """LyCORIS keeps the factors of a convolution as matrices: here they get their kernel back."""
    if isinstance(factors, Tensor) or len(factors.kernel) > 1 or not target.module.endswith(CONVOLVE):
        return factors
    return replace(factors, kernel=(factors.kernel[0] // 9, 3, 3))


@contextmanager
def _fitting(name: str) -> Iterator[None]:
    """Whatever torch says about shapes that do not go together, as ModelUnusable."""
    try:
        yield
    except (RuntimeError, Misfit) as error:
        raise ModelUnusable(
            f"The parts of {name} do not fit each other", fix="use LoRAs for one kind of model", field="lora",
            detail=str(error),
        ) from error  # fmt: skip


def _target_of(module: Module, table: Mapping[str, Target], lora: LoraFile) -> Target:
    target = table.get(module.name)
    if target is None or module.kind is None:
        raise ModelUnusable(
            f"The LoRA {lora.name!r} changes {module.name}, which is nothing that is known", fix="leave it out",
            field="lora",
        )  # fmt: skip
    return target


def _common_family(loras: Sequence[LoraFile]) -> Family:
    found = {lora.name: family_of_lora(lora.header) or _likeliest(lora) for lora in loras}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name!r} is for {family}" for name, family in found.items())
        raise ModelUnusable(f"These LoRAs do not go together: {told}", fix="use LoRAs of one family", field="lora")
    family = next(iter(found.values()))
    if family is None or family not in ATTENDS:
        raise ModelUnusable(f"LoRAs for {family} cannot be mixed yet", fix="use SD 1.x, 2.x or SDXL", field="lora")
    return family


def _likeliest(lora: LoraFile) -> Family | None:
    """The first family that has a place for all of its modules."""
    for family in ATTENDS:
        table = targets(set(every_name(family)), family)
        if all(name in table for name in lora.modules):
            return family
    return None


def _add_vectors(made: MadeLora, name: str, parts: Mapping[str, Tensor], weight: float) -> None:
    for part in SPECIAL:
        if part in parts and weight:
            key = f"{name}.{WORDS[part]}"
            there = made.vectors.get(key)
            made.vectors[key] = weight * parts[part] + (0 if there is None else there)


def _sum_of(name: str, several: Sequence[tuple[Factors | Tensor, float]], size: Size) -> Factors:
    thin = [(one, weight) for one, weight in several if isinstance(one, Factors)]
    whole = [weight * one for one, weight in several if isinstance(one, Tensor)]
    if not whole:
        summed = added(thin)
        return summed if size.is_open else shrunk(summed, size)
    if size.is_open:
        raise ModelUnusable(
            f"{name} is a whole difference, and no product of thin matrices",
            fix="say how large with --rank or --energy", field="lora",
        )  # fmt: skip
    dense = torch.stack(whole).sum(0)
    if thin:
        dense = dense + added(thin).product.reshape(dense.shape)
    return factored(dense, size)


@dataclass(frozen=True, slots=True)
class Extraction:
    """What is taken out of a tuned model."""

    linear: Size
    convolutions: Size | None = None
    """Of kernels larger than 1x1; None: they are left out, as most trainers leave them."""


def extracted(tuned: Source, base: Source, wanted: Extraction) -> Iterator[tuple[int, int] | MadeLora]:
    """What `tuned` learnt beyond `base`, as a LoRA; told module by module, the result last.

    Raises InvalidRequest for models of two families, ModelUnusable when there is no difference.
    """
    family = tuned.family
    if family is None or family is not base.family or family not in ATTENDS:
        raise InvalidRequest(
            f"{tuned.name!r} is {tuned.family}, and {base.name!r} is {base.family}",
            fix="take a model and the one it was trained from", field="model",
        )  # fmt: skip
    made = MadeLora(family)
    table = targets(set(tuned.weights) & set(base.weights), family)
    every = list(dict.fromkeys(table.values()))
    for done, target in enumerate(every, start=1):
        size = _size_for(target, tuned, wanted)
        if size is not None:
            delta = _difference(target, tuned, base)
            if float(delta.abs().max()) > NO_CHANGE:
                made.modules[written(target, family)] = factored(delta, size)
        yield done, len(every)
    if not made.modules:
        raise ModelUnusable(
            f"{tuned.name!r} differs nowhere from {base.name!r} that a LoRA could keep",
            fix="choose two models that do", field="model",
        )  # fmt: skip
    yield made


def _size_for(target: Target, tuned: Source, wanted: Extraction) -> Size | None:
    """None: it is left out."""
    shape = tuned.weights[target.weight].shape
    if len(shape) < 2 or "embedding" in target.module:
        return None
    kernel = math.prod(shape[2:])
    return wanted.linear if kernel == 1 else wanted.convolutions


def _difference(target: Target, tuned: Source, base: Source) -> Tensor:
    ours, theirs = (source.weights[target.weight] for source in (tuned, base))
    if fits(target.weight, ours.shape, theirs.shape) != -1:
        raise InvalidRequest(
            f"{target.weight} has other sides in {base.name!r}", fix="take a model and the one it was trained from",
            field="model",
        )  # fmt: skip
    whole = ours.whole().float() - theirs.whole().float().reshape(ours.shape)
    if not bool(whole.isfinite().all()):
        raise ModelUnusable(
            f"{tuned.name!r} or {base.name!r} holds numbers that are none, in {target.weight}", fix="use another",
            field="model",
        )  # fmt: skip
    thirds = {View.QUERY: 0, View.KEY: 1, View.VALUE: 2}
    if target.view in thirds:
        return whole.chunk(3)[thirds[target.view]]
    return whole.T if target.view is View.TURNED else whole


def source_of(path: Path, strength: Strength) -> tuple[str, object]:
    """How a made LoRA tells of one that went in."""
    return path.stem, {"unet": strength.unet, "text": strength.text, "blocks": list(strength.blocks)}
