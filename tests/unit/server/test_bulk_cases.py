"""The bulk and analysis cases of the specification (10.6): `cases/bulk.json`, and those that are more than one request."""

from __future__ import annotations

import json
import re
import struct
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest
from bulk_fixture import ALICE, ARROW, DEFAULT, NDJSON, OBJECT, World, arrow_stream, json_lines, row
from case_files import CASES

_CASES = json.loads((CASES / "bulk.json").read_text())
_WITH_CODE = {220, 223, 229, 230}  # test_bulk_server.py, test_process_streams.py, test_same_answers.py


def _table(**columns: Any) -> pa.RecordBatch:
    given = {"principal": [ALICE] * 3, "action": ["s3:GetObject"] * 3, "resource": [OBJECT] * 3, **columns}
    return pa.record_batch(given)


def _offsets() -> bytes:
    stream = bytearray(arrow_stream(_table()))
    offsets = struct.pack("<4i", 0, *(len(ALICE) * i for i in (1, 2, 3)))
    at = stream.index(offsets)
    stream[at + 12 : at + 16] = struct.pack("<i", 1 << 28)
    return bytes(stream)


def _declaring(rows: int) -> bytes:
    """A stream whose batch of 77 rows declares another number of them."""
    columns = {"principal": [ALICE] * 77, "action": ["s3:GetObject"] * 77, "resource": [OBJECT] * 77}
    stream = arrow_stream(pa.record_batch(columns))
    at = stream.index(struct.pack("<q", 77))  # the count of the batch is before those of its columns
    return stream[:at] + struct.pack("<q", rows) + stream[at + 8 :]


def _dictionaries(*, delta: bool) -> bytes:
    written = BytesIO()
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=delta)
    schema = pa.schema([(name, pa.dictionary(pa.int8(), pa.string())) for name in ("principal", "action", "resource")])
    with pa.ipc.new_stream(written, schema, options=options) as writer:
        for actions in (["s3:GetObject"], ["s3:GetObject", "s3:PutObject"] if delta else ["s3:PutObject"]):
            n = len(actions)
            columns = [
                pa.array(values).dictionary_encode().cast(schema.field(0).type) for values in ([ALICE] * n, actions, [OBJECT] * n)
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return written.getvalue()


def _file() -> bytes:
    written = BytesIO()
    with pa.ipc.new_file(written, _table().schema) as writer:
        writer.write_batch(_table())
    return written.getvalue()


def _layouts() -> bytes:
    actions = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], pa.int8()), pa.array(["s3:GetObject"]))
    addresses = pa.array(["198.51.100.1", None, "203.0.113.9"], pa.large_utf8())
    principals = pa.array([ALICE, None, ALICE], pa.string_view())
    return arrow_stream(_table(principal=principals, action=actions, **{"aws:SourceIp": addresses}))


def _large() -> bytes:
    n = (64 << 20) // 8 + 8
    return arrow_stream(
        pa.record_batch(
            {"aws:x": pa.nulls(n, pa.int64()), **dict.fromkeys(("principal", "action", "resource"), pa.nulls(n, pa.string()))}
        )
    )


_ARROW = {
    "offsets": _offsets,
    "rows": lambda: _declaring(1 << 40),
    "compressed": lambda: arrow_stream(_table(), options=pa.ipc.IpcWriteOptions(compression="lz4")),
    "delta": lambda: _dictionaries(delta=True),
    "replaced": lambda: _dictionaries(delta=False),
    "file": _file,
    "body": _large,
    "layouts": _layouts,
}


def _lines(case: dict[str, Any]) -> bytes:
    if "lines" in case:
        whole = json.dumps(row())
        long = json.dumps(row(**{"aws:UserAgent": "x" * (2 << 20)}))
        return json_lines(line.replace("{R}", whole).replace("{LONG}", long) for line in case["lines"])
    return json_lines({**row(), **each} for each in case["rows"])


@pytest.mark.parametrize("case", [case for case in _CASES if "analysis" not in case], ids=lambda case: case["id"])
def test_stream_is_answered_as_specified(case):
    world = World(case.get("scopes", DEFAULT), **case.get("config", {}))
    expect = case["expect"]
    if "arrow" in case:
        reply = world.stream(_ARROW[case["arrow"]](), content_type=ARROW)
    else:
        reply = world.stream(_lines(case), case.get("query", ""), case.get("content_type", NDJSON))
    assert reply.status == expect.get("status", 200)
    if reply.status != 200:
        assert reply.error["code"] == expect["code"] and reply.error["message"]
        return
    assert [one["outcome"] for one in reply.rows] == expect["outcomes"]
    assert [one["allowed"] for one in reply.rows] == [outcome == "ALLOW" for outcome in expect["outcomes"]]
    codes = {str(at): one["error"]["code"] for at, one in enumerate(reply.rows) if "error" in one}
    assert codes.items() >= expect.get("codes", {}).items() and len(codes) == expect["outcomes"].count("ERROR")
    assert reply.is_complete is expect.get("is_complete", True)
    if "error" in expect:
        assert reply.error.items() >= expect["error"].items()
    if "summary" in expect:
        assert reply.lines[-1] == {"summary": expect["summary"]}
    if "lines" in expect:
        assert len(reply.lines) == expect["lines"]


@pytest.mark.parametrize("case", [case for case in _CASES if "analysis" in case], ids=lambda case: case["id"])
def test_analysis_is_answered_as_specified(case):
    world = World(case.get("scopes", DEFAULT))
    status, answer = world.ask(case["analysis"], {**row(), **case["body"]})
    expect = case["expect"]
    assert status == expect.get("status", 200)
    if status != 200:
        assert answer["error"]["code"] == expect["code"] and answer["error"]["message"]
        return
    assert answer["decision"]["outcome"] == expect["outcome"] and answer["ignored"] == expect["ignored"]


def test_cases_of_the_specification_are_all_there():
    found = {int(re.match(r"GC(\d+)", case["id"]).group(1)) for case in _CASES}
    assert found | _WITH_CODE == set(range(220, 231)) and not found & _WITH_CODE
    assert len({case["id"] for case in _CASES}) == len(_CASES)
