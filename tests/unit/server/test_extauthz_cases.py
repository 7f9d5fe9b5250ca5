"""The cases of Envoy of the specification (10.3): `cases/extauthz.json`, and those that are more than one check."""

from __future__ import annotations

import json
import re
from pathlib import Path

import orjson
import pytest
from authzen_fixture import TRUSTED
from case_files import CASES
from extauthz_fixture import DECISION_ID, World, read_check

_CASES = json.loads((CASES / "extauthz.json").read_text())
_ALL = {*range(100, 125)} - {118}  # the numbers of 10.3
_ELSEWHERE = {104, 106, 114, 119, 122, 124}
_MORE = {125, 126}  # of this file: the source `context`, preflights


@pytest.mark.parametrize("case", _CASES, ids=[case["id"] for case in _CASES])
def test_case_is_answered_as_specified(case):
    scopes = frozenset(case["scopes"]) if "scopes" in case else TRUSTED
    answer = World(case.get("config"), scopes=scopes).check(read_check(case["check"]))
    expect, record = case["expect"], answer.record
    assert (answer.code, answer.status) == {0: (0, 200), 7: (7, 403), 16: (16, 401)}[expect["code"]], record
    headers = dict(answer.headers)
    assert len(headers) == len(answer.headers) and not {*headers} & {*answer.remove}
    for name, value in expect.get("headers", {}).items():
        assert headers[name] == value
    assert {*expect.get("removed", ())} <= {*answer.remove}
    if answer.code == 0:
        assert headers["x-fastiam-decision-id"] == DECISION_ID
        ours = {"x-fastiam-principal", "x-fastiam-subject", "x-fastiam-decision-id", "x-fastiam-dry-run", "x-fastiam-outcome"}
        assert ours <= {*headers, *answer.remove}, "a client cannot send ours"
        assert all(value.isprintable() and len(value) <= 1024 for value in headers.values())
    else:
        assert headers == {"content-type": "application/json"} and not answer.remove
        body = orjson.loads(answer.body)
        assert body["error"] == ("access_denied" if answer.code == 7 else "unauthenticated")
        assert body["decision_id"] == DECISION_ID
        if "error" in expect:
            assert body["reason"] == expect["error"]
    if record is not None:
        assert record.error == expect.get("error")
        assert record.result is expect.get("result", expect["code"] == 0)
        assert record.result is (record.decision is not None and record.decision.allowed)
        for name in ("action", "resource"):
            assert getattr(record, name) == expect.get(name, getattr(record, name))
        assert not {*expect.get("absent", ())} & {*record.context}
        assert record.decision is None or answer.metadata["outcome"] == record.decision.outcome.name


def test_cases_of_the_specification_are_all_there():
    found = {int(re.match(r"GC(\d+)", case["id"]).group(1)) for case in _CASES}
    assert found | _ELSEWHERE == _ALL | _MORE and not found & _ELSEWHERE
    assert len({case["id"] for case in _CASES}) == len(_CASES)
    others = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name)
    assert [n for n in sorted(_ELSEWHERE) if f"GC{n}" not in others] == []
