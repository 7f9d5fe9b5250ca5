"""Work without the cyclic garbage collector, where it would only look at what is there to stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = 100_000  # objects


@contextmanager
def collection_paused(*, when: bool = True) -> Iterator[None]:
    """No cyclic garbage collection meanwhile, where `when` says that it pays.

    Reading policies and compiling them makes millions of objects and no cycle. The collector would go through all of them again
    and again: of reading 28 MB with 100,000 statements it made 5.4 seconds out of 1.5, of compiling them 2.8 out of 1.9.
    """
    pause = when and gc.isenabled()
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            _make_old()
            gc.enable()


def _make_old() -> None:
    """What was made meanwhile is old, where it is much: the next full collection looks at it, the small ones before it do not.

    PERF: a third of a second for each of two, after 50,000 principals. To freeze all and to thaw it moves lists and no objects;
    what others have frozen stays so.
    """
    if gc.get_count()[0] > _MANY and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
