"""The OpenAPI description: a server answers requests that it allows, and others, only as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from authzen_fixture import TOML, World, directory, entities
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeds import few_or_all
from server_process import ROOT, Server, running

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.checks")

FILE = ROOT / "src/fastiam/schema/openapi.json"
LISTENERS = '[listeners.main]\naddress = "127.0.0.1:0"\nprotocols = ["authzen"]\n[listeners.ops]\naddress = "127.0.0.1:0"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "policies.json").write_text(directory().to_json())
    with running(folder, folder / "policies.json", LISTENERS + TOML) as server:
        yield server


def test_description_has_the_paths_and_methods_that_are_served() -> None:
    paths = json.loads(FILE.read_text())["paths"].items()
    described = {
        path: {method.upper() for method in item}
        for path, item in paths
        if any("authzen" in one["tags"] for one in item.values())
    }
    routes = World(public_url="https://pdp.example").routes.values()
    assert described == {route.path: (route.methods or set()) - {"HEAD"} for route in routes}


@pytest.mark.parametrize("label", ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"])
def test_answers_are_as_described(server: Server, label: str) -> None:
    description = schemathesis.openapi.from_path(FILE)
    operation = description[f"/access/v1/{label}"]["POST"]
    wanted = [
        getattr(checks, name)
        for name in ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
    ]
    seen: set[str] = set()

    @settings(max_examples=few_or_all(30, 60), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=operation.as_strategy(), known=st.sampled_from([(), ("alice", "read", "record-1"), ("bob", "write", "record-1")]))
    def answers(case: schemathesis.Case, known: tuple[str, ...]) -> None:
        if known and isinstance(case.body, dict):  # random ids map to nothing
            for name, entity in entities(*known).items():
                if isinstance(case.body.get(name), dict):
                    case.body[name] |= entity
            if label == "evaluations":
                case.body |= entities(*known)
                case.body["evaluations"] = case.body.get("evaluations") or [{}]
        response = case.call(base_url=f"http://{server.address()}")
        case.validate_response(response, checks=wanted)
        seen.update(name for name in ("ALLOW", "IMPLICIT_DENY", '"evaluations"', "results") if name in response.text)

    answers()
    assert seen >= {"evaluation": {"ALLOW", "IMPLICIT_DENY"}, "evaluations": {'"evaluations"'}}.get(label, {"results"})
