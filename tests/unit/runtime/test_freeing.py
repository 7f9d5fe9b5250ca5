"""Large loads of a process that serves: neither their collection nor the freeing of what they replace holds up other threads."""

from __future__ import annotations

import gc
import weakref

import pytest

from fastiam.runtime.freeing import free, free_with
from fastiam.runtime.gc_pause import collection_paused, freeze_new, load_frozen

MANY = 200_000


class Part:
    """Something that can be watched."""


class Owner:
    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.itself: Owner | None = None


@pytest.fixture
def frozen() -> int:
    """The number of objects that are frozen before the load. They stay so, because a collection of all takes half a second."""
    gc.collect()
    gc.freeze()
    return gc.get_freeze_count()


def test_load_frozen_freezes_many_new_objects_unscanned(frozen: int) -> None:
    before = [each["collections"] for each in gc.get_stats()]
    with load_frozen(collect=True):
        made = [[] for _ in range(MANY)]
    assert gc.isenabled() and gc.get_freeze_count() >= frozen + len(made)
    after = [each["collections"] for each in gc.get_stats()]
    assert after[0] - before[0] <= 1 and after[1] == before[1]  # full collections see what is not frozen


def test_load_frozen_leaves_few_new_objects_to_the_collector(frozen: int) -> None:
    with load_frozen(collect=True):
        made = [[] for _ in range(1000)]
    assert gc.get_freeze_count() <= frozen and gc.is_tracked(made)


@pytest.mark.parametrize("collect", [True, False])
def test_load_frozen_collects_garbage_before_if_asked(frozen: int, collect: bool) -> None:
    owner = Owner([])
    owner.itself = owner
    garbage = weakref.ref(owner)
    del owner
    with load_frozen(collect=collect):
        assert (garbage() is None) is collect


def test_load_frozen_ends_the_pause_after_an_error(frozen: int) -> None:
    with pytest.raises(ValueError, match="unreadable"), load_frozen(collect=True):
        raise ValueError("unreadable")
    assert gc.isenabled() and gc.get_freeze_count() <= frozen


@pytest.mark.parametrize("freeze", [True, False])
def test_collection_paused_freezes_unscanned_if_asked(frozen: int, freeze: bool) -> None:
    before = gc.get_stats()[0]["collections"]
    with collection_paused(freeze=freeze):
        made = [[] for _ in range(10_000)]
    scanned = gc.get_stats()[0]["collections"] > before
    assert gc.isenabled() and (gc.get_freeze_count() >= frozen + len(made)) is freeze
    assert not (freeze and scanned)


def test_freeze_new_collects_and_freezes_many_new_objects(frozen: int) -> None:
    owner = Owner([])
    owner.itself = owner
    garbage = weakref.ref(owner)
    del owner
    made = [[] for _ in range(MANY)]
    freeze_new()
    assert garbage() is None and gc.get_freeze_count() >= frozen + len(made)
    before = gc.get_freeze_count()
    freeze_new()
    assert gc.get_freeze_count() <= before, "nothing has come"


def test_free_empties_the_list_and_frees_its_objects() -> None:
    parts = [Part() for _ in range(1001)]
    first, last = weakref.ref(parts[0]), weakref.ref(parts[-1])
    free(parts)
    assert parts == [] and first() is None and last() is None


def test_free_with_keeps_parts_until_their_owner_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[bool] = []
    parts: list[Part] = [Part() for _ in range(1001)]
    owner = Owner(parts[:])
    monkeypatch.setattr("threading.Thread.start", lambda thread: freed.append(True) or thread.run())
    free_with(owner, parts)
    assert len(parts) == 1001 and not freed
    del owner
    assert freed and parts == []


def test_free_with_frees_also_without_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    parts = [Part()]
    part, owner = weakref.ref(parts[0]), Owner(parts[:])
    free_with(owner, parts)
    del parts, owner
    gc.collect()
    assert part() is None
