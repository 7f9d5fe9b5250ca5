"""Resources with one governing resource share facts (6.10): of a thousand paths or versions one is resolved."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all
from specification import explained_decision

from fastiam import Directory, Engine

A = "111111111111"
USER = f"arn:aws:iam::{A}:user/ana"


def at(service: str, rest: str, account: str = A) -> str:
    return f"arn:aws:{service}:eu-west-1:{account}:{rest}"


# a request, and how those begin that share its facts
SHARED = [
    (at("s3", "accesspoint/ap/object/a/b"), at("s3", "accesspoint/ap/object/")),
    (at("lambda", "function:f:7"), at("lambda", "function:f:")),
    (at("dynamodb", "table/t/index/i"), at("dynamodb", "table/t/index/")),
    (at("dynamodb", "table/t/stream/s"), at("dynamodb", "table/t/stream/")),
    (at("dynamodb", "table/t/backup/b"), at("dynamodb", "table/t/backup/")),
    (at("sns", "t:0f1e"), at("sns", "t:")),
    (at("logs", "log-group:g:log-stream:s/t"), at("logs", "log-group:g:log-stream:")),
    (at("kinesis", "stream/s/consumer/c:1"), at("kinesis", "stream/s/consumer/")),
    (at("apigateway", "/restapis/api/stages/s", ""), at("apigateway", "/restapis/api/", "")),
    (at("execute-api", "api/prod/GET/pets"), at("execute-api", "api/")),
    (at("es", "domain/d/index/_search"), at("es", "domain/d/")),
    (at("codeartifact", "package/d/r/npm//p"), at("codeartifact", "package/d/r/")),
    (at("codeartifact", "package-group/d/x"), at("codeartifact", "package-group/d/")),
    (at("acm-pca", "certificate-authority/ca/certificate/c"), at("acm-pca", "certificate-authority/ca/certificate/")),
    (at("glue", "table/d/t"), at("glue", "table/")),
    # types of resources that nothing else governs
    (at("glue", "job/j"), at("glue", "job/")),
    (at("lambda", "layer:l:1"), at("lambda", "layer:")),
    (at("dynamodb", "global-table/t"), at("dynamodb", "global-table/")),
    (at("logs", "destination:d"), at("logs", "destination:")),
    (at("apigateway", "/apis/a/routes/r", ""), at("apigateway", "/apis/", "")),
    (at("codeartifact", "repository/d/r2"), at("codeartifact", "repository/")),
    (at("acm-pca", "other/x"), at("acm-pca", "other/")),
]
# of these nothing else surely has the facts
ALONE = [
    at("lambda", "function:f"), at("dynamodb", "table/t"), at("sns", "t"), at("logs", "log-group:g"), at("logs", "log-group:g:*"),
    at("execute-api", "api"), at("apigateway", "/restapis/api", ""), at("es", "domain/d"), at("glue", "catalog"), at("sqs", "q"),
    at("secretsmanager", "secret:db"), at("s3", "accesspoint/ap"), "arn:aws:s3:::bucket/key", at("sns", "t/x"),
    at("kinesis", "stream/s"), at("apigateway", "/restapis/"), at("apigateway", "/restapis/api/stages/s", A),
]  # fmt: skip
GOVERNING = [
    # the API is there under one of its names
    *(arn for arn in ALONE if not arn.endswith(("*", "secret:db", "key")) and ":execute-api:" not in arn),
    at("codeartifact", "domain/d"), at("codeartifact", "repository/d/r"), at("acm-pca", "certificate-authority/ca"),
    "arn:aws:s3:::bucket",
]  # fmt: skip


def deny(action: str = "*") -> dict:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def directory_with(*stored: str) -> Directory:
    directory = Directory(quotas=None)
    directory.add_principal(USER, identity_policies=[{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}])
    for arn in stored:
        directory.add_resource(arn, account=A, policy=deny(), tags={"stored": arn[-1:]})
    return directory


def outcomes(engine: Engine, arns: list[str]) -> list[bool]:
    """Whether each is allowed, in a batch; and each by itself, which may not differ."""
    action = f"{arns[0].split(':')[2]}:Do"
    found = engine.decide_many(USER, action, arns).allowed.tolist()
    assert [engine.is_allowed(USER, action, arn) for arn in arns] == found
    assert [explained_decision(engine, USER, action, arn).allowed for arn in arns] == found
    return found


@pytest.mark.parametrize(("arn", "start"), [*SHARED, *((arn, "") for arn in ALONE)])
def test_shared_facts_have_the_common_prefix(arn, start):
    assert directory_with().snapshot().facts(arn).start == start
    assert directory_with(*GOVERNING).snapshot().facts(arn).start == ("" if arn in GOVERNING else start)


@pytest.fixture(scope="module", params=[[], GOVERNING], ids=["nothing stored", "governing resources stored"])
def snapshot(request):
    return directory_with(*request.param).snapshot()


@pytest.mark.parametrize(("arn", "start"), SHARED)
@settings(max_examples=few_or_all(20, 100))
@given(rest=st.text("ab/:*$-", max_size=8) | st.text(max_size=8))
def test_unstored_resources_of_a_prefix_share_facts(snapshot, arn, start, rest):
    """6.10: except for its own tags and policies."""
    assert replace(snapshot.facts(start + rest), arn=arn) == snapshot.facts(arn)


@pytest.mark.parametrize(("arn", "start"), SHARED)
def test_stored_resource_has_separate_facts(arn, start):
    directory = directory_with(*GOVERNING)
    directory.add_resource(arn, account=A, tags={"of": "its own"})
    facts = directory.snapshot().facts(arn)
    assert facts.start == ""
    assert facts.keys


@pytest.mark.parametrize(("arn", "start"), SHARED)
def test_shared_facts_resolve_one_of_many_resources(arn, start):
    for stored in (GOVERNING, [*GOVERNING, f"{start}one"]):
        directory = directory_with()
        for governing in stored:
            directory.add_resource(governing, account=A, tags={"of": "nobody"})
        engine = directory.compile()
        known = engine.stats()["resources"]
        assert all(outcomes(engine, [f"{start}{i}/x" for i in range(40)]))
        assert engine.stats()["resources"] <= known + 1


@pytest.mark.parametrize(("arn", "start"), SHARED)
@pytest.mark.parametrize("is_updated", [False, True])
def test_tags_and_owner_of_stored_resource_are_not_shared(arn, start, is_updated):
    """5.3, D23: whichever of them is asked for first."""
    denied = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/own": "yes"}}}
    directory = directory_with()
    directory.put_inline_policy(USER, "own", {"Version": "2012-10-17", "Statement": [denied]})
    for governing in GOVERNING:
        directory.add_resource(governing, account=A)
    engine = directory.compile()
    if not is_updated:
        engine = None
    directory.add_resource(f"{start}own", account=A, tags={"own": "yes"})
    engine = engine.updated(directory) if engine else directory.compile()
    assert outcomes(engine, [f"{start}other", f"{start}own", f"{start}another"]) == [True, False, True]
    directory.delete_resource(f"{start}own")
    assert outcomes(engine.updated(directory), [f"{start}own", f"{start}other", f"{start}own"]) == [True] * 3
    assert outcomes(engine, [f"{start}own"]) == [False]


@pytest.mark.parametrize("before", [True, False], ids=["asked first", "asked last"])
def test_resource_with_policy_keeps_it_next_to_shared_facts(before):
    """D60, exact else H."""
    function = at("lambda", "function:f")
    directory = directory_with()
    directory.add_resource(function, account=A, policy=deny("lambda:Other"))
    directory.add_resource(f"{function}:live", account=A, policy=deny())
    engine = directory.compile()
    arns = [f"{function}:1", f"{function}:live", f"{function}:", f"{function}:live2", function]
    assert outcomes(engine, arns if before else arns[::-1]) == (
        [True, False, True, True, True] if before else [True, True, True, False, True]
    )


def test_update_of_governing_resource_changes_decisions():
    function = at("lambda", "function:f")
    arns = [f"{function}:{i}" for i in range(4)]
    directory = directory_with()
    directory.add_resource(at("lambda", "function:other"), account=A, policy=deny())
    engine = directory.compile()
    assert outcomes(engine, arns) == [True] * 4
    directory.add_resource(function, account=A, policy=deny())
    engine = engine.updated(directory)
    assert outcomes(engine, arns) == [False] * 4
    directory.add_resource(arns[2], account=A, policy=deny("lambda:Other"))
    engine = engine.updated(directory)
    assert outcomes(engine, arns) == [False, False, True, False]
    directory.delete_resource(arns[2])
    engine = engine.updated(directory)
    assert outcomes(engine, arns) == [False] * 4
    directory.delete_resource(function)
    assert outcomes(engine.updated(directory), arns) == [True] * 4
    assert outcomes(engine, arns) == [False] * 4


def test_resource_named_like_the_prefix_shares_facts():
    """What they share is kept by how they begin, but not under an ARN: nor is what is stored under such an ARN theirs."""
    function = at("lambda", "function:f")
    directory = directory_with(f"{function}:")
    directory.add_resource(function, account=A, policy=deny("lambda:Other"))
    for arns in ([f"{function}:", f"{function}:1"], [f"{function}:1", f"{function}:"]):
        assert outcomes(directory.compile(), arns) == [not arn.endswith(":") for arn in arns]


@pytest.mark.parametrize("n", [1, 13, 14, 15, 26])
def test_prefix_after_many_slashes_is_found_or_resolved(n):
    """How many marks of an ARN are tried is bounded (16 with `n` of 14); the answer is not."""
    group = at("logs", "log-group:" + "/".join("abcdefghijklmnopqrstuvwxyz"[:n]))
    directory = directory_with()
    directory.add_resource(group, account=A, policy=deny())
    engine = directory.compile()
    arns = [f"{group}:log-stream:{i}" for i in range(3)] + [at("logs", "log-group:" + "/" * 3000 + ":log-stream:s")]
    assert engine.decide_many("lambda.amazonaws.com", "logs:PutLogEvents", arns).outcome.tolist() == [2, 2, 2, 0]
    assert [engine.is_allowed("lambda.amazonaws.com", "logs:PutLogEvents", arn) for arn in arns] == [False] * 4
    assert all(outcomes(engine, arns))


def test_saved_engine_resolves_shared_facts_again():
    function = at("lambda", "function:f")
    engine = directory_with(function).compile()
    assert outcomes(engine, [f"{function}:1", f"{function}:2"]) == [False, False]
    loaded = pickle.loads(pickle.dumps(engine))
    assert outcomes(loaded, [f"{function}:3", at("lambda", "function:g:1")]) == [False, True]
