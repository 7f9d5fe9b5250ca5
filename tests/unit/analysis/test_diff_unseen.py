"""`fastiam.diff` without requests: what it compares for principals that changed, and what it says that it did not check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from directory_pairs import DirectoryPairMaker, engine_of, is_newly_allowed

import fastiam
from fastiam.analysis.access.decision_changes import Change

A, B = "111111111111", "222222222222"
ANA, APP, QUEUE, BUCKET = (
    f"arn:aws:iam::{A}:user/ana",
    f"arn:aws:iam::{A}:role/app",
    f"arn:aws:sqs:us-east-1:{A}:q",
    "arn:aws:s3:::b",
)
ROOT_OF_B, EVE = f"arn:aws:iam::{B}:root", f"arn:aws:iam::{B}:user/eve"
Build = Callable[[fastiam.Directory], None]


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def engine(build: Build | None = None, **options: Any) -> fastiam.Engine:
    made = fastiam.Directory()
    made.add_account(A)
    made.add_principal(ANA, unique_id=None)
    if build is not None:
        build(made)
    return made.compile(**options)


def queue(principal: Any = None, **more: Any) -> Build:
    named = {"NotPrincipal": more.pop("not_principal")} if "not_principal" in more else {"Principal": principal}
    policy = document({**allow("sqs:SendMessage", QUEUE), **named, **more})
    return lambda made: made.add_resource(QUEUE, account=A, policy=None if principal is None and "Principal" in named else policy)


def trust(*principals: Any) -> Build:
    own = document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
    own["Statement"] += [{"Effect": "Allow", "Principal": one, "Action": "sts:AssumeRole"} for one in principals]
    return lambda made: made.add_principal(APP, trust_policy=own, unique_id=None)


def bucket(*statements: dict[str, Any], user: dict[str, Any] | None = None) -> Build:
    def build(made: fastiam.Directory) -> None:
        made.add_resource(BUCKET, account=A, policy=document(*statements) if statements else None)
        if user is not None:
            made.add_principal(f"{ANA}2", **{"unique_id": None, **user})

    return build


def grant(principal: Any, **more: Any) -> dict[str, Any]:
    return {**allow("s3:GetObject", f"{BUCKET}/*"), "Principal": principal, **more}


def organization(unit: str, *statements: dict[str, Any]) -> Build:
    def build(made: fastiam.Directory) -> None:
        made.set_organization("o-1", organizational_units={"ou-1": "r-1", "ou-2": "r-1"}, accounts={A: unit})
        made.put_inline_policy(ANA, "p", document(*statements))

    return build


IN_UNIT = {"Condition": {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["o-1/r-1/ou-2/*"]}}}
OF_UNIT = {"Condition": {"ForAnyValue:StringLike": {"aws:ResourceOrgPaths": ["o-1/r-1/ou-2/*"]}}}
TO_ANA2 = grant({"AWS": f"{ANA}2"})
IF_BLUE = {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}}
IF_FEDERATED = {"Condition": {"StringEquals": {"aws:PrincipalType": "FederatedUser"}}}
ID = "AIDA1" + "X" * 12
TO_ID = grant({"AWS": ID})
DENY = {"identity_policies": [document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"})]}
COMPARED: dict[str, tuple[Build, Build, str]] = {
    "account without a record": (queue(), queue({"AWS": B}), ROOT_OF_B),
    "root without a record": (queue(), queue({"AWS": ROOT_OF_B}), ROOT_OF_B),
    "everyone": (queue(), queue("*"), "*"),
    "service": (queue(), queue({"Service": "sns.amazonaws.com"}), "sns.amazonaws.com"),
    "new user whom a bucket names": (bucket(TO_ANA2), bucket(TO_ANA2, user={}), f"{ANA}2"),
    "new user whose account a bucket names": (
        bucket(grant("*", Condition={"StringEquals": {"aws:PrincipalAccount": A}})),
        bucket(grant("*", Condition={"StringEquals": {"aws:PrincipalAccount": A}}), user={}),
        f"{ANA}2",
    ),
    "id that a bucket names": (
        bucket(grant({"AWS": ID}), user={}),
        bucket(grant({"AWS": ID}), user={"unique_id": ID}),
        f"{ANA}2",
    ),
    "tag that a bucket reads": (
        bucket(grant("*", **IF_BLUE), user={"tags": {"team": "red"}}),
        bucket(grant("*", **IF_BLUE), user={"tags": {"team": "blue"}}),
        f"{ANA}2",
    ),
    "Deny that hid a bucket": (bucket(TO_ANA2, user=DENY), bucket(TO_ANA2, user={}), f"{ANA}2"),
    "organization of a principal": (
        organization("ou-1", allow("s3:*", **IN_UNIT)),
        organization("ou-2", allow("s3:*", **IN_UNIT)),
        ANA,
    ),
}


@pytest.mark.parametrize("name", COMPARED)
def test_gained_access_is_found(name: str) -> None:
    before, after, principal = COMPARED[name]
    found = fastiam.diff(engine(before), engine(after))
    gained = [group for group in found.groups if group.change is Change.GAINED]
    assert principal in {found.request(row)[0] for row in found.rows.tolist()} and gained


def endpoint(action: str) -> Build:
    policy = document({**allow(action), "Principal": "*"})
    return lambda made: made.add_endpoint("vpce-1", account=A, policy=policy)


UNSEEN: dict[str, tuple[Build | None, Build | None, str]] = {
    "user without a record": (queue(), queue({"AWS": EVE}), f"policy of `{QUEUE}` names: `{EVE}`"),
    "role without a record": (queue(), queue({"AWS": f"arn:aws:iam::{B}:role/eve"}), f"`{QUEUE}` names"),
    "session without a record": (queue(), queue({"AWS": f"arn:aws:sts::{B}:assumed-role/eve/s"}), f"`{QUEUE}` names"),
    "id without a record": (queue(), queue({"AWS": ID}), f"`{QUEUE}` names: `{ID}`"),
    "trusted account": (trust(), trust({"AWS": B}), f"`{APP}` names: `{B}`"),
    "trusted root": (trust(), trust({"AWS": ROOT_OF_B}), f"`{APP}` names: `{ROOT_OF_B}`"),
    "trusted role": (trust(), trust({"AWS": f"arn:aws:iam::{B}:role/ci"}), f"`{APP}` names"),
    "policy of an endpoint": (endpoint("s3:Get*"), endpoint("*"), "policies of the endpoint vpce-1: pass requests through"),
    "organization of resources": (
        organization("ou-1", allow("s3:*", **OF_UNIT)),
        organization("ou-2", allow("s3:*", **OF_UNIT)),
        f"conditions on the organization of account {A}",
    ),
    "federated users": (
        bucket(user={"identity_policies": []}),
        bucket(user={"identity_policies": [document(allow("s3:*", **IF_FEDERATED))]}),
        "sessions of GetFederationToken, whose `aws:PrincipalType`",
    ),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_unchecked_part_is_named(name: str) -> None:
    before, after, text = UNSEEN[name]
    found = fastiam.diff(engine(before), engine(after))
    assert [line for line in found.unseen if text in line], found.unseen


def test_different_settings_are_named() -> None:
    found = fastiam.diff(engine(), engine(context_defaults={"aws:SourceIp": "10.0.0.1"}))
    assert found.unseen == ("other requests: the engines differ in `context_defaults`",)


CHECKED: dict[str, tuple[Build, Build]] = {
    "grant to a user without a record is removed": (queue({"AWS": EVE}), queue()),
    "trust of an account is removed": (trust({"AWS": B}), trust()),
    "Deny for everyone is added": (queue({"AWS": B}), queue({"AWS": B}, Effect="Deny")),
    "account moves, and no policy reads it": (organization("ou-1", allow("s3:*")), organization("ou-2", allow("s3:*"))),
    "endpoint with the same policy": (endpoint("s3:Get*"), endpoint("s3:Get*")),
}


@pytest.mark.parametrize("name", CHECKED)
def test_change_that_gives_nothing_leaves_nothing_unchecked(name: str) -> None:
    before, after = CHECKED[name]
    found = fastiam.diff(engine(before), engine(after))
    assert (found.unseen, found.is_gained) == ((), False)


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_no_drawn_request_is_new_where_nothing_is_found_or_named(first: int) -> None:
    n_checked = 0
    for seed in range(first, first + 20):
        maker = DirectoryPairMaker(seed, calm=0.9)
        described = maker.directories()
        sides = [engine_of(one) for one in described]
        found = fastiam.diff(*sides)
        if found.is_gained or found.unseen or found.undecidable or Change.MAY_LOSE in found.counts or found.n_errors:
            continue
        n_checked += 1
        calls = (maker.call(*described) for _ in range(60))
        assert [one for one in calls if is_newly_allowed(sides, one)] == [], seed
    assert n_checked >= 2
