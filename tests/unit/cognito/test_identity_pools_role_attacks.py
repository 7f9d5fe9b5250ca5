"""Attacks on the roles and tags of identity pools: roles out of reach, wider guests, tags of a token."""

from __future__ import annotations

import json

import pytest
from identity_world import NAMES, IdentityWorld, P, refused, role
from sts_fixture import document


@pytest.fixture(scope="module")
def shared() -> IdentityWorld:
    """A world for tests that are refused before anything is written."""
    return IdentityWorld({"allow_classic_flow": True})


@pytest.fixture
def world() -> IdentityWorld:
    return IdentityWorld({"allow_classic_flow": True})


# -- roles --------------------------------------------------------------------------------------------------------------------


def test_guest_cannot_choose_its_role(world):
    guest = world.get_id()
    for name in ("Guest", "Auth", "Admin"):
        assert refused(world, world.credentials, guest, name).code == "InvalidParameterException"


def test_role_outside_of_the_mapping_is_refused(world):
    identity = world.get_id(P={})
    for name in ("Admin", "Guest", "Missing"):
        assert refused(world, world.credentials, identity, name, P={}).code == "NotAuthorizedException"
    assert world.credentials(identity, "Auth", P={}).session.issuer == role("Auth")


@pytest.mark.parametrize("name", ["arn:aws-us-gov:iam::111111111111:role/Gov", "arn:aws:iam::111111111111:role/Missing"])
def test_role_that_cannot_be_assumed_is_a_configuration_error(world, name):
    """The message does not show whether the role exists, nor its trust policy."""
    identity = world.get_id(P={})
    for other in (name, role("Guest")):
        world.pools.set_identity_pool_roles(world.q, {"authenticated": other})
        error = refused(world, world.credentials, identity, P={})
        assert (error.code, error.message) == (
            "InvalidIdentityPoolConfigurationException",
            "the role cannot be assumed: check its trust policy",
        )


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_address_of_a_call_by_cognito_is_unknown(world, effect):
    """D70: Cognito calls STS itself, and AWS does not say with which address."""
    identity = world.get_id(P={})
    trust = json.loads(world.directory.tables.entities[role("Auth")].trust.text)["Statement"][0]
    condition = {**trust.get("Condition", {}), "IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    limit = trust | {"Effect": effect, "Condition": condition}
    assert world.credentials(identity, P={}).session
    world.directory.set_trust_policy(role("Auth"), document(*([limit] if effect == "Allow" else [trust, limit])))
    assert refused(world, world.credentials, identity, P={}).code == "InvalidIdentityPoolConfigurationException"


def test_claim_that_is_not_a_role_is_a_configuration_error(world):
    mapping = {"Type": "Token", "AmbiguousRoleResolution": "Deny"}
    world.pools.set_identity_pool_roles(world.q, {}, {f"{P}:c": mapping})
    identity = world.get_id(P={})
    for value in ("x", f"{role('R1')} ", "arn:aws:sts::111111111111:assumed-role/R1/x", f"{role('R1')},{role('R2')}", ""):
        assert refused(world, world.credentials, identity, P={"cognito:preferred_role": value}).code.endswith(
            "ConfigurationException"
        )
    for value in (7, ["x"], {}, None):
        claims = {"cognito:preferred_role": value, "cognito:roles": [role("R1"), 7]}
        assert refused(world, world.credentials, identity, P=claims).code == "NotAuthorizedException"


def test_records_cannot_be_changed_by_callers(world):
    pool = world.pools.describe_identity_pool(world.q)
    with pytest.raises(TypeError):
        pool.roles["authenticated"] = role("Admin")
    made = world.pools.get_identity_pool_roles(world.q)
    made.roles["authenticated"] = role("Admin")
    assert world.pools.get_identity_pool_roles(world.q).roles["authenticated"] == role("Auth")


def test_guests_session_is_no_wider_in_any_service(world):
    """What AWS lists is allowed, everything else of a role with all rights is not."""
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    world.directory.put_inline_policy(role("Guest"), "identity_policies[0]", everything)
    session = world.credentials(world.get_id()).session
    engine, account = world.sts.engine, "111111111111"
    allowed = "s3:GetObject dynamodb:GetItem sns:Publish kms:Decrypt geo:GetMapTile rum:PutRumEvents textract:AnalyzeDocument"
    denied = "iam:CreateUser sts:AssumeRole ec2:RunInstances kms:CreateGrant secretsmanager:GetSecretValue ssm:GetParameter"
    for action in allowed.split():
        assert engine.is_allowed(session, action, "*", resource_account=account), action
    for action in denied.split():
        decision = engine.decide(session, action, "*", resource_account=account)
        assert (decision.allowed, decision.layer) == (False, "session"), action


def test_authenticated_session_has_no_scope_down(world):
    session = world.credentials(world.get_id(P={}), P={}).session
    assert session.policies is None
    assert world.sts.engine.is_allowed(session, "ec2:DescribeInstances", "*", resource_account="111111111111")


def test_guest_policy_can_be_replaced(world):
    narrow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    pools = world.open(guest_policy=narrow)
    session = pools.get_credentials_for_identity(world.get_id()).session
    assert world.sts.engine.is_allowed(session, "s3:GetObject", "*", resource_account="111111111111")
    assert not world.sts.engine.is_allowed(session, "s3:PutObject", "*", resource_account="111111111111")


# -- principal tags -----------------------------------------------------------------------------------------------------------


def test_claim_with_an_invalid_tag_value_refuses_the_call(world):
    world.pools.set_principal_tag_attribute_map(world.q, P, principal_tags={"dept": "custom:dept"})
    identity = world.get_id(P={})
    for value in ("a;b", "x" * 257, "a\nb"):
        assert refused(world, world.credentials, identity, P={"custom:dept": value}).rule == "ID60"
    made = world.credentials(identity, P={"custom:dept": ["a"]})
    assert made.session.tags == {} and world.events[-1].warnings
    assert world.credentials(identity, P={"custom:dept": True}).session.tags == {"dept": "true"}


def test_tags_of_460_bytes_fit_and_one_more_does_not(world):
    world.pools.set_principal_tag_attribute_map(world.q, P, principal_tags={"a": "x", "b": "y"})
    identity = world.get_id(P={})
    assert world.credentials(identity, P={"x": "x" * 256, "y": "y" * 202}).session.tags["b"] == "y" * 202
    assert refused(world, world.credentials, identity, P={"x": "x" * 256, "y": "y" * 203}).rule == "ID60"


def test_token_cannot_bring_tags_of_its_own(world):
    injected = {"https://aws.amazon.com/tags": {"principal_tags": {"team": ["admin"]}}}
    identity = world.get_id(P={}, oidc={})
    assert world.credentials(identity, P=injected, oidc=injected).session.tags == {}


def test_two_logins_that_differ_in_a_tag_are_refused(world):
    for provider in (P, NAMES["oidc-arn"]):
        world.pools.set_principal_tag_attribute_map(world.q, provider, principal_tags={"dept": "dept"})
    identity = world.get_id(P={}, oidc={})
    assert refused(world, world.credentials, identity, P={"dept": "a"}, oidc={"dept": "b"}).rule == "ID60"
    assert world.credentials(identity, P={"dept": "a"}, oidc={"dept": "a"}).session.tags == {"dept": "a"}
