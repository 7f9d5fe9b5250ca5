"""`POST /v1/decisions`: parameters, sessions, columns, both forms, and what is kept in memory (G160 to G165)."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

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
from bulk_rows import ALL, SESSIONS, _code, _outcomes

CAROL = "arn:aws:iam::111111111111:user/carol"


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
    assert names >= members if query else names == members | {"depends_on", "error_code", "error"}


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
