"""`POST /v1/decisions`: parameters, sessions, columns, both forms, and what is kept in memory (G160 to G165)."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import tracemalloc
from typing import Any
from unittest.mock import AsyncMock, Mock

import orjson
import pyarrow as pa
import pytest
from bulk_fixture import (
    ALICE,
    ARROW,
    BOB,
    DEFAULT,
    NDJSON,
    OBJECT,
    ROLE,
    SESSION,
    World,
    arrow_stream,
    directory,
    json_lines,
    row,
)

from fastiam.server.config import Limits
from fastiam.server.identity import TRUST_SCOPES
from fastiam.server.pools import Pools
from fastiam.server.protocols.bulk.arrow_messages import ArrowMessages
from fastiam.server.protocols.bulk.rows import Decided, Rows
from fastiam.server.streams import Disconnected, Stream

ALL = frozenset(TRUST_SCOPES)
CAROL = "arn:aws:iam::111111111111:user/carol"
SESSIONS = {"s": {"principal": SESSION, "mfa_at": "2026-11-29T11:00:00Z", "tags": {"team": "red"}}}


def _outcomes(rows: list[dict[str, Any]]) -> list[str]:
    return [one["outcome"] for one in rows]


def _code(one: dict[str, Any]) -> str | None:
    return one["error"]["code"] if "error" in one else None


# -- parameters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "members"),
    [
        ("", {"outcome", "allowed", "layer", "policy", "sid"}),
        ("reasons=false", {"outcome", "allowed"}),
        ("fields=layer,sid", {"allowed", "layer", "sid"}),
    ],
)
def test_fields_are_those_asked_for(query: str, members: set[str]) -> None:
    (answer,) = World().decide([row()], query)
    assert answer.keys() == members
    names = set(pa.ipc.open_stream(World().stream(json_lines([row()]), query, accept=ARROW).body).schema.names)
    assert names >= members if query else names == members | {"depends_on", "error"}


@pytest.mark.parametrize(
    "query",
    [
        "reasons=maybe", "on_error=ignore", "threads=2", "threads=0", "threads=x", "fields=outcome,secret", "generation=latest",
        "summary=true&summary=false", "unknown=a*b", "now=yesterday",
    ],
)  # fmt: skip
def test_parameter_that_is_none_is_refused(query: str) -> None:
    reply = World().stream(json_lines([row()]), query)
    assert reply.status == 400 and reply.error["code"] in ("bad_parameter", "bad_value")


def test_threads_up_to_the_configured_number() -> None:
    rows = [row()] * 3
    assert _outcomes(World(threads=4).decide(rows, "threads=4")) == ["ALLOW"] * 3


@pytest.mark.parametrize(
    ("accept", "status", "is_arrow"),
    [
        (None, 200, False),
        ("*/*", 200, False),
        (ARROW, 200, True),
        ("text/html", 406, None),
        (f"text/html, {NDJSON};q=0.9", 200, False),
    ],
)
def test_answer_has_the_accepted_type(accept: str | None, status: int, is_arrow: bool | None) -> None:
    world = World()
    reply = world.stream(json_lines([row(), row(BOB)]), accept=accept)
    assert reply.status == status
    if status == 200:
        assert _outcomes(reply.rows) == ["ALLOW", "IMPLICIT_DENY"] and reply.body.startswith(b"\xff") is is_arrow
        assert world.open(accept=accept)[0].content_type == (ARROW if is_arrow else NDJSON)


@pytest.mark.parametrize(("content_type", "accept", "status"), [(ARROW, NDJSON, 415), (ARROW, None, 415), (NDJSON, ARROW, 406)])
def test_arrow_without_its_library_is_refused(
    content_type: str, accept: str | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("arrow_rows", "arrow_answers"):
        monkeypatch.delitem(sys.modules, f"fastiam.server.protocols.bulk.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    reply = World().stream(b"", content_type=content_type, accept=accept)
    assert (reply.status, reply.error["code"]) == (status, "bad_content_type")


def test_arrow_answer_has_the_generation_and_types() -> None:
    schema = pa.ipc.open_stream(World().stream(b"", accept=ARROW).body).schema
    assert schema.metadata == {b"fastiam.generation": b"1"}
    coded = {name: pa.types.is_dictionary(schema.field(name).type) for name in ("outcome", "layer", "policy", "sid")}
    assert all(coded.values()) and schema.field("depends_on").type == pa.list_(pa.string())
    assert (schema.field("allowed").type, schema.field("error").type) == (pa.bool_(), pa.string())


# -- sessions -------------------------------------------------------------------------------------------------------------


def test_session_of_the_header_decides_rows() -> None:
    rows = [
        {"sessions": SESSIONS},
        row("s"),
        row(None, session="s"),
        row(SESSION, session="s"),
        row("s", "s3:PutObject"),
        row(SESSION),
    ]
    reply = World(ALL).stream(json_lines(rows))
    assert _outcomes(reply.rows) == ["ALLOW", "ALLOW", "ALLOW", "ALLOW", "IMPLICIT_DENY"]
    assert reply.lines[-1]["summary"]["rows"] == 5


def test_session_of_the_schema_decides_rows() -> None:
    columns = {"principal": ["s", SESSION, ALICE], "action": ["s3:PutObject"] * 3, "resource": [OBJECT] * 3}
    batch = pa.record_batch(columns).replace_schema_metadata({"fastiam.sessions": orjson.dumps(SESSIONS)})
    reply = World(ALL).stream(arrow_stream(batch), content_type=ARROW)
    assert _outcomes(reply.rows) == ["ALLOW", "IMPLICIT_DENY", "IMPLICIT_DENY"]
    assert World(DEFAULT).stream(arrow_stream(batch), content_type=ARROW).status == 403


@pytest.mark.parametrize(
    ("sessions", "status", "code"),
    [
        (SESSIONS, 403, "not_asserted"),
        ({ALICE: SESSIONS["s"]}, 400, "bad_value"),
        ({"lambda.amazonaws.com": SESSIONS["s"]}, 400, "bad_value"),
        ({"s": {"principal": ROLE}}, 400, "type_mismatch"),
        ({"s": {"principal": SESSION, "issuer": ROLE}}, 400, "bad_value"),
        ({"s": {"principal": SESSION, "session_policies": ["{"]}}, 400, "bad_value"),
        ({"s": {"principal": SESSION, "mfa_at": "2027-01-01T00:00:00Z"}}, 400, "bad_value"),
    ],
)
def test_session_that_cannot_be_stated_is_refused(sessions: Any, status: int, code: str) -> None:
    scopes = DEFAULT if status == 403 else ALL
    reply = World(scopes).stream(json_lines([{"sessions": sessions}, row("s")]))
    assert (reply.status, reply.error["code"]) == (status, code)


def test_session_and_another_principal_contradict() -> None:
    rows = [{"sessions": SESSIONS}, row(ALICE, session="s"), row(None, session="t"), row(None, session=7)]
    assert [_code(one) for one in World(ALL).decide(rows)] == ["bad_value", "unmapped_subject", "unmapped_subject"]


# -- columns --------------------------------------------------------------------------------------------------------------


def test_value_of_another_type_than_its_key_is_an_error() -> None:
    """The engine would take it as text that no range contains, and the Deny would not apply (G58)."""
    values = ["203.0.113.9", "nonsense", "198.51.100.1", True, ["203.0.113.9", "198.51.100.1"], {"a": 1}, 1 << 60]
    expected = ["EXPLICIT_DENY", "ERROR", "ALLOW", "ERROR", "ERROR", "ERROR", "ERROR"]
    assert _outcomes(World().decide([row(**{"aws:SourceIp": value}) for value in values])) == expected
    texts = pa.array(["203.0.113.9", "nonsense", "198.51.100.1"])
    for column in (texts, texts.dictionary_encode(), texts.cast(pa.string_view()), texts.cast(pa.large_utf8())):
        table = pa.record_batch(
            {"principal": [ALICE] * 3, "action": ["s3:GetObject"] * 3, "resource": [OBJECT] * 3, "aws:SourceIp": column}
        )
        assert _outcomes(World().stream(arrow_stream(table), content_type=ARROW).rows) == expected[:3]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"principal": None}, "missing"),
        ({"principal": ""}, "missing"),
        ({"action": 7}, "bad_type"),
        ({"action": "s3:" + "a" * 254}, "too_long"),
        ({"resource": "arn:aws:s3:::" + "a" * 2_048}, "too_long"),
        ({"resource": "arn:aws:s3:::data/\u0001"}, "bad_character"),
        ({"aws:UserAgent": "x" * 4_097}, "too_long"),
        ({"user agent\u0000": "x"}, "bad_character"),
        ({"no key*": "x"}, "bad_key"),
        ({"fastiam:unknown": ["aws:SourceIp"]}, "bad_key"),
        ({"context": {"principal": BOB}}, "bad_value"),
        ({"context": {"aws:SourceIp": "1.2.3.4"}, "aws:SourceIp": "1.2.3.5"}, "bad_value"),
        ({"context": {"aws:SourceIp": "1.2.3.4"}, "AWS:sourceip": "1.2.3.4"}, "bad_value"),
        ({"context": []}, "bad_type"),
        ({"context": {f"a:{i}": 1 for i in range(300)}}, "too_many"),
        ({"aws:ResourceTag/team": "red", "resource": "arn:aws:s3:::data"}, "bad_value"),
    ],
)
def test_row_that_cannot_be_decided_is_an_error(changes: dict[str, Any], code: str) -> None:
    answers = World().decide([row(), {**row(), **changes}, row()])
    assert _outcomes(answers) == ["ALLOW", "ERROR", "ALLOW"] and _code(answers[1]) == code
    assert "blue" not in str(answers), "a value of the directory"


@pytest.mark.parametrize(
    ("name", "bad", "code"),
    [
        ("principal", "alice", "unmapped_subject"),
        ("principal", "", "missing"),
        ("action", "s3:Get\u0007", "bad_character"),
        ("resource", "arn:aws:s3:::" + "a" * 2_048, "too_long"),
        ("aws:UserAgent", "x" * 4_097, "too_long"),
        ("aws:PrincipalTag/x", "y", "not_asserted"),
        ("aws:SecureTransport", "maybe", "bad_value"),
        ("resource_account", "222222222222", "not_asserted"),
    ],
)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_arrow_row_that_cannot_be_decided_is_an_error(name: str, bad: str, code: str, kind: Any) -> None:
    columns: dict[str, Any] = {"principal": [ALICE] * 4, "action": ["s3:GetObject"] * 4, "resource": [OBJECT] * 4}
    good = columns.get(name, [None])[0]
    column = pa.array([good, bad, good, good])
    columns[name] = column.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else column.cast(kind)
    whole = pa.record_batch(columns)
    answers = World().stream(
        arrow_stream(pa.Table.from_batches([whole.slice(0, 1), whole.slice(1, 2), whole.slice(3)])), content_type=ARROW
    )
    assert _outcomes(answers.rows) == ["ALLOW", "ERROR", "ALLOW", "ALLOW"] and _code(answers.rows[1]) == code


def test_lists_and_single_values_of_one_key_are_decided_apart() -> None:
    values = [["a"], ["a", "z"], "a", ["a", "b"], "z", None]
    rows = [row(action="s3:PutObjectAcl", **({} if value is None else {"x:keys": value})) for value in values]
    world = World()
    expected = [world.engine.decide(ALICE, "s3:PutObjectAcl", OBJECT, {"x:keys": value}).outcome.name for value in values]
    assert _outcomes(world.decide(rows)) == expected and len(set(expected)) == 2


def test_key_below_an_unknown_prefix_is_known_if_a_row_states_it() -> None:
    rows = [
        row(action="s3:DeleteObject", **tags) for tags in ({}, {"aws:ResourceTag/team": "red"}, {"aws:ResourceTag/team": "x"}, {})
    ]
    answers = World().decide(rows, "unknown=aws:ResourceTag/*")
    assert _outcomes(answers) == ["DEPENDS", "ALLOW", "IMPLICIT_DENY", "DEPENDS"]
    assert answers[0]["depends_on"] == ["aws:ResourceTag/team"]
    arrow = World().stream(json_lines(rows), "unknown=aws:ResourceTag/*", accept=ARROW)
    assert arrow.rows == answers


def _mfa_world() -> World:
    made = directory()
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"NumericGreaterThan": {"aws:MultiFactorAuthAge": "9"}}},
    ]
    made.add_principal(CAROL, identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    return World(ALL, made)


def _with_sessions(rows: list[dict[str, Any]], query: str, content_type: str) -> list[dict[str, Any]]:
    if content_type == NDJSON:
        return _mfa_world().decide([{"sessions": SESSIONS}, *rows], query)
    table = pa.Table.from_pylist(rows, pa.schema({name: pa.string() for name in ("principal", "session", "action", "resource")}))
    body = arrow_stream(table.replace_schema_metadata({"fastiam.sessions": orjson.dumps(SESSIONS)}))
    return _mfa_world().stream(body, query, content_type=ARROW).rows


@pytest.mark.parametrize("content_type", [NDJSON, ARROW])
def test_key_of_a_session_stays_unknown_in_other_rows(content_type: str) -> None:
    rows = [row(CAROL), row(None, action="s3:PutObject", session="s"), row(CAROL)]
    for some in (rows, rows[:1], rows[1:2]):
        answers = _with_sessions(some, "unknown=aws:MultiFactorAuthA*", content_type)
        expected = ["DEPENDS" if "principal" in one else "ALLOW" for one in some]
        assert _outcomes(answers) == expected
    assert _with_sessions(rows, "unknown=aws:MultiFactorAuthA*", content_type)[2]["depends_on"] == ["aws:MultiFactorAuthAge"]


@pytest.mark.parametrize("content_type", [NDJSON, ARROW])
def test_session_with_a_key_declared_unknown_is_an_error(content_type: str) -> None:
    answers = _with_sessions([row(None, session="s"), row(CAROL)], "unknown=aws:MultiFactorAuthAge", content_type)
    assert _outcomes(answers) == ["ERROR", "DEPENDS"] and _code(answers[0]) == "bad_value"


def test_rows_with_ever_new_names_are_answered_in_order() -> None:
    rows = [row(BOB if i % 3 else ALICE, **{f"x:{i}": "1"}) for i in range(2_000)]
    assert _outcomes(World().decide(rows)) == ["IMPLICIT_DENY" if i % 3 else "ALLOW" for i in range(2_000)]


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"principal": [ALICE]}, "missing"),
        ({"principal": [ALICE], "action": ["a:b"], "resource": [1]}, "bad_type"),
        ({"principal": [ALICE], "action": ["a:b"], "resource": ["*"], "a key*": ["x"]}, "bad_key"),
        ({"principal": [ALICE], "action": ["a:b"], "resource": ["*"], "aws:SourceIp": ["x"], "AWS:SOURCEIP": ["x"]}, "bad_value"),
        ({"principal": [ALICE], "action": ["a:b"], "resource": ["*"], "x:y": [{"a": 1}]}, "bad_value"),
    ],
)
def test_arrow_columns_that_cannot_be_read_are_refused(columns: dict[str, Any], code: str) -> None:
    reply = World().stream(arrow_stream(pa.record_batch(columns)), content_type=ARROW)
    if reply.status == 200:
        assert _outcomes(reply.rows) == ["ERROR"] and _code(reply.rows[0]) == code
    else:
        assert (reply.status, reply.error["code"]) == (400, code)


_NUMBERS = pa.array([0], pa.int32())
_REPEATING = {
    "run-end": pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])),
    "binary-view": pa.array([b"a"], pa.binary_view()),
    "list-view": pa.array([["a"]], pa.list_view(pa.string())),
    "large-list-view": pa.array([["a"]], pa.large_list_view(pa.string())),
    "list-of-views": pa.array([["a"]], pa.list_(pa.string_view())),
    "list-of-dictionary": pa.ListArray.from_arrays([0, 1], pa.array(["a"]).dictionary_encode()),
    "union": pa.UnionArray.from_dense(pa.array([0], pa.int8()), _NUMBERS, [pa.array(["a"])]),
    "list-of-nulls": pa.array([[None]], pa.list_(pa.null())),
    "list-of-empty-binary": pa.array([[b""]], pa.list_(pa.binary(0))),
    "list-of-empty-lists": pa.ListArray.from_arrays([0, 1], pa.array([[]], pa.list_(pa.string(), 0))),
    "list-of-empty-structs": pa.ListArray.from_arrays([0, 1], pa.array([{}], pa.struct([]))),
}


@pytest.mark.parametrize("column", _REPEATING.values(), ids=_REPEATING)
@pytest.mark.parametrize("name", ["x:y", "aws:MultiFactorAuthAge"])
def test_arrow_type_that_repeats_values_is_refused(name: str, column: Any) -> None:
    whole = pa.record_batch({"principal": [ALICE], "action": ["s3:GetObject"], "resource": [OBJECT], name: column})
    reply = World(ALL).stream(arrow_stream(whole), content_type=ARROW)
    assert (reply.status, reply.error["code"]) == (400, "bad_type")


@pytest.mark.parametrize("name", ["session", "resource_account", "aws:MultiFactorAuthAge", "principal"])
def test_arrow_dictionary_is_not_copied_for_each_row(name: str) -> None:
    long: Any = "x" * (1 << 20)
    value = long.encode() if name.startswith("aws:") else long
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int8()), pa.array([value]))
    columns = {"principal": [ALICE] * 100, "action": ["s3:GetObject"] * 100, "resource": [OBJECT] * 100}
    columns |= {"session": pa.nulls(100, pa.string())} if name == "principal" else {}
    body = arrow_stream(pa.record_batch(columns | {name: repeated}))
    tracemalloc.start()
    reply = World(ALL).stream(body, content_type=ARROW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert _outcomes(reply.rows) == ["ERROR"] * 100 and peak < 20 * len(long)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_arrow_dictionary_values_without_a_row_are_not_read(kind: Any) -> None:
    values = [str(i) for i in range(200_000)]
    values[150_000], values[199_999], values[3] = ALICE, BOB, ""
    codes = pa.array([199_999, 150_000, None, 3, 150_000, 7], pa.int32())
    people = pa.DictionaryArray.from_arrays(codes, pa.array(values, kind))
    whole = pa.record_batch({"principal": people, "action": ["s3:GetObject"] * 6, "resource": [OBJECT] * 6})
    body, few = arrow_stream(whole), arrow_stream(whole.set_column(0, "principal", people.cast(kind)))
    tracemalloc.start()
    reply = World().stream(body, content_type=ARROW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert _outcomes(reply.rows) == ["IMPLICIT_DENY", "ALLOW", "ERROR", "ERROR", "ALLOW", "ERROR"]
    assert reply.body == World().stream(few, content_type=ARROW).body and peak < 6 * len(body)


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("s")])
def test_arrow_time_beyond_python_is_refused(kind: Any) -> None:
    far = pa.array([2**31 - 1 if kind == pa.date32() else 2**62], kind)
    whole = pa.record_batch({"principal": [ALICE], "action": ["a:b"], "resource": ["*"], "aws:SecureTransport": far})
    reply = World().stream(arrow_stream(whole), content_type=ARROW)
    assert (reply.status, reply.error["code"]) == (400, "bad_arrow")


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
    assert first.abort("disconnected") == b'{"error":{"code":"disconnected","row":2}}\n'
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
