"""Requests whose body is processed while it arrives, and parts that all requests share (G163)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from fastiam.server.http import Request
from fastiam.server.identity import Identity
from fastiam.server.protocol import BodyProcessor, Place, StreamAborted, StreamRefused, StreamRoute
from fastiam.server.serving import Served, Serving
from fastiam.server.thread_pools import Overload
from fastiam.server.uvicorn_protocol import Connection

if TYPE_CHECKING:
    from fastiam.server.asgi import Application

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PIECE: Final = 256 * 1024  # bytes of an answer that a thread gathers before they are sent
_MAX_PIECES: Final = 256  # of a body that wait for a thread: each takes some 200 bytes, however short it is


class Disconnected(Exception):
    """The client has gone."""


class Head:
    """A request whose header is read."""

    __slots__ = (
        "client_address",
        "client_is_tls",
        "connection",
        "headers",
        "identity",
        "length",
        "method",
        "path",
        "query",
        "request_id",
        "served",
        "serving",
    )

    connection: Connection
    method: str
    headers: tuple[tuple[bytes, bytes], ...]
    path: bytes
    query: bytes
    served: Served | None
    serving: Serving | None
    """What has admitted the request; None until all that the header shows is checked."""
    identity: Identity | None
    client_address: str | None
    client_is_tls: bool
    """As in `Request`."""
    length: int | None
    """Of the body, in bytes; None: not known."""
    request_id: bytes | None
    """As the client sent it; empty: one that must not be echoed."""

    def __init__(self, connection: Connection, method: str) -> None:
        self.connection, self.method = connection, method
        self.headers, self.path, self.query = (), b"", b""
        self.served = self.serving = self.identity = self.request_id = self.client_address = None
        self.client_is_tls = False
        self.length = None

    def client(self) -> str:
        """What is counted by the limits of slow calls (1.6)."""
        identity, peer = self.identity, self.connection.peer
        if identity is not None and not identity.is_anonymous:
            return f"name:{identity.name}"
        if self.client_address is not None:  # behind a trusted proxy, that of the end client
            return f"address:{self.client_address}"
        return f"address:{peer.address}" if peer.kind == "tcp" else f"uid:{peer.uid}"


class Stream:
    """One streamed request: a piece of the body is read, processed and answered before the next one is read."""

    def __init__(
        self,
        app: Application,
        head: Head,
        route: StreamRoute,
        request: Request,
        processor: BodyProcessor,
        start: tuple[int, list[tuple[bytes, bytes]]],
        began: int,
    ) -> None:
        self.app, self.head, self.route, self.request, self.processor = app, head, route, request, processor
        self.began = began
        self._status, self._headers = start
        self._has_begun = False
        self._call: asyncio.Future[Any] | None = None
        """The call that a thread works on."""

    async def run(self, receive: Receive, send: Send) -> None:
        """Answer the request. An answer that ends early has no final chunk, so that HTTP itself shows that it is incomplete."""
        try:
            await self._answer(receive, send)
        finally:  # also if the client leaves before it has read a refusal: the processor gives back what it took
            self._observe()

    async def _answer(self, receive: Receive, send: Send) -> None:
        self.head.connection.accept_slow_body()
        last: bytes | None = None
        try:
            async with asyncio.timeout(self.route.time):
                await self._process(receive, send)
        except Disconnected:
            await self._aborted("disconnected")
        except (TimeoutError, Overload) as error:
            last = await self._aborted("overload" if isinstance(error, Overload) else "timeout")
        except asyncio.CancelledError:
            last = await self._aborted("stopping")
        except StreamAborted as aborted:  # with answers, too
            last = aborted.last if self._log_items() else self.processor.abort("overload")
        except StreamRefused as refused:
            assert not self._has_begun
            self._status = refused.response.status
            await self.app.respond(self.head, refused.response, self.request.request_id, send, receive)
        except Exception as error:
            self.app.on_error(error, self.request.request_id)
            last = await self._aborted("internal_error")
        if last is not None:
            try:
                await self._write(send, last, more=True)
            except Disconnected:
                pass
            self.head.connection.close_incomplete()

    def _observe(self) -> None:
        served, elapsed = self.head.served, perf_counter_ns() - self.began
        assert served is not None
        self._log_items()  # those without an answer
        record = self.processor.record()
        if record is not None:
            self.app.observer.decided(served.protocol, record, self.request, elapsed)
        self.app.observer.answered(served.protocol, served.path, self._status, elapsed)

    def _log_items(self) -> bool:
        """Log the items since the last call; False if their answers must not be sent."""
        items = self.processor.take_items()
        return not items or self.app.observer.log_items(items, self.request, perf_counter_ns() - self.began)

    async def _process(self, receive: Receive, send: Send) -> None:
        is_last_input = False
        while not is_last_input:
            calls: list[Callable[[], Iterable[bytes]]] = []
            missing = self.processor.missing
            while True:  # PERF: pieces of an Arrow message are gathered here: each way to a thread takes as long as 500 rows
                self.head.connection.expect(missing)
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                body = message["body"]
                if body:
                    calls.append(partial(self.processor.feed, body))
                    missing -= len(body)
                is_last_input = not message["more_body"]
                if is_last_input or missing <= 0 or len(calls) == _MAX_PIECES:
                    break
            if is_last_input:
                calls.append(self.processor.finish)
            # PERF: the calls begin in the thread that gathers what they give
            pieces, is_last = chain.from_iterable(call() for call in calls), False
            while not is_last:
                body, is_last, is_logged = await self._in_pool(partial(self._work, pieces))
                if not is_logged:
                    raise Overload
                if body:
                    await self._write(send, body, more=True)
        await self._write(send, b"", more=False)

    def _work(self, pieces: Iterator[bytes]) -> tuple[bytes, bool, bool]:
        """In a thread: as `gather`, and whether the answer may be sent. PERF: the loop does not write thousands of log lines."""
        body, is_last = gather(pieces)
        return body, is_last, self._log_items()

    async def _in_pool(self, call: Callable[[], Any]) -> Any:
        self._call = self.app.pools.start(Place.POOL, self.head.client(), call)
        return await asyncio.shield(self._call)

    async def _aborted(self, code: str) -> bytes:
        """The last bytes of an answer that ends early. A thread that still works on the body is waited for."""
        call = self._call
        if call is not None and not call.done():
            await asyncio.wait([call], timeout=self.app.pools.limits.handler_seconds)
            if not call.done():
                return b""
        return self.processor.abort(code)

    async def _write(self, send: Send, body: bytes, *, more: bool) -> None:
        if not self._has_begun:
            self._has_begun = True
            start = {"type": "http.response.start", "status": self._status, "headers": self._headers}
            await self.app.write(self.head, send, start)
        await self.app.write(self.head, send, {"type": "http.response.body", "body": body, "more_body": more})


def gather(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """The next bytes of an answer, and whether they are the last ones.

    Raises
    ------
    StreamAborted
        with all bytes that are left.
    """
    gathered: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            gathered.append(piece)
            size += len(piece)
            if size >= _PIECE:
                return b"".join(gathered), False
    except StreamAborted as aborted:
        raise StreamAborted(b"".join((*gathered, aborted.last))) from None
    return b"".join(gathered), True
