"""Proofs of `no_new_access` and `access_not_granted`: cases H54 to H77, and drawn requests against each proof."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from case_files import CASES
from proof_pairs import PairMaker, ResourcePairMaker, newly_allowed, refutations
from seeds import few_or_all

import fastiam
from fastiam.errors import PolicyError, RequestValueError
from fastiam.model.decision import Layer
from fastiam.model.policy import PolicyKind

HAND_MADE = json.loads((CASES / "proofs.json").read_text())
PAIRS = json.loads((CASES / "proof_pairs.json").read_text())
PROVED, NEW_ACCESS, UNDECIDED = fastiam.ProofResult.PROVED, fastiam.ProofResult.NEW_ACCESS, fastiam.ProofResult.UNDECIDED


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


@pytest.mark.parametrize("case", HAND_MADE, ids=lambda case: case["id"])
def test_proof_case_has_its_result(case):
    """Rule: the H number of the case."""
    found = fastiam.no_new_access(
        document(*case["old"]), document(*case["new"]), kind=case["kind"], **{"mode": "lenient", **case.get("options", {})}
    )
    expected = dict(case["expect"])
    assert found.result == expected.pop("result"), (found, case["why"])
    for name, value in expected.items():
        if name in ("reason", "stronger"):
            assert getattr(found, name) == value
        elif name == "now":
            assert found.request.now == datetime.fromisoformat(value)
        elif name.endswith("_prefix"):
            assert getattr(found.request, name.removesuffix("_prefix")).startswith(value)
        else:
            assert getattr(found.request, name) == value


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["id"])
def test_known_new_access_is_never_proved(pair):
    decision = fastiam.simulate(
        pair["principal"],
        pair["action"],
        pair["resource"],
        context=pair["context"],
        identity_policies=[pair["new"]],
        mode="lenient",
    )
    assert decision.allowed  # the pair is what it claims to be
    found = fastiam.no_new_access(pair["old"], pair["new"], mode="lenient")
    assert found.result is NEW_ACCESS
    assert_new_access(found, pair["old"], pair["new"])


def assert_new_access(found: fastiam.Proof, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Assert that the request of a proof is allowed by `new` and not by `old`, by both engines of `simulate`."""
    request = found.request
    assert request is not None
    for engine in ("compiled", "reference"):
        allowed = [
            fastiam.simulate(
                request.principal,
                request.action,
                request.resource,
                context=request.context,
                now=request.now or datetime(2026, 1, 1, tzinfo=UTC),
                resource_account=request.resource_account,
                identity_policies=[policy],
                mode="lenient",
                engine=engine,
            ).allowed
            for policy in (old, new)
        ]
        assert allowed == [False, True], (engine, found)


@pytest.mark.parametrize("first", range(0, few_or_all(40, 60), 20))
def test_proofs_are_not_refuted_by_drawn_requests(first):
    """No drawn request has new access where the proof says that none has, and each counterexample holds in the engine."""
    results = []
    for seed in range(first, first + 20):
        maker = PairMaker(seed, calm=0.8 if seed % 2 else 0.3)
        old, new = maker.pair()
        found = fastiam.no_new_access(old, new, mode="lenient", timeout=None)
        results.append(found.result)
        if found.proved:
            assert list(refutations(maker, old, new, 30)) == [], seed
        elif found.result is NEW_ACCESS:
            assert_new_access(found, old, new)
    assert results.count(PROVED) >= 5  # both results occur, so that the test can fail in both ways
    assert results.count(NEW_ACCESS) >= 3


@pytest.mark.parametrize("kind", [PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP], ids=str)
def test_proofs_of_principals_are_not_refuted(kind):
    """No drawn request of a principal of any kind is newly allowed, whatever its own policies allow (H60, H76)."""
    results = []
    for seed in range(6):
        maker = ResourcePairMaker(seed, kind)
        old, new = maker.pair()
        found = fastiam.no_new_access(old, new, kind=kind.value, mode="lenient", timeout=None)
        results.append(found.result)
        if found.proved:
            drawn = (maker.request(old, new) for _ in range(15))
            assert [one for one in drawn if newly_allowed(kind, old, new, one)] == [], seed
    assert results.count(PROVED) >= 2
    assert results.count(NEW_ACCESS) >= 1


def test_statement_of_the_request_has_its_position():
    new = json.dumps(document(allow("s3:GetObject", Sid="Read"), allow("s3:PutObject", Sid="Write")), indent=1)
    found = fastiam.no_new_access(document(allow("s3:GetObject")), new)
    assert (found.statement.sid, found.statement.layer) == ("Write", Layer.IDENTITY)
    assert found.statement.line == 1 + new[: new.index('"Write"')].count("\n") - 4
    assert found.request.action == "s3:PutObject"


def test_several_documents_are_one_layer():
    parts = [document(allow("s3:GetObject")), document(allow("s3:PutObject"))]
    assert fastiam.no_new_access(parts, document(allow(["s3:GetObject", "s3:PutObject"]))).proved
    assert fastiam.no_new_access(parts[:1], parts).result is NEW_ACCESS


def test_limit_of_combinations_leaves_it_undecided():
    documents = [document(*(allow(f"s3:Get{n}*", f"arn:aws:s3:::b{n}/*") for n in range(9)))] * 2
    found = fastiam.no_new_access(*documents, limit=5)
    assert (found.result, found.reason) == (UNDECIDED, "more than 5 combinations")
    assert fastiam.no_new_access(*documents).proved


def test_timeout_leaves_it_undecided():
    found = fastiam.no_new_access(document(allow()), document(allow()), timeout=0.0)
    assert (found.result, found.reason) == (UNDECIDED, "out of time")


def test_too_many_states_leave_it_undecided():
    pattern = [f"arn:aws:s3:::*{letter}*{letter}*" for letter in "abcdefghijklmnop"]
    old = document(*(allow("s3:*", text) for text in pattern))
    found = fastiam.no_new_access(old, document(*(allow("s3:*", text + "x") for text in pattern)))
    assert (found.result, found.reason) == (UNDECIDED, "patterns with more than 60,000 states")


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "{}"}}, "list elements"),
        (
            {"NumericEquals": {"acme:n": "{}"}, "DateEquals": {"acme:n": "{}"}, "StringLike": {"acme:n": "{}*"}},
            "too many thresholds",
        ),
    ],
    ids=["lists", "families"],
)
def test_too_many_results_of_a_key_leave_it_undecided(condition, reason):
    """A policy cannot make a proof run without end."""
    texts = [json.dumps(condition).replace("{}", str(1_000_000 + number)) for number in range(60)]
    old = document(*(allow(Condition=json.loads(text)) for text in texts))
    found = fastiam.no_new_access(old, document(allow()), timeout=None)
    assert found.result is UNDECIDED
    assert reason in found.reason


def test_other_partition_is_covered_if_it_is_named():
    old, new = document(allow("s3:*", "arn:aws:s3:::*")), document(allow("s3:*", "arn:*:s3:::*"))
    assert fastiam.no_new_access(old, new).proved
    found = fastiam.no_new_access(old, new, partitions=("aws", "aws-cn"))
    assert found.request.resource.startswith("arn:aws-cn:")
    assert found.request.principal.startswith("arn:aws-cn:")


def test_rejected_document_raises_policy_error():
    with pytest.raises(PolicyError):
        fastiam.no_new_access(document(allow()), document(allow("GetObject")))


@pytest.mark.parametrize(
    ("arguments", "column"),
    [({"kind": "vpce"}, "kind"), ({"actions": "some"}, "actions"), ({"old": 5}, "old")],
    ids=["kind", "actions", "policies"],
)
def test_unreadable_argument_raises(arguments, column):
    with pytest.raises(RequestValueError) as error:
        fastiam.no_new_access(**{"old": document(allow()), "new": document(allow()), **arguments})
    assert error.value.column == column


# -- access_not_granted -----------------------------------------------------------------------------------------------


READ = document(allow("s3:Get*", "arn:aws:s3:::b/*"), deny("s3:GetObjectAcl"))


@pytest.mark.parametrize(
    ("actions", "resources", "result"),
    [
        (["s3:PutObject"], (), PROVED),
        (["s3:GetObject"], (), NEW_ACCESS),
        (["s3:GetObjectAcl"], (), PROVED),
        (["s3:*Acl"], (), NEW_ACCESS),
        ((), ["arn:aws:s3:::c/*"], PROVED),
        ((), ["arn:aws:s3:::b/x*"], NEW_ACCESS),
        (["s3:Put*", "sqs:*"], ["arn:aws:s3:::b/*"], PROVED),
        ((), (), NEW_ACCESS),
    ],
    ids=str,
)
def test_access_not_granted_tests_the_intersection(actions, resources, result):
    found = fastiam.access_not_granted(READ, actions, resources)
    assert found.result is result
    if result is NEW_ACCESS:
        request = found.request
        assert fastiam.simulate(request.principal, request.action, request.resource, identity_policies=[READ]).allowed


def test_access_not_granted_reads_trust_policies():
    trust = document({"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "sts:AssumeRole"})
    assert fastiam.access_not_granted(trust, ["sts:TagSession"], kind="trust").proved
    assert fastiam.access_not_granted(trust, ["sts:AssumeRole"], kind="trust").result is NEW_ACCESS


@pytest.mark.parametrize(
    ("arguments", "column"),
    [({"actions": ["GetObject"]}, "actions"), ({"resources": ["bucket"]}, "resources"), ({"kind": "rcp"}, "kind")],
    ids=["actions", "resources", "kind"],
)
def test_access_not_granted_refuses_other_patterns(arguments, column):
    with pytest.raises(RequestValueError) as error:
        fastiam.access_not_granted(READ, **arguments)
    assert error.value.column == column


def grant(principal: Any, action: Any = "s3:GetObject", resource: str = "arn:aws:s3:::b/*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Principal": principal}


ONE_ACCOUNT = document(grant({"AWS": "123456789012"}, ["s3:PutObject", "s3:GetObject"]))


@pytest.mark.parametrize(
    ("policy", "asked", "result"),
    [
        (ONE_ACCOUNT, {"actions": ["s3:ListBucket"]}, PROVED),
        (ONE_ACCOUNT, {"resources": ["arn:aws:s3:::other"]}, PROVED),
        (ONE_ACCOUNT, {"actions": ["s3:Put*"]}, NEW_ACCESS),
        (ONE_ACCOUNT, {"actions": ["s3:Get*"], "resources": ["arn:aws:s3:::b/x*"]}, NEW_ACCESS),
        (document(*ONE_ACCOUNT["Statement"], {**grant("*", "s3:Put*"), "Effect": "Deny"}), {"actions": ["s3:Put*"]}, PROVED),
    ],
)
def test_access_not_granted_reads_what_a_resource_policy_grants(policy, asked, result):
    """What the policies of a principal of the account grant is not granted by the policy of the resource."""
    found = fastiam.access_not_granted(policy, **asked, kind="resource")
    assert found.result is result
    assert found.statement is None or found.statement.policy == "policy" and found.statement.index == 0


@pytest.mark.parametrize("key", ["aws:SourceVpce", "aws:RequestTag/team", "s3:prefix", "aws:PrincipalTag/team"])
def test_split_by_the_values_of_a_key_gives_nothing_new(key):
    """H81: a key with one value is not a list, and is written once."""
    parts = document(*(allow("s3:*", Condition={operator: {key: "a"}}) for operator in ("StringEquals", "StringNotEquals")))
    assert fastiam.no_new_access(parts, document(allow("s3:*"))).proved


def test_tag_of_a_resource_in_two_spellings_is_new_access():
    """C6: one resource can have two tags that differ by case."""
    key = "aws:ResourceTag/team"
    parts = document(*(allow("s3:*", Condition={operator: {key: "a"}}) for operator in ("StringEquals", "StringNotEquals")))
    found = fastiam.no_new_access(parts, document(allow("s3:*")))
    assert found.result is NEW_ACCESS and len(found.request.context) == 2


# -- not_public ---------------------------------------------------------------------------------------------------------

OBJECTS = "arn:aws:s3:::b"


def within(operator: str, key: str, value: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: value}}}


PUBLIC: dict[str, tuple[dict[str, Any], fastiam.ProofResult]] = {
    "everyone": (grant("*"), NEW_ACCESS),
    "all identities": (grant({"AWS": "*"}), NEW_ACCESS),
    "one account": (grant({"AWS": "123456789012"}), PROVED),
    "service": (grant({"Service": "sns.amazonaws.com"}), PROVED),
    "organization": (grant("*", **within("StringEquals", "aws:PrincipalOrgID", "o-1")), PROVED),
    "any organization": (grant("*", **within("StringLike", "aws:PrincipalOrgID", "o-*")), NEW_ACCESS),
    "private addresses": (grant("*", **within("IpAddress", "aws:SourceIp", "10.0.0.0/8")), PROVED),
    "all addresses": (grant("*", **within("IpAddress", "aws:SourceIp", "0.0.0.0/0")), NEW_ACCESS),
    "only with TLS": (grant("*", **within("Bool", "aws:SecureTransport", "true")), NEW_ACCESS),
    "other resource": (grant("*", resource="arn:aws:s3:::other/*"), UNDECIDED),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_not_public_follows_the_fixed_values_of_d33(name):
    statement, result = PUBLIC[name]
    found = fastiam.not_public(document(statement), OBJECTS, mode="lenient")
    assert found.result is result, found
    assert (found.request is not None) is (result is NEW_ACCESS)
    assert result is not NEW_ACCESS or found.request.principal == "*" or "123456789012" in found.request.principal


def test_not_public_reads_trust_policies():
    role = "arn:aws:iam::111111111111:role/app"
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    found = fastiam.not_public(document(trust), role, kind="trust")
    assert found.result is NEW_ACCESS and (found.request.action, found.request.resource) == ("sts:AssumeRole", role)
    with pytest.raises(RequestValueError, match="is not the ARN of a role"):
        fastiam.not_public(document(trust), OBJECTS, kind="trust")


def test_not_public_is_undecided_where_a_deny_hides_the_grant():
    denied = document(grant("*"), {**grant("*", "*"), "Effect": "Deny"})
    found = fastiam.not_public(denied, OBJECTS)
    assert found.result is UNDECIDED and "public (D33)" in found.reason
