"""Locks and watchers across `os.fork`: a child inherits no lock that a thread of the parent has acquired.

A fork waits until no other thread holds one of these locks. So the state that they guard is complete in the child, and the child
can take each of them. `multiprocessing` with the start method `fork` and pre-forking servers fork in the same way.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

T = TypeVar("T")

# The order in which threads take several of these locks, and in which a fork takes all of them.
STS, DIRECTORY, TABLES, LEAF = range(4)


class Forked(Protocol):
    """An object that has to change in a forked child."""

    def _forked(self) -> None:
        """Called in the child, by its only thread."""


_registry = threading.RLock()  # guards the sets below; a finalizer may make a lock while its own thread registers one
_locks: tuple[WeakKeyDictionary[threading.RLock, int], ...] = tuple(WeakKeyDictionary() for _ in range(LEAF + 1))
_numbers = itertools.count()  # the locks of one order by age
_objects: WeakSet[Forked] = WeakSet()
_forking = threading.RLock()  # locked from before a fork until after it, so that threads fork one after the other
_acquired: list[threading.RLock] = []  # guarded by `_forking`
_is_forked = False


def is_forked() -> bool:
    """Whether this process is a forked child. Native code of libraries may wait there for a lock that no thread releases."""
    return _is_forked


def new_lock(order: int) -> threading.RLock:
    """A reentrant lock that a fork waits for.

    Parameters
    ----------
    order
        `STS`, `DIRECTORY`, `TABLES` or `LEAF`. A thread that holds one of these locks takes only locks of a later order.
    """
    lock = threading.RLock()
    with _registry:
        _locks[order][lock] = next(_numbers)
    return lock


def on_fork(changed: Forked) -> None:
    """Call `changed._forked()` in each forked child, as long as the object exists."""
    with _registry:
        _objects.add(changed)


class cached_property(functools.cached_property[T]):
    """`functools.cached_property`, whose lock of Python 3.11 is free in a forked child."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        super().__init__(function)
        on_fork(self)

    def _forked(self) -> None:
        if hasattr(self, "lock"):
            self.lock = threading.RLock()


def _before() -> None:
    """Take all locks. A thread that waits for a lock of a later order must be able to finish, hence the order."""
    _forking.acquire()
    for locks in _locks:
        with _registry:
            numbers = dict(locks)
        for lock in sorted(numbers, key=numbers.__getitem__):
            lock.acquire()
            _acquired.append(lock)
    _registry.acquire()


def _after() -> None:
    _registry.release()
    while _acquired:
        _acquired.pop().release()
    _forking.release()


def _in_child() -> None:
    global _is_forked
    _is_forked = True
    _after()
    for changed in list(_objects):
        changed._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
