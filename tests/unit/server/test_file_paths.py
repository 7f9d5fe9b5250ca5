"""No answer to a client has the path of a file of the server (G166)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import extauthz_fixture
import msgspec
import orjson
import pyarrow as pa
import pytest
from bulk_fixture import ALICE, ARROW, NDJSON, NOW, OBJECT, World, arrow_stream, json_lines
from extauthz_fixture import read_check
from served_engine import EngineDecider

import fastiam
from fastiam.server.http import Request
from fastiam.server.identity import TRUST_SCOPES, USE_SCOPES, Identity
from fastiam.server.protocol import ListenerFacts, Site
from fastiam.server.protocols import authzen, opa

FOLDER = "folder-of-the-operator"
ASKED = {"principal": ALICE, "action": "s3:GetObject", "resource": OBJECT}
_SITE = Site((ListenerFacts("tcp", is_loopback=True, auth="none", is_tls=False),), has_directory=True, has_sts=False)


def loaded(made: fastiam.Directory, folder: Path) -> fastiam.Directory:
    """The directory, read from a file whose path no client may see."""
    path = folder / FOLDER / "account.json"
    path.parent.mkdir()
    made.dump(path)
    found = fastiam.load(path)
    explained = found.compile().explain(ALICE, "s3:GetObject", OBJECT)
    assert explained.decision.statement is None or FOLDER in str(explained.decision.statement.position)
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(TRUST_SCOPES, loaded(World().directory, tmp_path))


@pytest.mark.parametrize(
    ("name", "body", "accept"),
    [
        ("who-can", {"action": "s3:PutObject", "resource": OBJECT, "unknown": ["*"]}, None),
        ("who-can", {"action": "s3:PutObject", "resource": OBJECT, "unknown": ["*"]}, NDJSON),
        ("what-can", {"principal": ALICE}, None),
        ("what-can", {"principal": ALICE, "resource": OBJECT, "unknown": ["*"]}, None),
        ("explain", ASKED, None),
        ("explain", ASKED | {"action": "s3:PutObject"}, None),
    ],
)
def test_analysis_names_statements_without_their_file(name: str, body: Any, accept: str | None, world: World) -> None:
    status, answer = world.ask(name, body, accept)
    text = orjson.dumps(answer).decode()
    assert status == 200 and '"file":null,"line":' in text and FOLDER not in text and "account.json" not in text


def test_rows_of_a_batch_name_no_file(world: World) -> None:
    for body, kind in (
        (json_lines([ASKED]), NDJSON),
        (arrow_stream(pa.Table.from_pylist([ASKED])), ARROW),
    ):
        answer = world.stream(body, content_type=kind).body
        assert b"alice" in answer and b"Read" in answer and FOLDER.encode() not in answer and b".json" not in answer


def test_decisions_of_authzen_and_opa_name_no_file(world: World) -> None:
    identity = Identity("pep", frozenset(TRUST_SCOPES) | USE_SCOPES)
    zen = authzen.create(msgspec.convert({}, authzen.Section), _SITE)
    generic = opa.create(msgspec.convert({"paths": {"app": {"result": "object"}}}, opa.Section), _SITE)
    item = {
        "subject": {"type": "user", "id": ALICE}, "action": {"name": "s3:GetObject"},
        "resource": {"type": "object", "id": OBJECT},
    }  # fmt: skip
    for protocol, path, body in (
        (zen, "/access/v1/evaluation", item),
        (zen, "/access/v1/evaluations", {"evaluations": [item, item]}),
        (generic, "/v1/data/app", {"input": ASKED}),
    ):
        route = next(one for one in protocol.routes() if one.path == path or (one.is_prefix and path.startswith(one.path)))
        headers = ((b"content-type", b"application/json"),)
        request = Request("POST", path.encode(), b"", headers, orjson.dumps(body), identity=identity, request_id="i")
        answer = route.handler(request, world.decider, NOW).body  # type: ignore[union-attr]
        assert b'"alice"' in answer and b"Read" in answer  # the policy and its statement
        assert FOLDER.encode() not in answer and b".json" not in answer


@pytest.mark.parametrize("target", ["/orders/1", "/orders/secret:1"])
def test_check_of_envoy_names_no_file(target: str, tmp_path: Path) -> None:
    envoy = extauthz_fixture.World()
    made = loaded(extauthz_fixture.directory(), tmp_path)
    envoy.decider = EngineDecider(made.compile(), made)
    answer = envoy.check(read_check({"target": target}))
    assert answer.metadata["policy"] == "orders"
    assert FOLDER not in repr((answer.body, answer.metadata, answer.headers))
