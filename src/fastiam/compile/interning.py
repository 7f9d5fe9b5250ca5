"""Interning: equal things get one number. What requests bring after `freeze` is forgotten on `drop`."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, TypeVarTuple

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
A = TypeVarTuple("A")


class Interned(Generic[K, V]):
    """A map from a thing to its number.

    One that is `brief` forgets at `freeze` what it knows: of things that hardly come again, only those that are compiled
    together are one. The tables hold them; the map would take more memory than they do.
    """

    def __init__(self, *, brief: bool = False) -> None:
        self._compiled: dict[K, V] = {}
        self._late: dict[K, V] | None = None
        self._is_brief = brief

    def get(self, thing: K, make: Callable[[*A], V], *args: *A) -> V:
        """The number of a thing; `make` numbers one that is new."""
        found = self._compiled.get(thing)  # PERF: a million of these for 100,000 statements
        if found is None and self._late is not None:
            found = self.find(thing)
        if found is None:
            found = make(*args)
            (self._compiled if self._late is None else self._late)[thing] = found
        return found

    def find(self, thing: K) -> V | None:
        """The number of a thing, or None if it has none."""
        found = self._compiled.get(thing)
        return self._late.get(thing) if found is None and self._late else found

    def enter(self, thing: K, number: V) -> None:
        """Tell the number of a thing that is compiled."""
        self._compiled[thing] = number

    @property
    def n_cached(self) -> int:
        """How many things are forgotten on the next `drop`."""
        return len(self._late or ())

    def freeze(self) -> None:
        """What there is now stays; what comes from now on is late."""
        if self._is_brief:
            self._compiled = {}
        else:
            self._compiled.update(self._late or {})
        self._late = {}

    def drop(self) -> None:
        """Forget what is late."""
        self._late = {}


class Identities(Interned[int, int]):
    """Numbers by identity. What the first `freeze` finds is packed: twelve bytes for each."""

    def __init__(self) -> None:
        super().__init__()
        self._ids, self._numbers = array("Q"), array("I")

    def find(self, thing: int) -> int | None:
        """The number of what has this identity, or None if it has none."""
        at = bisect_left(self._ids, thing)
        if at < len(self._ids) and self._ids[at] == thing:
            return self._numbers[at]
        return super().find(thing)

    def freeze(self) -> None:
        """What there is now stays; what comes from now on is late."""
        super().freeze()
        if not self._ids:
            packed = sorted(self._compiled.items())
            self._ids, self._numbers = array("Q", [id_ for id_, _ in packed]), array("I", [number for _, number in packed])
            self._compiled = {}

    def size_bytes(self) -> int:
        """The memory of what is packed."""
        return self._ids.itemsize * len(self._ids) + self._numbers.itemsize * len(self._numbers)
