"""Threads for slow calls: results and errors reach the caller, and a call whose time is over ends by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from fastiam.server.config_sections import Limits
from fastiam.server.protocol import Place
from fastiam.server.thread_pools import Overload, Pools

LIMITS = Limits(threads=2)  # one thread for `POOL`


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


async def empty(pools: Pools) -> None:
    while pools.queue:
        await asyncio.sleep(0.001)


def test_result_and_error_of_a_call_reach_its_caller() -> None:
    async def test() -> None:
        pools = Pools(LIMITS)
        assert await pools.run(Place.POOL, "a", 60, lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await pools.run(Place.POOL, "a", 60, lambda: 1 // 0)
        assert pools.queue == 0

    run(test())


def test_call_beyond_its_time_keeps_its_place_until_it_ends() -> None:
    async def test() -> None:
        pools, end = Pools(LIMITS), threading.Event()
        with pytest.raises(TimeoutError):
            await pools.run(Place.POOL, "a", 0.01, end.wait)
        assert pools.queue == 1
        end.set()
        await empty(pools)

    run(test())


def test_call_whose_time_is_over_before_it_began_never_runs() -> None:
    async def test() -> None:
        pools, end, ran = Pools(LIMITS), threading.Event(), threading.Event()
        first = pools.start(Place.POOL, "a", end.wait)
        with pytest.raises(TimeoutError):
            await pools.run(Place.POOL, "a", 0.01, ran.set)
        end.set()
        assert await first is True
        await empty(pools)
        assert not ran.is_set()

    run(test())


def test_close_cancels_calls_that_have_not_begun() -> None:
    async def test() -> None:
        pools, end = Pools(LIMITS), threading.Event()
        first, second = (pools.start(Place.POOL, "a", end.wait) for _ in range(2))
        pools.close()
        end.set()
        assert await first is True
        with pytest.raises(asyncio.CancelledError):
            await second
        assert pools.queue == 0

    run(test())


def filled(pools: Pools, place: Place, client: str, end: threading.Event, *, is_known: bool = True) -> int:
    """How many calls of a client a place takes."""
    for count in range(1_000):
        try:
            pools.start(place, client, end.wait, is_known=is_known)
        except Overload:
            return count
    raise AssertionError("there is no limit")


OTHERS = [place for place in Place if place is not Place.LOOP]


@pytest.mark.parametrize("full", OTHERS)
def test_calls_of_one_kind_hold_up_no_other_kind(full: Place) -> None:
    async def test() -> None:
        pools, end = Pools(LIMITS), threading.Event()
        for client in "abc":
            filled(pools, full, client, end)
        for place in OTHERS:
            if place is not full:
                assert await pools.run(place, "a", 60, lambda: 7) == 7
        end.set()
        await empty(pools)

    run(test())


@pytest.mark.parametrize(
    ("place", "most"),
    [
        (Place.POOL, LIMITS.queue + 1),
        (Place.SLOW, LIMITS.slow_per_client),
        (Place.READER, LIMITS.queue_per_client),
        (Place.UNSIGNED, LIMITS.queue_per_client),
        (Place.WAITING, LIMITS.queue_per_client),
        (Place.WRITER, LIMITS.writes),
    ],
)
def test_one_client_has_a_part_of_a_queue(place: Place, most: int) -> None:
    async def test() -> None:
        pools, end = Pools(LIMITS), threading.Event()
        assert filled(pools, place, "a", end) == most
        assert (filled(pools, place, "b", end) > 0) == (place not in (Place.POOL, Place.WRITER))
        end.set()
        await empty(pools)
        assert filled(pools, place, "a", end) > 0
        await empty(pools)

    run(test())


def test_callers_without_credentials_fill_half_of_the_writes() -> None:
    async def test() -> None:
        pools, end = Pools(LIMITS), threading.Event()
        unknown = [filled(pools, Place.WRITER, client, end, is_known=False) for client in "ab"]
        assert sum(unknown) == LIMITS.writes // 2
        assert filled(pools, Place.WRITER, "c", end) == LIMITS.writes // 2
        end.set()
        await empty(pools)

    run(test())
