"""The HTTP/1.1 connection: uvicorn's, with what it lacks (G25). The only module that depends on uvicorn's inside.

- Trailer fields never reach the list of header fields (G11).
- A head and a body are complete within some seconds of their first byte, and an idle connection ends.
- The target as sent, the credentials of a unix peer and the names of a client certificate are in the scope.
- A connection that sends bytes without making progress ends: an endless field, chunk extension or trailer.
- An offer of another protocol (`Upgrade`) is ignored: the body that follows is that of the request.

uvicorn by its public interface, or granian, cannot be used: docs/design.md has what each of them lacks.

A request that is complete when its last byte arrives is given to the application without a task (`Application.answer`), and its
answer is written as one piece. All other requests take the way of ASGI.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from fastiam.server.http import Peer

if TYPE_CHECKING:
    from uvicorn.config import Config

    from fastiam.server.listeners import Listening
    from fastiam.server.serving import Serving
    from fastiam.server.streams import Head

CONNECTION: Final = "fastiam"
TARGET: Final = "fastiam.target"

_QUIET: Final = 64 * 1024  # bytes that may arrive without an event of the parser
_STREAMED: Final = 256 * 1024  # bytes of a streamed body that wait to be processed
_MAX_PIECES: Final = 256  # of it, however short they are
_IDLE, _HEAD, _BODY = range(3)
_END_OF_HEAD: Final = b"\r\n\r\n"
_KEPT: Final = 8  # heads of a connection that are kept
_MAX_KEPT: Final = 2048  # bytes of one
_NOT_KEPT: Final[tuple[Any, Any]] = None, None
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid
_FRAMING: Final = (b"content-length", b"transfer-encoding")  # fields that show where a body ends


class Connection:
    """What holds for all requests of a connection."""

    __slots__ = ("authenticated", "host", "is_tls", "listening", "peer", "protocol")

    def __init__(self, protocol: EdgeProtocol, listening: Listening, peer: Peer, is_tls: bool) -> None:
        self.protocol = protocol
        self.listening = listening
        self.peer = peer
        self.is_tls = is_tls
        self.authenticated: tuple[object, bytes | None, Any] | None = None  # authenticator, field, identity of the last request
        self.host: tuple[object, bytes] | None = None  # site and field of the last accepted request

    @property
    def is_known(self) -> bool:
        """Whether the last request came with credentials of the listener."""
        identity = None if self.authenticated is None else self.authenticated[2]
        return identity is not None and not identity.is_anonymous

    def accept_slow_body(self) -> None:
        """The body of this request may take longer than the limit."""
        self.protocol.is_slow_body = True

    def expect(self, count: int) -> None:
        """Nothing can be done with less than so many bytes of the body, if it has them."""
        if self.protocol.cycle is not None:  # the client is there
            self.protocol.cycle.expect(count)

    def close_incomplete(self) -> None:
        """Send what was written, and close the connection though the answer is not complete."""
        cycle = self.protocol.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            self.protocol.transport.close()

    def abort(self) -> None:
        """Close the connection at once; what was not sent yet is lost."""
        self.protocol.transport.abort()


class _NoEvent:
    """The event of a request that no task waits for."""

    def set(self) -> None:
        """Nothing waits."""


_NO_EVENT: Final[Any] = _NoEvent()  # PERF: most requests are answered without a task


class EdgeState(ServerState):
    """What all connections share."""

    def __init__(self) -> None:
        super().__init__()
        self.date = b""
        """The field `date` as a line, renewed each second."""


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    _expected = 1  # bytes that the next message has, if the body is streamed
    _waiting = 0  # bytes of pieces that wait to be read

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._pieces: list[bytes] = []

    def expect(self, count: int) -> None:
        """The next message has so many bytes, or as many as may wait, or is the last one."""
        self._expected = min(count, _STREAMED)
        if self._waiting >= self._expected:
            self.message_event.set()

    def put(self, piece: bytes) -> None:
        """Add a piece of a streamed body. PERF: its reader wakes when it can do something."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        is_full = self._waiting >= _STREAMED or len(self._pieces) >= _MAX_PIECES
        if is_full:
            self.flow.pause_reading()
        if is_full or self._waiting >= self._expected:
            self.message_event.set()

    async def receive(self) -> Any:
        """The next message of ASGI."""
        message = await super().receive()
        if self._pieces:
            if message["type"] == "http.request":
                message["body"] = b"".join((message["body"], *self._pieces))
            self._pieces, self._waiting = [], 0
        return message

    def expect_task(self) -> None:
        """Prepare for a task that reads the body as it arrives; the first read does not wait."""
        self.message_event = asyncio.Event()
        self.message_event.set()

    def respond(self, status: int, head: bytes, body: bytes, date: bytes, *, close: bool) -> None:
        """Write a whole answer as one piece.

        Parameters
        ----------
        head
            lines of the header without `date` and `connection`, each with its line end.
        """
        self.response_started = self.response_complete = True
        if close:
            self.keep_alive = False
        last = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        if self.scope["method"] == "HEAD":
            body = b""
        self.transport.write(b"".join((STATUS_LINE[status], date, head, last, body)))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class _Resumed:
    """Gets the events of a parser that begins with a body. The head that it reads first is known, and its events are dropped."""

    def __init__(self, protocol: EdgeProtocol) -> None:
        self._protocol: EdgeProtocol | None = None
        self._next = protocol
        self.on_body, self.on_message_complete = protocol.on_body, protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._protocol is not None:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._protocol is not None:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._protocol is not None:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._protocol is not None:
            self._protocol.on_headers_complete()
        self._protocol = self._next


class EdgeProtocol(HttpToolsProtocol):
    """One connection."""

    server_state: EdgeState
    flow: FlowControl
    cycle: Cycle
    app: Any
    """The `Application`: uvicorn's types do not know what else it does."""

    def __init__(self, config: Config, server_state: EdgeState, listening: Listening, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, server_state, {}, loop)
        self.listening = listening
        self.connections = listening.connections.open  # type: ignore[assignment]
        self.url = b""
        self.is_slow_body = False
        self._extensions: dict[str, Any] = {}
        self._phase = _IDLE
        self._message = 0
        self._moved = False
        self._offers_upgrade = False  # the parser has read a head that does, and skips the body
        self._quiet = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timed: tuple[int, int] | None = None  # message and phase of the timer
        self._waiting: Cycle | None = None  # a request that is not begun yet
        self._heads: dict[bytes, tuple[Head, Cycle]] = {}  # by their bytes: most clients send few different ones
        self._admitted_by: Serving | None = None  # of all of them
        self._answered = 0.0  # when the connection began, or the last answer ended
        self._keep_alive: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        listening, is_tls = self.listening, transport.get_extra_info("ssl_object") is not None
        self.transport = transport
        has_room = is_tls or listening.connections.make_room(listening.observer)  # with TLS, its handshake has made room
        if not has_room:
            listening.observer.rejected(None, "connections")
            transport.abort()
            return
        super().connection_made(transport)
        self._answered, peer = self.loop.time(), _peer(transport)
        self._extensions = {CONNECTION: Connection(self, self.listening, peer, is_tls)}
        self._arm(_IDLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._keep_alive is not None:
            self._keep_alive.cancel()
        self._waiting = None
        super().connection_lost(exc)
        # no cycle of references is left: a connection that was open when the process froze its objects would never be freed
        self._heads, self._extensions = {}, {}
        self.scope = self.cycle = None  # type: ignore[assignment]
        self.pipeline.clear()

    def waits_since(self) -> float | None:
        """Since when the server waits for a client without credentials; None if there is a request in work, or credentials."""
        connection: Connection | None = self._extensions.get(CONNECTION)
        if connection is None or connection.is_known:
            return None
        is_answered = self.cycle is None or self.cycle.response_complete
        reads_body = self._phase == _BODY and not self.pipeline and not self.is_slow_body and not self.flow.read_paused
        if not is_answered and not reads_body:
            return None
        if self._timer is None:
            return self._answered
        return max(self._answered, self._timer.when() - self._seconds(self._phase))

    # -- parser callbacks ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = self.is_slow_body = False
        self.headers = []
        # What the application reads, and no more: see `TARGET` for the path and the query.
        self.scope = {"type": "http", "headers": self.headers, "extensions": self._extensions}  # type: ignore[typeddict-item]
        self._phase = _HEAD
        self._message += 1
        self._moved = True

    def on_headers_complete(self) -> None:
        # The parent's method without what the application does itself: the target is checked as it was sent.
        scope, parser = self.scope, self.parser
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope[TARGET] = self.url  # type: ignore[typeddict-unknown-key]
        self.headers = []  # trailer fields go here
        before = self.cycle
        self.cycle = cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,
            self.server_state.default_headers,
            _NO_EVENT,
            self.expect_100_continue,
            version != "1.0" and parser.should_keep_alive(),
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._waiting = cycle
        else:
            cycle.expect_task()
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        self._offers_upgrade = parser.should_upgrade()
        self._phase = _BODY
        self._moved = True

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if self.is_slow_body and not cycle.response_complete:
            cycle.put(body)
        else:
            super().on_body(body)
        self._moved = True

    def on_message_complete(self) -> None:
        if self._offers_upgrade:  # `_read_on` reads the body
            return
        super().on_message_complete()
        self._phase = _IDLE
        self._moved = True

    # -- limits -------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._moved = False
        if self._heads and self._phase == _IDLE and self._answer_known(data):
            return
        begins = self._phase == _IDLE
        self._parse(data)
        if self._waiting is not None:
            self._begin(self._waiting, data if begins else b"")
        if self._phase == _IDLE and self._moved:
            if self._timer is not None:
                self._disarm()
            self._quiet = 0
        elif not self.transport.is_closing():
            self._quiet = 0 if self._moved else self._quiet + len(data)
            if self._quiet > _QUIET:
                self._refuse(431 if self._phase == _HEAD else 400)
            elif self._timed != (self._message, self._phase):
                self._arm(self._phase)

    def _parse(self, data: bytes) -> None:
        """Give bytes to the parser. One that has read an offer of an upgrade stops before the body; another one reads it."""
        try:
            while True:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as stop:
                    data = data[stop.args[0] :]
                self._offers_upgrade = False
                self.parser = _parser(_Resumed(self))
                lines = (b"%b: %b\r\n" % field for field in self.scope["headers"] if field[0] in _FRAMING)
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(lines))
        except httptools.HttpParserError:
            self.send_400_response("")

    def _begin(self, cycle: Cycle, data: bytes) -> None:
        """Answer a request: at once if it is complete and its handler runs on the loop, else in a task.

        Parameters
        ----------
        data
            the segment that begins with it; empty if it began in an earlier one.
        """
        self._waiting = None
        if cycle.disconnected or self.transport.is_closing():
            return
        if not cycle.more_body and not self.flow.write_paused:
            body = bytes(cycle.body)
            head = self.app.answer(cycle, body)
            if head is not None:
                cycle.body.clear()  # the cycle may be kept with its head
                if data and head.serving is not None:
                    self._keep(data, body, head, cycle)
                return
        cycle.expect_task()
        self._start_asgi_task(cycle, self.app)

    # -- heads that come again ----------------------------------------------------------------------------------------

    def _keep(self, data: bytes, body: bytes, head: Head, cycle: Cycle) -> None:
        """Keep the head of a request: equal bytes are read and checked once."""
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if end > _MAX_KEPT or data[end:] != body:  # no other head ends there: the rest is a body without chunks, and no more
            return
        if len(self._heads) >= _KEPT:
            self._heads.clear()
        self._heads[data[:end]], self._admitted_by = (head, cycle), head.serving

    def _answer_known(self, data: bytes) -> bool:
        """Answer a request that is complete and has a kept head; False if this is none, and nothing was done.

        The parser does not see it. It is between two messages, before and after.
        """
        if self._admitted_by is not self.listening.serving:  # they would keep what was served before a reload, with its policies
            self._heads.clear()
            self._admitted_by = None
            return False
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        head, cycle = self._heads.get(data[:end], _NOT_KEPT)
        if head is None or head.length != len(data) - end:
            return False
        if not self.cycle.response_complete or self.flow.write_paused or self.transport.is_closing():
            return False
        if self.app.answer(cycle, data[end:], head) is None:
            return False
        if self._timer is not None:
            self._disarm()
        self._quiet = 0
        return True

    def on_response_complete(self) -> None:
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        # PERF: one timer for many answers; it is set again when it ends too early
        self._answered = self.loop.time()
        if self._keep_alive is None:
            self._keep_alive = self.loop.call_later(self.timeout_keep_alive, self._check_keep_alive)

    def _check_keep_alive(self) -> None:
        """Close the connection if it was idle since the last answer for the whole time."""
        self._keep_alive = None
        if self.transport.is_closing():
            return
        left = self._answered + self.timeout_keep_alive - self.loop.time()
        is_idle = self._phase == _IDLE and (self.cycle is None or self.cycle.response_complete)
        if is_idle and left <= 0:
            self.transport.close()
        else:
            self._keep_alive = self.loop.call_later(max(left, 1.0), self._check_keep_alive)

    def send_400_response(self, msg: str) -> None:
        self.listening.observer.rejected(None, "bad_request")
        self._disarm()
        self._refuse(400)

    def _arm(self, phase: int) -> None:
        self._disarm()
        self._timer, self._timed = self.loop.call_later(self._seconds(phase), self._expire), (self._message, phase)

    def _seconds(self, phase: int) -> float:
        limits = self.listening.limits
        return limits.body_seconds if phase == _BODY else limits.head_seconds

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timed = None

    def _expire(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._phase == _IDLE:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()
            return
        if self._phase == _BODY and (self.is_slow_body or self.flow.read_paused):
            if not self.is_slow_body:
                self._arm(_BODY)  # the server reads nothing at the moment: the client is not late
            return
        self.listening.observer.rejected(None, "time")
        self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Answer and close. An answer that has begun, or that comes first, is not disturbed."""
        is_before_body = self._phase == _BODY and self.cycle is not None and not self.cycle.response_started
        if self.cycle is None or self.cycle.response_complete or (is_before_body and not self.pipeline):
            text = _REFUSALS[status]
            self.transport.write(
                b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (text, len(text) - 4, text[4:])
            )
            if is_before_body:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            self.transport.close()
        elif self._phase == _BODY:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
            self.flow.pause_reading()


def _parser(events: object) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(events)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
    return parser


_REFUSALS: Final = {
    400: b"400 Bad Request",
    408: b"408 Request Timeout",
    431: b"431 Request Header Fields Too Large",
}


def _peer(transport: asyncio.Transport) -> Peer:
    """The other end of a connection."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        try:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, gid = _CREDENTIALS.unpack(raw)
        except (AttributeError, OSError, struct.error):  # without it there is no identity
            return Peer("unix")
        return Peer("unix", uid=uid, gid=gid, pid=pid)
    address = transport.get_extra_info("peername")
    text = str(address[0]) if address else None
    if text is not None and text.startswith("::ffff:") and "." in text:
        text = text.removeprefix("::ffff:")
    tls = transport.get_extra_info("ssl_object")
    return Peer("tcp", text, certificate_names=_names(tls.getpeercert()) if tls is not None else ())


def _names(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """The URI names of a verified certificate, else its DNS names; never its subject (G26)."""
    names = (certificate or {}).get("subjectAltName", ())
    uris = tuple(value for kind, value in names if kind == "URI")
    return uris or tuple(value for kind, value in names if kind == "DNS")
