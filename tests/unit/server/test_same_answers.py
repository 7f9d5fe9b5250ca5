"""One request has one answer over all protocols (G167, GC229)."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import orjson
import pyarrow as pa
from bulk_fixture import ALICE, ARROW, BOB, NOW, OBJECT, SESSION, World, arrow_stream

from fastiam.server.http import Request
from fastiam.server.identity import TRUST_SCOPES, USE_SCOPES, Identity
from fastiam.server.protocol import ListenerFacts, Site
from fastiam.server.protocols import authzen, opa

_IDENTITY = Identity("pep", frozenset(TRUST_SCOPES) | USE_SCOPES)
_SITE = Site((ListenerFacts("tcp", is_loopback=True, auth="none", is_tls=False),), has_directory=True, has_sts=False)
_TYPES = {ALICE: "user", BOB: "user", SESSION: "session", "lambda.amazonaws.com": "service"}
Answer = tuple[str, str | None, str | None, str | None]


def _asked(count: int) -> list[dict[str, Any]]:
    random.seed(167)
    actions = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject", "s3:PutObjectAcl"]
    found = []
    for _ in range(count):
        context: dict[str, Any] = {}
        if random.random() < 0.6:
            context["aws:SourceIp"] = random.choice(["203.0.113.7", "198.51.100.1"])
        if random.random() < 0.4:
            context["aws:ResourceTag/team"] = random.choice(["red", "green"])
        if random.random() < 0.3:
            context["x:keys"] = random.choice([["a"], ["a", "z"]])
        resource = random.choice([OBJECT, "arn:aws:s3:::other/b", "arn:aws:s3:::data/b/c"])
        found.append(
            {"principal": random.choice(list(_TYPES)), "action": random.choice(actions), "resource": resource, "context": context}
        )
    return found


def _of_reason(members: dict[str, Any]) -> Answer:
    label = members.get("sid")
    if label is None and "statement" in members:
        label = f"#{members['statement']}"
    return members["outcome"], members.get("layer"), members.get("policy"), label


def _python(world: World, asked: dict[str, Any]) -> Answer:
    decision = world.engine.decide(asked["principal"], asked["action"], asked["resource"], asked["context"], now=NOW)
    ref = decision.statement
    policy = None if ref is None else ref.arn or ref.policy
    return decision.outcome.name, str(decision.layer), policy, None if ref is None else ref.label


def _sent(protocol: Any, path: str, body: Any, world: World) -> Any:
    route = next(route for route in protocol.routes() if route.path == path or (route.is_prefix and path.startswith(route.path)))
    headers = ((b"content-type", b"application/json"),)
    request = Request("POST", path.encode(), b"", headers, orjson.dumps(body), identity=_IDENTITY, request_id="i")
    return orjson.loads(route.handler(request, world.decider, NOW).body)


def test_protocols_and_python_give_the_same_answers() -> None:
    world = World(TRUST_SCOPES)
    asked = _asked(1_000)
    python = [_python(world, one) for one in asked]
    assert len(set(python)) > 6, "answers of several kinds"
    assert [_of_reason(one) for one in world.decide(asked)] == python

    rows = [{**{name: one[name] for name in ("principal", "action", "resource")}, **one["context"]} for one in asked]
    types = {name: pa.list_(pa.string()) if name == "x:keys" else pa.string() for one in rows for name in one}
    table = pa.Table.from_pylist(rows, pa.schema(list(types.items())))
    arrow = world.stream(arrow_stream(table, rows=300), content_type=ARROW)
    assert [_of_reason(one) for one in arrow.rows] == python

    zen = authzen.create(msgspec.convert({}, authzen.Section), _SITE)
    items = [
        {
            "subject": {"type": _TYPES[one["principal"]], "id": one["principal"]},
            "action": {"name": one["action"]},
            "resource": {"type": "object", "id": one["resource"]},
            "context": one["context"],
        }
        for one in asked
    ]
    answers = _sent(zen, "/access/v1/evaluations", {"evaluations": items}, world)["evaluations"]
    assert [_of_reason(one["context"]) for one in answers] == python

    generic = opa.create(msgspec.convert({"paths": {"app": {"result": "object"}}}, opa.Section), _SITE)
    of_arns = [at for at, one in enumerate(asked) if one["principal"].startswith("arn:")]  # the shape has no services
    results = [_sent(generic, "/v1/data/app", {"input": asked[at]}, world)["result"] for at in of_arns]
    assert [_of_reason(one) for one in results] == [python[at] for at in of_arns]
