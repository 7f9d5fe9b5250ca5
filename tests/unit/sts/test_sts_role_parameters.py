"""Parameters of AssumeRole and their limits (spec 1.7, section 7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sts_fixture import ALL, ANA, BO, CHAIN, DEP, ROOT, A, B, World, denied, document, invalid, trusting

from fastiam import PolicyError
from fastiam.sts import AccessDeniedError, ValidationError


@pytest.fixture
def world() -> World:
    return World()


def test_durations_of_a_role(world):
    """S1, E299."""
    for seconds in (899, 43_201, -1, 0, True, 900.0, "900"):
        assert invalid(world.sts.assume_role, ANA, DEP, "run1", duration=seconds) in ("S1", "7.1")
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", duration=7200) == "S1"
    made = world.sts.assume_role(ANA, DEP, "run1", duration=900)
    assert made.credentials.expiration - world.clock() == timedelta(seconds=900)


def test_maximum_duration_error_needs_permission_to_assume(world):
    world.directory.set_trust_policy(DEP, trusting(BO))
    assert denied(world.sts.assume_role, ANA, DEP, "run1", duration=7200)


def test_a_chained_session_lasts_an_hour_at_most(world):
    """S2, E298."""
    run1 = world.run1()
    assert invalid(world.sts.assume_role, run1, CHAIN, "run2", duration=3601) == "S1"
    assert world.sts.assume_role(run1, CHAIN, "run2", duration=3600)


def test_session_token_does_not_count_as_role_chaining(world):
    """S2: but the maximum of the role holds."""
    token = world.sts.get_session_token(ANA).credentials
    with pytest.raises(ValidationError, match="maximum of"):
        world.sts.assume_role(token, DEP, "run1", duration=7200)


@pytest.mark.parametrize(
    "name", ["", "a", "x" * 65, "run 1", "run/1", "../root", "run1\n", "a:b", "rün", "*", "${aws:username}", "a\0b", None, 17]
)
def test_a_session_name_cannot_smuggle_anything(world, name):
    """1.7: it becomes a part of ARNs and of `aws:userid`."""
    assert invalid(world.sts.assume_role, ANA, DEP, name) == "1.7"


@pytest.mark.parametrize(
    "role",
    [
        "",
        "Dep",
        "*",
        ANA,
        ROOT,
        f"arn:aws:sts::{A}:assumed-role/Dep/x",
        f"arn:aws:iam::{A}:role/",
        f"arn:aws:iam::{A}:role/../Dep/",
        7,
    ],
)
def test_assume_role_of_another_kind_of_arn_is_refused(world, role):
    with pytest.raises((ValidationError, AccessDeniedError)):
        world.sts.assume_role(ANA, role, "run1")


@pytest.mark.parametrize("external_id", ["", "a", "x" * 1225, "a b", "a\nb", "*?"])
def test_an_external_id_has_its_form(world, external_id):
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", external_id=external_id) == "1.7"


@pytest.mark.parametrize("source", ["a", "x" * 257, "aws:ana", "AWS:ana", "a b", ""])
def test_a_source_identity_has_its_form(world, source):
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", source_identity=source) == "1.7"


@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        ({f"k{i}": "" for i in range(51)}, "S28"),
        ({"": "v"}, "1.7"),
        ({"k" * 129: "v"}, "1.7"),
        ({"k": "v" * 257}, "1.7"),
        ({"aws:k": "v"}, "1.7"),
        ({"AWS:k": "v"}, "1.7"),
        ({"k": "a*b"}, "1.7"),
        ({"k\n": "v"}, "1.7"),
        ({"k": "${aws:username}"}, "1.7"),
        ({"k": 1}, "1.7"),
        ({"Team": "a", "team": "b"}, "S22"),
    ],
    ids=str,
)
def test_session_tags_have_their_limits(world, tags, rule):
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", tags=tags) == rule


def test_session_tags_at_their_limits_are_taken(world):
    tags = {f"k{i}".ljust(128, "ä"): "v" * 256 for i in range(50)}
    made = world.sts.assume_role(ANA, DEP, "run1", tags=tags, transitive_tag_keys=list(tags))
    assert world.sts.authenticate(made.credentials).principal.tags == tags


def test_transitive_keys_are_among_the_tags_passed(world):
    """S24."""
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", tags={"k": "v"}, transitive_tag_keys=["j"]) == "S24"
    made = world.sts.assume_role(ANA, DEP, "run1", tags={"Key": "v"}, transitive_tag_keys=["key"])
    assert made.session.transitive_tags == ("Key",)


def test_session_policies_narrow_the_session_within_limits(world):
    """1.7, D4."""
    read = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    managed, of_others = f"arn:aws:iam::{A}:policy/Write", f"arn:aws:iam::{B}:policy/Write"
    write = document({"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"})
    world.directory.add_managed_policy(managed, write)
    world.directory.add_managed_policy(of_others, write)
    made = world.sts.assume_role(ANA, DEP, "run1", policy=read, policy_arns=[managed])
    assert 0 < made.packed_policy_size < 100
    caller = world.sts.authenticate(made.credentials).principal
    allowed = [
        a
        for a in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
        if world.sts.engine.is_allowed(caller, a, "arn:aws:s3:::b/k")
    ]
    assert allowed == ["s3:GetObject", "s3:PutObject"]
    assume = world.sts.assume_role
    assert invalid(assume, ANA, DEP, "run1", policy_arns=[of_others]) == "1.7"
    assert invalid(assume, ANA, DEP, "run1", policy_arns=[f"arn:aws:iam::{A}:policy/None"]) == "NoSuchEntity"
    assert invalid(assume, ANA, DEP, "run1", policy_arns=[managed] * 11) == "1.7"
    assert invalid(assume, ANA, DEP, "run1", policy=document(ALL | {"Sid": "x" * 2000})) == "1.7"
    with_principal = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*"}]}'
    for broken in ("{", "[]", with_principal, "", b"\xff", "\ud800", "arn:aws:iam::aws:policy/AdministratorAccess"):
        with pytest.raises((PolicyError, ValidationError)):
            assume(ANA, DEP, "run1", policy=broken)
