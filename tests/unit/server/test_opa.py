"""The OPA data API: forms of requests and results, facts, records, configuration."""

from __future__ import annotations

import json
from urllib.parse import quote

import orjson
import pytest
from authzen_fixture import TRUSTED, document
from hypothesis import example, given
from hypothesis import strategies as st
from opa_fixture import ACCOUNT, DECISION_ID, SCHEMA, World, allow, directory, table, trino
from served_engine import EngineDecider

from fastiam import SourceError
from fastiam.server.identity import EXPLAIN
from fastiam.server.protocol import Place
from fastiam.server.protocols.opa.trino import arns, arns_of_tables

ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
READ = {"principal": ALICE, "action": "record:read", "resource": "arn:aws:record:::record/7"}


def test_data_v0_body_is_the_input_and_the_result():
    world = World({"default_decision": "app/allow"})
    for path in ("/v0/data/app/allow", "/"):
        assert world.send("POST", path, orjson.dumps(READ)).body == b"true"
        assert world.send("POST", path, orjson.dumps(READ | {"action": "record:drop"})).body == b"false"
        assert world.send("POST", path, b"").body == b"false"


def test_data_get_reads_the_input_of_the_query_string():
    world = World()
    target = "/v1/data/app/allow?input=" + quote(json.dumps(READ))
    assert world.send("GET", target).body == b'{"result":true}'
    assert world.send("GET", "/v1/data/app/allow").body == b'{"result":false}'
    for bad in ("/v1/data/app/allow?input=x", f"{target}&input=1", "/v1/data/app/allow?input="):
        assert world.send("GET", bad).status == 400


def test_flags_add_metrics_provenance_and_indentation():
    target = "/v1/data/app/allow?metrics&provenance=true&pretty=true&explain=full&instrument"
    response = World().send("POST", target, orjson.dumps({"input": READ}))
    answer = orjson.loads(response.body)
    assert response.body.startswith(b'{\n  "result": true')
    assert answer["provenance"]["bundles"] == {"fastiam": {"revision": "1"}} and answer["provenance"]["version"]
    assert answer["metrics"] == {"timer_server_handler_ns": 2_000, "timer_rego_query_eval_ns": 1_000}
    plain = World().send("POST", "/v1/data/app/allow?metrics=false", orjson.dumps({"input": READ}))
    assert plain.body == b'{"result":true}'


def test_decision_id_is_present_with_a_decision_log_only():
    world = World(logs_decisions=True)
    assert world.ask("app/allow", READ) == (200, {"result": True, "decision_id": DECISION_ID})
    assert world.ask("other", READ) == (200, {})


def test_result_object_has_the_reason_by_scope():
    expected = {"allowed": True, "outcome": "ALLOW", "layer": "identity", "generation": 1}
    assert World().ask("app/object", READ)[1]["result"] == {**expected}
    full = World(scopes=TRUSTED | {EXPLAIN}).ask("app/object", READ)[1]["result"]
    assert full["policy"] == "alice" and full["sid"] == "Read"
    fault = World().ask("app/object", READ | {"principal": "alice"})[1]["result"]
    assert fault["allowed"] is False and fault["error"]["code"] == "unmapped_subject"


def test_result_member_reads_templates_and_pointers():
    asked = {"who": {"id": "alice"}, "action": "read", "resource": "a/b"}
    response = World().send("POST", "/v1/data/app/member", orjson.dumps({"input": asked}))
    assert orjson.loads(response.body) == {"result": {"allow": True}}
    assert (response.record.principal, response.record.resource) == (ALICE, "arn:aws:record:::record/a%2Fb")
    for change in ({"who": {"id": ALICE}}, {"who": "alice"}, {"who": {"id": "mallory"}}, {"resource": ""}, {"action": "*"}):
        assert World().ask("app/member", asked | change)[1] == {"result": {"allow": False}}


KAFKA = {
    "paths": {
        "kafka/allow": {
            "principal": "/requestContext/principal/name",
            "action": "/action/operation",
            "resource": {
                "kind": "/action/resourcePattern/resourceType",
                "pattern": "/action/resourcePattern/patternType",
                "name": "/action/resourcePattern/name",
            },
            "subject_type": "user",
            "resource_type": "kafka",
        }
    },
    "resources": {"kafka": {"resource": "arn:aws:kafka:::{kind}/{pattern}/{name}", "action_prefix": "kafka"}},
}
PODS = {
    "paths": {
        "k8s/allow": {
            "principal": "/spec/user",
            "action": "/spec/resourceAttributes/verb",
            "resource": {name: f"/spec/resourceAttributes/{name}" for name in ("group", "resource", "namespace", "name")},
            "subject_type": "person",
            "resource_type": "k8s",
        }
    },
    "subjects": {"person": {"principal": f"arn:aws:iam::{ACCOUNT}:user/{{id}}", "encoding": "base32hex", "known": False}},
    "resources": {
        "k8s": {
            "resource": "arn:aws:k8s:::{group}/{resource}/{namespace}/{name}",
            "action_prefix": "k8s",
            "absent": {"group": "!core", "namespace": "!cluster", "name": "!all"},
        }
    },
}


def kafka(kind: str = "TOPIC", pattern: str = "LITERAL", name: str = "orders") -> dict:
    pattern_ = {"name": name, "patternType": pattern, "resourceType": kind}
    return {
        "action": {"operation": "WRITE", "resourcePattern": pattern_},
        "requestContext": {"principal": {"principalType": "User", "name": "alice"}},
    }


def test_resource_of_kafka_has_type_and_pattern():  # G109
    world = World(KAFKA)
    made = directory()
    policy = document(allow("kafka:Write", "arn:aws:kafka:::TOPIC/LITERAL/orders"))
    made.put_inline_policy(ALICE, "kafka", policy)
    world.decider = EngineDecider(made.compile(), made)
    asked = {True: [kafka()], False: [kafka("GROUP"), kafka(pattern="PREFIXED"), kafka(name="LITERAL/orders"), kafka(name="")]}
    for expected, inputs in asked.items():
        for input_ in inputs:
            assert world.ask("kafka/allow", input_)[1] == {"result": expected}, input_
    del (wrong := kafka())["action"]["resourcePattern"]["patternType"]
    record = world.send("POST", "/v1/data/kafka/allow", orjson.dumps({"input": wrong})).record
    assert record.error == "missing" and record.resource is None


@pytest.mark.parametrize(
    ("attributes", "arn"),
    [
        ({"group": "apps", "resource": "deployments", "namespace": "shop", "name": "web"}, "apps/deployments/shop/web"),
        ({"group": "", "resource": "pods", "namespace": "shop", "name": "web"}, "!core/pods/shop/web"),
        ({"resource": "pods", "namespace": "shop"}, "!core/pods/shop/!all"),
        ({"resource": "nodes", "name": None}, "!core/nodes/!cluster/!all"),
        ({"resource": "pods", "namespace": "!cluster", "name": "!all"}, "!core/pods/%21cluster/%21all"),
        ({"resource": "pods", "namespace": "a/b:c", "name": "*"}, "!core/pods/a%2Fb%3Ac/%2A"),
        ({"resource": "", "name": "web"}, None),
        ({"resource": "pods", "name": ["web"]}, None),
        ({"resource": "pods", "name": "a\n"}, None),
    ],
)
def test_resource_of_kubernetes_has_the_parts_that_are_there(attributes, arn):  # G109
    input_ = {"spec": {"user": "system:serviceaccount:shop:web", "resourceAttributes": {"verb": "get", **attributes}}}
    record = World(PODS).send("POST", "/v1/data/k8s/allow", orjson.dumps({"input": input_})).record
    assert record.resource == (None if arn is None else f"arn:aws:k8s:::{arn}") and record.result is False


def test_document_above_decisions_has_each_of_them():  # G102
    world = World({"paths": {"app/deep/allow": {}, "app/member": None}})
    full = {"allowed": True, "outcome": "ALLOW", "layer": "identity", "generation": 1}
    expected = {"allow": True, "object": full, "deep": {"allow": True}}
    assert world.ask("app", READ) == (200, {"result": expected})
    assert world.ask("app/deep", READ) == (200, {"result": {"allow": True}})
    root = {"app": expected, "trino": {"allow": False}}  # a batch is undefined for this input
    for path in ("/v1/data", "/v1/data/"):
        assert orjson.loads(world.send("POST", path, orjson.dumps({"input": READ})).body) == {"result": root}
    for path in ("/v0/data/app", "/v0/data"):
        assert orjson.loads(world.send("POST", path, orjson.dumps(READ)).body) == (expected if "app" in path else root)
    assert world.ask("app/other", READ) == world.ask("app/allow/x", READ) == world.ask("ap", READ) == (200, {})
    record = world.send("POST", "/v1/data/app", orjson.dumps({"input": READ | {"action": "record:write"}})).record
    assert (record.path, record.size, record.denied, record.errors) == ("opa/app", 3, [0, 1, 2], 0)
    assert record.outcomes == {("IMPLICIT_DENY", "identity"): 3} and record.items is None
    items = World(logs_items=True).send("POST", "/v1/data", orjson.dumps({"input": READ})).record.items
    assert [(index, one.path) for index, one in items] == [
        (index, f"opa/{path}") for index, path in enumerate(("app/allow", "app/object", "app/member", "trino/allow"))
    ]
    filters = {"action": {"operation": "GetRowFilters"}}
    assert world.ask("trino", filters)[0] == world.ask("app", filters)[0] == 404, "an undefined row filter is none"


def test_encoded_subject_is_logged_as_it_was_sent():  # G51
    encoded = {"encoding": "base32hex", "known": False}
    world = World({"subjects": {"user": encoded}, "trino": encoded})
    asked = {"input": {"who": {"id": "auth0|zoe"}, "action": "read", "resource": "a"}}
    of_user, name = asked | {"input": trino("ExecuteQuery", user="auth0|zoe")}, f"arn:aws:iam::{ACCOUNT}:user/c5qn8q1gfht6up8"
    for path, body in (("app/member", asked), ("trino/allow", of_user)):
        record = world.send("POST", f"/v1/data/{path}", orjson.dumps(body)).record
        assert (record.principal, record.sent_id) == (name, "auth0|zoe")


@pytest.mark.parametrize("name", ["aws:MultiFactorAuthPresent", "AWS:multifactorauthpresent"])
def test_facts_of_the_session_cannot_be_stated(name):
    asked = READ | {"action": "record:write", "context": {name: True}}
    assert World(scopes=TRUSTED | {EXPLAIN}).ask("app/object", asked)[1]["result"]["ignored"] == [f"context.{name}"]
    assert World().ask("app/allow", asked)[1] == {"result": False}


def test_context_needs_the_scope_to_state_it():
    asked = READ | {"action": "record:list", "context": {"team": "red"}}
    assert World().ask("app/allow", asked)[1] == {"result": True}
    assert World(scopes=frozenset()).ask("app/allow", asked)[1] == {"result": False}
    mapped = World({"context": {"squad": "opa:context/team"}})
    assert mapped.ask("app/allow", asked | {"context": {"squad": "red"}})[1] == {"result": True}


def test_unknown_key_is_not_an_allow():
    asked = READ | {"action": "record:list", "context": {"fastiam:unknown": ["opa:context/team"]}}
    answer = World(scopes=TRUSTED | {EXPLAIN}).ask("app/object", asked)[1]["result"]
    assert answer["allowed"] is False and answer["outcome"] == "DEPENDS" and answer["depends_on"] == ["opa:context/team"]


@pytest.mark.parametrize(
    ("resource", "arn"),
    [
        ({"catalog": {"name": "c"}}, "catalog/c"),
        ({"schema": {"catalogName": "c", "schemaName": "s"}}, "catalog/c/schema/s"),
        ({"table": {"catalogName": "c", "schemaName": "s", "tableName": "t"}}, "catalog/c/schema/s/table/t"),
        (
            {"column": {"catalogName": "c", "schemaName": "s", "tableName": "t", "columnName": "x", "columnType": "int"}},
            "catalog/c/schema/s/table/t/column/x",
        ),
        ({"function": {"catalogName": "c", "schemaName": "s", "functionName": "f"}}, "catalog/c/schema/s/function/f"),
        ({"function": {"functionName": "f"}}, "function/f"),
        ({"function": {"catalogName": None, "schemaName": None, "functionName": "f"}}, "function/f"),
        ({"user": {"user": "u", "groups": []}}, "user/u"),
        ({"systemSessionProperty": {"name": "p"}}, "system-session-property/p"),
        ({"catalogSessionProperty": {"catalogName": "c", "propertyName": "p"}}, "catalog/c/session-property/p"),
        (
            {
                "table": {"catalogName": "c", "schemaName": "s", "tableName": "t"},
                "function": {"functionName": "f"},
            },
            "catalog/c/schema/s/table/t/procedure/f",
        ),
        (
            {"table": {"catalogName": "c", "schemaName": "s", "tableName": "t"}, "security": "INVOKER"},
            "catalog/c/schema/s/table/t",
        ),
        ({"schema": {"schemaName": "s"}}, None),
        ({"function": {"catalogName": "c", "functionName": "f"}}, None),
        ({"catalog": {"name": ""}}, None),
        ({"catalog": {"name": 5}}, None),
        ({"catalog": {"name": "a\u0000b"}}, None),
        ({"catalog": "c"}, None),
        ({"catalog": {"name": "c"}, "user": {"user": "u"}}, None),
        ({}, None),
    ],
)
def test_trino_resource_becomes_its_arn(resource, arn):
    response = World().send("POST", "/v1/data/trino/allow", orjson.dumps({"input": trino("X", resource=resource)}))
    assert response.record.resource == (None if arn is None else f"arn:aws:trino:::{arn}")
    assert (response.record.error is None) is (arn is not None)


def test_trino_grantee_and_credentials_are_facts_but_no_log():
    world = World()
    asked = trino("SetTableAuthorization", resource=table("x"), grantee={"name": "bob", "type": "USER"})
    assert world.ask("trino/allow", asked)[1] == {"result": True}
    asked["action"]["grantee"]["name"] = "eve"
    assert world.ask("trino/allow", asked)[1] == {"result": False}
    asked = trino("DropTable", resource=table("x"))
    asked["context"]["identity"]["extraCredentials"] = {"key": "s3cret"}
    response = world.send("POST", "/v1/data/trino/allow", orjson.dumps({"input": asked}))
    assert response.body == b'{"result":true}' and "s3cret" not in repr(response.record)


def test_trino_user_may_be_a_session_of_a_role():
    world = World({"trino": {"principal": None, "session_of": f"arn:aws:iam::{ACCOUNT}:role/people"}})
    response = world.send("POST", "/v1/data/trino/allow", orjson.dumps({"input": trino("ExecuteQuery")}))
    assert response.body == b'{"result":false}' and response.record.error == "unknown_subject", "the role has no record"
    world.decider.pin().directory.add_principal(
        f"arn:aws:iam::{ACCOUNT}:role/people",
        identity_policies=[{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "trino:*", "Resource": "*"}}],
    )
    world.decider = type(world.decider)(world.decider.pin().directory.compile())
    response = world.send("POST", "/v1/data/trino/allow", orjson.dumps({"input": trino("ExecuteQuery", user="zoe")}))
    assert response.body == b'{"result":true}'
    assert response.record.principal == f"arn:aws:sts::{ACCOUNT}:assumed-role/people/zoe"
    batch = trino("FilterTables", user="zoe", filterResources=[table("a"), table("b")])
    assert world.ask("trino/batch", batch)[1] == {"result": [0, 1]}


def test_trino_batch_equals_single_requests():
    world = World()
    names = [f"t{i % 6}" for i in range(2_000)]
    resources = [table(name, "a", "ssn") if i % 7 == 0 else table(name) for i, name in enumerate(names)]
    single = [
        index
        for index, resource in enumerate(resources)
        if world.ask("trino/allow", trino("FilterTables", resource=resource))[1]["result"]
    ]
    response = world.send(
        "POST", "/v1/data/trino/batch", orjson.dumps({"input": trino("FilterTables", filterResources=resources)})
    )
    assert orjson.loads(response.body) == {"result": single} and 300 < len(single) < 700
    assert response.record.size == 2_000 and len(response.record.denied) == 100


NAMES = st.sampled_from(["t", "t2", "a,b", "a b", "a/b", "é", "\ud800", "", "a\x00", "x" * 2_049, None, 5, True, ["t"], {}])
TABLES = st.builds(lambda c, s, t: {"catalogName": c, "schemaName": s, "tableName": t}, NAMES, NAMES, NAMES)
ITEMS = TABLES.map(lambda table: {"table": table}) | st.sampled_from(
    [
        {"table": {"catalogName": "c", "schemaName": "s", "tableName": "t", "columns": ["a", "b"]}},
        {"table": {"catalogName": "c", "schemaName": "s", "tableName": "t", "columns": None}},
        {"table": {"catalogName": "c", "schemaName": "s", "columns": []}},
        {"table": {"catalogName": "c", "schemaName": "s", "tableName": "t"}, "security": "INVOKER"},
        {"table": {"catalogName": "c", "schemaName": "s", "tableName": "t"}, "function": {"functionName": "f"}},
        {"table": "tab"},
        {"table": None},
        {"catalog": {"name": "c"}},
        ["table"],
        "table",
    ]
)


@given(st.lists(ITEMS, max_size=3))
@example([])
@example([table("t2"), table("a,b"), {"table": {"catalogName": "a/b", "schemaName": "é", "tableName": "t"}}])
def test_tables_read_together_have_the_arns_of_each(items):
    together = arns_of_tables(items)
    if together is not None:
        assert [[arn] for arn in together] == [arns(item, "$") for item in items]


def test_tables_with_plain_names_are_read_together():
    assert arns_of_tables([table("t2"), table("a,b")]) == [f"{SCHEMA}/table/t2", f"{SCHEMA}/table/a,b"]
    assert arns_of_tables([table("t2"), table("a b")]) is None, "a name to encode"


@pytest.mark.parametrize("groups", [("ops",), ("dev", "ops"), ("dev", "ops", "qa"), ("dev", "qa")])
def test_trino_batch_groups_are_those_of_every_resource(groups):
    users = [{"user": {"user": name}} for name in ("bob", "bob", "eve")]
    asked = trino("ImpersonateUser", groups=groups, filterResources=users)
    assert World().ask("trino/batch", asked)[1] == {"result": [0, 1] if "ops" in groups else []}
    assert World(scopes=frozenset()).ask("trino/batch", asked)[1] == {"result": []}


@pytest.mark.parametrize("path", ["trino/allow", "trino/batch"])
def test_facts_that_trino_may_not_state_are_unknown(path):  # G7, D70
    made = directory()
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"trino:queryId": "other"}}}
    made.put_inline_policy(f"arn:aws:iam::{ACCOUNT}:user/alice", "deny", document(deny))
    open_answer, closed_answer = (True, False) if path == "trino/allow" else ([0], [])
    resources = {"resource": table("t2")} if path == "trino/allow" else {"filterResources": [table("t2")]}
    asked = trino("FilterTables", **resources)
    for scopes, answer in ((TRUSTED, open_answer), (frozenset(), closed_answer)):
        world = World(scopes=scopes)
        world.decider = EngineDecider(made.compile(), made)
        assert world.ask(path, asked)[1] == {"result": answer}


def test_batch_of_too_many_resources_is_refused():
    item = orjson.dumps(table("t2"))
    body = orjson.dumps({"input": trino("FilterTables", filterResources=[])})
    body = body.replace(b'"filterResources":[]', b'"filterResources":[' + b",".join([item] * 100_001) + b"]")
    assert World().send("POST", "/v1/data/trino/batch", body).status == 400


def test_batch_of_too_many_columns_is_refused():
    resources = [table(f"t{i}", *[f"c{j}" for j in range(1_000)]) for i in range(101)]
    status, answer = World().ask("trino/batch", trino("FilterTables", filterResources=resources))
    assert (status, answer["code"]) == (400, "invalid_parameter")


def test_large_body_is_read_in_a_thread():
    world = World()
    route = world.route("/v1/data/x")
    request = type("R", (), {"body": b"x" * 300_000})()
    assert route.place(request) is Place.POOL and route.max_body == 16 << 20
    assert route.place(type("R", (), {"body": b"x"})()) is Place.LOOP


def test_exception_of_the_engine_is_not_an_answer():
    class Broken:
        def pin(self):
            raise ZeroDivisionError

    world = World()
    world.decider = Broken()
    with pytest.raises(ZeroDivisionError):
        world.ask("app/allow", READ)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": {"a": {"principal": "x"}}}, "not a JSON pointer"),
        ({"paths": {"/a": {}}}, "not a path"),
        ({"paths": {"a": {"subject_type": "nobody"}}}, "not configured"),
        ({"paths": {"a": {"shape": "trino.allow"}}, "trino": None}, "needs a mapping of users"),
        ({"paths": {"a": {"shape": "trino.allow", "result": "object"}}}, "has no `result`"),
        ({"default_decision": "x/y"}, "not configured"),
        ({"trino": {"session_of": "arn:aws:iam::111111111111:role/x"}}, "one of `principal` and `role`"),
        ({"trino": {"principal": "arn:aws:iam::111111111111:user/{id}"}}, "not a placeholder"),
        ({"trino": {"principal": None, "session_of": "arn:aws:iam::111111111111:user/x"}}, "not a role"),
        ({"trino": {"owner": "x"}}, "not an account"),
        ({"context": {"x": "aws:PrincipalTag/y"}}, "no request can state"),
        ({"paths": {"app": {}}}, "`app` is a decision"),
        ({"paths": {"a": {"resource": {"id": "/id"}}}}, "need a template"),
        ({"paths": {"a": {"resource": {"id": "/id", "x": "/x"}, "resource_type": "record"}}}, "`record` has no `{x}`"),
        ({"paths": {"a": {"resource": {"x": "/x"}, "resource_type": "record"}}}, "no pointer to `{id}`"),
        ({"paths": {"a": {"resource_type": "kafka"}}, "resources": KAFKA["resources"]}, "no pointer to `{kind}`"),
        ({"resources": {"a": {"resource": "arn:aws:a:::x"}}}, "has no placeholder"),
        ({"resources": {"a": {"resource": "arn:aws:a:::{x}", "absent": {"y": "!"}}}}, "no `{y}`"),
        ({"resources": {"a": {"resource": "arn:aws:a:::{x}", "absent": {"x": "none"}}}}, "may be a value"),
    ],
)
def test_configuration_that_cannot_be_served_is_refused(changes, message):
    with pytest.raises(SourceError, match=message):
        World(changes)


def test_known_users_need_a_directory():
    with pytest.raises(SourceError, match="no directory with records"):
        World(has_directory=False, changes={"subjects": None, "paths": {"app/member": None}})
    World(has_directory=False, changes={"subjects": None, "paths": {"app/member": None}, "trino": {"known": False}})


def test_trino_owner_decides_the_account_of_tables():
    world = World({"trino": {"owner": "222222222222"}})
    assert world.ask("trino/allow", trino("FlyTable", resource=table("fly")))[1] == {"result": False}, f"{SCHEMA} is foreign"
