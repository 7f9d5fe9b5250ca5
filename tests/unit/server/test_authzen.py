"""AuthZEN: properties that hold for all requests, and what the cases of the specification do not say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from authzen_fixture import ACCOUNT, ALL_SCOPES, NOW, TRUSTED, World, allow, directory, document, entities
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all
from served_engine import EngineDecider
from specification import explained_decision

from fastiam.server.http import Request
from fastiam.server.identity import EXPLAIN, TRUST_SCOPES
from fastiam.server.protocol import Place
from fastiam.server.protocols.authzen import create

CONFIG = {
    "allow_now": True,
    "context": {"ip": "aws:SourceIp"},
    "subjects": {
        "person": {"session_of": f"arn:aws:iam::{ACCOUNT}:role/people"},
        "tagged": {"principal": f"arn:aws:iam::{ACCOUNT}:user/{{id}}", "known": False, "subject_properties": "tags"},
    },
    "resources": {"open": {"resource": "arn:aws:record:::record/{id}", "action_prefix": "record"}},
}
_ENGINE = directory().compile()
WORLD = World(CONFIG, scopes=ALL_SCOPES, engine=_ENGINE)

_IDS = st.sampled_from(
    ["alice", "bob", "ana", "record-1", "record-2", "record-9", "a/b", "", "x\x00", f"arn:aws:iam::{ACCOUNT}:user/bob"]
)
_TEXT = st.sampled_from(["admin", "archived", "active", "true", "10.0.0.1", "nonsense", "2020-01-01T00:00:00Z", ACCOUNT])
_SCALAR = st.one_of(_TEXT, st.booleans(), st.integers(-5, 2**60), st.none())
_VALUE = st.one_of(_SCALAR, st.lists(_SCALAR, max_size=2), st.dictionaries(_TEXT, _SCALAR, max_size=2))
_NAMES = st.sampled_from(
    ["role", "status", "account", "soft", "mfa_at", "tags", "aws:PrincipalTag/role", "aws:ResourceTag/status", "ip",
     "aws:SourceIp", "aws:MultiFactorAuthPresent", "aws:CurrentTime", "x", "bad\x01", "k" * 200]
)  # fmt: skip
_PROPERTIES = st.one_of(st.none(), st.dictionaries(_NAMES, _VALUE, max_size=3))
_CONTEXT = st.one_of(
    _PROPERTIES,
    st.just({"fastiam:unknown": ["aws:SourceIp"]}),
    st.just({"fastiam:unknown": ["aws:SourceIp"], "aws:SourceIp": "10.0.0.1"}),
)
_SUBJECT = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "person", "tagged", "session", "spaceship", "anonymous"]), "id": _IDS},
    optional={"properties": _PROPERTIES},
)
_ACTION = st.fixed_dictionaries(
    {"name": st.sampled_from(["read", "write", "delete", "list", "past", "record:read", "s3:*"])},
    optional={"properties": _PROPERTIES},
)
_RESOURCE = st.fixed_dictionaries(
    {"type": st.sampled_from(["record", "open", "x"]), "id": _IDS}, optional={"properties": _PROPERTIES}
)
_REQUEST = st.fixed_dictionaries(
    {}, optional={"subject": _SUBJECT, "action": _ACTION, "resource": _RESOURCE, "context": _CONTEXT}
)


def _without_ids(answer: dict[str, Any]) -> dict[str, Any]:
    context = {k: v for k, v in answer.get("context", {}).items() if k not in ("generation", "decision_id")}
    return {**answer, "context": context}


@settings(max_examples=few_or_all(50, 150))
@given(defaults=_REQUEST, items=st.lists(_REQUEST, min_size=1, max_size=4))
def test_item_of_a_batch_equals_the_single_evaluation(defaults, items):
    status, answer = WORLD.ask("evaluations", defaults | {"evaluations": items})
    if status == 400:
        alone = [WORLD.ask("evaluation", entities("alice", "read", "record-1") | {kind: one}) for kind, one in defaults.items()]
        assert 400 in [code for code, _ in alone]
        return
    assert len(answer["evaluations"]) == len(items)
    for item, found in zip(items, answer["evaluations"], strict=True):
        whole = defaults | {kind: value for kind, value in item.items() if value is not None}
        code, single = WORLD.ask("evaluation", whole)
        if code == 400:
            assert found["context"]["error"]["code"] == single["error"]["code"] and found["decision"] is False
        else:
            assert _without_ids(single) == _without_ids(found)


_KNOWN = [
    {"aws:SourceIp": "10.0.0.1"},
    {"ip": "10.0.0.1"},
    {"ip": "10.0.0.1", "aws:SourceIp": "10.0.0.1"},
    {"ip": "10.0.0.1", "aws:SourceIp": "10.0.0.2"},
    {"aws:SourceIp": "nonsense"},
    {"aws:SourceIp": True},
    {"aws:SourceIp": None},
    {"aws:SecureTransport": "true"},
    {"aws:SecureTransport": True},
    {"aws:SecureTransport": 1},
    {"aws:UserAgent": False},
    {"aws:UserAgent": "x" * 4_096},
    {"aws:UserAgent": "x" * 4_097},
    {"aws:UserAgent": 2**60},
    {"aws:ResourceTag/status": "archived"},
    {"aws:PrincipalTag/role": "admin"},
    {"aws:MultiFactorAuthPresent": "true"},
    {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
    {"fastiam:unknown": ["aws:SourceIp"]},
    {f"aws:RequestTag/{i}": "x" for i in range(9)},
    {f"aws:RequestTag/{i}": "x" for i in range(257)},
    [],
]


@pytest.mark.parametrize("context", _KNOWN, ids=str)
@pytest.mark.parametrize("scopes", [ALL_SCOPES, frozenset({EXPLAIN})], ids=["trusted", "untrusted"])
def test_item_of_known_entities_equals_the_single_one(context, scopes):
    """The entities and the keys of the context were all mapped before."""
    world = World(CONFIG, scopes=scopes, engine=_ENGINE)
    asked = entities("alice", "list", "record-1")
    warming = [{**asked, "context": other} for other in _KNOWN if isinstance(other, dict)]
    world.ask("evaluations", {"evaluations": warming})
    status, single = world.ask("evaluation", {**asked, "context": context})
    _, answer = world.ask("evaluations", {"evaluations": [{**asked, "context": context}]})
    _, shared = world.ask("evaluations", {**asked, "context": context, "evaluations": [{}]})
    (found,) = answer["evaluations"]
    if status == 400:
        assert found["context"]["error"]["code"] == single["error"]["code"] and found["decision"] is False
    else:
        assert _without_ids(single) == _without_ids(found) == _without_ids(shared["evaluations"][0])


def test_item_keeps_no_entity_of_the_item_before():
    known = [entities("alice", "delete", "record-1"), entities("bob", "read", "record-2"), {}]
    items = [{**one, "context": {"aws:SourceIp": f"10.0.0.{i % 3}"}} for i, one in enumerate(known * 3)]
    defaults = {**entities("alice", "read", "record-2"), "context": {"aws:SourceIp": "10.0.0.9"}}
    expected = [WORLD.ask("evaluation", defaults | item)[1] for item in items]
    for _ in range(2):
        _, answer = WORLD.ask("evaluations", defaults | {"evaluations": items})
        assert list(map(_without_ids, answer["evaluations"])) == list(map(_without_ids, expected))


def test_batch_counts_its_answers_by_outcome_and_layer():
    asked = ("alice", "read", "record-1"), ("alice", "purge", "record-1"), ("bob", "read", "record-2")
    items = [entities(*names) for names in asked] * 60
    for _ in range(2):  # answers are made, then kept
        response = WORLD.send("evaluations", orjson.dumps({"evaluations": items}))
        record = response.record
        assert record.size == 180 and record.errors == 0
        assert record.outcomes == {("ALLOW", "identity"): 120, ("IMPLICIT_DENY", "identity"): 60}
        assert list(record.denied) == [1 + 3 * i for i in range(60)]


@settings(max_examples=60)
@given(request=st.tuples(_SUBJECT, _ACTION, _RESOURCE, _CONTEXT), kind=st.sampled_from(["subject", "resource", "action"]))
def test_search_results_equal_evaluations(request, kind):
    subject, action, resource, context = request
    body = {"subject": subject, "action": action, "resource": resource, "context": context}
    if kind != "action":
        body[kind] = {"type": body[kind]["type"]}
    status, answer = WORLD.ask(f"search/{kind}", body)
    if status == 400:
        return
    found = [one.get("id", one.get("name")) for one in answer["results"]]
    names = {"subject": ["alice", "bob"], "resource": ["record-1", "record-2"], "action": ["read", "write", "delete"]}[kind]
    for name in {*names, *found}:
        entity = {"name": name} if kind == "action" else {"type": body[kind]["type"], "id": name}
        code, single = WORLD.ask("evaluation", body | {kind: entity})
        is_true = code == 200 and single["decision"]
        listed = name in found
        is_listable = kind != "subject" or body["subject"]["type"] in ("user", "tagged")
        assert listed == is_true or (is_true and not is_listable), (name, single)


@settings(max_examples=few_or_all(50, 100))
@given(
    scopes=st.frozensets(st.sampled_from(sorted(TRUST_SCOPES))),
    subject=_SUBJECT,
    action=_ACTION,
    resource=_RESOURCE,
    context=_PROPERTIES,
)
def test_no_fact_of_a_request_passes_without_its_scope(scopes, subject, action, resource, context):
    """What the decision log has as context is what the engine got."""
    world = World(CONFIG, scopes=scopes | {EXPLAIN}, engine=_ENGINE)
    body = {"subject": subject, "action": action, "resource": resource, "context": context}
    response = world.send("evaluation", orjson.dumps(body))
    stated = response.record.context if response.record is not None else {}
    for key in stated:
        folded = key.lower()
        if folded.startswith(("authzen:subject/", "authzen:action/", "authzen:resource/")):
            continue
        if folded.startswith(("aws:principaltag/", "aws:resourcetag/")):
            assert "assert:tags" in scopes
        elif folded == "aws:multifactorauthage":
            assert "assert:session" in scopes
        else:
            assert "assert:context" in scopes
            # members of an object have dotted names, which are keys that nothing reserves
            objects = [name.lower() + "." for name, value in context.items() if isinstance(value, dict)]
            assert folded.startswith(("aws:sourceip", "authzen:context/", *objects))


@settings(max_examples=few_or_all(50, 150))
@given(subject=_SUBJECT, action=_ACTION, resource=_RESOURCE, context=_CONTEXT)
def test_decision_equals_that_of_the_specification_evaluator(subject, action, resource, context):
    """The record has what the engine was asked; of a session it has the ARN alone."""
    body = {"subject": subject, "action": action, "resource": resource, "context": context}
    record = WORLD.send("evaluation", orjson.dumps(body)).record
    if record is None or record.decision is None or subject["type"] in ("person", "session"):
        return
    unknown = (context or {}).get("fastiam:unknown") or ()
    asked = record.principal, record.action, record.resource, record.context
    if "aws:CurrentTime" not in (context or {}):
        decision = explained_decision(_ENGINE, *asked, unknown=unknown, resource_account=_owner(resource), now=NOW)
        assert (decision.outcome, decision.layer) == (record.decision.outcome, record.decision.layer)


def _owner(resource: dict[str, Any]) -> Any:
    return (resource.get("properties") or {}).get("account")


def test_body_names_no_policy_without_the_scope_explain():
    world = World(CONFIG, scopes=TRUSTED)
    for action, record in (("read", "record-1"), ("write", "record-2")):
        _, single = world.ask("evaluation", entities("alice", action, record))
        _, batch = world.ask("evaluations", entities("alice", action, record) | {"evaluations": [{}, {"context": {"a": [[]]}}]})
        assert [set(one["context"]) for one in (single, *batch["evaluations"])] == [{"outcome", "layer"}] * 3


@pytest.mark.parametrize(("reasons", "members"), [("none", None), ("outcome", {"outcome", "layer"})])
def test_reasons_are_left_out_as_configured(reasons, members):
    world = World({"reasons": reasons})
    _, single = world.ask("evaluation", entities("alice", "read", "record-1"))
    _, batch = world.ask("evaluations", entities("alice", "read", "record-1") | {"evaluations": [{}]})
    for one in (single, batch["evaluations"][0]):
        assert one["decision"] is True and (set(one["context"]) == members if members else "context" not in one)


def test_error_of_a_decision_names_no_value_of_the_directory():
    _, answer = World(scopes=ALL_SCOPES).ask(
        "evaluation",
        entities("alice", "read", "record-1")
        | {"resource": {"type": "record", "id": "record-1", "properties": {"account": "2" * 12}}},
    )
    message = answer["context"]["error"]["message"]
    assert ACCOUNT not in message and "222" not in message


def test_batch_record_counts_outcomes_and_denied_items():
    world = World()
    items = [entities(None, None, name) for name in ("record-1", "record-2", "record-9")] * 50
    response = world.send("evaluations", orjson.dumps(entities("alice", "write", None) | {"evaluations": items}))
    record = response.record
    assert record.size == 150 and record.errors == 50
    assert record.outcomes == {("ALLOW", "identity"): 50, ("IMPLICIT_DENY", "identity"): 50}
    assert list(record.denied) == [i for i in range(150) if i % 3][:100]


def test_stated_session_policy_limits_the_session():
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "record:write", "Resource": "*"}]}
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/people/ana"

    def asked(policies: Any) -> dict[str, Any]:
        subject = {"type": "session", "id": arn, "properties": {"session_policies": policies}}
        return World(scopes=ALL_SCOPES).ask("evaluation", entities(None, "read", "record-1") | {"subject": subject})[1]

    assert asked(None)["decision"] is True and asked([policy])["context"]["layer"] == "session"
    for bad in ([{"Version": "1"}], ["{"], [5], "x", [policy] * 2 + [{}]):
        assert asked(bad)["context"]["error"]["code"] == "bad_value"


def test_large_batches_and_searches_leave_the_loop():
    places = {}
    for path, route in WORLD.routes.items():
        for size in (100, 140_000):
            request = Request("POST", path.encode(), body=b" " * size)
            places[path.removeprefix("/access/v1/"), size] = (
                route.place if isinstance(route.place, Place) else route.place(request)
            )
    assert {places["evaluation", 100], places["evaluations", 100]} == {Place.LOOP}
    assert places["evaluations", 140_000] is Place.POOL
    assert {places[f"search/{kind}", 100] for kind in ("subject", "resource", "action")} == {Place.SLOW}


def test_searches_need_a_directory():
    section = World().protocol._site
    site = type(section)(section.listeners, has_directory=False, has_sts=False)
    protocol = create(
        type(WORLD).section({"subjects": {"user": {"known": False}}, "resources": {"record": {"known": False}}}), site
    )
    assert [route.path for route in protocol.routes()] == ["/access/v1/evaluation", "/access/v1/evaluations"]


def test_subject_search_lists_services_and_accounts_by_type():
    made = directory()
    made.add_resource("arn:aws:s3:::shared", account=ACCOUNT, policy={
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*",
                       "Principal": {"AWS": "333333333333", "Service": "logs.amazonaws.com"}}],
    })  # fmt: skip
    world = World(engine=made.compile())
    world.decider = EngineDecider(made.compile(), made)
    ask = {"action": {"name": "s3:GetObject"}, "resource": {"type": "object", "id": "arn:aws:s3:::shared/x"}}

    def found(type_: str) -> list[str]:
        _, answer = world.ask("search/subject", ask | {"subject": {"type": type_}})
        assert all(one["type"] == type_ for one in answer["results"])
        return [one["id"] for one in answer["results"]]

    assert found("service") == ["logs.amazonaws.com"]
    assert found("account") == ["arn:aws:iam::333333333333:root"]
    assert found("root") == [f"arn:aws:iam::{ACCOUNT}:root"]
    assert found("role") == found("user") == []


def test_search_of_a_type_without_list_has_a_note():
    world = World(CONFIG | {"resources": {"arn": {"action_prefix": "s3"}}})
    for kind, type_ in (("subject", "person"), ("subject", "session"), ("resource", "arn")):
        body = entities("alice", "read", "record-1")
        body[kind] = {"type": type_}
        _, answer = world.ask(f"search/{kind}", body)
        assert answer["results"] == [] and answer["context"] == {"note": "not_enumerable"}


def test_search_lists_encoded_subjects_by_their_ids():  # G51
    made = directory()
    policy = {"Version": "2012-10-17", "Statement": allow("record:read")}
    names = {"c5qn8q1gfht6up8": "auth0|zoe", "85n6282dc5pc7bb1": "Ana María", "C4": None, "zz": None}
    for name in names:
        made.add_principal(f"arn:aws:iam::{ACCOUNT}:user/{name}", identity_policies=[policy])
    world = World({"subjects": {"user": {"encoding": "base32hex"}}})
    world.decider = EngineDecider(made.compile(), made)
    ask = entities(None, "read", "record-1") | {"subject": {"type": "user"}}
    assert world.ask("search/subject", ask) == (
        200,
        {"results": [{"type": "user", "id": id_} for id_ in ("Ana María", "auth0|zoe")]},
    )
    for id_ in filter(None, names.values()):
        assert world.ask("evaluation", entities(id_, "read", "record-1"))[1]["decision"] is True
    made.add_principal(f"arn:aws:iam::{ACCOUNT}:user/sha256-{'0' * 52}", identity_policies=[policy])
    world.decider = EngineDecider(made.compile(), made)
    answer = world.ask("search/subject", ask)[1]
    assert len(answer["results"]) == 2 and answer["context"] == {"note": "not_enumerable"}


def test_subject_search_filters_by_tags():
    world = World({"subjects": {"user": {"subject_properties": "tags"}}})
    for properties, expected in (({"role": "admin"}, ["bob"]), ({"role": "guest"}, []), ({"team": "x"}, ["alice", "bob"])):
        body = entities(None, "read", "record-1") | {"subject": {"type": "user", "properties": properties}}
        assert [one["id"] for one in world.ask("search/subject", body)[1]["results"]] == expected


def test_resource_search_refuses_too_many_candidates(monkeypatch):
    monkeypatch.setattr("fastiam.server.protocols.authzen.candidates.MAX_CANDIDATES", 1)
    status, answer = World().ask("search/resource", entities("alice", "read", None) | {"resource": {"type": "record"}})
    assert (status, answer["error"]["code"]) == (400, "too_many_candidates")


def test_answer_without_pages_ends_at_its_maximum(monkeypatch):
    monkeypatch.setattr("fastiam.server.protocols.authzen.authzen_search.MAX_RESULTS", 1)
    world, body = World(), entities("alice", "read", None) | {"resource": {"type": "record"}}
    _, first = world.ask("search/resource", body)
    _, second = world.ask("search/resource", body | {"page": {"token": first["page"]["next_token"]}})
    assert [one["id"] for one in (*first["results"], *second["results"])] == ["record-1", "record-2"]
    assert second["page"]["next_token"] == ""


def test_same_request_has_the_same_answer():
    """G48."""
    body = orjson.dumps(entities("alice", "write", "record-2") | {"context": {"a": 1}})
    assert len({WORLD.send("evaluation", body).body for _ in range(5)}) == 1
    assert NOW.tzinfo is not None


def items(answer: dict[str, Any]) -> list[Any]:
    """The decision of each item, or the code of its error."""
    return [one.get("context", {}).get("error", {}).get("code", one["decision"]) for one in answer["evaluations"]]


def test_items_of_equal_values_of_two_types_are_decided_apart():
    body = entities("alice", None, "record-1")
    body["evaluations"] = [{"action": {"name": "delete", "properties": {"soft": value}}} for value in (1, True, "true", "1")]
    assert items(WORLD.ask("evaluations", body)[1]) == [False, True, True, False]


@pytest.mark.parametrize("properties", [None, {"a": "b"}])
def test_items_of_one_id_and_two_types_are_decided_apart(properties):
    body = entities(None, "read", "record-1")
    body["evaluations"] = [{"subject": {"type": t, "id": "bob", "properties": properties}} for t in ("user", "spaceship", "user")]
    assert items(WORLD.ask("evaluations", body)[1]) == [True, "unmapped_subject", True]


def test_tag_in_a_shared_context_yields_to_each_record():
    body = entities("alice", "write", None) | {"context": {"aws:ResourceTag/status": "active"}}
    body["evaluations"] = [entities(None, None, name) for name in ("record-1", "record-2", "record-1")]
    assert items(WORLD.ask("evaluations", body)[1]) == [True, False, True]


def test_properties_count_after_a_request_without_them():
    world = World(CONFIG, scopes=ALL_SCOPES)
    body = entities("alice", "write", None) | {"resource": {"type": "open", "id": "record-9"}}
    with_tag = {"type": "open", "id": "record-9", "properties": {"status": "archived"}}
    assert world.ask("evaluation", body)[1]["decision"] is True
    assert world.ask("evaluation", body | {"resource": with_tag})[1]["decision"] is False
    batch = body | {"evaluations": [{}, {"resource": with_tag}, {}]}
    assert items(world.ask("evaluations", batch)[1]) == [True, False, True]


@pytest.mark.parametrize(
    "context", [{}, {"x": "1"}, {"x": 1}, {"aws:ResourceTag/status": "active"}, {"aws:UserAgent": 2**60}], ids=str
)
def test_facts_of_the_default_subject_are_of_no_other_one(context):
    made = directory()
    stated = allow("record:move", StringEquals={"authzen:subject/role": "mover"})
    made.put_inline_policy(f"arn:aws:iam::{ACCOUNT}:user/alice", "stated", document(stated))
    world = World(CONFIG, scopes=ALL_SCOPES, engine=made.compile())
    alice = {"type": "user", "id": "alice"}
    defaults = {
        "subject": alice | {"properties": {"role": "mover"}},
        "action": {"name": "move"},
        "resource": {"type": "open", "id": "record-1"},
        "context": context,
    }
    changed = [
        {},
        {"subject": alice},
        {"subject": alice | {"properties": {"role": "guest"}}},
        {"context": {"x": "2"}},
        {"context": {"x": "2"}, "subject": alice},
        {"resource": {"type": "open", "id": "record-2", "properties": {"status": "archived"}}},
        {"resource": {"type": "open", "id": "record-2"}},
        {"action": {"name": "delete", "properties": {"soft": True}}},
        {"subject": None, "context": None},
    ]
    world.ask("evaluations", defaults | {"evaluations": changed})  # maps what they have
    _, answer = world.ask("evaluations", defaults | {"evaluations": changed})
    for item, found in zip(changed, answer["evaluations"], strict=True):
        whole = defaults | {kind: value for kind, value in item.items() if value is not None}
        assert _without_ids(world.ask("evaluation", whole)[1]) == _without_ids(found)
    if context == {"x": "1"}:
        assert items(answer) == [True, False, False, True, False, True, True, True, True]


def test_search_leaves_out_what_depends_on_unknown_keys():
    body = {"subject": {"type": "user"}, **entities(None, "list", "record-1")}
    for context, found in (({"aws:SourceIp": "10.0.0.1"}, ["alice"]), ({"fastiam:unknown": ["aws:SourceIp"]}, [])):
        assert [one["id"] for one in WORLD.ask("search/subject", body | {"context": context})[1]["results"]] == found


def test_resource_search_lists_the_type_of_the_template_only():
    template = {"resource": "arn:aws:doc:::{type}/{id}", "action_prefix": "record"}
    made = directory()
    for name in ("memo/1", "memo/2", "file/1"):
        made.add_resource(f"arn:aws:doc:::{name}", account=ACCOUNT)
    made.put_inline_policy(f"arn:aws:iam::{ACCOUNT}:user/bob", "docs", {"Statement": [
        {"Effect": "Allow", "Action": "record:read", "Resource": "arn:aws:doc:::*"}], "Version": "2012-10-17"})  # fmt: skip
    world = World({"resources": {"memo": template, "file": template}}, engine=made.compile())
    for type_, found in (("memo", ["1", "2"]), ("file", ["1"])):
        body = entities("bob", "read", None) | {"resource": {"type": type_}}
        assert world.ask("search/resource", body)[1]["results"] == [{"type": type_, "id": id_} for id_ in found]


def test_item_with_own_facts_after_a_plain_one_keeps_them():
    world = World(CONFIG, scopes=ALL_SCOPES)
    soft = {"action": {"name": "delete", "properties": {"soft": True}}}
    tag = {"context": {"aws:ResourceTag/status": "active"}}
    asked = entities("alice", "delete", "record-1") | {
        "evaluations": [{"context": {"x": 1}}, soft, soft, {"action": {"name": "delete"}}]
    }
    assert items(world.ask("evaluations", asked)[1]) == [False, True, True, False]
    asked = entities("alice", "write", None) | {"evaluations": [entities(None, None, f"record-{n}") | tag for n in (1, 2, 1, 2)]}
    assert items(world.ask("evaluations", asked)[1]) == [True, False, True, False]
    contexts = [
        {"x": 1},
        {"fastiam:unknown": ["aws:SourceIp"]},
        {"aws:PrincipalOrgID": "o"},
        {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
    ]
    asked = entities("alice", "list", "record-1") | {"evaluations": [{"context": one} for one in contexts]}
    found = [one["context"] for one in world.ask("evaluations", asked)[1]["evaluations"]]
    assert [one["outcome"] for one in found] == ["IMPLICIT_DENY", "DEPENDS", "IMPLICIT_DENY", "IMPLICIT_DENY"]
    assert [one.get("ignored") for one in found] == [None, None, ["context.aws:PrincipalOrgID"], None]
    asked["action"] = {"name": "past"}
    assert items(world.ask("evaluations", asked)[1]) == [False, False, False, True]


@pytest.mark.parametrize("own", [{}, {"context": {"x": 1}}])
def test_action_name_of_an_item_follows_its_resource_type(own):
    arn = {"type": "x", "id": "arn:aws:record:::record/record-1"}
    asked = entities("alice", "read", "record-1") | {"evaluations": [own, own | {"resource": arn}, own]}
    assert items(WORLD.ask("evaluations", asked)[1]) == [True, "unmapped_action", True]
