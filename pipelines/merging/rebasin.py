"""Git re-basin: B's neurons put into the order in which they do what A's do, before the two are averaged.

Ainsworth, Hayase & Srinivasa 2022, "Git Re-Basin", weight matching: the order that makes the inner product of A's and
B's weights largest, found by linear assignment. Only orders that change nothing of what B computes are tried: the
hidden neurons of feed-forward layers, attention heads and the channels within each, and the channels between the two
convolutions of a residual block, which stay within whole groups of the norm between them. Peers also shuffle channels
across norm groups and along the residual stream, after which B is no longer B. The stream itself stays in place, so
every order can be found by itself, in one pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pipelines.core.model import Family
from pipelines.merging.sources import Source
from pipelines.models.architecture import architectures
from pipelines.models.lora.names import Part, Target, targets
from pipelines.models.peculiar import Peculiar, read_peculiar

Order = NDArray[np.int64]
"""Place in A -> place in B."""
CLIP_HEAD = 64


@dataclass(frozen=True, slots=True)
class Member:
    """A tensor whose entries along `axis` follow an order, `repeats` times over: GEGLU; query, key and value."""

    name: str
    axis: int
    repeats: int = 1
    at: int = -1
    """Which of the repeats alone; -1: all of them."""

    def rows(self, tensor: Tensor) -> list[Tensor]:
        """(n, ...) each: what is compared."""
        parts = list(tensor.movedim(self.axis, 0).chunk(self.repeats))
        return [part.flatten(1) if part.ndim > 1 else part.unsqueeze(1) for part in self._chosen(parts)]

    def put(self, tensor: Tensor, order: Tensor) -> Tensor:
        """`tensor` in that order."""
        parts = list(tensor.movedim(self.axis, 0).chunk(self.repeats))
        turned = [part[order] if self.at in {-1, place} else part for place, part in enumerate(parts)]
        return torch.cat(turned).movedim(0, self.axis)

    def _chosen(self, parts: list[Tensor]) -> list[Tensor]:
        return parts if self.at < 0 else [parts[self.at]]


@dataclass(frozen=True, slots=True)
class Unit:
    """Neurons that may change places: in blocks (heads, norm groups) that stay together.

    Several tracks have inner orders of their own within the same blocks: a head's query and key, its value and output.
    """

    tracks: tuple[tuple[Member, ...], ...]
    blocks: int = 1


def units_of(source: Source) -> Iterator[Unit]:
    """What may be reordered in a model."""
    names, family = source.weights, source.family
    if family is None or family not in architectures():
        return
    table = {target.weight: target for target in targets(names, family).values()}
    peculiar = read_peculiar(source.metadata)
    for name, target in table.items():
        if name.endswith(".in_layers.2.weight"):
            yield _residual(name.removesuffix("in_layers.2.weight"), peculiar)
        elif name.endswith((".attn1.to_q.weight", ".attn2.to_q.weight")):
            yield _attention(name.removesuffix("to_q.weight"), _heads(target, source, family, peculiar))
        elif name.endswith(".ff.net.0.proj.weight"):
            at = name.removesuffix("net.0.proj.weight")
            yield Unit((_present(names, Member(f"{at}net.0.proj.weight", 0, 2), Member(f"{at}net.0.proj.bias", 0, 2),
                                 Member(f"{at}net.2.weight", 1)),))  # fmt: skip
        elif name.endswith((".mlp.fc1.weight", ".mlp.c_fc.weight")):
            first, second = ("fc1", "fc2") if name.endswith("fc1.weight") else ("c_fc", "c_proj")
            at = name.removesuffix(f"{first}.weight")
            yield Unit((_present(names, Member(f"{at}{first}.weight", 0), Member(f"{at}{first}.bias", 0),
                                 Member(f"{at}{second}.weight", 1)),))  # fmt: skip
        elif name.endswith(".self_attn.q_proj.weight"):
            yield _text_attention(names, name.removesuffix("q_proj.weight"), source)
        elif name.endswith(".attn.out_proj.weight"):
            yield _fused_attention(names, name.removesuffix("out_proj.weight"), source)


def _present(names: Mapping[str, object], *members: Member) -> tuple[Member, ...]:
    return tuple(member for member in members if member.name in names)


def _residual(at: str, peculiar: Peculiar) -> Unit:
    """conv, + time, norm, conv: the channels between, within whole groups of the norm."""
    ends = ("in_layers.2", "emb_layers.1", "out_layers.0")
    rows = tuple(Member(f"{at}{end}.{kind}", 0) for end in ends for kind in ("weight", "bias"))
    return Unit(((*rows, Member(f"{at}out_layers.3.weight", 1)),), peculiar.unet_groups)


def _attention(at: str, heads: int) -> Unit:
    return Unit(
        (
            (Member(f"{at}to_q.weight", 0), Member(f"{at}to_k.weight", 0)),
            (Member(f"{at}to_v.weight", 0), Member(f"{at}to_out.0.weight", 1)),
        ),
        heads,
    )


def _text_attention(names: Mapping[str, object], at: str, source: Source) -> Unit:
    def pair(side: str) -> tuple[Member, ...]:
        return _present(names, Member(f"{at}{side}_proj.weight", 0), Member(f"{at}{side}_proj.bias", 0))

    width = source.weights[f"{at}q_proj.weight"].shape[0]
    heads = _text_heads(width, source)
    return Unit(((*pair("q"), *pair("k")), (*pair("v"), Member(f"{at}out_proj.weight", 1))), heads)


def _fused_attention(names: Mapping[str, object], at: str, source: Source) -> Unit:
    """OpenCLIP's: query, key and value are thirds of one tensor."""

    def third(place: int) -> tuple[Member, ...]:
        return _present(names, Member(f"{at}in_proj_weight", 0, 3, place), Member(f"{at}in_proj_bias", 0, 3, place))

    width = source.weights[f"{at}out_proj.weight"].shape[0]
    return Unit(((*third(0), *third(1)), (*third(2), Member(f"{at}out_proj.weight", 1))), _text_heads(width, source))


def _text_heads(width: int, source: Source) -> int:
    known = read_peculiar(source.metadata).text_heads
    return known[0] if known else max(width // CLIP_HEAD, 1)


def _heads(target: Target, source: Source, family: Family, peculiar: Peculiar) -> int:
    """Of an attention of the UNet."""
    assert target.part is Part.UNET
    numbers, width = architectures()[family], source.weights[target.weight].shape[0]
    if levels := peculiar.unet_heads:
        side, level = target.module.split(".")[:2]
        match side:
            case "down_blocks":
                return levels[int(level)]
            case "up_blocks":
                return levels[len(levels) - 1 - int(level)]
            case _:
                return levels[-1]
    return numbers.heads or width // (numbers.head_width or 1)


def order_of(unit: Unit, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> tuple[Order, ...]:
    """The order for each track of `unit`: where in B stands what A has at each place."""
    likeness = [_likeness(track, a, b) for track in unit.tracks]
    size, blocks = likeness[0].shape[0] // unit.blocks, unit.blocks
    value = np.zeros((blocks, blocks))
    inner = np.zeros((len(likeness), blocks, blocks, size), dtype=np.int64)
    for row in range(blocks):
        for column in range(blocks):
            for place, matrix in enumerate(likeness):
                part = matrix[row * size : (row + 1) * size, column * size : (column + 1) * size]
                _, found = linear_sum_assignment(part, maximize=True)
                inner[place, row, column] = found
                value[row, column] += part[np.arange(size), found].sum()
    _, outer = linear_sum_assignment(value, maximize=True)
    return tuple(
        np.concatenate([outer[row] * size + inner[place, row, outer[row]] for row in range(blocks)])
        for place in range(len(likeness))
    )


def _likeness(track: Sequence[Member], a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> NDArray[np.float64]:
    """(n, n): the inner product of everything that belongs to place i of A and to place j of B."""
    total: Tensor | None = None
    for member in track:
        for ours, theirs in zip(member.rows(a[member.name]), member.rows(b[member.name]), strict=True):
            product = ours @ theirs.T
            total = product if total is None else total + product
    assert total is not None
    return total.double().numpy()


def moves_of(unit: Unit, orders: Sequence[Order]) -> Iterator[tuple[str, Member, Tensor]]:
    """(tensor, how it lies there, the order)"""
    for track, order in zip(unit.tracks, orders, strict=True):
        turned = torch.from_numpy(order)
        yield from ((member.name, member, turned) for member in track)
