"""The share of connections that a listener has, counted from accept to close, and the descriptors of the process (1.6).

If the share is used up and another client comes, connections end on which the server waits for a client without credentials,
beginning with the one on which it has waited longest.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fastiam.server.config import ConfigError

if TYPE_CHECKING:
    from fastiam.server.listeners import Listening
    from fastiam.server.observer import Observer
    from fastiam.server.uvicorn_protocol import EdgeProtocol

_PART: Final = 16  # a sixteenth of the share is freed at once. PERF: each time all connections are checked
_AT_ONCE: Final = 64  # connections that are accepted before requests are answered again
_PAUSE: Final = 1.0  # seconds without accepting when there is no descriptor left
_FILES: Final = 128  # descriptors for all but connections: the store, logs, policies, threads
_FEWEST: Final = 8  # connections of a listener with which a start makes sense


class Connections:
    """The connections of one listener.

    Parameters
    ----------
    limit
        the share: connections and handshakes together.
    handshakes
        TLS handshakes at a time.
    """

    def __init__(self, limit: int, handshakes: int) -> None:
        self.limit, self._max_handshakes = limit, handshakes
        self.open: set[EdgeProtocol] = set()
        self.handshakes: dict[asyncio.Task[None], None] = {}
        """In the order in which they began."""

    def make_room(self, observer: Observer) -> bool:
        """Make room for one more connection; False if there is none."""
        if len(self.open) + len(self.handshakes) < self.limit:
            return True
        waiting = [(since, each) for each in self.open if (since := each.waits_since()) is not None]
        waiting.sort(key=lambda pair: pair[0])
        for _, connection in waiting[: max(1, self.limit // _PART)]:
            observer.rejected(None, "connection_replaced")
            self.open.discard(connection)
            connection.transport.abort()
        return bool(waiting) or self._end_handshake(observer)

    def make_room_for_handshake(self, observer: Observer) -> bool:
        """Make room for one more TLS handshake; False if there is none."""
        if len(self.handshakes) >= self._max_handshakes:
            return self._end_handshake(observer)
        return self.make_room(observer)

    def _end_handshake(self, observer: Observer) -> bool:
        """End the handshake that takes longest."""
        task = next(iter(self.handshakes), None)
        if task is None:
            return False
        observer.rejected(None, "handshake_replaced")
        del self.handshakes[task]
        task.cancel()
        return True


class TlsServer:
    """Accepts the connections of a listener with TLS. A server of asyncio shows a connection only after its handshake.

    Parameters
    ----------
    make
        makes the protocol of a connection.
    """

    def __init__(self, sock: socket.socket, listening: Listening, make: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock, self._listening, self._make = sock, listening, make
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Accept no more. Connections and handshakes go on."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        connections, observer = self._listening.connections, self._listening.observer
        for _ in range(_AT_ONCE):
            try:
                sock, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left
                self._loop.remove_reader(self._sock)
                self._pause = self._loop.call_later(_PAUSE, self._loop.add_reader, self._sock, self._accept)
                return
            if not connections.make_room_for_handshake(observer):
                observer.rejected(None, "connections")
                sock.close()
                continue
            sock.setblocking(False)
            task = self._loop.create_task(self._shake(sock))
            connections.handshakes[task] = None
            task.add_done_callback(lambda done: connections.handshakes.pop(done, None))

    async def _shake(self, sock: socket.socket) -> None:
        seconds = self._listening.limits.handshake_seconds
        with suppress(OSError):  # of TLS, or the time is over: the transport is closed
            await self._loop.connect_accepted_socket(self._make, sock, ssl=self._listening.context, ssl_handshake_timeout=seconds)


def share_descriptors(wanted: Mapping[str, int], warn: Callable[[str], None]) -> dict[str, int]:
    """The connections that each listener can have with the files that this process may open; it raises that limit if it can.

    Parameters
    ----------
    wanted
        connections by listener.

    Raises
    ------
    ConfigError
        there are not even descriptors for a few.
    """
    needed = sum(wanted.values()) + _FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return dict(wanted)
    allowed = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    if soft >= needed:
        return dict(wanted)
    left = soft - _FILES
    found = {name: min(count, max(_FEWEST, left * count // (needed - _FILES))) for name, count in wanted.items()}
    if sum(found.values()) > left:
        raise ConfigError(
            f"this process may open {soft} files, too few for its listeners\nhelp: raise the limit (`ulimit -n`, `LimitNOFILE=`)"
        )
    shares = ", ".join(f"{name} {count}" for name, count in found.items())
    warn(f"this process may open {soft} files, and {needed} are wanted: connections of listeners are limited to {shares}")
    return found
