"""Pauses of the cyclic garbage collector, for work that creates only long-lived objects."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastiam.runtime import forking

_FEW, _MANY = 1_000, 100_000  # objects; Python 3.12 begins with some 400 that are frozen
_UNFROZEN = 30_000  # objects that a full collection may scan; 10 ms


class _Pauser:
    """The thread that has paused the collector, if any."""

    thread: int | None = None

    def _forked(self) -> None:
        if self.thread not in (None, threading.get_ident()):  # a thread that is not in the child cannot end its pause
            self.thread = None
            gc.enable()


_pauser = _Pauser()
forking.on_fork(_pauser)


class collection_paused:
    """No cyclic garbage collection meanwhile.

    Reading policies and compiling them makes millions of objects and no cycle. The collector would go through all of them again
    and again: of reading 28 MB with 100,000 statements it made 5.4 seconds out of 1.5, of compiling them 2.8 out of 1.9.

    Parameters
    ----------
    when
        whether it pays.
    freeze
        freeze all objects of the process at the end, which no collection scans then. For what stays until the process ends.
    """

    def __init__(self, *, when: bool = True, freeze: bool = False) -> None:
        self._pauses = when
        self._freezes = freeze

    def __enter__(self) -> None:
        self._pauses = self._pauses and gc.isenabled()
        if self._pauses:
            _pauser.thread = threading.get_ident()
            gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._pauses:
            if self._freezes:
                gc.freeze()
            else:
                _make_old()
            _pauser.thread = None
            gc.enable()


def _make_old() -> None:
    """Move the objects of a large load to the oldest generation: only full collections scan them from then on.

    PERF: a third of a second for each of two, after 50,000 principals. To freeze all and to thaw it moves lists and no objects.
    Where others have frozen much, it stays so and nothing is done.
    """
    if gc.get_count()[0] > _MANY and gc.get_freeze_count() < _FEW:
        gc.freeze()
        gc.unfreeze()


@contextmanager
def load_frozen(*, collect: bool) -> Iterator[None]:
    """Freeze the objects that a large load makes meanwhile, in a process that has frozen what it began with.

    PERF: the collection after a load would scan all new objects in one go: 0.9 seconds for 50,000 principals, in which no other
    thread runs.

    Parameters
    ----------
    collect
        whether to collect garbage before. Garbage that is there when a large load ends is frozen too, and never freed.
    """
    if collect:
        gc.collect()
    with collection_paused():
        yield
        is_large = gc.get_count()[0] > _MANY
        if is_large:
            gc.freeze()
    if is_large:
        gc.collect()  # full collections become due by the objects that are left, and not by a share of the frozen ones


def freeze_new() -> None:
    """Collect garbage and freeze the rest, where many objects have come since the last freeze.

    PERF: many small loads add up, and the collector would scan all that they have made in one go: 0.3 seconds after a store has
    grown by 40,000 principals.
    """
    if len(gc.get_objects()) > _UNFROZEN:
        gc.collect()
        gc.freeze()
        gc.collect()  # full collections become due by the objects that are left
