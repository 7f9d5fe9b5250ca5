"""Threads for slow calls: bounded, counted, never waited for beyond their time (G8, G14)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from fastiam.server.config_sections import Limits
from fastiam.server.protocol import Place

T = TypeVar("T")


class Overload(Exception):
    """There is no room for the call; it was not begun."""


class Pools:
    """The threads of the process. Its methods are called on the event loop only.

    Each place has threads and a queue of its own, so that a call waits only for calls of its kind: a batch of decisions never
    waits for a call of AWS, and that of a verified caller never for one that waits for an identity provider.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._counts = {
            Place.POOL: max(1, limits.threads - 1),
            Place.SLOW: 1,
            Place.READER: 1,
            Place.UNSIGNED: limits.unsigned_threads,
            Place.WAITING: limits.waiting_threads,
            Place.WRITER: 1,
        }
        self._threads = {place: ThreadPoolExecutor(count, f"fastiam-{place.value}") for place, count in self._counts.items()}
        self._waiting = dict.fromkeys(self._threads, 0)
        self._by_client: dict[tuple[Place, str], int] = {}

    @property
    def queue(self) -> int:
        """Calls in work or waiting."""
        return sum(self._waiting.values())

    async def run(self, place: Place, client: str, seconds: float, call: Callable[[], T], *, is_known: bool = True) -> T:
        """Run a call in a thread.

        Parameters
        ----------
        client
            what limits calls: the name of an identity, or an address.
        seconds
            after which the caller gets a `TimeoutError`. A call that has begun keeps its place until it ends.
        is_known
            whether the caller has shown credentials. Others fill at most half of the queue of writes.

        Raises
        ------
        Overload
            too many calls, of this client or at all.
        TimeoutError
            the call takes too long.
        """
        return await asyncio.wait_for(self.start(place, client, call, is_known=is_known), seconds)

    def start(self, place: Place, client: str, call: Callable[[], T], *, is_known: bool = True) -> asyncio.Future[T]:
        """Begin a call in a thread, as `run` does."""
        key = place, client
        if self._waiting[place] >= self._limit(place, is_known) or self._by_client.get(key, 0) >= self._limit_of_client(place):
            raise Overload
        self._waiting[place] += 1
        self._by_client[key] = self._by_client.get(key, 0) + 1
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[T] = loop.create_future()
        submitted = self._threads[place].submit(call)

        def ended() -> None:
            self._release(key)
            if waiting.done():  # the time is over
                return
            if submitted.cancelled():  # by `close`
                waiting.cancel()
                return
            error = submitted.exception()
            if error is None:
                waiting.set_result(submitted.result())
            else:
                waiting.set_exception(error)

        def wake(_: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(ended)  # PERF: once; each wakes the loop up

        waiting.add_done_callback(lambda done: done.cancelled() and submitted.cancel())
        submitted.add_done_callback(wake)
        return waiting

    def _limit(self, place: Place, is_known: bool) -> int:
        limits = self.limits
        if place is Place.WRITER:
            return limits.writes if is_known else max(1, limits.writes // 2)
        return limits.queue + self._counts[place]

    def _limit_of_client(self, place: Place) -> int:
        limits = self.limits
        if place is Place.POOL:
            return self._limit(place, True)
        return limits.slow_per_client if place is Place.SLOW else limits.queue_per_client

    def _release(self, key: tuple[Place, str]) -> None:
        self._waiting[key[0]] -= 1
        left = self._by_client[key] - 1
        if left:
            self._by_client[key] = left
        else:
            del self._by_client[key]

    def close(self) -> None:
        """Begin no further call; those in work end by themselves."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
