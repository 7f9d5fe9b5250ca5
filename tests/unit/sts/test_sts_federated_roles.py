"""Roles for identities that an external issuer has verified: SAML, web identities, certificates (spec 7.7, 7.8)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sts_fixture import ALL, ANA, DEP, EVERYTHING, ROOT, A, B, World, denied, document, invalid, no_mfa, trusting

from fastiam import LiveEngine, Session
from fastiam.sts import STS, AccessDeniedError, Assertion, AuthenticationError, ValidationError

IDP, OIDC = f"arn:aws:iam::{A}:saml-provider/idp", f"arn:aws:iam::{A}:oidc-provider/oidc.example.org/id/1"


@pytest.fixture
def world() -> World:
    made = World()
    for provider in (IDP, IDP + "2"):
        made.directory.create_saml_provider(provider)
    made.directory.create_oidc_provider(OIDC)
    return made


WEB = f"arn:aws:iam::{A}:role/Web"


def federated(provider: str, call: str, **condition: object) -> dict[str, object]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": [call, "sts:TagSession", "sts:SetSourceIdentity"],
    }
    return document(statement | ({"Condition": condition} if condition else {}))


def saml(**more) -> Assertion:
    keys = {
        "saml:aud": "https://signin.example.org",
        "saml:sub": "ana",
        "saml:sub_type": "persistent",
        "saml:namequalifier": "q=",
    }
    return Assertion(provider=IDP, keys=keys | {"saml:cn": ["Ana"]}, session_name="ana@corp", **more)


def test_a_saml_assertion_is_trusted_by_the_trust_policy(world):
    trust = federated(IDP, "sts:AssumeRoleWithSAML", StringEquals={"saml:aud": "https://signin.example.org"})
    world.directory.add_principal(WEB, trust_policy=trust, identity_policies=[document(ALL)])
    made = world.sts.assume_role_with_saml(saml(tags={"team": "blue"}, source_identity="ana@corp"), WEB)
    session = world.sts.authenticate(made.credentials).principal
    assert session.context == {"saml:sub": "ana", "saml:sub_type": "persistent", "saml:namequalifier": "q="}  # S43
    keys = world.sts.engine.snapshot.principal(session).keys
    assert "aws:multifactorauthpresent" not in keys and "aws:federatedprovider" not in keys  # 7.6, 5.3
    assert (session.tags, session.source_identity) == ({"team": "blue"}, "ana@corp")
    elsewhere = Assertion(provider=IDP + "2", session_name="ana@corp")
    assert denied(world.sts.assume_role_with_saml, elsewhere, WEB).layer == "resource"  # E314


def test_no_session_outlives_its_assertion(world):
    """7.1."""
    world.directory.add_principal(WEB, trust_policy=federated(IDP, "sts:AssumeRoleWithSAML"))
    soon = world.clock() + timedelta(minutes=20)
    assert world.sts.assume_role_with_saml(saml(not_after=soon), WEB).credentials.expiration == soon
    with pytest.raises(AuthenticationError, match="expired"):
        world.sts.assume_role_with_saml(saml(not_after=world.clock()), WEB)
    with pytest.raises(ValidationError, match="time zone"):
        world.sts.assume_role_with_saml(saml(not_after=soon.replace(tzinfo=None)), WEB)


def test_roles_of_identity_center_are_given_out_by_no_saml_call(world):
    """7.1."""
    role = f"arn:aws:iam::{A}:role/AWSReservedSSO_Admin_0123"
    world.directory.add_principal(role, trust_policy=federated(IDP, "sts:AssumeRoleWithSAML"))
    assert invalid(world.sts.assume_role_with_saml, saml(), role) == "7.1"


@pytest.mark.parametrize(("provider", "issuer"), [(OIDC, "oidc.example.org/id/1"), ("accounts.google.com",) * 2])
def test_a_web_identity_keeps_what_later_requests_see(world, provider, issuer):
    trust = federated(provider, "sts:AssumeRoleWithWebIdentity", StringEquals={f"{issuer}:aud": "client"})
    world.directory.add_principal(WEB, trust_policy=trust, identity_policies=[document(ALL)])
    keys = {f"{issuer}:aud": "client", f"{issuer}:sub": "7", f"{issuer}:email": "a@b"}
    assertion = Assertion(provider=provider, keys=keys, session_name="web", tags={"team": "blue"})
    made = world.sts.assume_role_with_web_identity(assertion, WEB)
    assert made.session.context == {"aws:FederatedProvider": provider, f"{issuer}:aud": "client", f"{issuer}:sub": "7"}
    engine = world.sts.engine
    assert "aws:multifactorauthpresent" not in engine.snapshot.principal(made.session).keys
    wrong = Assertion(provider=provider, keys=keys | {f"{issuer}:aud": "other"}, session_name="web")
    assert denied(world.sts.assume_role_with_web_identity, wrong, WEB).layer == "resource"


@pytest.mark.parametrize("provider", [ANA, DEP, ROOT, "*", IDP])
def test_assertion_of_another_principal_kind_is_refused(world, provider):
    """A trust policy that lets a user assume the role does not allow unsigned calls."""
    world.directory.add_principal(WEB, trust_policy=trusting(ANA, DEP, A, actions="sts:*"))
    with pytest.raises((ValidationError, AccessDeniedError)):
        world.sts.assume_role_with_web_identity(Assertion(provider=provider, session_name="web"), WEB)
    with pytest.raises((ValidationError, AccessDeniedError)):
        world.sts.assume_role_with_saml(Assertion(provider=provider, session_name="web"), WEB)


def test_tags_of_a_web_identity_need_their_permission(world):
    trust = document(
        {"Effect": "Allow", "Principal": {"Federated": "accounts.google.com"}, "Action": "sts:AssumeRoleWithWebIdentity"}
    )
    world.directory.add_principal(WEB, trust_policy=trust)
    tagged = Assertion(provider="accounts.google.com", session_name="web", tags={"k": "v"})
    assert denied(world.sts.assume_role_with_web_identity, tagged, WEB).action == "sts:TagSession"


def test_a_certificate_needs_all_three_actions(world):
    """S61, E317."""
    anchor = f"arn:aws:rolesanywhere:us-east-1:{A}:trust-anchor/t1"
    trust = {"Effect": "Allow", "Principal": {"Service": "rolesanywhere.amazonaws.com"}, "Action": EVERYTHING}
    condition = {"StringEquals": {"aws:PrincipalTag/x509Subject/CN": "host1"}, "ArnEquals": {"aws:SourceArn": anchor}}
    world.directory.add_principal(WEB, trust_policy=document(trust | {"Condition": condition}))
    keys = {"aws:SourceArn": anchor, "aws:SourceAccount": A}
    host1 = Assertion(
        provider=anchor, keys=keys, session_name="0123ab", tags={"x509Subject/CN": "host1"}, source_identity="host1"
    )
    made = world.sts.create_session(host1, WEB)
    assert made.session.source_identity == "host1" and made.session.tags == {"x509Subject/CN": "host1"}
    assert "aws:multifactorauthpresent" not in world.sts.engine.snapshot.principal(made.session).keys
    host2 = Assertion(
        provider=anchor, keys=keys, session_name="0123ab", tags={"x509Subject/CN": "host2"}, source_identity="host2"
    )
    assert denied(world.sts.create_session, host2, WEB).layer == "resource"  # E318
    world.directory.set_trust_policy(WEB, document(trust | {"Action": ["sts:AssumeRole", "sts:SetSourceIdentity"]}))
    assert denied(world.sts.create_session, host1, WEB).action == "sts:TagSession"


@pytest.mark.parametrize("keys", [{}, {"saml:aud": "x"}, {"saml:Sub": "ana"}])
def test_no_federated_session_has_a_key_for_mfa(world, keys):
    """7.6, K4, S43: whatever the provider says, and however it is spelled; in a token, too."""
    world.directory.add_principal(WEB, trust_policy=federated(IDP, "sts:AssumeRoleWithSAML"), identity_policies=[no_mfa()])
    made = world.sts.assume_role_with_saml(Assertion(provider=IDP, keys=keys, session_name="bob"), WEB)
    for session in (made.session, world.sts.authenticate(made.credentials).principal):
        assert world.sts.engine.is_allowed(session, "s3:GetObject", "arn:aws:s3:::b/k")
        kept = world.sts.engine.snapshot.principal(session).keys
        assert ("saml:sub" in kept) == ("saml:Sub" in keys) and "saml:aud" not in kept


def test_a_certificate_without_a_subject_has_no_key_for_mfa(world):
    """7.6, S61: the account of the anchor is known by its ARN."""
    anchor = f"arn:aws:rolesanywhere:us-east-1:{A}:trust-anchor/t1"
    trust = {"Effect": "Allow", "Principal": {"Service": "rolesanywhere.amazonaws.com"}, "Action": EVERYTHING}
    condition = {"StringEquals": {"aws:SourceAccount": A}}
    world.directory.add_principal(WEB, trust_policy=document(trust | {"Condition": condition}), identity_policies=[no_mfa()])
    assertion = Assertion(provider=anchor, keys={"aws:sourcearn": anchor}, session_name="0123ab", source_identity="host1")
    session = world.sts.create_session(assertion, WEB).session
    assert world.sts.engine.is_allowed(session, "s3:GetObject", "arn:aws:s3:::b/k")
    other = Assertion(
        provider=anchor, keys={"aws:SourceArn": anchor.replace(A, B)}, session_name="0123ab", source_identity="host1"
    )
    assert denied(world.sts.create_session, other, WEB).layer == "resource"


def test_defaults_of_the_engine_are_part_of_every_call(world):
    """`context_defaults`, K1: of calls that are decided over profiles, too."""
    here = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    trust = [federated(IDP, "sts:AssumeRoleWithSAML", **here), trusting(DEP, actions=EVERYTHING, **here)]
    world.directory.add_principal(WEB, trust_policy=document(*(policy["Statement"][0] for policy in trust)))
    session = Session(
        f"arn:aws:sts::{A}:assumed-role/Dep/r",
        kind="ROLE",
        issuer=DEP,
        issued_at=world.clock(),
        tags={"a": "b"},
        transitive_tags=("a",),
    )
    for region, is_allowed in (("eu-west-1", True), ("us-east-1", False)):
        live = LiveEngine(world.directory, context_defaults={"aws:RequestedRegion": region})
        sts = STS(world.directory, world.keyring, live=live, clock=world.clock)
        for call, who in ((sts.assume_role_with_saml, (saml(), WEB)), (sts.assume_role, (session, WEB, "run2"))):
            if is_allowed:
                assert call(*who)
            else:
                assert denied(call, *who).layer == "resource"


BY_SERVICES = ["aws:SourceIp", "aws:UserAgent", "aws:SecureTransport", "aws:RequestedRegion"]
VALUES = dict(zip(BY_SERVICES, ("203.0.113.9", "x", "true", "eu-west-1"), strict=True))


@pytest.mark.parametrize("key", BY_SERVICES)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_key_of_a_call_by_a_service_is_unknown(world, key, effect):
    """D70: Roles Anywhere and EC2 call STS themselves, and what AWS says of their calls is not documented."""
    anchor = f"arn:aws:rolesanywhere:us-east-1:{A}:trust-anchor/t1"
    services = ["rolesanywhere.amazonaws.com", "ec2.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": EVERYTHING}
    limit = trust | {"Effect": effect, "Condition": {"StringEquals": {key: VALUES[key]}}}
    world.directory.add_principal(WEB, trust_policy=document(trust))
    profile = f"arn:aws:iam::{A}:instance-profile/web"
    world.directory.create_instance_profile(profile)
    world.directory.add_role_to_instance_profile(profile, WEB)
    instance = f"arn:aws:ec2:us-east-1:{A}:instance/i-1"
    host = Assertion(provider=anchor, keys={"aws:SourceArn": anchor}, session_name="0123ab", source_identity="host1")
    calls = ((world.sts.create_session, (host, WEB)), (world.sts.instance_credentials, (profile, instance)))
    for call, given in calls:
        assert call(*given).credentials
    world.directory.set_trust_policy(WEB, document(*([limit] if effect == "Allow" else [trust, limit])))
    for call, given in calls:
        assert f"keys that are not known: {key.lower()}" in str(denied(call, *given))


def test_assertion_after_its_arguments_change_is_unchanged() -> None:
    keys, tags, transitive = {"saml:cn": ["Ana"]}, {"team": "blue"}, ["team"]
    made = Assertion(provider="p", session_name="ana", keys=keys, tags=tags, transitive_tag_keys=transitive)  # type: ignore[arg-type]
    shown = repr(made)
    keys["saml:cn"].append("Bo")
    tags["team"] = "red"
    transitive.append("x")
    assert repr(made) == shown
