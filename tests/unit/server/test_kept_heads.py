"""Heads that a connection keeps: equal bytes are read and checked once, and no answer differs by that."""

from __future__ import annotations

import asyncio
import gc
import re
import tracemalloc
import weakref
from typing import Any

import pytest
from edge_connection import Edge
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all
from server_process import Echo, parse

from fastiam.server import uvicorn_protocol
from fastiam.server.config_sections import Limits
from fastiam.server.serving import Serving


def edge() -> Edge:
    return Edge(Limits(), Echo("", with_health=False))


HEADS = [
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n",
    b"POST /any/a?b=1 HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nContent-Length: 4\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r\r\nContent-Length: 4\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    b"POST /any/a HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 4\r\n\r\n",
    b"POST /missing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n",
    b"POST /pool HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n",
    b"POST /fail HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n",
    b"POST /joined HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n",
    b"POST /stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n",
    b"POST /echo HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\n\r\n",
]
"""Heads of a body with four bytes; the first ones are the most frequent ones of `requests`."""
BODY = b"x" * 60_000
BODIES = [b"0000", b"\r\n\r\n", b"\n\n\r\n", b"POST"]
OTHERS = [
    b"GET /any/g HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"HEAD /any/g HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0000\r\n0\r\nHost: x\r\n\r\n",
    b"\r\n",
    b"nonsense\r\n\r\n",
]
requests = st.lists(
    st.one_of(
        st.builds(bytes.__add__, st.sampled_from(HEADS[:2]), st.sampled_from(BODIES)),
        st.builds(bytes.__add__, st.sampled_from(HEADS), st.sampled_from(BODIES)),
        st.sampled_from(OTHERS),
    ),
    min_size=2,
    max_size=8,
)


@st.composite
def segments(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Requests of one connection as they may arrive: mostly one in each segment, some cut, some joined.

    Returns
    -------
    list: bytes, and whether their answers are read before the next ones are sent.
    """
    made: list[tuple[bytes, bool]] = []
    for request in draw(requests):
        how = draw(st.sampled_from(["whole"] * 5 + ["joined", "cut", "at once"]))
        if how == "joined" and made:
            made[-1] = made[-1][0] + request, True
        elif how == "cut":
            at = draw(st.integers(1, len(request) - 1))
            made += [(request[:at], False), (request[at:], True)]
        else:
            made.append((request, how != "at once"))
    return [*made, (HEADS[0] + BODIES[0], True)]


async def _answers(pieces: list[tuple[bytes, bool]]) -> tuple[bytes, bool]:
    one = edge()
    for piece, is_read in pieces:
        await one.send(piece, waits=is_read)
    return re.sub(rb"id-\d+", b"id", one.transport.written), one.transport.is_closed


def _play(pieces: list[tuple[bytes, bool]], kept: int) -> tuple[bytes, bool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn_protocol, "_MAX_KEPT", kept)
        return asyncio.run(_answers(pieces))


@given(segments())
@settings(max_examples=few_or_all(75, 150))
def test_kept_head_changes_no_answer(pieces: list[tuple[bytes, bool]]) -> None:
    assert _play(pieces, 2048) == _play(pieces, 0)


START = b"POST /any/a HTTP/1.1\r\nX-A: "
CUT = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
WITHIN = {
    "the value of a field": [HEADS[0] + b"0000", START, HEADS[0] + b"0000"],
    "a body": [HEADS[0] + b"0000", HEADS[1].replace(b" 4", b" %d" % len(HEADS[0] + b"0000")), HEADS[0] + b"0000"],
    "the rest of a head that was cut": [CUT, HEADS[0].removeprefix(CUT) + b"0000", HEADS[0].removeprefix(CUT) + b"0000"],
}


@pytest.mark.parametrize("pieces", WITHIN.values(), ids=WITHIN)
def test_kept_bytes_within_a_message_are_not_a_request(pieces: list[bytes]) -> None:
    sent = [(piece, i != 1) for i, piece in enumerate(pieces)]
    assert _play(sent, 2048) == _play(sent, 0)


def _count_heads(patch: pytest.MonkeyPatch) -> list[Any]:
    """Gets an element for each head that is read."""
    from fastiam.server import asgi

    read, scan = [], asgi.scan_header

    def scan_header(fields: Any) -> Any:
        read.append(fields)
        return scan(fields)

    patch.setattr(asgi, "scan_header", scan_header)
    return read


def test_equal_heads_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[bytes]:
        one = edge()
        return [parse(await one.send(HEADS[0] + body)).json()["body"] for body in BODIES]

    read = _count_heads(monkeypatch)
    assert asyncio.run(main()) == [body.decode() for body in BODIES]
    assert len(read) == 1


@pytest.mark.parametrize("path", [b"/pool", b"/stream"])
def test_head_of_a_request_for_a_thread_is_read_once(monkeypatch: pytest.MonkeyPatch, path: bytes) -> None:
    read = _count_heads(monkeypatch)
    answer = asyncio.run(edge_answer(HEADS[0].replace(b"/echo", path) + b"0000"))
    assert parse(answer).status == 200 and len(read) == 1


async def edge_answer(data: bytes) -> bytes:
    return await edge().send(data)


def test_admitted_request_is_refused_under_overload() -> None:
    """Many requests may be admitted before the task of the first one begins."""

    async def main() -> bytes:
        one = edge()
        await one.send(HEADS[6] + b"0000", waits=False)
        one.listening.in_work = one.listening.limits.in_work
        return await one.send(b"")

    assert parse(asyncio.run(main())).status == 503


def test_reload_reads_a_kept_head_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[int]:
        one = edge()
        found = [parse(await one.send(HEADS[0] + b"0000")).status for _ in range(2)]
        one.listening.serving = Serving({}, (), one.serving.authenticator, one.serving.hosts)
        return [*found, parse(await one.send(HEADS[0] + b"0000")).status]

    assert asyncio.run(main()) == [200, 200, 404]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        *(head + b"0000" for head in HEADS),
        HEADS[0] + b"0000" + HEADS[6] + b"0000" + HEADS[0] + b"0000",
        HEADS[0][:20],
        b"\0\r\n\r\n",
    ],
)
def test_lost_connection_is_freed_by_reference_counts(data: bytes) -> None:
    """One that is open when the process freezes its objects is seen by no collection (G221)."""

    async def main() -> object:
        one = edge()
        await one.send(data)
        protocol = weakref.ref(one.protocol)
        gc.disable()
        try:
            one.protocol.connection_lost(None)
            del one.protocol
            for _ in range(500):  # a thread that has made a part of the answer may not have ended yet
                if protocol() is None:
                    break
                await asyncio.sleep(0.01)
            return protocol()
        finally:
            gc.enable()

    assert asyncio.run(main()) is None


def test_client_that_leaves_a_stream_in_work_raises_nothing() -> None:
    """A thread may work on a piece of the body when the connection is lost: the next one is asked for after it."""

    async def main() -> tuple[list[Exception], int]:
        one, errors = edge(), list[Exception]()
        one.app.on_error = lambda error, decision_id: errors.append(error)
        head = b"POST /stream HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        await one.send(head + b"4\r\none\n\r\n", waits=False)
        tasks = set(one.protocol.tasks)
        await asyncio.sleep(0)  # the piece is given to a thread
        one.protocol.connection_lost(None)
        await asyncio.wait(tasks)
        return errors, len(tasks)

    assert asyncio.run(main()) == ([], 1)


def test_reload_lets_go_of_all_kept_heads() -> None:
    """A head that is not sent again would keep the policies of before for as long as the connection lasts."""

    async def main() -> object:
        echo = Echo("", with_health=False)
        one = Edge(Limits(), echo)
        protocol = weakref.ref(echo)
        for head in HEADS[:2]:
            assert parse(await one.send(head + b"0000")).status == 200
        del echo
        one.serving = one.listening.serving = Serving({}, (), one.serving.authenticator, one.serving.hosts)
        assert parse(await one.send(HEADS[0] + b"0000")).status == 404
        gc.collect()
        return protocol()

    assert asyncio.run(main()) is None


def test_answer_of_the_loop_is_given_under_overload() -> None:
    async def main() -> list[int]:
        one = edge()
        one.listening.in_work = one.listening.limits.in_work
        return [parse(await one.send(HEADS[0] + b"0000")).status for _ in range(2)]

    assert asyncio.run(main()) == [200, 200]


def test_heads_in_number_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        one = edge()
        for i in [*range(100), *range(100)]:
            head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX-A: %03d\r\nContent-Length: 0\r\n\r\n" % i
            assert parse(await one.send(head)).status == 200

    read = _count_heads(monkeypatch)
    asyncio.run(main())
    assert len(read) == 200


def test_bodies_are_not_kept_with_their_heads() -> None:
    async def main() -> int:
        one, before = edge(), tracemalloc.get_traced_memory()[0]
        for i in range(8):
            head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX-A: %d\r\nContent-Length: %d\r\n\r\n" % (i, len(BODY))
            assert parse(await one.send(head + BODY)).status == 200
            one.transport.written = b""
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        assert asyncio.run(main()) < 4 * len(BODY)
    finally:
        tracemalloc.stop()
