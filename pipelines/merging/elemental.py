"""Weights for single elements of blocks: hako-mikan's `BLOCKS:ELEMENTS:ratio`, as supermerger and model-mixer read it.

Rules stand on lines of their own or with commas between. Blocks and elements are words with spaces between, either may
be empty for all; `NOT` first turns them round; `IN04-OUT02` is a range. An element is a part of a tensor's name. Later
rules win, and every rule wins over the block's weight.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.core.blocks import Blocks
from pipelines.core.error import InvalidRequest
from pipelines.core.methods import LIMIT

NOT = "NOT"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line."""

    blocks: frozenset[str]
    elements: tuple[str, ...]
    """Parts of names; empty: all."""
    all_but: bool
    """Those that match none of the elements."""
    ratio: float

    def fits(self, name: str, block: str) -> bool:
        """Whether it speaks of the tensor `name`."""
        if block not in self.blocks:
            return False
        return not self.elements or any(one in name for one in self.elements) is not self.all_but


def read_rules(text: str, blocks: Blocks) -> tuple[Rule, ...]:
    """The rules that `text` says. Raises InvalidRequest, naming the line."""
    lines = [line.strip() for line in re.split(r"[,\n]", text)]
    return tuple(_rule(line, blocks) for line in lines if line)


def ratio_of(name: str, block: str, rules: Sequence[Rule]) -> float | None:
    """What the last rule that fits says; None when none does."""
    return next((rule.ratio for rule in reversed(rules) if rule.fits(name, block)), None)


def _rule(line: str, blocks: Blocks) -> Rule:
    parts = line.split(":")
    if len(parts) != 3:
        raise _wrong(line, "is not of the form BLOCKS:ELEMENTS:ratio", "write for example IN00-IN05:attn1:0.5")
    try:
        ratio = float(parts[2])
    except ValueError:
        raise _wrong(line, f"ends in {parts[2].strip()!r}, which is no number", "end it with a number") from None
    if not math.isfinite(ratio) or abs(ratio) > LIMIT:
        raise _wrong(line, f"asks for {ratio}", f"use {-LIMIT:g} to {LIMIT:g}")
    words, without = _words(parts[0])
    named = {name for word in words for name in _blocks(word, blocks, line)} or set(blocks.names)
    chosen = set(blocks.names) - named if without else named
    elements, all_but = _words(parts[1])
    return Rule(frozenset(chosen), tuple(elements), all_but, ratio)


def _words(text: str) -> tuple[list[str], bool]:
    """(words, whether `NOT` stands before them)"""
    words = text.split()
    return (words[1:], True) if words and words[0].upper() == NOT else (words, False)


def _blocks(word: str, blocks: Blocks, line: str) -> Sequence[str]:
    first, _, last = word.upper().partition("-")
    ends = [_place(end, blocks, line) for end in (first, last or first)]
    return blocks.names[min(ends) : max(ends) + 1]


def _place(name: str, blocks: Blocks, line: str) -> int:
    spelled = {"MID": "M00", "M": "M00", "MID00": "M00"}.get(name, name)
    if spelled not in blocks.names:
        raise _wrong(line, f"names a block {name!r}", f"use {blocks.names[0]}, {blocks.names[1]} to {blocks.names[-1]}")
    return blocks.names.index(spelled)


def _wrong(line: str, problem: str, fix: str) -> InvalidRequest:
    return InvalidRequest(f"The rule {line[:60]!r} {problem}", fix=fix, field="elemental")
