"""Proofs of `no_new_access` over two engines: each principal with all of its layers, and what all principals share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
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
    made.add_principal(APP, identity_policies=[document(*role)] if role else [], unique_id=None)
    if scps is not None:
        made.set_scps(ACCOUNT, [[document(*scps)]])
    if bucket is not None:
        made.add_resource(BUCKET, account=ACCOUNT, policy=document(*bucket))
    return made.compile(**options)


READ = allow("s3:Get*")
MFA = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
OWN = allow("s3:*", f"{BUCKET}/${{aws:PrincipalTag/team}}/*")
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
    request = found.request
    assert request is not None
    principal: Any = request.principal
    if ":federated-user/" in principal:
        everything = [document(allow("*"))]
        principal = fastiam.Session(principal, kind="FED", issuer=USER, policies=everything)
    arguments = (principal, request.action, request.resource, request.context)
    given = {"resource_account": request.resource_account, "now": request.now or datetime(2026, 1, 1, tzinfo=UTC)}
    assert [each.decide(*arguments, **given).allowed for each in (old, new)] == [False, True]


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
            assert [one for one in (maker.request(old, new) for _ in range(40)) if is_refuting(sides, one)] == [], seed
    assert results.count(PROVED) >= 4
    assert results.count(NEW_ACCESS) >= 2


def is_refuting(sides: Sequence[fastiam.Engine], arguments: dict[str, Any]) -> bool:
    """Return whether only the new engine allows a request; one that contradicts the directory is not allowed by any."""
    given = {**arguments, "context": {k: v for k, v in arguments["context"].items() if k.lower() not in ("aws:username",)}}
    try:
        old, new = (each.decide(**given).allowed for each in sides)
    except RequestValueError:
        return False
    return new and not old
