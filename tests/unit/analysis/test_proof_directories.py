"""Proofs of `no_new_access` over two engines: each principal with all of its layers, and what all principals share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from directory_pairs import DirectoryPairMaker, arguments_of, engine_of, is_newly_allowed
from proof_pairs import ACCOUNT, ROLE, USER, PairMaker

import fastiam
from fastiam.errors import RequestValueError
from fastiam.model.decision import Layer

PROVED, NEW_ACCESS, UNDECIDED = fastiam.ProofResult.PROVED, fastiam.ProofResult.NEW_ACCESS, fastiam.ProofResult.UNDECIDED
APP = ROLE.issuer
BUCKET = "arn:aws:s3:::b"


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def grant(principal: Any, action: Any = "s3:*") -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": f"{BUCKET}/*"}


def engine(
    user: Sequence[Any] = (),
    role: Sequence[Any] = (),
    *,
    boundary: Any = None,
    scps: Any = None,
    bucket: Any = None,
    tags: Mapping[str, str] = {},
    role_tags: Mapping[str, str] = {},
    role_id: str | None = None,
    mode: Any = "strict",
    **options: Any,
) -> fastiam.Engine:
    """Return an engine for a user and a role of one account; unique ids are not known, as in files without them."""
    made = fastiam.Directory(mode)
    made.add_principal(
        USER,
        identity_policies=[document(*user)] if user else [],
        permissions_boundary=boundary and document(*boundary),
        tags=tags,
        unique_id=None,
    )
    made.add_principal(APP, identity_policies=[document(*role)] if role else [], tags=role_tags, unique_id=role_id)
    if scps is not None:
        made.set_scps(ACCOUNT, [[document(*scps)]])
    if bucket is not None:
        made.add_resource(BUCKET, account=ACCOUNT, policy=document(*bucket))
    return made.compile(**options)


READ = allow("s3:Get*")
MFA = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
OWN = allow("s3:*", f"{BUCKET}/${{aws:PrincipalTag/team}}/*")
RED, BLUE = {"team": "red"}, {"team": "blue"}
ONE, TWO = "AROA1" + "X" * 12, "AROA2" + "X" * 12


def when(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: list(values)}}}


FEDERATED_BLUE = {"aws:PrincipalTag/team": ["blue"], "aws:PrincipalType": ["FederatedUser"]}
IF_BLUE = when("StringEquals", "aws:PrincipalTag/team", "blue")
HOME = allow("s3:*", f"{BUCKET}/${{aws:userid}}/*")
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], fastiam.ProofResult]] = {
    "equal": ({"user": [allow()]}, {"user": [allow()]}, PROVED),
    "user with less": ({"user": [allow()]}, {"user": [READ]}, PROVED),
    "user with more": ({"user": [READ]}, {"user": [allow()]}, NEW_ACCESS),
    "role with more": ({"role": [READ]}, {"role": [allow()]}, NEW_ACCESS),
    "session with MFA": ({"user": [READ]}, {"user": [READ, allow(**MFA)]}, NEW_ACCESS),
    "boundary allows more": ({"user": [allow()], "boundary": [READ]}, {"user": [allow()], "boundary": [allow()]}, NEW_ACCESS),
    "boundary limits": ({"user": [READ], "boundary": [READ]}, {"user": [allow()], "boundary": [READ]}, PROVED),
    "boundary removed": ({"user": [allow()], "boundary": [READ]}, {"user": [allow()]}, NEW_ACCESS),
    "SCP limits": ({"user": [READ], "scps": [READ]}, {"user": [allow()], "scps": [READ]}, PROVED),
    "SCP allows more": ({"user": [READ], "scps": [allow("sqs:*")]}, {"user": [READ], "scps": [allow("*")]}, NEW_ACCESS),
    "Deny removed": ({"user": [deny()]}, {}, PROVED),
    "Deny removed, bucket grants": (
        {"user": [deny()], "bucket": [grant({"AWS": USER})]},
        {"bucket": [grant({"AWS": USER})]},
        NEW_ACCESS,
    ),
    "bucket allows less": ({"bucket": [grant({"AWS": USER})]}, {"bucket": [grant({"AWS": USER}, "s3:Get*")]}, PROVED),
    "bucket allows more": ({"bucket": [grant({"AWS": USER}, "s3:Get*")]}, {"bucket": [grant({"AWS": USER})]}, NEW_ACCESS),
    "bucket and user allow less": (
        {"user": [allow()], "bucket": [grant({"AWS": APP})]},
        {"user": [READ], "bucket": [grant({"AWS": APP}, "s3:Get*")]},
        PROVED,
    ),
    "tag of a variable": ({"user": [OWN], "tags": {"team": "red"}}, {"user": [OWN], "tags": {"team": "blue"}}, NEW_ACCESS),
    "tag that no policy reads": ({"user": [READ], "tags": {"team": "red"}}, {"user": [READ], "tags": {"team": "blue"}}, PROVED),
    "tag that the bucket reads": (
        {"bucket": [{**grant("*"), "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}}], "tags": {"team": "blue"}},
        {"bucket": [{**grant("*"), "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}}], "tags": {"team": "red"}},
        UNDECIDED,
    ),
    "role gets a tag": ({"role": [allow(**IF_BLUE)]}, {"role": [allow(**IF_BLUE)], "role_tags": BLUE}, NEW_ACCESS),
    "tag of a role changes": (
        {"role": [allow(**IF_BLUE)], "role_tags": RED},
        {"role": [allow(**IF_BLUE)], "role_tags": BLUE},
        NEW_ACCESS,
    ),
    "tag of a role in a Deny": (
        {"role": [allow(), deny(**IF_BLUE)], "role_tags": BLUE},
        {"role": [allow(), deny(**IF_BLUE)], "role_tags": RED},
        NEW_ACCESS,
    ),
    "tag of a role in a boundary or SCP": (
        {"role": [allow()], "scps": [allow(**IF_BLUE)], "role_tags": RED},
        {"role": [allow()], "scps": [allow(**IF_BLUE)], "role_tags": BLUE},
        NEW_ACCESS,
    ),
    "tag of a role in a variable": ({"role": [OWN], "role_tags": RED}, {"role": [OWN], "role_tags": BLUE}, NEW_ACCESS),
    "tag of a role that no policy reads": ({"role": [allow()], "role_tags": RED}, {"role": [allow()], "role_tags": BLUE}, PROVED),
    "role loses access by its tag": (
        {"role": [allow(**IF_BLUE)], "role_tags": BLUE},
        {"role": [allow(**IF_BLUE)], "role_tags": RED},
        PROVED,
    ),
    "tag in another case": (
        {"role": [allow(**IF_BLUE)], "role_tags": {"Team": "blue"}},
        {"role": [allow(**IF_BLUE)], "role_tags": {"TEAM": "blue"}},
        PROVED,
    ),
    "tag that a session gives": ({"role_tags": RED}, {"role": [allow(**IF_BLUE)], "role_tags": RED}, NEW_ACCESS),
    "role with a tag is never without": (
        {"role": [allow(**when("StringLike", "aws:PrincipalTag/team", "*"))], "role_tags": RED},
        {"role": [allow()], "role_tags": RED},
        PROVED,
    ),
    "role made anew": (
        {"role": [allow(**when("StringLike", "aws:userid", "AROA2*"))], "role_id": ONE},
        {"role": [allow(**when("StringLike", "aws:userid", "AROA2*"))], "role_id": TWO},
        NEW_ACCESS,
    ),
    "role made anew, Deny of the old id": (
        {"role": [allow(), deny(**when("StringLike", "aws:userid", f"{ONE}:*"))], "role_id": ONE},
        {"role": [allow(), deny(**when("StringLike", "aws:userid", f"{ONE}:*"))], "role_id": TWO},
        NEW_ACCESS,
    ),
    "role made anew, name of the session": (
        {"role": [allow(**when("StringLike", "aws:userid", "*:ci"))], "role_id": ONE},
        {"role": [allow(**when("StringLike", "aws:userid", "*:ci"))], "role_id": TWO},
        PROVED,
    ),
    "role made anew, one session": (
        {"role": [allow(**when("StringEquals", "aws:userid", f"{TWO}:ci"))], "role_id": ONE},
        {"role": [allow(**when("StringEquals", "aws:userid", f"{TWO}:ci"))], "role_id": TWO},
        NEW_ACCESS,
    ),
    "role made anew, variable": ({"role": [HOME], "role_id": ONE}, {"role": [HOME], "role_id": TWO}, NEW_ACCESS),
    "id becomes known": (
        {"role": [allow(**when("StringLike", "aws:userid", "AROA*"))]},
        {"role": [allow(**when("StringLike", "aws:userid", "AROA*"))], "role_id": ONE},
        NEW_ACCESS,
    ),
    "role made anew, bucket names its ARN": (
        {"role": [READ], "role_id": ONE, "bucket": [grant({"AWS": APP})]},
        {"role": [READ], "role_id": TWO, "bucket": [grant({"AWS": APP})]},
        PROVED,
    ),
    "role made anew, bucket names its id": (
        {"role": [READ], "role_id": ONE, "bucket": [grant({"AWS": TWO})]},
        {"role": [READ], "role_id": TWO, "bucket": [grant({"AWS": TWO})]},
        UNDECIDED,
    ),
    "role made anew, bucket reads its id": (
        {"role_id": TWO, "bucket": [{**grant("*"), **when("StringLike", "aws:userid", "AROA2*")}]},
        {"role_id": ONE, "bucket": [{**grant("*"), **when("StringLike", "aws:userid", "AROA2*")}]},
        UNDECIDED,
    ),
    "tag of a federated user": (
        {"user": [allow(Condition={"StringEquals": FEDERATED_BLUE})], "tags": RED},
        {"user": [allow(Condition={"StringEquals": FEDERATED_BLUE})], "tags": BLUE},
        NEW_ACCESS,
    ),
    "call of a user session": ({}, {"user": [allow("sts:GetScopedCredentials")]}, NEW_ACCESS),
    "call of an assumed root": ({"scps": [allow("s3:*")]}, {"scps": [allow("s3:*"), allow("sts:AssumeRole")]}, NEW_ACCESS),
}


@pytest.mark.parametrize("name", CASES)
def test_directories_have_the_result(name):
    before, after, result = CASES[name]
    old, new = engine(**before), engine(**after)
    found = fastiam.no_new_access(old, new)
    assert found.result is result, found
    if result is NEW_ACCESS:
        assert_new_access(found, old, new)
    assert (found.reason != "") is (result is UNDECIDED) or result is NEW_ACCESS


def assert_new_access(found: fastiam.Proof, old: fastiam.Engine, new: fastiam.Engine) -> None:
    """Assert that the request of a proof is allowed by the new engine and not by the old one."""
    assert found.request is not None
    assert is_newly_allowed((old, new), arguments_of(found.request))


def test_each_principal_has_its_own_proof():
    found = fastiam.no_new_access(engine([READ], [allow()]), engine([allow()], [READ]))
    assert {name: one.result for name, one in found.by_principal.items()} == {USER: NEW_ACCESS, APP: PROVED}
    assert found.statement.layer is Layer.IDENTITY


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"unknown_owner": "deny"}, "the engines differ in `unknown_owner`"),
        ({"context_defaults": {"aws:SourceIp": "10.0.0.1"}}, "the engines differ in `context_defaults`"),
    ],
    ids=["H78a", "H78b"],
)
def test_different_settings_are_reported_first(options, reason):
    """H78."""
    found = fastiam.no_new_access(engine([READ]), engine([allow()], **options))
    assert (found.result, found.reason, found.by_principal) == (UNDECIDED, reason, {})


def test_engine_and_document_are_refused():
    with pytest.raises(RequestValueError, match="two engines"):
        fastiam.no_new_access(engine([READ]), document(READ))


def test_removed_principal_has_no_new_access():
    made = fastiam.Directory()
    made.add_principal(APP, unique_id=None)
    assert fastiam.no_new_access(engine([allow()]), made.compile()).proved
    assert fastiam.no_new_access(made.compile(), engine([allow()])).result is NEW_ACCESS


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_facts_of_directories_do_not_refute_proofs(first):
    """No drawn request is newly allowed where tags, ids, organizations or owners change too, and each witness is one."""
    results = []
    for seed in range(first, first + 20):
        maker = DirectoryPairMaker(seed, calm=0.9)
        described = maker.directories()
        sides = [engine_of(one) for one in described]
        found = fastiam.no_new_access(*sides, timeout=None)
        results.append(found.result)
        if found.result is NEW_ACCESS:
            assert_new_access(found, *sides)
        elif found.proved:
            calls = (maker.call(*described) for _ in range(60))
            assert [one for one in calls if is_newly_allowed(sides, one)] == [], seed
    assert results.count(PROVED) >= 4
    assert results.count(NEW_ACCESS) >= 2


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_proofs_of_directories_are_not_refuted(first):
    """No drawn request of the user or of a session of the role is newly allowed where the proof says that none is."""
    results = []
    for seed in range(first, first + 20):
        maker = PairMaker(seed, calm=0.8)
        old, new = maker.pair()
        layer = maker.random.choice(("user", "role", "boundary", "scps"))
        fixed = {"user": [allow("*")]} if layer in ("boundary", "scps") else {"scps": [allow("*")]}
        sides = [engine(**{**fixed, layer: one["Statement"]}, mode="lenient") for one in (old, new)]
        found = fastiam.no_new_access(*sides, timeout=None)
        results.append(found.result)
        if found.result is NEW_ACCESS:
            assert_new_access(found, *sides)
        elif found.proved:
            drawn = (without_username(maker.request(old, new)) for _ in range(40))
            assert [one for one in drawn if is_newly_allowed(sides, one)] == [], seed
    assert results.count(PROVED) >= 4
    assert results.count(NEW_ACCESS) >= 2


def without_username(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a request without the key that the directory knows."""
    return {**arguments, "context": {key: value for key, value in arguments["context"].items() if key.lower() != "aws:username"}}
