"""Interning: equal things get one number. What requests bring after `freeze` is forgotten on `drop`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Interned(Generic[K]):
    """A map from a thing to its number; `make` numbers a thing that is new."""

    def __init__(self) -> None:
        self._compiled: dict[K, int] = {}
        self._late: dict[K, int] | None = None

    def get(self, thing: K, make: Callable[[], int]) -> int:
        """The number of a thing."""
        found = self._compiled.get(thing)
        if found is not None:
            return found
        late = self._late
        if late is None:
            found = self._compiled[thing] = make()
            return found
        found = late.get(thing)
        if found is None:
            found = late[thing] = make()
        return found

    def find(self, thing: K) -> int | None:
        """The number of a thing, or None if it has none."""
        found = self._compiled.get(thing)
        return self._late.get(thing) if found is None and self._late else found

    @property
    def n_late(self) -> int:
        """How many things are forgotten on the next `drop`."""
        return len(self._late or ())

    def freeze(self) -> None:
        """What there is now stays; what comes from now on is late."""
        self._compiled.update(self._late or {})
        self._late = {}

    def drop(self) -> None:
        """Forget what is late."""
        self._late = {}
