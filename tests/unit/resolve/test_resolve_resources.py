"""Owners of resources (spec D23), RCPs (D13, D14, D16), keys of resources and endpoints (5.4, D40)."""

from __future__ import annotations

import pytest

from fastiam import Directory, RequestValueError

A, B, M, X = "111111111111", "222222222222", "999999999999", "333333333333"
ANA, SERVICE = f"arn:aws:iam::{A}:user/ana", "ec2.amazonaws.com"
BKT, FREE = "arn:aws:s3:::bkt", "arn:aws:s3:::free"
QUEUE, ALIEN = f"arn:aws:sqs:us-east-1:{A}:q", f"arn:aws:sqs:us-east-1:{X}:q"
MANAGED = "arn:aws:iam::aws:policy/P"
DENY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}


def make() -> Directory:
    directory = Directory()
    directory.set_organization(
        "o-1", management_account=M, accounts={A: "ou-a", B: "ou-a/ou-b"}, rcps={"r-1": DENY, A: [("at-a", DENY)]}
    )
    directory.add_principal(ANA, tags={"Team": "r"})
    directory.add_resource(BKT, account=B, tags={"env": "a", "ENV": "b", "x": "1"})
    directory.add_resource(FREE)
    directory.add_resource(f"arn:aws:sqs:us-east-1:{A}:moved", account=B)
    return directory


@pytest.fixture(scope="module")
def snapshot():
    return make().snapshot()


# resource, caller, resource_account -> owner, flags (a: assumed, o: override, u: unknown where the engine denies)
D23 = [
    ("the caller's word", FREE, ANA, X, X, ""),
    ("the record", BKT, ANA, None, B, ""),
    ("the record of the bucket", f"{BKT}/key", ANA, None, B, ""),
    ("the record and the caller agree", BKT, ANA, B, B, ""),
    ("the record before the ARN", f"arn:aws:sqs:us-east-1:{A}:moved", ANA, None, B, ""),
    ("the ARN", QUEUE, ANA, None, A, ""),
    ("the ARN of an unknown account", ALIEN, ANA, None, X, ""),
    ("the caller's word against the ARN", QUEUE, ANA, B, B, "o"),
    ("the caller's word and the ARN agree", QUEUE, ANA, A, A, ""),
    ("all resources", "*", ANA, None, A, "a"),
    ("all resources, with an account", "*", ANA, B, B, ""),
    ("an AWS managed policy", MANAGED, ANA, None, A, "a"),
    ("no source", FREE, ANA, None, A, "au"),
    ("no source, without a record", "arn:aws:s3:::other/x", ANA, None, A, "au"),
    ("no source, caller without account", FREE, SERVICE, None, None, "u"),
    ("all resources, caller without account", "*", SERVICE, None, None, ""),
    ("the record, caller without account", BKT, "*", None, B, ""),
]


@pytest.mark.parametrize(
    ("arn", "caller", "given", "owner", "flags"), [row[1:] for row in D23], ids=[row[0].replace(" ", "-") for row in D23]
)
@pytest.mark.parametrize("unknown_owner", ["principal", "deny"])
def test_owner_of_a_resource_follows_d23(snapshot, arn, caller, given, owner, flags, unknown_owner):
    profile = snapshot.resource(
        arn, "s3:GetObject", snapshot.principal(caller), resource_account=given, unknown_owner=unknown_owner
    )
    assert profile.account == owner
    assert profile.assumed_owner is ("a" in flags)
    assert profile.owner_override is ("o" in flags)
    assert profile.unknown_owner is ("u" in flags and unknown_owner == "deny")
    account = profile.keys.get("aws:resourceaccount")
    assert (account and account.values[0]) == owner


@pytest.mark.parametrize(("arn", "given"), [(BKT, A), (f"{BKT}/key", A), (f"arn:aws:sqs:us-east-1:{A}:moved", A)])
def test_account_that_contradicts_the_record_is_an_error(snapshot, arn, given):
    """D23, E282."""
    with pytest.raises(RequestValueError, match="belongs to account") as error:
        snapshot.resource(arn, "s3:GetObject", snapshot.principal(ANA), resource_account=given)
    assert error.value.column == "resource_account"


@pytest.mark.parametrize("arn", [f"arn:aws:iam::{A}:role/R", BKT])
@pytest.mark.parametrize("key", ["aws:ResourceTag/x", "iam:ResourceTag/x", "IAM:resourcetag/X"])
def test_a_tag_against_the_record_is_an_error_by_either_name(arn, key):
    """K1, 5.5: whether or not a policy reads it."""
    directory = make()
    directory.add_principal(f"arn:aws:iam::{A}:role/R", tags={"x": "1"})
    for engine in (directory.compile(), directory.compile().updated(directory)):
        query = (ANA, f"{arn.split(':')[2]}:GetTags", arn)
        for call in (engine.decide, engine.is_allowed, engine.explain):
            call(*query, {key: "1"})
            with pytest.raises(RequestValueError, match="contradicts"):
                call(*query, {key: "2"})
        with pytest.raises(RequestValueError, match="contradicts"):
            engine.decide_many(*([column] for column in query), {key: ["2"]})


def test_role_with_a_trust_policy_is_a_resource_of_its_account():
    """D23: by every method of the engine."""
    role = f"arn:aws:iam::{A}:role/R"
    directory = make()
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    directory.add_principal(role, trust_policy={"Version": "2012-10-17", "Statement": [trust]})
    engine = directory.compile()
    query = (f"arn:aws:iam::{B}:user/bo", "sts:AssumeRole", role)
    for call in (engine.decide, engine.is_allowed, engine.explain):
        with pytest.raises(RequestValueError, match="belongs to account"):
            call(*query, resource_account=B)
    with pytest.raises(RequestValueError, match="belongs to account"):
        engine.decide_many(*([column] for column in query), resource_accounts=[B])
    assert not engine.is_allowed(*query)


@pytest.mark.parametrize("given", ["", "A", "1111", 111111111111])
def test_an_owner_is_an_account_id(snapshot, given):
    with pytest.raises(RequestValueError, match="not an account id"):
        snapshot.resource(FREE, "s3:GetObject", snapshot.principal(ANA), resource_account=given)


RCPS = [
    # resource, caller, given owner, number of policies per level, note
    (QUEUE, ANA, None, [1, 0, 1], ""),
    (BKT, ANA, None, [1, 0, 0, 0], ""),
    (BKT, "*", None, [1, 0, 0, 0], ""),
    ("*", ANA, None, [1, 0, 1], ""),
    ("*", SERVICE, None, None, "no_account"),
    (FREE, SERVICE, None, None, "no_account"),
    (ALIEN, ANA, None, None, "outside_organization"),
    (FREE, ANA, M, None, "management_account"),
]


@pytest.mark.parametrize(("arn", "caller", "given", "levels", "note"), RCPS)
def test_the_rcps_are_those_of_the_owner(snapshot, arn, caller, given, levels, note):
    """D14, D16."""
    profile = snapshot.resource(arn, "s3:GetObject", snapshot.principal(caller), resource_account=given)
    assert (None if profile.rcps is None else list(map(len, profile.rcps))) == levels
    assert profile.rcp_note == note


def test_resource_keys_have_owner_organisation_and_own_tags(snapshot):
    """5.4. Tags whose keys differ by case alone are a conflict (C6)."""
    keys = snapshot.resource(BKT, "s3:GetBucketPolicy", snapshot.principal(ANA)).keys
    assert {k: v.values for k, v in keys.items()} == {
        "aws:resourceaccount": (B,),
        "aws:resourceorgid": ("o-1",),
        "aws:resourceorgpaths": ("o-1/r-1/ou-a/ou-b/",),
        "aws:resourcetag/env": ("a", "b"),
        "aws:resourcetag/x": ("1",),
    }
    assert keys["aws:resourcetag/env"].conflict and keys["aws:resourceorgpaths"].multi


def test_objects_do_not_carry_the_tags_of_their_bucket(snapshot):
    keys = snapshot.resource(f"{BKT}/key", "s3:GetObject", snapshot.principal(ANA)).keys
    assert not [key for key in keys if key.startswith("aws:resourcetag/")]


@pytest.mark.parametrize(("action", "tagged"), [("iam:GetUser", True), ("iam:PassRole", False), ("IAM:passrole", False)])
def test_users_and_roles_carry_their_tags_but_not_in_pass_role(snapshot, action, tagged):
    """6.3, 5.4."""
    keys = snapshot.resource(ANA, action, snapshot.principal(ANA)).keys
    assert ("aws:resourcetag/team" in keys) is tagged


# -- endpoints ----------------------------------------------------------------------------------------------------------


def test_an_endpoint_has_the_keys_of_its_owner():
    directory = make()
    directory.add_endpoint("vpce-1", policy=ALLOW, account=A, gateway=True)
    endpoint = directory.snapshot().endpoint("vpce-1")
    assert endpoint.known and endpoint.gateway and len(endpoint.policies) == 1
    assert {k: v.values for k, v in endpoint.keys.items()} == {
        "aws:vpceaccount": (A,),
        "aws:vpceorgid": ("o-1",),
        "aws:vpceorgpaths": ("o-1/r-1/ou-a/",),
    }


@pytest.mark.parametrize(("with_policy", "known"), [(True, False), (False, None)])
def test_unknown_endpoint_affects_only_endpoints_with_policies(with_policy, known):
    """D40."""
    directory = make()
    directory.add_endpoint("vpce-1", policy=ALLOW if with_policy else None)
    endpoint = directory.snapshot().endpoint("vpce-9")
    assert (endpoint and endpoint.known) == known


def test_an_endpoint_without_a_policy_gives_full_access():
    """G4."""
    directory = make()
    directory.add_endpoint("vpce-1", policy=ALLOW)
    directory.add_endpoint("vpce-2")
    directory.add_endpoint("vpce-3", policy=[])
    snapshot = directory.snapshot()
    assert snapshot.endpoint("vpce-2").policies is None
    assert snapshot.endpoint("vpce-3").policies == ()
    assert snapshot.endpoint(None) is None
