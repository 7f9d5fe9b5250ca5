"""AuthZEN over sockets: what the edge adds to each answer, and the metadata of a served configuration (10.2)."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from authzen_fixture import TOML, directory, entities
from server_process import ROOT, Server, command, running

TOKEN, SEARCHER = "t" * 43, "s" * 43
SETTINGS = f"""{TOML}
[listeners.main]
address = "unix:FOLDER/sockets/main"
protocols = ["authzen"]
[listeners.bearer]
address = "127.0.0.1:0"
protocols = ["authzen"]
auth = "bearer"
[listeners.ops]
address = "127.0.0.1:0"
[auth]
tokens = "tokens"
"""
JSON = ("Content-Type", "application/json")
BODY = orjson.dumps(entities("alice", "read", "record-1"))
EVALUATION = "/access/v1/evaluation"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("authzen")
    lines = [f"{name} {scopes} {hashlib.sha256(token.encode()).hexdigest()}" for name, scopes, token in TOKENS]
    (folder / "tokens").write_text("\n".join(lines) + "\n")
    (folder / "policies.json").write_text(directory().to_json())
    with running(folder, folder / "policies.json", SETTINGS.replace("FOLDER", str(folder))) as server:
        yield server


TOKENS = [("decider", "decide,explain", TOKEN), ("searcher", "search", SEARCHER)]


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


@pytest.mark.parametrize("path", ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"])
def test_endpoint_takes_post_only(server: Server, path: str) -> None:
    """GC43, G40."""
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = server.ask(method, f"/access/v1/{path}")
        assert (answer.status, answer.header("allow")) == (405, "POST")


@pytest.mark.parametrize("value", ['a b"c', "\xe4\xff", "x" * 512])
def test_request_id_is_echoed_on_each_answer(server: Server, value: str) -> None:
    """GC44, G45: on 200, 400, 401 and 413."""
    given = ("X-Request-ID", value)
    answers = [
        server.ask("POST", EVALUATION, BODY, [JSON, given]),
        server.ask("POST", EVALUATION, b"{", [JSON, given]),
        server.ask("POST", EVALUATION, BODY, [JSON, given], name="bearer"),
        server.ask("POST", EVALUATION, b" " * ((1 << 20) + 1), [JSON, given]),
    ]
    assert [(answer.status, answer.header("x-request-id")) for answer in answers] == [(n, value) for n in (200, 400, 401, 413)]


def test_request_id_that_is_too_long_or_twice_is_refused(server: Server) -> None:
    """GC45, G45."""
    for fields in ([("X-Request-ID", "x" * 600)], [("X-Request-ID", "a"), ("X-Request-ID", "a")]):
        answer = server.ask("POST", EVALUATION, BODY, [JSON, *fields])
        assert answer.status == 400 and answer.header("x-request-id") is None


def test_request_without_id_gets_the_decision_id(server: Server) -> None:
    answer = server.ask("POST", EVALUATION, BODY, [JSON])
    id_ = answer.json()["context"]["decision_id"]
    assert answer.header("x-request-id") == answer.header("x-fastiam-decision-id") == id_ and len(id_) == 36


def test_metadata_does_not_depend_on_the_host(server: Server) -> None:
    """GC89, G74."""
    for host in ("localhost", "evil.example"):
        answer = server.ask("GET", "/.well-known/authzen-configuration", host=host)
        assert answer.status == 200 and answer.json()["policy_decision_point"] == "https://pdp.example"
    assert server.ask("GET", "/.well-known/authzen-configuration/tenant1").status == 404
    head = server.send(b"HEAD /.well-known/authzen-configuration HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n") and b"content-length: 412\r\n" in head
    assert server.ask("GET", "/.well-known/authzen-configuration", name="bearer").status == 200


def test_identity_needs_the_scope_of_the_endpoint(server: Server) -> None:
    search = orjson.dumps(entities(None, "read", "record-1") | {"subject": {"type": "user"}})
    for token, path, body, status in (
        (TOKEN, EVALUATION, BODY, 200),
        (TOKEN, "/access/v1/search/subject", search, 403),
        (SEARCHER, EVALUATION, BODY, 403),
        (SEARCHER, "/access/v1/search/subject", search, 200),
    ):
        assert server.ask("POST", path, body, [JSON, bearer(token)], name="bearer").status == status


def test_identity_without_trust_states_no_fact(server: Server) -> None:
    asked = entities("alice", "read", "record-1") | {"context": {"aws:SourceIp": "10.0.0.1"}}
    asked["resource"]["properties"] = {"color": "red", "account": "222222222222"}
    trusted = server.ask("POST", EVALUATION, orjson.dumps(asked), [JSON])
    assert trusted.json()["context"]["ignored"] == ["resource.properties.account"]
    other = server.ask("POST", EVALUATION, orjson.dumps(asked), [JSON, bearer(TOKEN)], name="bearer")
    assert other.json()["context"]["ignored"] == ["resource.properties.account", "context.aws:SourceIp"]


def test_denial_is_in_the_decision_log(server: Server) -> None:
    body = orjson.dumps(entities("bob", "write", "record-1") | {"context": {"x": 1}})
    id_ = server.ask("POST", EVALUATION, body, [JSON]).json()["context"]["decision_id"]
    line = next(line for line in _log(server) if line.get("decision_id") == id_)
    assert line["path"] == "authzen/evaluation" and line["result"] is False and line["outcome"] == "IMPLICIT_DENY"
    assert line["input"]["resource"] == "arn:aws:record:::record/record-1" and line["input"]["context"] == {
        "authzen:context/x": 1
    }


def _log(server: Server) -> Iterator[dict]:
    deadline = time.monotonic() + 20
    seen = 0
    while time.monotonic() < deadline:
        lines = (server.folder / "stdout").read_bytes().split(b"\n")[:-1]
        yield from map(orjson.loads, lines[seen:])
        seen = len(lines)
        time.sleep(0.05)


def test_wrong_mapping_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "serve.toml").write_text(SETTINGS.replace("{id}", "{ns}-{id}", 1).replace("FOLDER", str(tmp_path)))
    (tmp_path / "tokens").write_text(f"pep decide {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    (tmp_path / "policies.json").write_text(directory().to_json())
    run = subprocess.run(
        command(tmp_path / "policies.json", "--config", tmp_path / "serve.toml"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 64 and b"authzen.subjects.user.principal" in run.stderr and b"Traceback" not in run.stderr
