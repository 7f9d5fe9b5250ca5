"""Threads for slow calls: results and errors reach the caller, and a call whose time is over ends by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from fastiam.server.config import Limits
from fastiam.server.pools import Pools
from fastiam.server.protocol import Place

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
