"""The application: reads requests under limits, authenticates, routes, runs handlers, writes answers (1.3 to 1.6).

Everything that is refused here is refused before a protocol sees it. No exception becomes an allow: an error of a handler is 500.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from time import perf_counter_ns
from typing import Any, Final

import orjson

from fastiam.server._scan import scan_header
from fastiam.server.client_address import find_client
from fastiam.server.decider import Decider
from fastiam.server.http import JSON, Request, Response
from fastiam.server.identity import Identity
from fastiam.server.observer import Observer
from fastiam.server.protocol import Elsewhere, Place, Route, StreamRoute
from fastiam.server.serving import Serving
from fastiam.server.streams import Disconnected, Head, Message, Receive, Send, Stream, gather
from fastiam.server.thread_pools import Overload, Pools
from fastiam.server.uvicorn_protocol import CONNECTION, TARGET, Connection, Cycle

MAX_FIELDS: Final = 100
MAX_FIELD: Final = 16 * 1024
MAX_HEAD: Final = 32 * 1024
MAX_PATH: Final = 8 * 1024
MAX_REQUEST_ID: Final = 512
_SMALL: Final = 64 * 1024  # bytes of a body that is read and dropped after a refusal, so that the connection can stay
_LINGER: Final = 1.0  # seconds in which a refused body is still read, so that the client sees the answer

_ADMITTED: Final = "fastiam.admitted"  # in a scope: head and decision id of a request that was admitted, and not answered

HOST, AUTHORIZATION, ENCODING, REQUEST_ID = 1, 2, 8, 32  # bits of fields that occur more than once
_JSON_LINE: Final = b"content-type: application/json\r\n"
_CLOSED: Final = frozenset({400, 413, 414, 431})
_RETRY: Final = ((b"retry-after", b"1"),)
_BEARER: Final = ((b"www-authenticate", b'Bearer realm="fastiam"'),)

_MESSAGES: Final = {
    "bad_target": "the target of the request is not a path",
    "bad_host": "exactly one `Host` is needed",
    "wrong_host": "this server has another name",
    "head_too_large": "the header is too large",
    "path_too_long": "the path is too long",
    "not_found": "no such path",
    "bad_method": "the path has no such method",
    "bad_credentials": "no credentials, or wrong ones",
    "two_credentials": "more than one `Authorization`",
    "no_scope": "the scope is missing",
    "bad_encoding": "an encoded body is not supported",
    "body_too_large": "the body is too large",
    "bad_request_id": "the request id is too long, or there are two",
    "overload": "too many requests",
    "timeout": "the request took too long",
    "log_full": "the decision cannot be logged",
    "internal_error": "internal error",
}


class Refusal(Exception):
    """A request that the edge refuses."""

    def __init__(self, status: int, code: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status, self.code, self.headers = status, code, headers
        super().__init__(code)


class Application:
    """The ASGI application of all listeners.

    Parameters
    ----------
    clock
        the time, in UTC.
    new_id
        makes the decision id of a request.
    on_error
        gets the exceptions of handlers.
    """

    def __init__(
        self,
        decider: Decider,
        pools: Pools,
        observer: Observer,
        *,
        new_id: Callable[[], str],
        on_error: Callable[[BaseException, str], None],
        on_refused: Callable[[Connection, int, str], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.decider = decider
        self.pools = pools
        self.observer = observer
        self.clock = clock
        self.new_id = new_id
        self.on_error = on_error
        self.on_refused = on_refused
        self.is_stopping = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = perf_counter_ns()
        connection: Connection = scope["extensions"][CONNECTION]
        head, decision_id = scope.pop(_ADMITTED, None) or (Head(connection, scope["method"]), self.new_id())
        listening = connection.listening
        flights, is_counted, awaited = self.observer.in_flight, False, 0
        try:
            response: Response
            has_body = True
            try:
                if head.serving is None:
                    self._admit(head, scope, listening.serving)
                served = head.served
                assert served is not None
                flights[served.protocol] = flights.get(served.protocol, 0) + 1
                is_counted = True
                route = served.route
                if isinstance(route, StreamRoute):
                    request = self._request(head, b"", decision_id)
                    opened = partial(route.open, request, self.decider, self.clock())
                    response, processor = await self._in_pool(Place.POOL, head, self.pools.limits.handler_seconds, opened)
                    if processor is not None:
                        headers = self._headers(head, response, decision_id)
                        stream = Stream(self, head, route, request, processor, (response.status, headers), began)
                        await stream.run(receive, send)
                        return
                else:
                    body = await self._read(receive, route.max_body, head)
                    has_body, awaited = False, len(body)
                    request = self._request(head, body, decision_id)
                    place = route.place
                    if not isinstance(place, Place):
                        place = place(request)
                    if place is Place.LOOP:
                        response = route.handler(request, self.decider, self.clock())
                    else:
                        seconds = route.time or self.pools.limits.handler_seconds
                        call = partial(route.handler, request, self.decider, self.clock())
                        response = await self._in_places(place, head, seconds, call)
                elapsed = perf_counter_ns() - began
                if response.record is not None and not self.observer.decided(served.protocol, response.record, request, elapsed):
                    raise Refusal(503, "log_full", _RETRY)
            except Disconnected:
                return
            except Refusal as refusal:
                response = self._refused(head, refusal)
            except Exception as error:
                self.on_error(error, decision_id)
                response = self._refused(head, Refusal(500, "internal_error"))
            linger = has_body and head.length != 0 and (head.length is None or head.length > _SMALL)
            try:
                await self.respond(head, response, decision_id, send, receive if linger else None)
            except Disconnected:
                return
            served = head.served
            self.observer.answered(
                served.protocol if served is not None else "none",
                served.path if served is not None else "other",
                response.status,
                perf_counter_ns() - began,
            )
        finally:
            listening.body_bytes -= awaited
            if is_counted and head.served is not None:
                flights[head.served.protocol] -= 1

    def answer(self, cycle: Cycle, body: bytes, known: Head | None = None) -> Head | None:
        """Answer a complete request whose handler runs on the loop.

        Parameters
        ----------
        known
            the head of an earlier request of this connection with the same bytes; it is not read again.

        Returns
        -------
        Head | None
            the head of the request. None if it is not answered on the loop: only its head was admitted.
        """
        began = perf_counter_ns()
        scope: Any = cycle.scope
        connection: Connection = scope["extensions"][CONNECTION]
        head = Head(connection, scope["method"]) if known is None else known
        decision_id = self.new_id()
        try:
            if known is None:
                self._admit(head, scope, connection.listening.serving)
            served = head.served
            assert served is not None
            request = self._request(head, body, decision_id)
            found = self._answer_on_loop(served.route, request)
            if found is None:
                if known is None:
                    scope[_ADMITTED] = head, decision_id
                return None
            response = found
            record = response.record
            if record is not None and not self.observer.decided(served.protocol, record, request, perf_counter_ns() - began):
                raise Refusal(503, "log_full", _RETRY)
            content = response.body if isinstance(response.body, bytes) else b"".join(response.body)
            lines = self._lines(head, response, decision_id, len(content))
        except Refusal as refusal:
            response, content, lines = self._refused_at_once(head, refusal, decision_id)
        except Exception as error:
            self.on_error(error, decision_id)
            response, content, lines = self._refused_at_once(head, Refusal(500, "internal_error"), decision_id)
        close = response.close or self.is_stopping
        cycle.respond(response.status, lines, content, connection.protocol.server_state.date, close=close)
        served = head.served
        protocol, path = ("none", "other") if served is None else (served.protocol, served.path)
        self.observer.answered(protocol, path, response.status, perf_counter_ns() - began)
        return head

    def _answer_on_loop(self, route: Route | StreamRoute, request: Request) -> Response | None:
        """The answer of a route, or None if it is not made on the loop."""
        if isinstance(route, StreamRoute):
            return None
        if len(request.body) > route.max_body:
            raise Refusal(413, "body_too_large")
        if route.at_once is not None:
            return route.at_once(request, self.decider, self.clock())
        place = route.place
        if place is Place.LOOP or (not isinstance(place, Place) and place(request) is Place.LOOP):
            return route.handler(request, self.decider, self.clock())
        return None

    def _refused_at_once(self, head: Head, refusal: Refusal, decision_id: str) -> tuple[Response, bytes, bytes]:
        response = self._refused(head, refusal)
        assert isinstance(response.body, bytes)
        return response, response.body, self._lines(head, response, decision_id, len(response.body))

    def _lines(self, head: Head, response: Response, decision_id: str, size: int) -> bytes:
        """The fields of an answer as lines.

        Raises
        ------
        ValueError
            a field contains a line end.
        """
        content_type = response.content_type
        fields = b"" if not response.headers else b"".join([b"%b: %b\r\n" % field for field in response.headers])
        count = len(response.headers)
        if fields.count(b"\n") != count or fields.count(b"\r") != count:
            raise ValueError("a field of the answer contains a line end")
        first = _JSON_LINE if content_type is JSON else b"" if content_type is None else _content_type(content_type)
        served = head.served
        if served is None or not served.route.echoes_request_id or head.request_id == b"":
            return b"%b%bcontent-length: %d\r\n" % (first, fields, size)
        request_id = decision_id.encode() if head.request_id is None else head.request_id
        return b"%b%bx-request-id: %b\r\ncontent-length: %d\r\n" % (first, fields, request_id, size)

    # -- the head -----------------------------------------------------------------------------------------------------

    def _admit(self, head: Head, scope: Message, serving: Serving) -> None:
        """Check everything that the header alone shows, before the body is read."""
        connection = head.connection
        target: bytes = scope[TARGET]
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        size, longest, host, authorization, length, encoding, is_chunked, request_id, twice = scan_header(headers)
        size += len(target)
        head.length = None if is_chunked else 0 if length is None else int(length)
        if len(headers) > MAX_FIELDS or size > MAX_HEAD or longest > MAX_FIELD:
            head.length = None  # the connection is closed
            raise Refusal(431, "head_too_large")
        path, _, head.query = target.partition(b"?")
        head.path = path
        if len(path) > MAX_PATH:
            head.length = None
            raise Refusal(414, "path_too_long")
        if not path.startswith(b"/") or b"#" in target or not target.isascii():
            raise Refusal(serving.bad_target, "bad_target")
        if twice & HOST or (host is None and scope["http_version"] == "1.1"):
            raise Refusal(400, "bad_host")
        served = serving.find(path)
        if served is None or served.checks_host:
            known = connection.host
            if known is None or known[0] is not serving or known[1] != host:
                if not serving.accepts_host(host or b""):
                    raise Refusal(421, "wrong_host")
                if host is not None:
                    connection.host = serving, host
        if served is None:
            raise Refusal(404, "not_found")
        head.served = served
        route = served.route
        if route.echoes_request_id:
            if request_id is not None and (len(request_id) > MAX_REQUEST_ID or twice & REQUEST_ID):
                head.request_id = b""
                raise Refusal(400, "bad_request_id")
            head.request_id = request_id
        method = head.method
        if route.methods is not None and method not in route.methods:
            raise Refusal(405, "bad_method", ((b"allow", served.allow),))
        if method in ("TRACE", "CONNECT"):
            raise Refusal(405, "bad_method", ((b"allow", b"GET, HEAD, POST"),))
        if twice & AUTHORIZATION:
            raise Refusal(400, "two_credentials")
        if served.authenticates:
            identity = self._identify(connection, serving, authorization)
            if identity is None:
                raise Refusal(401, "bad_credentials", _BEARER if serving.authenticator.kind == "bearer" else ())
            if route.scope is not None and route.scope not in identity.scopes:
                raise Refusal(403, "no_scope")
            head.identity = identity
        elif route.scope is not None and serving.authenticator.kind != "bearer":  # what the connection proves counts all the same
            identity = self._identify(connection, serving, None)
            if identity is None:
                raise Refusal(401, "bad_credentials")
            if route.scope not in identity.scopes:
                raise Refusal(403, "no_scope")
        if encoding is not None and (encoding.strip().lower() not in (b"identity", b"") or twice & ENCODING):
            raise Refusal(415, "bad_encoding")
        if head.length is not None and isinstance(route, Route) and head.length > route.max_body:
            raise Refusal(413, "body_too_large")
        head.headers = tuple(headers)
        head.client_address, head.client_is_tls = connection.peer.address, connection.is_tls
        if serving.proxies:
            head.client_address, head.client_is_tls = find_client(
                connection.peer, connection.is_tls, head.headers, serving.proxies
            )
        head.serving = serving

    def _identify(self, connection: Connection, serving: Serving, field: bytes | None) -> Identity | None:
        """The identity of a request. The last one of the connection is kept, so that a token is hashed once."""
        authenticator, known = serving.authenticator, connection.authenticated
        if known is not None and known[0] is authenticator and (authenticator.kind != "bearer" or known[1] == field):
            identity: Identity | None = known[2]
            return identity
        if authenticator.kind == "bearer":
            identity = None if field is None else authenticator.of_header(field)
        else:
            identity = authenticator.of_connection(connection.peer)
        if identity is not None:
            connection.authenticated = authenticator, field, identity
        return identity

    @staticmethod
    def _request(head: Head, body: bytes, decision_id: str) -> Request:
        connection = head.connection
        return Request(
            head.method,
            head.path,
            head.query,
            head.headers,
            body,
            connection.peer,
            connection.is_tls,
            head.client_address,
            head.client_is_tls,
            head.identity,
            decision_id,
        )

    # -- the body -----------------------------------------------------------------------------------------------------

    async def _read(self, receive: Receive, limit: int, head: Head) -> bytes:
        """The whole body. It counts for the bodies of the listener, until the caller takes it off."""
        listening, is_known = head.connection.listening, head.connection.is_known
        pieces: list[bytes] = []
        size, is_last = 0, False
        try:
            while not is_last:
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                piece, is_last = message["body"], not message["more_body"]
                pieces.append(piece)
                size += len(piece)
                listening.body_bytes += len(piece)
                if size > limit:
                    raise Refusal(413, "body_too_large")
                share = listening.limits.body_bytes >> (not is_known)
                if listening.body_bytes > share and size > _SMALL:
                    raise Refusal(503, "overload", _RETRY)
        except BaseException:
            listening.body_bytes -= size
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _in_places(self, place: Place, head: Head, seconds: float, call: Callable[[], Response]) -> Response:
        """Run a handler, at each place that it asks for."""
        is_known = True
        while True:
            try:
                response: Response = await self._in_pool(place, head, seconds, call, is_known=is_known)
                return response
            except Elsewhere as moved:
                place, call, is_known = moved.place, moved.call, moved.is_known

    async def _in_pool(self, place: Place, head: Head, seconds: float, call: Callable[[], Any], *, is_known: bool = True) -> Any:
        listening = head.connection.listening
        if listening.in_work >= listening.limits.in_work:
            raise Refusal(503, "overload", _RETRY)
        listening.in_work += 1
        try:
            return await self.pools.run(place, head.client(), seconds, call, is_known=is_known)
        except Overload:
            raise Refusal(503, "overload", _RETRY) from None
        except TimeoutError:
            raise Refusal(503, "timeout", _RETRY) from None
        finally:
            listening.in_work -= 1

    # -- the answer ---------------------------------------------------------------------------------------------------

    def _refused(self, head: Head, refusal: Refusal) -> Response:
        self.observer.rejected(head.served.protocol if head.served is not None else None, refusal.code)
        self.on_refused(head.connection, refusal.status, refusal.code)
        return _refusal(head, refusal)

    async def respond(self, head: Head, response: Response, decision_id: str, send: Send, rest: Receive | None = None) -> None:
        """Write an answer.

        Parameters
        ----------
        rest
            reads the rest of a body that was refused; the connection is closed after the answer.
        """
        body = response.body
        headers = self._headers(head, response, decision_id)
        if rest is not None or response.close or self.is_stopping:
            headers.append((b"connection", b"close"))
        if not isinstance(body, bytes):
            await self._send_pieces(head, headers, response.status, body, send)
            return
        headers.append((b"content-length", b"%d" % len(body)))
        await self.write(head, send, {"type": "http.response.start", "status": response.status, "headers": headers})
        if rest is None:
            await self.write(head, send, {"type": "http.response.body", "body": body})
            return
        await self.write(head, send, {"type": "http.response.body", "body": body, "more_body": True})
        try:
            async with asyncio.timeout(_LINGER):
                while (message := await rest())["type"] == "http.request" and message["more_body"]:
                    pass
        except TimeoutError:
            pass
        await self.write(head, send, {"type": "http.response.body", "body": b""})

    def _headers(self, head: Head, response: Response, decision_id: str) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = []
        if response.content_type is not None:
            headers.append((b"content-type", response.content_type.encode("latin-1")))
        headers += response.headers
        if head.served is not None and head.served.route.echoes_request_id:
            request_id = head.request_id
            if request_id != b"":
                headers.append((b"x-request-id", decision_id.encode() if request_id is None else request_id))
        return headers

    async def _send_pieces(
        self, head: Head, headers: list[tuple[bytes, bytes]], status: int, body: Iterator[bytes], send: Send
    ) -> None:
        await self.write(head, send, {"type": "http.response.start", "status": status, "headers": headers})
        seconds = self.pools.limits.handler_seconds
        while True:
            piece, is_last = await self._in_pool(Place.POOL, head, seconds, partial(gather, body))
            await self.write(head, send, {"type": "http.response.body", "body": piece, "more_body": not is_last})
            if is_last:
                return

    async def write(self, head: Head, send: Send, message: Message) -> None:
        """Send a part of an answer.

        Raises
        ------
        Disconnected
            the client does not read, and was disconnected.
        """
        try:
            await asyncio.wait_for(send(message), self.pools.limits.write_seconds)
        except TimeoutError:
            self.observer.rejected(head.served.protocol if head.served is not None else None, "write_time")
            head.connection.abort()
            raise Disconnected from None


@cache
def _content_type(value: str) -> bytes:
    if "\n" in value or "\r" in value:
        raise ValueError("a content type contains a line end")
    return f"content-type: {value}\r\n".encode("latin-1")


def _refusal(head: Head, refusal: Refusal) -> Response:
    message = _MESSAGES[refusal.code]
    served = head.served
    if served is not None and served.route.errors is not None:
        response = served.route.errors(refusal.status, refusal.code, message)
        return replace(response, headers=(*response.headers, *refusal.headers), close=refusal.status in _CLOSED)
    body = orjson.dumps({"error": {"code": refusal.code, "message": message}})
    return Response(refusal.status, body, headers=refusal.headers, close=refusal.status in _CLOSED)
