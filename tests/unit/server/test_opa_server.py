"""The OPA data API over sockets: methods, tokens, the decision log, and the requests of docs/opa.md."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from opa_fixture import ACCOUNT, directory, table, trino
from server_pages import run_page
from server_process import Server, running

TOKEN = "t" * 43
SETTINGS = f"""
[listeners.main]
address = "127.0.0.1:0"
protocols = ["opa"]
auth = "bearer"
[listeners.ops]
address = "127.0.0.1:0"
[auth]
tokens = "tokens"
[decision_log]
mode = "all"
path = "decisions"
[opa]
default_decision = "trino/allow"
[opa.paths."trino/allow"]
shape = "trino.allow"
[opa.paths."trino/batch"]
shape = "trino.batch"
[opa.trino]
principal = "arn:aws:iam::{ACCOUNT}:user/{{user}}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("opa")
    (folder / "tokens").write_text(f"trino decide {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    (folder / "policies.json").write_text(directory().to_json())
    with running(folder, folder / "policies.json", SETTINGS) as server:
        yield server


BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_request_without_token_has_an_error_of_opa(server: Server) -> None:
    answer = server.ask("POST", "/v1/data/trino/allow", b"{}")
    assert answer.status == 401 and answer.json()["code"] == "unauthorized" and answer.header("www-authenticate")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_method_that_data_does_not_have_is_405(server: Server, method: str) -> None:  # GC149
    answer = server.ask(method, "/v1/data/trino/allow", headers=BEARER)
    assert (answer.status, answer.header("allow")) == (405, "GET, POST")
    assert server.ask(method, "/v1/policies/x", headers=BEARER).status == 404


@pytest.mark.parametrize(
    "path", ["/v1/data/trino/allow", "/v1/data/trino%2Fallow", "/v1/data/other/../trino/allow", "/v1/data//"]
)
def test_path_is_matched_as_sent(server: Server, path: str) -> None:
    body = orjson.dumps({"input": trino("ExecuteQuery")})
    answer = server.ask("POST", path, body, BEARER)
    assert answer.status == 200 and answer.json().get("result") is (True if path.endswith("data/trino/allow") else None)


def test_decision_is_logged_under_the_id_of_the_answer(server: Server) -> None:
    body = orjson.dumps({"input": trino("FilterTables", filterResources=[table("t1"), table("t2")])})
    answer = server.ask("POST", "/v1/data/trino/batch", body, BEARER).json()
    assert answer["result"] == [1]
    assert server.ask("POST", "/", orjson.dumps(trino("ExecuteQuery")), BEARER).json() is True
    assert server.stop() == 0
    lines = [json.loads(line) for line in (server.folder / "decisions").read_text().splitlines()]
    line = next(line for line in lines if line["decision_id"] == answer["decision_id"])
    assert line["path"] == "opa/trino/batch" and line["requested_by"] == "trino"
    assert line["batch"]["outcomes"] == {"ALLOW": 1, "IMPLICIT_DENY": 1} and line["batch"]["denied"] == [0]
    assert lines[-1]["input"]["action"] == "trino:ExecuteQuery" and lines[-1]["result"] is True


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_requests_of_the_page_have_the_answers_shown(tmp_path: Path) -> None:
    answers = run_page("opa.md", tmp_path)
    assert len(answers) == 2
    for answer, shown in answers:
        assert answer.pop("decision_id", None) is not None, answer
        assert answer == shown
