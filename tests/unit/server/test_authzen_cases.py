"""The cases of AuthZEN of the specification (10.2): `cases/authzen.json`, and those that are more than one request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from authzen_fixture import DECISION_ID, TRUSTED, World, directory, entities

from fastiam import SourceError
from fastiam.server.identity import EXPLAIN

ROOT = Path(__file__).resolve().parents[3]
_CASES = json.loads((ROOT / "tests" / "cases" / "authzen.json").read_text())
_TABLE = (ROOT / "docs" / "doors.md").read_text().partition("### 10.2")[2].partition("### 10.3")[0]
_ALL = {int(number) for number in re.findall(r"^\| GC(\d+) \|", _TABLE, re.M)}
_WITH_CODE = {43, 44, 45, 78, 85, 86, 89, 92}  # functions below; 43 to 45 and 89 over sockets in test_authzen_server.py


def _body(case: dict[str, Any]) -> bytes:
    if "raw" in case:
        return case["raw"].encode()
    if "raw_hex" in case:
        return bytes.fromhex(case["raw_hex"])
    if "raw_repeat" in case:
        start, n, middle, end = case["raw_repeat"]
        return (start * n + middle + end * n).encode()
    body = entities(*case["ask"])
    for path, value in case.get("set", {}).items():
        *outer, last = path.split(".")
        target = body
        for name in outer:
            target = target[name]
        if value == "-":
            del target[last]
        else:
            target[last] = value
    if "items" in case:
        n, item = case["items"]
        body["evaluations"] = [item] * n
    return orjson.dumps(body)


def _item(item: dict[str, Any]) -> Any:
    error = item.get("context", {}).get("error")
    assert error is None or item["decision"] is False
    return item["decision"] if error is None else error["code"]


@pytest.mark.parametrize("case", _CASES, ids=[case["id"] for case in _CASES])
def test_case_is_answered_as_specified(case):
    scopes = frozenset(case["scopes"]) if "scopes" in case else TRUSTED | {EXPLAIN}
    world = World(case.get("config"), scopes=scopes)
    content_type = case.get("content_type", "application/json")
    response = world.send(case.get("endpoint", "evaluation"), _body(case), content_type and content_type.encode())
    expect = case["expect"]
    assert response.status == expect.get("status", 200)
    answer = orjson.loads(response.body)
    if response.status == 400:
        error = answer["error"]
        assert expect.get("code", error["code"]) == error["code"] and expect.get("at", error["at"]) == error["at"]
        assert set(answer) == {"error"} and error["message"] and response.record is None
        return
    assert dict(response.headers) == {b"x-fastiam-generation": b"1", b"x-fastiam-decision-id": DECISION_ID.encode()}
    if "items" in expect:
        assert list(answer) == ["evaluations"] and [_item(item) for item in answer["evaluations"]] == expect["items"]
    elif "all" in expect:
        assert [_item(item) for item in answer["evaluations"]] == [expect["all"][1]] * expect["all"][0]
    elif "results" in expect:
        ids = [one.get("id") or one["name"] for one in answer["results"]]
        assert ids == expect["results"] and answer.get("page", {}) == expect.get("page", {})
    else:
        _check_single(answer, expect, response.record)


def _check_single(answer: dict[str, Any], expect: dict[str, Any], record: Any) -> None:
    assert answer["decision"] is expect["decision"] is record.result
    context = answer["context"]
    if "error" in expect:
        assert [context["error"]["status"], context["error"]["code"]] == expect["error"] and set(context) == {"error"}
        assert record.decision is None and record.error == expect["error"][1]
    elif "only" in expect:
        assert context == expect["only"]
    else:
        assert context.pop("decision_id") == DECISION_ID and context.pop("generation") == 1
        assert context.pop("ignored", []) == expect.get("ignored", [])
        assert expect.get("context", context) == context
    for name, value in expect.get("logged", {}).items():
        assert getattr(record, name) == value


def test_cases_of_the_specification_are_all_there():
    found = {int(re.match(r"GC(\d+)", case["id"]).group(1)) for case in _CASES}
    assert len(_ALL) > 50 and found | _WITH_CODE == _ALL and not found & _WITH_CODE
    assert len({case["id"] for case in _CASES}) == len(_CASES)


def test_gc78_items_of_a_call_are_of_one_generation():
    """GC78, G3: the generation changes after it was taken."""
    world = World()
    pinned = world.decider.pin()
    changed = World(engine=directory(policies=False).compile())
    calls = []

    class Changing:
        def pin(self):
            calls.append(1)
            return pinned if len(calls) == 1 else changed.decider.pin()

    world.decider = Changing()
    body = orjson.dumps(entities("alice", "read", "record-1") | {"evaluations": [{}] * 1000})
    first = orjson.loads(world.send("evaluations", body).body)["evaluations"]
    assert len(calls) == 1 and [item["decision"] for item in first] == [True] * 1000
    second = orjson.loads(world.send("evaluations", body).body)["evaluations"]
    assert [item["decision"] for item in second] == [False] * 1000


_SEARCH = entities(None, "read", "record-1") | {"subject": {"type": "user"}}


def test_gc85_pages_have_every_result_once():
    """GC85, G72, G73."""
    world, token, found = World(), None, []
    for _ in range(3):
        page = {"limit": 1} if token is None else {"limit": 1, "token": token}
        _, answer = world.ask("search/subject", _SEARCH | {"page": page})
        assert next(iter(answer)) == "page"
        found += [one["id"] for one in answer["results"]]
        token = answer["page"]["next_token"]
        if not token:
            break
        assert len(found) == 1
    assert found == ["alice", "bob"] and token == ""


def test_gc87_page_of_no_results_has_a_token_that_ends():
    """GC87, G72."""
    world, all_ = World(), ["alice", "bob"]
    _, answer = world.ask("search/subject", _SEARCH | {"page": {"limit": 0}})
    token = answer["page"]["next_token"]
    assert answer == {"page": {"next_token": token, "count": 0}, "results": []} and token
    for page, expected in (({}, all_), ({"limit": 1}, ["alice"]), ({"limit": 0}, [])):
        _, answer = world.ask("search/subject", _SEARCH | {"page": {"token": token, **page}})
        assert [one["id"] for one in answer["results"]] == expected and bool(answer["page"]["next_token"]) is (expected != all_)
    first = world.ask("search/subject", _SEARCH | {"page": {"limit": 1}})[1]["page"]["next_token"]
    status, answer = world.ask("search/subject", _SEARCH | {"page": {"token": first, "limit": 0}})
    assert (status, answer["error"]["code"]) == (400, "bad_page_token")


def test_gc86_page_token_continues_only_its_own_search():
    """GC86, G72."""
    world = World()
    token = world.ask("search/subject", _SEARCH | {"page": {"limit": 1}})[1]["page"]["next_token"]
    status, answer = world.ask("search/subject", _SEARCH | {"page": {"token": token}})
    assert status == 200 and answer["results"] == [{"type": "user", "id": "bob"}] and answer["page"]["next_token"] == ""
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    middle = token[:9] + ("A" if token[9] != "A" else "B") + token[10:]
    refused = [
        _SEARCH | {"context": {"a": 1}, "page": {"token": token}},
        _SEARCH | {"resource": {"type": "record", "id": "record-2"}, "page": {"token": token}},
        _SEARCH | {"subject": {"type": "user", "properties": {"a": 1}}, "page": {"token": token}},
        _SEARCH | {"page": {"token": token, "limit": 2}},
        _SEARCH | {"page": {"token": flipped}},
        _SEARCH | {"page": {"token": middle}},
        _SEARCH | {"page": {"token": token + "A"}},
        _SEARCH | {"page": {"token": "ä"}},
        _SEARCH | {"page": {"token": 5}},
    ]
    for body in refused:
        status, answer = world.ask("search/subject", body)
        assert (status, answer["error"]["code"]) == (400, "bad_page_token"), body
    assert world.ask("search/subject", _SEARCH | {"subject": {"type": "user", "id": "other"}, "page": {"token": token}})[0] == 200


def test_gc89_metadata_has_the_configured_url():
    """GC89, G74."""
    world = World(public_url="https://pdp.example")
    route = world.routes["/.well-known/authzen-configuration"]
    assert route.methods == {"GET", "HEAD"}
    response = route.handler(None, world.decider, None)
    assert orjson.loads(response.body) == {
        "policy_decision_point": "https://pdp.example",
        "access_evaluation_endpoint": "https://pdp.example/access/v1/evaluation",
        "access_evaluations_endpoint": "https://pdp.example/access/v1/evaluations",
        "search_subject_endpoint": "https://pdp.example/access/v1/search/subject",
        "search_resource_endpoint": "https://pdp.example/access/v1/search/resource",
        "search_action_endpoint": "https://pdp.example/access/v1/search/action",
    }
    assert (b"cache-control", b"max-age=300") in response.headers and response.content_type == "application/json"
    assert not any("well-known" in path for path in World().routes)
    with_path = [path for path in World(public_url="https://pdp.example/tenant1/").routes if "well-known" in path]
    assert with_path == ["/.well-known/authzen-configuration/tenant1"]


@pytest.mark.parametrize(
    "url", ["http://pdp.example", "https://pdp.example?x", "https://a@pdp.example", "pdp.example", "https://#x"]
)
def test_public_url_that_is_not_https_is_refused(url):
    with pytest.raises(SourceError, match="not a URL of https"):
        World(public_url=url)


def test_public_url_may_be_http_for_tests():
    assert "/.well-known/authzen-configuration" in World({"metadata_http": True}, public_url="http://127.0.0.1:8380").routes


def test_gc92_ignored_names_are_few_and_short():
    """GC92, G49."""
    keys = ["k" * 500, *(f"aws:PrincipalTag/t{i}" for i in range(24))]
    _, answer = World().ask("evaluation", entities("alice", "read", "record-1") | {"context": dict.fromkeys(keys, "x")})
    ignored = answer["context"]["ignored"]
    assert answer["decision"] is True and len(ignored) == 20 and ignored[0] == ("context." + "k" * 500)[:128]
    assert all(len(name) <= 128 for name in ignored)
