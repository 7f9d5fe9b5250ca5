"""The cases of the OPA data API of the specification (10.4): `cases/opa.json`, and those that are more than one input."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from authzen_fixture import TRUSTED
from case_files import CASES
from opa_fixture import World

from fastiam.server.decision_records import BatchRecord, DecisionRecord
from fastiam.server.decision_source import NoDecider

_CASES = json.loads((CASES / "opa.json").read_text())
_ALL = {*range(130, 151)} - {131, 138, 146} - {144, 145, 147, 148}  # the numbers of 10.4, without those marked *later*
_WITH_CODE = {149, 150}


def _body(case: dict[str, Any]) -> bytes:
    if "raw" in case:
        return case["raw"].encode()
    if "input" not in case:
        return b"{}"
    return orjson.dumps(case["input"] if case.get("version") == 0 else {"input": case["input"]})


@pytest.mark.parametrize("case", _CASES, ids=[case["id"] for case in _CASES])
def test_case_is_answered_as_specified(case):
    scopes = frozenset(case["scopes"]) if "scopes" in case else TRUSTED
    world = World(case.get("config"), scopes=scopes)
    content_type = case.get("content_type", "application/json").encode()
    response = world.send("POST", f"/v{case.get('version', 1)}/data/{case['path']}", _body(case), content_type)
    expect, answer = case["expect"], orjson.loads(response.body)
    assert response.status == expect.get("status", 200)
    if response.status != 200:
        code = "undefined_document" if response.status == 404 else "invalid_parameter"
        assert answer["code"] == code and answer["message"] and set(answer) == {"code", "message"}
        assert response.record is None
        return
    assert dict(response.headers) == {b"x-fastiam-generation": b"1"}
    assert answer == ({} if expect.get("undefined") else {"result": expect["result"]})
    record = response.record
    if isinstance(record, DecisionRecord):
        assert (
            record.result is expect.get("logged", expect["result"]) is (record.decision is not None and record.decision.allowed)
        )
        assert record.error is not None or record.decision is not None
        assert record.resource == expect.get("resource", record.resource)
    elif isinstance(record, BatchRecord):
        assert len(record.denied) == record.size - len(expect["result"]) and not {*record.denied} & {*expect["result"]}


def test_cases_of_the_specification_are_all_there():
    found = {int(re.match(r"GC(\d+)", case["id"]).group(1)) for case in _CASES}
    assert found | _WITH_CODE == _ALL and not found & _WITH_CODE
    assert len({case["id"] for case in _CASES}) == len(_CASES)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/policies/x", 404),
        ("GET", "/v1/policies", 404),
        ("PUT", "/v1/data/app/allow", 405),
        ("PATCH", "/v1/data/x", 405),
        ("DELETE", "/v1/data/x", 405),
        ("POST", "/v1/query", 404),
        ("POST", "/v1/compile", 404),
        ("GET", "/v1/config", 404),
        ("GET", "/v1/status", 404),
        ("GET", "/v0/data/app/allow", 405),
        ("POST", "/", 404),
    ],
)
def test_gc149_paths_without_a_data_document(method, path, status):
    """GC149, G104, 4.1."""
    assert World().send(method, path, b"{}").status == status


def test_gc150_health_of_bundles_before_load_is_500():
    """GC150, G106."""
    world = World()
    assert [world.send("GET", f"/health{query}").status for query in ("", "?bundles", "?plugins=true")] == [200] * 3
    world.decider = NoDecider()
    assert world.send("GET", "/health").body == b"{}"
    for query in ("?bundles", "?plugins", "?bundles=true&plugins"):
        response = world.send("GET", f"/health{query}")
        assert response.status == 500 and set(orjson.loads(response.body)) == {"error"}
