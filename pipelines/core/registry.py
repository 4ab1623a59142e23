"""Look-up by name that never falls back in silence: unknown names are refused with the nearest match."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Generic, Protocol, TypeVar

from pipelines.core.error import UnknownName


class Named(Protocol):
    """What a catalogue holds: `key` is stored, `label` is shown, `aliases` are other spellings the field uses."""

    @property
    def key(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


T = TypeVar("T")
N = TypeVar("N", bound=Named)


def fold(name: str) -> str:
    """`DPM++ 2M`, `dpm++_2m` and `dpm++ 2m` are one name."""
    return "".join(c for c in name.casefold() if c.isalnum() or c == "+")


def unknown(name: str, known: Iterable[str], *, noun: str, field: str | None = None) -> UnknownName:
    """The error for `name`, offering the nearest of `known` names, or all of them when none is near."""
    names = list(known)
    by_fold = {fold(n): n for n in names}
    near = [by_fold[n] for n in get_close_matches(fold(name), by_fold, n=2, cutoff=0.5)] or names[:12]
    fix = f"use {' or '.join(repr(n) for n in near)}" if near else f"there is no {noun} yet; add one first"
    return UnknownName(f"There is no {noun} named {name!r}", fix=fix, field=field)


def find(table: Mapping[str, T], key: str, *, noun: str) -> T:
    """`table[key]`, or `UnknownName` with the nearest key."""
    if key not in table:
        raise unknown(key, table, noun=noun)
    return table[key]


class Catalogue(Generic[N]):
    """An ordered, unchangeable table of named things, found by key, label or alias.

    Raises ValueError when two entries share a spelling: that is a mistake of ours, found at import.
    """

    def __init__(self, noun: str, entries: Iterable[N]) -> None:
        self.noun = noun
        self._entries = tuple(entries)
        self._by_fold: dict[str, N] = {}
        for entry in self._entries:
            for spelling in dict.fromkeys(map(fold, (entry.key, entry.label, *entry.aliases))):
                if spelling in self._by_fold:
                    raise ValueError(f"{noun} {spelling!r} is defined twice")
                self._by_fold[spelling] = entry

    def __iter__(self) -> Iterator[N]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str, *, field: str | None = None) -> N:
        """The entry spelled `name`. Raises UnknownName with the nearest label."""
        entry = self._by_fold.get(fold(name))
        if entry is None:
            raise unknown(name, (e.label for e in self._entries), noun=self.noun, field=field)
        return entry
