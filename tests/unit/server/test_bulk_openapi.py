"""The OpenAPI description of bulk decisions and analyses: a server answers requests that it allows only as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from bulk_fixture import ALICE, NDJSON, OBJECT, ROLE, SESSION, World, directory, json_lines, row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from seeds import few_or_all
from server_process import ROOT, Server, running

from fastiam.server.protocols.bulk import parameters

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.checks")

BASE = "https://schemas.example"
FILE = ROOT / "src/fastiam/schema/openapi.json"
LISTENERS = '[listeners.main]\naddress = "127.0.0.1:0"\nprotocols = ["bulk"]\n[listeners.ops]\naddress = "127.0.0.1:0"\n'
POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
KNOWN = {
    "explain": [{"principal": ALICE, "action": "s3:GetObject", "resource": OBJECT}, {"principal": "lambda.amazonaws.com"}],
    "who-can": [{"action": "s3:GetObject", "resource": OBJECT, "unknown": ["*"]}, {"limit": 1}],
    "what-can": [{"principal": ALICE, "resource": OBJECT}, {"principal": ALICE, "resource": None}, {"principal": ROLE}],
    "diff": [{"before": POLICY, "after": [POLICY]}, {"before": [], "after": POLICY}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "policies.json").write_text(directory().to_json())
    with running(folder, folder / "policies.json", LISTENERS) as server:
        yield server


def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def test_description_has_the_bulk_paths_that_are_served() -> None:
    paths = {
        path: {method.upper() for method, operation in item.items() if "bulk" in operation["tags"]}
        for path, item in described()["paths"].items()
    }
    routes = World().routes.values()
    assert {path: methods for path, methods in paths.items() if methods} == {route.path: route.methods for route in routes}


@pytest.mark.parametrize("label", list(KNOWN))
def test_analyses_are_as_described(server: Server, label: str) -> None:
    operation = schemathesis.openapi.from_path(FILE)[f"/v1/{label}"]["POST"]
    names = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
    wanted = [getattr(checks, name) for name in names]
    seen: set[int] = set()

    @settings(max_examples=few_or_all(20, 40), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=operation.as_strategy(), known=st.sampled_from([{}, *KNOWN[label]]), is_plain=st.booleans())
    def answers(case: schemathesis.Case, known: dict[str, Any], is_plain: bool) -> None:
        if known and isinstance(case.body, dict):  # random names are refused
            case.body = KNOWN[label][0] | known if is_plain else case.body | known
        response = case.call(base_url=f"http://{server.address()}")
        case.validate_response(response, checks=wanted)
        seen.add(response.status_code)

    answers()
    assert seen >= {200, 400}


LINES = [row(), row(ALICE, "s3:PutObject"), row("nobody"), row(SESSION, **{"aws:SourceIp": "203.0.113.9"}), "no JSON"]


@pytest.mark.parametrize(
    "query",
    ["", "reasons=false", "fields=allowed", "fields=outcome,sid", "on_error=stop", "summary=false", "unknown=aws:*", "threads=0"],
)
def test_lines_of_decisions_are_as_described(query: str) -> None:
    document = described()
    results = json.loads((FILE.parent / "results-v1.json").read_text())
    registry: Registry[Any] = Registry().with_resources(
        [
            (f"{BASE}/openapi.json", DRAFT202012.create_resource(document)),
            (f"{BASE}/results-v1.json", DRAFT202012.create_resource(results)),
        ]
    )
    lines = {
        name: jsonschema.Draft202012Validator({"$ref": f"{BASE}/openapi.json#/components/schemas/{name}"}, registry=registry)
        for name in ("RequestLine", "DecisionLine", "SummaryLine", "StopLine", "Error")
    }
    assert [lines["RequestLine"].is_valid(line) for line in LINES] == [True] * 4 + [False]
    reply = World().stream(json_lines(LINES), query)
    operation = document["paths"]["/v1/decisions"]["post"]
    assert str(reply.status) in operation["responses"] and NDJSON in operation["responses"]["200"]["content"]
    if reply.status != 200:
        assert query in ("fields=allowed", "threads=0")
        lines["Error"].validate(reply.lines[0])
        return
    *rows, last = reply.lines
    for one in rows if query != "summary=false" else [*rows, last]:
        lines["DecisionLine"].validate(one)
    if query == "on_error=stop":
        lines["StopLine"].validate(last)
    elif query != "summary=false":
        lines["SummaryLine"].validate(last)
        assert len(rows) == len(LINES)


def test_parameters_of_decisions_are_those_that_are_read() -> None:
    found = {parameter["name"]: parameter["schema"] for parameter in described()["paths"]["/v1/decisions"]["post"]["parameters"]}
    assert found.keys() == parameters._NAMES
    assert tuple(found["fields"]["items"]["enum"]) == parameters.FIELDS


def test_references_to_results_are_resolved() -> None:
    defs = json.loads((FILE.parent / "results-v1.json").read_text())["$defs"]
    references = [part.split('"')[0] for part in FILE.read_text().split('"results-v1.json#/$defs/')[1:]]
    assert len(references) > 10
    for reference in references:
        at = defs
        for name in reference.split("/"):
            at = at[name]
