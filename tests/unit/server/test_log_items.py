"""`[decision_log] per = "item"`: a line for each item of a batch, of the same decision as its answer (G185)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock, Mock

import authzen_fixture
import bulk_fixture
import opa_fixture
import orjson
import pyarrow as pa
import pytest
from bulk_fixture import ALICE, ARROW, BOB, NDJSON, OBJECT, SESSION, arrow_stream, json_lines, row
from server_process import running

from fastiam.model.decision import Decision, Layer, Outcome
from fastiam.server.config_sections import DecisionLogSection, Limits
from fastiam.server.decision_log import DecisionLog
from fastiam.server.decision_records import BatchRecord, DecisionRecord, Item
from fastiam.server.http import Request
from fastiam.server.log_writer import LogWriter
from fastiam.server.streams import Stream
from fastiam.server.thread_pools import Pools

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
REQUEST = Request("POST", b"/", request_id="0193-7")


class Lines(LogWriter):
    """Keeps lines in memory, `most` at most."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.lines: list[Any] = []
        self.error = None if most else "disk full"
        self.most = most

    def put(self, line: bytes, *, always: bool = False) -> bool:
        if len(self.lines) >= self.most:
            return False
        self.lines.append(json.loads(line))
        return True

    @property
    def is_failing(self) -> bool:
        return self.error is not None or len(self.lines) >= self.most


def logged(items: Sequence[Item], size: int | None = None, most: int = 1 << 20, **settings: Any) -> tuple[bool, list[Any]]:
    """Whether items are logged, and their lines."""
    writer = Lines(most)
    log = DecisionLog(DecisionLogSection(**{"mode": "all", "per": "item"} | settings), writer, lambda: NOW, "host:1")
    return log.write_items(items, REQUEST, 1_000, size), writer.lines


def item(index: int, outcome: Outcome = Outcome.ALLOW) -> Item:
    decision = Decision(outcome, Layer.IDENTITY)
    return index, DecisionRecord("bulk/decisions", 1, ALICE, "s3:GetObject", OBJECT, {}, decision, decision.allowed)


ITEMS = [item(0), item(1, Outcome.IMPLICIT_DENY), item(2, Outcome.DEPENDS), item(3)]


@pytest.mark.parametrize(
    ("settings", "indices"),
    [
        ({"mode": "all"}, [0, 1, 2, 3]),
        ({"mode": "denied"}, [1, 2]),
        ({"mode": "sampled", "sample": 0.0}, [1, 2]),
        ({"mode": "sampled", "sample": 1.0}, [0, 1, 2, 3]),
    ],
)
def test_mode_chooses_among_the_items_of_a_batch(settings: dict[str, Any], indices: list[int]) -> None:
    is_logged, lines = logged(ITEMS, 4, **settings)
    assert is_logged and [line["batch"] for line in lines] == [{"id": "0193-7", "index": i, "size": 4} for i in indices]
    assert [line["decision_id"] for line in lines] == [f"0193-7.{i}" for i in indices]


@pytest.mark.parametrize("erase", [(), ("/input/context/aws:UserAgent",)])
def test_item_line_is_that_of_a_single_request(erase: tuple[str, ...]) -> None:
    record = DecisionRecord("a", 1, "p", "s3:é", "r", {"aws:UserAgent": "x", "token": "hidden"}, None, False, "bad_value")
    _, (line,) = logged([(7, record)], erase=erase)
    writer = Lines()
    DecisionLog(DecisionLogSection(mode="all", erase=erase), writer, lambda: NOW, "host:1").write(record, REQUEST, 1_000)
    assert line.pop("batch") == {"id": "0193-7", "index": 7}
    assert line == writer.lines[0] | {"decision_id": "0193-7.7"} and "hidden" not in json.dumps(line)


def test_items_that_cannot_be_logged_are_refused_or_dropped() -> None:
    assert logged(ITEMS, most=2, on_full="deny")[0] is False
    is_logged, lines = logged(ITEMS, most=2, on_full="drop")
    assert is_logged and len(lines) == 2


# -- protocols ---------------------------------------------------------------------------------------------------------


def of_record(record: Any) -> list[tuple[Any, ...]]:
    """Index, principal, action, resource, outcome or error, statement and result of the items of a batch."""
    assert isinstance(record, BatchRecord) and record.items is not None
    return list(map(summary, record.items))


def summary(numbered: Item) -> tuple[Any, ...]:
    index, record = numbered
    decision = record.decision
    outcome = record.error if decision is None else decision.outcome.name
    sid = decision.statement.label if decision is not None and decision.statement is not None else None
    return index, record.principal, record.action, record.resource, outcome, sid, record.result


def test_authzen_items_have_the_decisions_of_the_answer() -> None:
    world = authzen_fixture.World(logs_items=True)
    entities = authzen_fixture.entities
    items = [entities("alice", "read", "record-1"), entities("bob", "write", "record-1"), {"subject": {"type": "user"}}]
    response = world.send("evaluations", orjson.dumps({"evaluations": items}))
    assert isinstance(response.body, bytes)
    answers = [one["decision"] for one in orjson.loads(response.body)["evaluations"]]
    found = of_record(response.record)
    assert [line[-1] for line in found] == answers == [True, False, False]
    assert found[0][:3] == (0, f"arn:aws:iam::{authzen_fixture.ACCOUNT}:user/alice", "record:read") and found[0][4] == "ALLOW"
    assert found[2][1:5] == (None, None, None, "missing")
    stopped = {"evaluations": items[1:], "options": {"evaluations_semantic": "deny_on_first_deny"}}
    assert len(of_record(world.send("evaluations", orjson.dumps(stopped)).record)) == 1
    encoded = authzen_fixture.World({"subjects": {"user": {"encoding": "base32hex", "known": False}}}, logs_items=True)
    default = entities("auth0|zoe", "read", "record-1")
    items = [{}, entities("did:ana", None, None), entities("alice", None, None) | {"subject": None}, {"subject": 5}]
    record = encoded.send("evaluations", orjson.dumps(default | {"evaluations": items})).record
    assert [one.sent_id for _, one in record.items] == ["auth0|zoe", "did:ana", "auth0|zoe", None]
    assert [one.principal is None for _, one in record.items] == [False, False, False, True]
    plain = authzen_fixture.World().send("evaluations", orjson.dumps({"evaluations": items})).record
    assert isinstance(plain, BatchRecord) and plain.items is None


def test_trino_items_have_the_decisions_of_the_answer() -> None:
    world = opa_fixture.World(logs_items=True)
    resources = [opa_fixture.table(name) for name in ("t1", "orders", "t2")] + [{"no": "table"}]
    asked = {"input": opa_fixture.trino("FilterTables", filterResources=resources)}
    response = world.send("POST", "/v1/data/trino/batch", orjson.dumps(asked))
    assert isinstance(response.body, bytes)
    found = of_record(response.record)
    allowed = orjson.loads(response.body)["result"]
    assert [line[0] for line in found if line[-1]] == allowed and 0 < len(allowed) < len(resources)
    assert {line[2] for line in found} == {"trino:FilterTables"}
    assert [line[3].rpartition("/")[2] for line in found[:3]] == ["t1", "orders", "t2"]
    assert found[3][3:5] == (None, "bad_value") or found[3][4] not in ("ALLOW", "IMPLICIT_DENY")


ROWS = [
    row(ALICE, context={"aws:SourceIp": "10.0.0.1"}),
    row(BOB),
    row("nobody"),
    row(None, session="s"),
    row(ALICE, "s3:PutObject"),
]
SESSIONS = {"sessions": {"s": {"principal": SESSION, "tags": {"team": "red"}}}}
EXPECTED = [
    (0, ALICE, "s3:GetObject", OBJECT, "ALLOW", "Read", True),
    (1, BOB, "s3:GetObject", OBJECT, "IMPLICIT_DENY", None, False),
    (2, None, "s3:GetObject", OBJECT, "unmapped_subject", None, False),
    (3, SESSION, "s3:GetObject", OBJECT, "ALLOW", "Red", True),
    (4, ALICE, "s3:PutObject", OBJECT, "IMPLICIT_DENY", None, False),
]


def streamed(body: bytes, query: str = "", content_type: str = NDJSON) -> tuple[list[Item], bytes]:
    """The items of a stream, taken after each piece of the answer as the application takes them, and the answer."""
    world = bulk_fixture.World(bulk_fixture.DEFAULT | {"assert:session"}, logs_items=True)
    _, processor = world.open(query, content_type)
    items: list[Item] = []
    written = b""
    try:
        for pieces in (processor.feed(body[:500]), processor.feed(body[500:]), processor.finish()):
            for piece in pieces:
                written += piece
                items += processor.take_items()
    except bulk_fixture.StreamAborted as aborted:
        written += aborted.last
    items += processor.take_items()
    record = processor.record()
    assert record.items == () and record.size == len(items) - (b'"row"' in written)
    return items, written


@pytest.mark.parametrize("query", ["", "reasons=false"])
def test_lines_of_a_stream_have_the_decisions_of_their_rows(query: str) -> None:
    items, written = streamed(json_lines([SESSIONS, *ROWS]), query)
    assert [(*one[:1], one[1] if one[4] != "unmapped_subject" else None, *one[2:]) for one in map(summary, items)] == EXPECTED
    answers = [json.loads(line) for line in written.splitlines()]
    assert [answer["outcome"] for answer in answers[:-1]] == ["ALLOW", "IMPLICIT_DENY", "ERROR", "ALLOW", "IMPLICIT_DENY"]
    assert ("sid" in answers[0]) is (query == "")
    assert items[0][1].context == {"aws:SourceIp": "10.0.0.1"}


def test_items_end_with_the_row_that_stops_a_stream() -> None:
    items, written = streamed(json_lines([SESSIONS, *ROWS]), "on_error=stop")
    assert [index for index, _ in items] == [0, 1, 2] and b'"row":2' in written


@pytest.mark.parametrize("is_logged", [True, False])
def test_answers_before_a_row_that_stops_need_a_log(is_logged: bool) -> None:
    world = bulk_fixture.World(logs_items=True)
    response, processor = world.open("on_error=stop")
    body, written = json_lines(ROWS[:3]), bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def write(_head: Any, _send: Any, message: dict[str, Any]) -> None:
        written.extend(message.get("body", b""))

    async def answer() -> None:
        app: Any = Mock(pools=Pools(Limits()), write=write)
        app.observer.log_items.return_value = is_logged
        await Stream(app, Mock(), Mock(time=60.0), Mock(), processor, (response.status, []), 0).run(receive, AsyncMock())
        app.pools.close()
        assert [index for index, _ in app.observer.log_items.call_args.args[0]] == [0, 1, 2]

    asyncio.run(answer())
    assert (b'"ALLOW"' in written) is is_logged
    assert (b'{"error":{"code":"overload"' in written) is not is_logged


def test_items_of_a_stream_are_logged_by_a_thread_of_the_pool() -> None:
    response, processor = bulk_fixture.World(logs_items=True).open()
    names: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json_lines(ROWS), "more_body": False}

    async def answer() -> None:
        app: Any = Mock(pools=Pools(Limits()), write=AsyncMock())
        app.observer.log_items.side_effect = lambda *_: names.append(threading.current_thread().name) or True
        await Stream(app, Mock(), Mock(time=60.0), Mock(), processor, (response.status, []), 0).run(receive, AsyncMock())
        app.pools.close()

    asyncio.run(answer())
    assert names and all(name.startswith("fastiam-pool") for name in names)


def test_items_of_arrow_equal_those_of_lines() -> None:
    columns = {name: [each.get(name) for each in ROWS[:2] + ROWS[4:]] for name in ("principal", "action", "resource")}
    table = pa.table(columns | {"aws:SourceIp": ["10.0.0.1", None, None]})
    items, _ = streamed(arrow_stream(table, rows=2), content_type=ARROW)
    assert [summary(one)[1:] for one in items] == [EXPECTED[i][1:] for i in (0, 1, 4)]
    assert [index for index, _ in items] == [0, 1, 2] and items[0][1].context == {"aws:SourceIp": "10.0.0.1"}


def test_server_writes_a_line_for_each_denied_row(tmp_path: Any) -> None:
    (tmp_path / "policies.json").write_text(bulk_fixture.directory().to_json())
    toml = '[listeners.main]\naddress = "127.0.0.1:0"\nprotocols = ["bulk"]\n[listeners.ops]\naddress = "127.0.0.1:0"\n'
    toml += f'[decision_log]\npath = "{tmp_path}/log"\nper = "item"\n'
    with running(tmp_path, tmp_path / "policies.json", toml) as server:
        server.ask("POST", "/v1/decisions", json_lines([ROWS[0], ROWS[1], ROWS[4]]), {"Content-Type": NDJSON})
        assert server.stop() == 0  # which writes what is queued
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(line["batch"]["index"], line["input"]["principal"], line["outcome"]) for line in lines] == [
        (1, BOB, "IMPLICIT_DENY"),
        (2, ALICE, "IMPLICIT_DENY"),
    ]


def test_stream_ends_where_its_items_cannot_be_logged(tmp_path: Any) -> None:
    (tmp_path / "policies.json").write_text(bulk_fixture.directory().to_json())
    toml = '[listeners.main]\naddress = "127.0.0.1:0"\nprotocols = ["bulk"]\n[listeners.ops]\naddress = "127.0.0.1:0"\n'
    toml += '[decision_log]\npath = "/dev/full"\nper = "item"\non_full = "deny"\n'
    body = json_lines([ROWS[1]])
    head = f"POST /v1/decisions HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\nContent-Length: {len(body)}\r\n"
    head += "Connection: close\r\n\r\n"
    with running(tmp_path, tmp_path / "policies.json", toml) as server:
        ends = time.monotonic() + 20
        while time.monotonic() < ends:  # the first lines are queued before a write fails
            answer = server.send(head.encode() + body)
            if b"IMPLICIT_DENY" not in answer:
                break
    assert b'{"error":{"code":"overload","row":' in answer and b"summary" not in answer
    assert not answer.endswith(b"0\r\n\r\n")  # HTTP shows that it is incomplete
