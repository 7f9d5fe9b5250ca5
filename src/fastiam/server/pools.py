"""Threads for slow calls: bounded, counted, never waited for beyond their time (G8, G14)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from fastiam.server.config import Limits
from fastiam.server.protocol import Place

T = TypeVar("T")


class Overload(Exception):
    """There is no room for the call; it was not begun."""


class Pools:
    """The threads of the process. Its methods are called on the event loop only.

    `SLOW` calls have one thread and `POOL` calls the others, so a question over all principals never delays a password check.
    Calls that write have a thread of their own.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = {
            Place.POOL: ThreadPoolExecutor(max(1, limits.threads - 1), "fastiam-pool"),
            Place.SLOW: ThreadPoolExecutor(1, "fastiam-slow"),
            Place.WRITER: ThreadPoolExecutor(1, "fastiam-writer"),
        }
        self._waiting = dict.fromkeys(self._threads, 0)
        self._by_client: dict[str, int] = {}

    @property
    def queue(self) -> int:
        """Calls in work or waiting."""
        return sum(self._waiting.values())

    async def run(self, place: Place, client: str, seconds: float, call: Callable[[], T]) -> T:
        """Run a call in a thread.

        Parameters
        ----------
        client : what limits slow calls: the name of an identity, or an address.
        seconds : after which the caller gets a `TimeoutError`. A call that has begun keeps its place until it ends.

        Raises
        ------
        Overload: too many calls, of this client or at all.
        TimeoutError: the call takes too long.
        """
        return await asyncio.wait_for(self.start(place, client, call), seconds)

    def start(self, place: Place, client: str, call: Callable[[], T]) -> asyncio.Future[T]:
        """Begin a call in a thread, as `run` does."""
        limit = self.limits.writes if place is Place.WRITER else self.limits.queue + self.limits.threads
        slow = place is Place.SLOW
        if self._waiting[place] >= limit or (slow and self._by_client.get(client, 0) >= self.limits.slow_per_client):
            raise Overload
        self._waiting[place] += 1
        if slow:
            self._by_client[client] = self._by_client.get(client, 0) + 1
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[T] = loop.create_future()
        submitted = self._threads[place].submit(call)

        def ended() -> None:
            self._release(place, client if slow else None)
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

    def _release(self, place: Place, client: str | None) -> None:
        self._waiting[place] -= 1
        if client is not None:
            left = self._by_client[client] - 1
            if left:
                self._by_client[client] = left
            else:
                del self._by_client[client]

    def close(self) -> None:
        """Begin no further call; those in work end by themselves."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
