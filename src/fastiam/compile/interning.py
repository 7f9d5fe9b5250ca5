"""Interning: equal values get one id. Entries that requests add after `freeze` are evicted by `drop`."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, TypeVarTuple

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
A = TypeVarTuple("A")


class Interned(Generic[K, V]):
    """A map from a value to its id.

    A `brief` map is cleared by `freeze`. It is for values that rarely recur, so that only values of one compilation are shared.
    The tables store them; the map would take more memory than they do.
    """

    def __init__(self, *, brief: bool = False) -> None:
        self._compiled: dict[K, V] = {}
        self._runtime: dict[K, V] | None = None
        self._is_brief = brief

    def get(self, value: K, make: Callable[[*A], V], *args: *A) -> V:
        """Return the id of a value; `make` adds a new one."""
        found = self._compiled.get(value)  # PERF: a million of these for 100,000 statements
        if found is None and self._runtime is not None:
            found = self.find(value)
        if found is None:
            found = make(*args)
            (self._compiled if self._runtime is None else self._runtime)[value] = found
        return found

    def find(self, value: K) -> V | None:
        """Return the id of a value, or None if it has none."""
        found = self._compiled.get(value)
        return self._runtime.get(value) if found is None and self._runtime else found

    def enter(self, value: K, number: V) -> None:
        """Store the id of a compiled value."""
        self._compiled[value] = number

    @property
    def n_cached(self) -> int:
        """The number of entries that the next `drop` evicts."""
        return len(self._runtime or ())

    def freeze(self) -> None:
        """Keep the present entries; later ones are run-time entries."""
        if self._is_brief:
            self._compiled = {}
        else:
            self._compiled.update(self._runtime or {})
        self._runtime = {}

    def drop(self) -> None:
        """Evict the run-time entries."""
        self._runtime = {}


class ObjectIds(Interned[int, int]):
    """Ids by object identity. The first `freeze` packs the entries: twelve bytes for each."""

    def __init__(self) -> None:
        super().__init__()
        self._ids, self._numbers = array("Q"), array("I")

    def find(self, value: int) -> int | None:
        """Return the id for an object identity, or None if it has none."""
        at = bisect_left(self._ids, value)
        if at < len(self._ids) and self._ids[at] == value:
            return self._numbers[at]
        return super().find(value)

    def freeze(self) -> None:
        """Keep the present entries; later ones are run-time entries."""
        super().freeze()
        if not self._ids:
            packed = sorted(self._compiled.items())
            self._ids, self._numbers = array("Q", [id_ for id_, _ in packed]), array("I", [number for _, number in packed])
            self._compiled = {}

    def size_bytes(self) -> int:
        """The memory of what is packed."""
        return self._ids.itemsize * len(self._ids) + self._numbers.itemsize * len(self._numbers)
