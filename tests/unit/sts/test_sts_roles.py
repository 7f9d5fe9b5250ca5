"""AssumeRole: trust policies, and the session that results (spec 6.6, section 7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sts_fixture import ALL, ANA, BO, CHAIN, DEP, EVERYTHING, ROOT, A, B, World, denied, document, invalid, no_mfa, trusting

from fastiam import Outcome, RequestValueError, Session
from fastiam.sts import AuthenticationError, ValidationError


@pytest.fixture
def world() -> World:
    return World()


# -- what a session is -------------------------------------------------------------------------------------------------


def test_a_role_session_is_named_after_role_and_session(world):
    """S20."""
    made = world.sts.assume_role(ANA, DEP, "run1")
    assert made.arn == f"arn:aws:sts::{A}:assumed-role/Dep/run1"
    assert made.role_id == "AROADEP:run1"
    assert made.session.issuer == DEP
    assert made.credentials.expiration == world.clock() + timedelta(hours=1)
    who = world.sts.get_caller_identity(made.credentials)
    assert (who.arn, who.account, who.user_id) == (made.arn, A, "AROADEP:run1")


def test_the_session_decides_as_its_role(world):
    caller = world.sts.authenticate(world.run1())
    assert world.sts.engine.is_allowed(caller.principal, "s3:GetObject", "arn:aws:s3:::b/k")
    assert not world.sts.engine.is_allowed(caller.principal, "sts:GetSessionToken", "*")  # 7.4


def test_a_change_of_the_role_reaches_its_sessions_at_once(world):
    """S4."""
    caller = world.sts.authenticate(world.run1())
    assert world.sts.engine.is_allowed(caller.principal, "s3:GetObject", "arn:aws:s3:::b/k")
    world.directory.put_inline_policy(DEP, "stop", document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}))
    decision = world.sts.engine.decide(caller.principal, "s3:GetObject", "arn:aws:s3:::b/k")
    assert decision.outcome is Outcome.EXPLICIT_DENY


# -- who may -----------------------------------------------------------------------------------------------------------


def test_refusal_names_principal_action_layer_and_rule(world):
    world.directory.set_trust_policy(DEP, trusting(BO))
    error = denied(world.sts.assume_role, ANA, DEP, "run1")
    assert (error.layer, error.rule, error.code, error.action) == ("resource", "6.6", "AccessDenied", "sts:AssumeRole")
    assert error.decision.outcome is Outcome.IMPLICIT_DENY and error.statement is None
    assert str(error).startswith(f"`{ANA}` may not `sts:AssumeRole` on `{DEP}`: the trust policy does not allow it")


def test_a_refusal_names_the_statement_that_denies(world):
    deny = {"Sid": "NoDep", "Effect": "Deny", "Action": "sts:*", "Resource": DEP}
    world.directory.put_inline_policy(ANA, "limits", document(deny))
    error = denied(world.sts.assume_role, ANA, DEP, "run1")
    assert (error.layer, error.rule) == ("identity", "6.4")
    assert (error.statement.policy, error.statement.sid) == ("limits", "NoDep")


@pytest.mark.parametrize(
    ("call", "lacking"), [({"tags": {"k": "v"}}, "sts:TagSession"), ({"source_identity": "ana"}, "sts:SetSourceIdentity")]
)
def test_tags_and_source_identity_are_permissions_of_their_own(world, call, lacking):
    """D30, E296, E297."""
    world.directory.set_trust_policy(DEP, trusting(ANA))
    assert world.sts.assume_role(ANA, DEP, "run1")
    error = denied(world.sts.assume_role, ANA, DEP, "run1", **call)
    assert (error.action, error.rule, error.layer) == (lacking, "D30", "resource")
    world.directory.set_trust_policy(DEP, trusting(ANA, actions=["sts:AssumeRole", lacking]))
    assert world.sts.assume_role(ANA, DEP, "run1", **call)


def test_inherited_tags_and_source_identity_need_them_as_well(world):
    """D30."""
    run1 = world.run1(tags={"T": "1"}, transitive_tag_keys=["T"])
    world.directory.set_trust_policy(CHAIN, trusting(DEP, actions=["sts:AssumeRole"]))
    assert denied(world.sts.assume_role, run1, CHAIN, "run2").action == "sts:TagSession"
    sourced = world.run1(source_identity="ana")
    assert denied(world.sts.assume_role, sourced, CHAIN, "run2").action == "sts:SetSourceIdentity"


def test_a_chained_role_sets_its_source_identity_on_both_sides(world):
    """D30: even in the same account."""
    sourced = world.run1(source_identity="ana")
    assert world.sts.assume_role(sourced, CHAIN, "run2").source_identity == "ana"
    world.directory.put_inline_policy(
        DEP, "identity_policies[0]", document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    )
    error = denied(world.sts.assume_role, sourced, CHAIN, "run2")
    assert (error.action, error.layer) == ("sts:SetSourceIdentity", "identity")


def test_a_root_user_assumes_no_role(world):
    """D31, E300."""
    world.directory.set_trust_policy(DEP, trusting(A))
    error = denied(world.sts.assume_role, ROOT, DEP, "run1")
    assert (error.layer, error.rule) == ("credential", "7.4")


def test_a_federated_user_assumes_no_role(world):
    """E301."""
    kio = world.sts.get_federation_token(ANA, "kio", policy=document(ALL)).credentials
    assert denied(world.sts.assume_role, kio, DEP, "run1").layer == "credential"


def test_the_external_id_is_compared_by_the_trust_policy_alone(world):
    """S27."""
    world.directory.set_trust_policy(DEP, trusting(ANA, StringEquals={"sts:ExternalId": "abc"}))
    assert denied(world.sts.assume_role, ANA, DEP, "run1").layer == "resource"
    assert denied(world.sts.assume_role, ANA, DEP, "run1", external_id="abd").layer == "resource"
    assert world.sts.assume_role(ANA, DEP, "run1", external_id="abc")


def test_trust_policy_conditions_read_the_call_parameters(world):
    condition = {
        "StringEquals": {"sts:RoleSessionName": "run1", "sts:SourceIdentity": "ana", "aws:RequestTag/k": "v"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["k"], "sts:TransitiveTagKeys": ["k"]},
        "IpAddress": {"aws:SourceIp": "198.51.100.0/24"},
    }
    world.directory.set_trust_policy(DEP, trusting(ANA, actions=EVERYTHING, **condition))
    arguments = {"source_identity": "ana", "tags": {"k": "v"}, "transitive_tag_keys": ["k"]}
    here = {"aws:SourceIp": "198.51.100.7"}
    assert world.sts.assume_role(ANA, DEP, "run1", **arguments, context=here)
    assert denied(world.sts.assume_role, ANA, DEP, "run2", **arguments, context=here)
    assert denied(world.sts.assume_role, ANA, DEP, "run1", **arguments)


def test_a_context_that_contradicts_what_is_known_is_an_error(world):
    """K1."""
    with pytest.raises(RequestValueError, match="contradicts"):
        world.sts.assume_role(ANA, DEP, "run1", context={"aws:PrincipalArn": BO})


@pytest.mark.parametrize(
    "key",
    [
        "aws:MultiFactorAuthPresent",
        "AWS:MULTIFACTORAUTHAGE",
        "sts:ExternalId",
        "STS:RoleSessionName",
        "aws:RequestTag/k",
        "aws:TagKeys",
    ],
)
def test_context_key_that_sts_sets_is_refused(world, key):
    world.directory.set_trust_policy(DEP, trusting(ANA, Bool={"aws:MultiFactorAuthPresent": "true"}))
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", context={key: "true"}) == "K1"


def test_session_given_only_by_its_arn_cannot_call(world):
    """Its tags and source identity would be lost."""
    with pytest.raises(ValidationError, match="pass a `fastiam.Session`"):
        world.sts.assume_role(f"arn:aws:sts::{A}:assumed-role/Dep/run1", CHAIN, "run2")


def test_unknown_role_is_refused_like_one_without_trust(world):
    assert denied(world.sts.assume_role, ANA, f"arn:aws:iam::{A}:role/None", "run1").layer == "resource"


def test_across_accounts_both_sides_have_to_allow(world):
    """6.6."""
    other = f"arn:aws:iam::{B}:role/Work"
    world.directory.add_principal(other, trust_policy=trusting(A))
    assert world.sts.assume_role(ANA, other, "run1").arn == f"arn:aws:sts::{B}:assumed-role/Work/run1"
    assert denied(world.sts.assume_role, BO, other, "run1").layer == "identity"


# -- chains ------------------------------------------------------------------------------------------------------------


def test_a_session_has_one_tag_of_each_key_the_passed_one(world):
    """S22, E307: keys are compared without case."""
    world.directory.add_principal(
        f"arn:aws:iam::{A}:role/Tagged", tags={"Team": "r"}, trust_policy=trusting(ANA, actions=EVERYTHING)
    )
    made = world.sts.assume_role(ANA, f"arn:aws:iam::{A}:role/Tagged", "run1", tags={"team": "s"})
    keys = world.sts.engine.snapshot.principal(made.session).keys
    assert [k for k in keys if k.startswith("aws:principaltag/")] == ["aws:principaltag/team"]
    assert keys["aws:principaltag/team"].values == ("s",)


def test_transitive_tags_persist_and_replace_tags_of_the_role(world):
    """S22, S25, E308."""
    tagged = f"arn:aws:iam::{A}:role/Tagged"
    sees = trusting(DEP, actions=EVERYTHING, StringEquals={"aws:ResourceTag/T": "1", "aws:PrincipalTag/T": "1"})
    world.directory.add_principal(tagged, tags={"T": "2"}, trust_policy=sees)
    run1 = world.run1(tags={"T": "1", "once": "x"}, transitive_tag_keys=["T"])
    run2 = world.sts.assume_role(run1, tagged, "run2")
    assert (run2.session.tags, run2.session.transitive_tags) == ({"T": "1"}, ("T",))
    assert denied(world.sts.assume_role, world.run1(), tagged, "run2").layer == "resource"  # nothing inherited


def test_inherited_tags_replace_those_of_the_role_and_add_none(world):
    """S25."""
    condition = {"StringEquals": {"aws:ResourceTag/team": "red"}}
    tagged, bare = f"arn:aws:iam::{A}:role/Tagged", f"arn:aws:iam::{A}:role/Bare"
    world.directory.add_principal(tagged, trust_policy=trusting(DEP, actions=EVERYTHING, **condition), tags={"Team": "blue"})
    world.directory.add_principal(bare, trust_policy=trusting(DEP, actions=EVERYTHING, **condition))
    made = world.sts.assume_role(ANA, DEP, "run1", tags={"team": "red"}, transitive_tag_keys=["team"])
    assert world.sts.assume_role(made.credentials, tagged, "run2")
    assert denied(world.sts.assume_role, made.credentials, bare, "run2").layer == "resource"


def test_an_inherited_tag_cannot_be_passed_again(world):
    """S23, E309."""
    run1 = world.run1(tags={"T": "1"}, transitive_tag_keys=["T"])
    assert invalid(world.sts.assume_role, run1, CHAIN, "run2", tags={"t": "9"}) == "S23"
    assert invalid(world.sts.assume_role, run1, CHAIN, "run2", transitive_tag_keys=["T"]) == "S24"


def test_inherited_tags_count_among_the_fifty(world):
    """S28."""
    tags = {f"k{i}": "" for i in range(30)}
    run1 = world.run1(tags=tags, transitive_tag_keys=list(tags))
    assert invalid(world.sts.assume_role, run1, CHAIN, "run2", tags={f"j{i}": "" for i in range(21)}) == "S28"


def test_a_source_identity_stays(world):
    """S26."""
    run1 = world.run1(source_identity="ana")
    assert world.sts.assume_role(run1, CHAIN, "run2", source_identity="ana").session.source_identity == "ana"
    assert invalid(world.sts.assume_role, run1, CHAIN, "run2", source_identity="bo") == "S26"
    keys = world.sts.engine.snapshot.principal(world.sts.authenticate(run1).principal).keys
    assert keys["aws:sourceidentity"].values == ("ana",)


def test_a_third_link_still_inherits(world):
    run1 = world.run1(tags={"T": "1"}, transitive_tag_keys=["T"], source_identity="ana")
    run2 = world.sts.assume_role(run1, CHAIN, "run2", tags={"U": "2"}, transitive_tag_keys=["U"])
    run3 = world.sts.assume_role(run2.credentials, CHAIN, "run3")
    assert run3.session.tags == {"T": "1", "U": "2"} and run3.session.source_identity == "ana"


# -- MFA ---------------------------------------------------------------------------------------------------------------


def test_mfa_code_of_the_call_is_read_by_the_trust_policy_only(world):
    """7.6, E310: the session itself carries no MFA."""
    world.directory.set_trust_policy(DEP, trusting(ANA, Bool={"aws:MultiFactorAuthPresent": "true"}))
    phone = world.phone()
    assert denied(world.sts.assume_role, ANA, DEP, "run1").layer == "resource"
    made = world.sts.assume_role(ANA, DEP, "run1", mfa_serial=phone.serial, mfa_code=phone.code())
    keys = world.sts.engine.snapshot.principal(made.session).keys
    assert keys["aws:multifactorauthpresent"].values == ("false",)


@pytest.mark.parametrize("tag", ["team", "x509Subject/CN", "x509SAN/DNS", "saml:sub"])
def test_no_tag_hides_that_a_role_session_has_no_mfa(world, tag):
    """7.6, E311: the caller of AssumeRole chooses the tags."""
    world.directory.put_inline_policy(DEP, "no-mfa", no_mfa())
    session = world.sts.assume_role(ANA, DEP, "run1", tags={tag: "x"}).session
    assert world.sts.engine.decide(session, "s3:GetObject", "arn:aws:s3:::b/k").outcome.name == "EXPLICIT_DENY"


def test_a_wrong_or_used_code_is_refused_in_the_credential_layer(world):
    phone = world.phone()
    code = phone.code()
    assert world.sts.assume_role(ANA, DEP, "run1", mfa_serial=phone.serial, mfa_code=code)
    for wrong in (code, "000000", "", "1234567", "abc"):
        error = denied(world.sts.assume_role, ANA, DEP, "run1", mfa_serial=phone.serial, mfa_code=wrong)
        assert (error.layer, error.rule, error.decision) == ("credential", "7.6", None)


def test_a_call_that_is_wrong_uses_up_no_code(world):
    phone = world.phone()
    arguments = {"mfa_serial": phone.serial, "mfa_code": phone.code()}
    assert invalid(world.sts.assume_role, ANA, DEP, "run 1", **arguments) == "1.7"
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", external_id="?", **arguments) == "1.7"
    assert world.sts.assume_role(ANA, DEP, "run1", **arguments)


def test_half_of_mfa_is_an_error(world):
    phone = world.phone()
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", mfa_serial=phone.serial) == "7.1"
    assert invalid(world.sts.assume_role, ANA, DEP, "run1", mfa_code="123456") == "7.1"
    assert invalid(world.sts.assume_role, world.run1(), CHAIN, "run2", mfa_serial=phone.serial, mfa_code=phone.code()) == "7.6"


def test_a_session_token_with_mfa_brings_it_along(world):
    world.directory.set_trust_policy(DEP, trusting(ANA, Bool={"aws:MultiFactorAuthPresent": "true"}))
    phone = world.phone()
    without = world.sts.get_session_token(ANA).credentials
    assert denied(world.sts.assume_role, without, DEP, "run1").layer == "resource"
    token = world.sts.get_session_token(ANA, mfa_serial=phone.serial, mfa_code=phone.code()).credentials
    world.clock.tick(600)
    assert world.sts.assume_role(token, DEP, "run1")


# -- revocation (7.9) --------------------------------------------------------------------------------------------------


def can(world: World, principal: str | Session) -> bool:
    return world.sts.engine.is_allowed(principal, "s3:GetObject", "arn:aws:s3:::b/k", now=world.clock())


def test_sessions_are_revoked_by_time(world):
    """S80: those issued later pass; long-term keys do not care."""
    run1 = world.sts.authenticate(world.run1()).principal
    assert can(world, run1)
    until = world.sts.revoke_sessions(DEP)
    assert not can(world, run1)
    assert not can(world, world.sts.authenticate(world.run1()).principal)  # of the same second
    world.clock.now = until
    assert can(world, world.sts.authenticate(world.run1()).principal)
    world.sts.revoke_sessions(DEP)  # again, in place of the policy before
    assert [p.policy.name for p in world.directory.tables.entities[DEP].inline].count("AWSRevokeOlderSessions") == 1


def test_revoke_sessions_of_other_principals_is_an_error(world):
    linked = f"arn:aws:iam::{A}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"
    world.directory.add_principal(linked)
    for arn in (linked, ANA, f"arn:aws:iam::{A}:role/None"):
        assert invalid(world.sts.revoke_sessions, arn) == "6.7"


def test_a_session_is_revoked_by_name(world):
    """S81: for that resource."""
    run1, run2 = (world.sts.assume_role(ANA, DEP, name).session for name in ("run1", "run2"))
    deny = {"Effect": "Deny", "Principal": {"AWS": run1.arn}, "Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}
    world.directory.add_resource("arn:aws:s3:::b", account=A, policy=document(deny))
    assert (can(world, run1), can(world, run2)) == (False, True)


def test_a_deny_on_the_issuer_reaches_its_federated_users(world):
    """S81, S82."""
    kio = world.sts.get_federation_token(ANA, "kio", policy=document(ALL)).session
    assert can(world, kio)
    world.directory.put_inline_policy(ANA, "stop", document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}))
    assert not can(world, kio)


@pytest.mark.parametrize("what", ["disabled", "deleted"])
def test_a_key_that_goes_takes_along_what_it_issued(world, what):
    """7.9."""
    key = world.sts.keys.create(ANA)
    token = world.sts.get_session_token(key).credentials
    kio = world.sts.get_federation_token(key, "kio", policy=document(ALL)).credentials
    role = world.sts.assume_role(key, DEP, "run1").credentials
    if what == "disabled":
        world.sts.keys.set_status(key.access_key_id, "Inactive")
    else:
        world.sts.keys.delete(key.access_key_id)
    for credentials in (token, kio):
        with pytest.raises(AuthenticationError) as error:
            world.sts.authenticate(credentials)
        assert error.value.reason == "inactive_key"
    assert world.sts.authenticate(role)  # its issuer is the role
    with pytest.raises(AuthenticationError):
        world.sts.assume_role(key, DEP, "run1")


def test_recreated_role_does_not_inherit_sessions(world):
    """6.7."""
    credentials = world.run1()
    world.directory.set_trust_policy(CHAIN, trusting(ANA))
    world.directory.delete_inline_policy(DEP, "identity_policies[0]")
    world.directory.delete_principal(DEP)
    with pytest.raises(AuthenticationError, match="not there any more"):
        world.sts.authenticate(credentials)
    world.directory.add_principal(DEP, unique_id="AROANEW", trust_policy=trusting(ANA))
    with pytest.raises(AuthenticationError, match="not there any more"):
        world.sts.authenticate(credentials)
    assert world.sts.authenticate(world.run1())


def test_a_caller_that_is_kept_is_asked_for_again(world):
    """6.7: another role of the same name did not issue these credentials."""
    caller = world.sts.authenticate(world.sts.assume_role(ANA, DEP, "run1").credentials)
    assert world.sts.get_caller_identity(caller).arn.endswith("assumed-role/Dep/run1")
    for policy in world.directory.snapshot().tables.entities[DEP].inline:
        world.directory.delete_inline_policy(DEP, policy.policy.name)
    world.directory.delete_principal(DEP)
    world.directory.add_principal(DEP, unique_id="AROANEW", trust_policy=trusting(ANA), identity_policies=[document(ALL)])
    with pytest.raises(AuthenticationError, match="not there any more"):
        world.sts.assume_role(caller, CHAIN, "run2")


def test_caller_identity_of_an_unknown_user_is_refused(world):
    """6.7."""
    with pytest.raises(AuthenticationError, match="is unknown"):
        world.sts.get_caller_identity(f"arn:aws:iam::{A}:user/nobody")
