"""Bulk decisions as streams: pieces, damaged messages, errors, limits and memory (docs/bulk.md)."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import Any
from unittest.mock import AsyncMock, Mock

import pyarrow as pa
import pytest
from bulk_fixture import (
    ALICE,
    ARROW,
    BOB,
    NDJSON,
    OBJECT,
    World,
    arrow_stream,
    json_lines,
    row,
)
from bulk_rows import ALL, SESSIONS, _code, _outcomes

from fastiam.server.config_sections import Limits
from fastiam.server.protocols.bulk.arrow_messages import ArrowMessages
from fastiam.server.protocols.bulk.rows import Decided, Rows
from fastiam.server.streams import Disconnected, Stream
from fastiam.server.thread_pools import Pools
from fastiam.server.uvicorn_protocol import Cycle

# -- the stream -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [NDJSON, ARROW])
@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_body_in_any_pieces_has_one_answer(content_type: str, piece: int) -> None:
    rows = [row(BOB if i % 3 else ALICE) for i in range(20)]
    body = json_lines(rows) if content_type == NDJSON else arrow_stream(pa.Table.from_pylist(rows), rows=3)
    reply = World().stream(body, content_type=content_type, piece=piece)
    assert _outcomes(reply.rows) == ["IMPLICIT_DENY" if i % 3 else "ALLOW" for i in range(20)]


def test_messages_are_whole_however_their_bytes_arrive() -> None:
    sizes = (8_000, 1, 3, 90_000)  # of batches, in bytes
    columns = [pa.record_batch({"principal": ["x" * size]}) for size in sizes]
    body = arrow_stream(pa.Table.from_batches(columns))
    whole = [message.data for message in ArrowMessages().feed(body)]
    assert len(whole) == 1 + len(sizes) and b"".join(whole) == body[:-8]
    made = random.Random(1)
    for _ in range(200):
        messages, found, at = ArrowMessages(), [], 0
        while at < len(body):
            size = made.choice((1, 7, 8, 500, 4_095, 4_096, 5_000, 60_000))
            found += [message.data for message in messages.feed(body[at : at + size])]
            at += size
        messages.finish()
        assert found == whole and messages.is_ended


@pytest.mark.parametrize("piece", [b"1234", b"123456789"])
def test_piece_that_came_before_it_was_expected_is_read(piece: bytes) -> None:
    """A client that sent all that it can send waits for the answer: no further byte wakes the reader."""

    async def read() -> Any:
        transport: Any = Mock(is_closing=lambda: False)
        cycle = Cycle({"type": "http"}, transport, Mock(), Mock(), Mock(), False, [], Mock(), False, True, Mock())
        cycle.expect_task()
        await cycle.receive()  # what had come with the header
        cycle.expect(10)
        cycle.put(piece)
        cycle.expect(4)
        async with asyncio.timeout(5):
            return await cycle.receive()

    assert asyncio.run(read())["body"] == piece


def test_name_of_a_session_holds_for_its_request_alone() -> None:
    world = World(ALL)
    for _ in range(2):
        stated, plain = world.stream(json_lines([{"sessions": SESSIONS}, row("s")])), world.stream(json_lines([row("s")]))
        assert _outcomes(stated.rows) == ["ALLOW"]
        assert [_code(one) for one in plain.rows] == ["unmapped_subject"]


def test_damaged_arrow_never_answers_more_than_it_should() -> None:
    """A stream with one byte changed is answered as another stream, or refused; nothing but a refusal is raised (G164)."""
    columns = {
        "principal": [BOB] * 5,
        "action": ["s3:GetObject"] * 5,
        "resource": [OBJECT] * 5,
        "aws:SourceIp": ["198.51.100.1"] * 5,
    }
    stream = arrow_stream(pa.record_batch(columns))
    random.seed(160)
    world = World()
    found = set()
    for at in random.sample(range(len(stream)), 600):
        changed = bytearray(stream)
        changed[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, changed[at] ^ 0x10])
        reply = world.stream(bytes(changed), content_type=ARROW)
        found.add(reply.status)
        assert reply.status != 200 or b"\x01" != None and "ALLOW" not in _outcomes(reply.rows if reply.is_complete else [])
    assert found >= {200, 400}


def test_stream_that_ends_in_a_message_is_refused() -> None:
    table = pa.table({"principal": [ALICE], "action": ["s3:GetObject"], "resource": [OBJECT]})
    stream = arrow_stream(table)
    reply = World().stream(stream[:-30], content_type=ARROW)
    assert (reply.status, reply.error["code"]) == (400, "bad_arrow")
    assert World().stream(b"", content_type=ARROW).error["code"] == "bad_arrow"
    assert World().stream(stream + b"x", content_type=ARROW).error["code"] == "bad_arrow"


def test_error_after_answers_ends_the_stream_as_incomplete() -> None:
    rows = pa.Table.from_pylist([row()] * 4)
    reply = World().stream(arrow_stream(rows, rows=2)[:-8] + b"garbage!", content_type=ARROW, piece=64)
    assert reply.status == 200 and not reply.is_complete


def test_stop_ends_an_arrow_answer_before_the_row() -> None:
    rows = pa.Table.from_pylist([row(), row(), row("alice"), row()])
    reply = World().stream(arrow_stream(rows), "on_error=stop", content_type=ARROW)
    assert not reply.is_complete and pa.ipc.open_stream(reply.body).read_next_batch().num_rows == 2


def test_record_has_counts_and_denied_rows() -> None:
    record = World().stream(json_lines([row(), row(BOB), row("alice"), row()])).record
    assert (record.path, record.size, record.errors, list(record.denied)) == ("bulk/decisions", 4, 1, [1, 2])
    assert record.outcomes == {("ALLOW", "identity"): 2, ("IMPLICIT_DENY", "identity"): 1}


def test_streams_beyond_the_limit_are_refused_until_one_ends() -> None:
    world = World(streams=1)
    _, first = world.open()
    list(first.feed(json_lines([row()])))
    busy = world.stream(json_lines([row()]))
    assert (busy.status, busy.error["code"]) == (503, "overload")
    assert first.abort("disconnected") == b'{"error":{"code":"disconnected","row":1}}\n'
    first.record()
    assert world.stream(json_lines([row()])).status == 200


def test_refused_stream_whose_client_left_is_over() -> None:
    world = World(streams=1)
    response, processor = world.open()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json_lines([{"sessions": SESSIONS}]), "more_body": False}

    async def respond(*_: Any) -> None:
        raise Disconnected

    async def answer() -> None:
        app: Any = Mock(pools=Pools(Limits()), respond=respond)
        stream = Stream(app, Mock(), Mock(time=60.0), Mock(), processor, (response.status, []), 0)
        with pytest.raises(Disconnected):
            await stream.run(receive, AsyncMock())
        app.pools.close()

    asyncio.run(answer())
    assert world.stream(json_lines([row()])).status == 200


def test_call_that_begins_after_the_end_does_nothing() -> None:
    world = World(streams=1)
    _, late = world.open()
    pieces = late.feed(json_lines([row()]))
    late.record()
    assert list(pieces) == [] and world.stream(json_lines([row()])).status == 200


def _parts() -> int:
    return sum(isinstance(each, (Rows, Decided)) for each in gc.get_objects())


@pytest.mark.parametrize("content_type", [NDJSON, ARROW])
def test_long_stream_keeps_at_most_two_chunks(content_type: str) -> None:  # GC220
    rows = [row(BOB if i % 3 else ALICE) for i in range(30_000)]
    body = json_lines(rows) if content_type == NDJSON else arrow_stream(pa.Table.from_pylist(rows), rows=500)
    _, processor = World().open(content_type=content_type)
    gc.collect()
    most, pieces, before = 0, 0, _parts()
    for at in range(0, len(body), 1 << 16):
        for _ in processor.feed(body[at : at + (1 << 16)]):
            pieces += 1
            if pieces % 7 == 1:  # PERF: all objects of a large process are many
                most = max(most, _parts() - before)
    assert b"".join(processor.finish()) and processor.record().size == 30_000
    assert pieces > 20 and 0 < most <= 4, "rows and decisions of two chunks"
