"""Arrow streams of bulk decisions: how messages are read, and what is sent of dictionaries (G163, G164)."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any
from unittest.mock import AsyncMock, Mock

import numpy as np
import pyarrow as pa
from bulk_fixture import ACCOUNT, ALICE, ARROW, World, arrow_stream, row

from fastiam import Directory
from fastiam.server.config_sections import Limits
from fastiam.server.streams import Stream
from fastiam.server.thread_pools import Pools


def test_pieces_of_an_arrow_message_are_one_call() -> None:
    body = arrow_stream(pa.Table.from_pylist([row()] * 2_000))
    pieces = [body[at : at + 4_096] for at in range(0, len(body), 4_096)]
    response, processor = World().open(content_type=ARROW)
    pools = Pools(Limits())
    app: Any = Mock(pools=Mock(start=Mock(side_effect=pools.start), limits=pools.limits), write=AsyncMock())

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    asyncio.run(Stream(app, Mock(), Mock(time=60.0), Mock(), processor, (response.status, []), 0).run(receive, AsyncMock()))
    pools.close()
    written = b"".join(call.args[2].get("body", b"") for call in app.write.await_args_list)
    assert pa.ipc.open_stream(written).read_all()["outcome"].to_pylist() == ["ALLOW"] * 2_000
    assert len(body) > 100_000 and app.pools.start.call_count <= 4, "head, schema, batch"


def test_single_bytes_of_a_message_do_not_wait_in_number() -> None:
    """A piece that waits for a thread takes a hundred times as much memory as its byte."""
    begin = arrow_stream(pa.Table.from_pylist([row()] * 20_000))[: 1 << 16]
    _, processor = World().open(content_type=ARROW)
    pools = Pools(Limits())
    app: Any = Mock(pools=Mock(start=Mock(side_effect=pools.start), limits=pools.limits), write=AsyncMock())
    most, sent = 0, 0

    async def receive() -> dict[str, Any]:
        nonlocal most, sent
        sent += 1
        if sent == 1:
            return {"type": "http.request", "body": begin, "more_body": True}
        most = max(most, tracemalloc.get_traced_memory()[0])
        return {"type": "http.request", "body": bytes([sent % 256]), "more_body": True} if sent < 5_000 else {"type": "other"}

    head: Any = Mock()
    head.connection.expect = lambda count: None  # a mock keeps each call, which are 9 MB
    stream = Stream(app, head, Mock(time=60.0), Mock(), processor, (200, []), 0)
    tracemalloc.start()
    try:
        asyncio.run(stream.run(receive, AsyncMock()))
    finally:
        tracemalloc.stop()
    pools.close()
    assert sent == 5_000 and most < 600_000


def test_arrow_offsets_that_run_backwards_are_refused() -> None:
    """The differences of these offsets, as 32 bits, are all positive."""
    columns = {name: ["a" * 10, "b", "c", "d"] for name in ("principal", "action", "resource")}
    good = np.array([0, 10, 11, 12, 13], np.int32)
    bad = np.array([0, (1 << 31) - 1, -(1 << 31), -1, 13], np.int32)
    assert (np.diff(bad) > 0).all()
    stream = arrow_stream(pa.record_batch(columns))
    assert stream.count(good.tobytes()) == 3
    reply = World().stream(stream.replace(good.tobytes(), bad.tobytes()), content_type=ARROW)
    assert (reply.status, reply.error["code"]) == (400, "bad_arrow")


def test_arrow_dictionaries_are_sent_again_with_new_texts() -> None:
    denied, allowed = row(ALICE, **{"aws:SourceIp": "203.0.113.1"}), row(ALICE, **{"aws:SourceIp": "198.51.100.1"})
    rows = [allowed, allowed, denied, allowed, allowed, denied, allowed]
    reply = World().stream(arrow_stream(pa.Table.from_pylist(rows), rows=1), content_type=ARROW)
    reader = pa.ipc.open_stream(reply.body)
    table = reader.read_all()
    sids = ["Net" if each is denied else "Read" for each in rows]
    assert table["sid"].to_pylist() == sids and table["policy"].to_pylist() == ["alice"] * len(rows)
    assert reader.stats.num_replaced_dictionaries == 1, "of `sid`"


def test_arrow_dictionary_grows_to_a_bound() -> None:
    """A dictionary with many texts that no row of a batch has is not sent again as a whole."""
    made = Directory(quotas=None)
    made.add_account(ACCOUNT)
    count = 40
    statements = [
        {"Sid": f"S{i}", "Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::data/{i}"} for i in range(count)
    ]
    made.add_principal(ALICE, identity_policies=[("many", {"Version": "2012-10-17", "Statement": statements})])
    rows = [row(ALICE, resource=f"arn:aws:s3:::data/{i}") for i in range(count)]
    reply = World(made=made).stream(arrow_stream(pa.Table.from_pylist(rows), rows=1), content_type=ARROW)
    batches = list(pa.ipc.open_stream(reply.body))
    assert [batch["sid"].to_pylist() for batch in batches] == [[f"S{i}"] for i in range(count)]
    assert max(len(batch["sid"].dictionary) for batch in batches) <= 8
