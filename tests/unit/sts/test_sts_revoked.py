"""Calls of STS use the current policies, access keys, users and identity providers (spec 6.7, S4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sts_fixture import ALL, ANA, BO, CHAIN, CHEAP, DEP, ROOT, A, B, World, denied, document, trusting

import fastiam
from fastiam.sts import STS, Assertion, AuthenticationError, Caller, ValidationError

PASSWORD = "correct Horse 7"


@pytest.fixture
def world() -> World:
    return World()


def refused(call, *args, **kwargs) -> str:
    """The reason of an authentication error."""
    with pytest.raises(AuthenticationError) as error:
        call(*args, **kwargs)
    return error.value.reason


# -- a live engine -----------------------------------------------------------------------------------------------------


def test_sts_with_a_stale_live_engine_uses_current_policies(world):
    """S4: without `watch` or `refresh`."""
    live = fastiam.LiveEngine(world.directory)
    sts = world.open(world.keyring, live=live)
    assert sts.assume_role(ANA, DEP, "run1") and sts.engine is live.engine and live.generation == 1
    world.directory.set_trust_policy(DEP, trusting(BO))
    assert denied(sts.assume_role, ANA, DEP, "run1").layer == "resource"
    assert sts.engine is live.engine and live.generation == 2


def test_revoke_sessions_with_a_live_engine_counts_immediately(world):
    """S80."""
    live = fastiam.LiveEngine(world.directory)
    sts = world.open(world.keyring, live=live)
    made = sts.assume_role(ANA, DEP, "run1")
    assert live.is_allowed(made.session, "s3:GetObject", "arn:aws:s3:::b/k")
    sts.revoke_sessions(DEP)
    assert not live.is_allowed(made.session, "s3:GetObject", "arn:aws:s3:::b/k")
    assert denied(sts.assume_role, made.credentials, CHAIN, "run2").layer == "identity"


def test_live_engine_over_another_source_lends_its_options(world, tmp_path):
    path = tmp_path / "iam.db"
    here = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    with fastiam.Directory.open(path) as directory:
        directory.add_principal(ANA)
        directory.add_principal(DEP, trust_policy=trusting(ANA, **here))
        with fastiam.LiveEngine(path, context_defaults={"aws:RequestedRegion": "eu-west-1"}) as live:
            sts = STS(directory, world.keyring, live=live, clock=world.clock)
            assert sts.assume_role(ANA, DEP, "run1")
            directory.set_trust_policy(DEP, trusting(ROOT))
            assert denied(sts.assume_role, ANA, DEP, "run1").layer == "identity"
            directory.set_trust_policy(DEP, trusting(ANA, **here))
            assert sts.assume_role(ANA, DEP, "run1") and live.generation == 1


def test_live_engine_over_a_saved_engine_is_refused(world, tmp_path):
    world.directory.compile().save(tmp_path / "engine")
    with pytest.raises(ValidationError, match="current policies"):
        world.open(world.keyring, live=fastiam.LiveEngine(tmp_path / "engine"))


# -- callers verified earlier -------------------------------------------------------------------------------------------


def delete_ana(world: World) -> None:
    """Delete the user `ana`."""
    world.directory.delete_inline_policy(ANA, "identity_policies[0]")
    world.directory.delete_principal(ANA)


GONE = {
    "the key is disabled": (lambda w, key: w.sts.keys.set_status(key, "Inactive"), "inactive_key"),
    "the key is deleted": (lambda w, key: w.sts.keys.delete(key), "inactive_key"),
    "the user is deleted": (lambda w, key: delete_ana(w), "inactive_key"),
    "another user has the name": (
        lambda w, key: (
            delete_ana(w),
            w.directory.add_principal(ANA, unique_id="AIDANEW", identity_policies=[document(ALL)]),
        ),
        "inactive_key",
    ),
}
CALLS = {
    "get_caller_identity": lambda sts, who: sts.get_caller_identity(who),
    "assume_role": lambda sts, who: sts.assume_role(who, DEP, "run1"),
    "get_session_token": lambda sts, who: sts.get_session_token(who),
    "get_federation_token": lambda sts, who: sts.get_federation_token(who, "kio"),
    "get_access_key_info": lambda sts, who: sts.get_access_key_info(who, who.access_key_id),
}


@pytest.mark.parametrize("how", GONE)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("source", ["secrets", "signatures"])
def test_caller_of_a_removed_key_or_user_is_refused(world, how, call, source):
    """6.7: a new user of the same name does not inherit it."""
    key = world.sts.keys.create(ANA)
    caller = world.sts.authenticate(key) if source == "secrets" else world.sts.secret_of(key.access_key_id)[0]
    assert CALLS[call](world.sts, caller)
    change, reason = GONE[how]
    change(world, key.access_key_id)
    assert refused(CALLS[call], world.sts, caller) == reason


def test_caller_of_a_key_deleted_in_another_process_is_refused(world, tmp_path):
    path = tmp_path / "iam.db"
    with fastiam.Directory.open(path) as here, fastiam.Directory.open(path) as there:
        here.add_principal(ANA)
        sts = STS(here, world.keyring, clock=world.clock)
        key = sts.keys.create(ANA)
        caller = sts.authenticate(key)
        STS(there, world.keyring, clock=world.clock).keys.delete(key.access_key_id)
        assert refused(sts.get_caller_identity, caller) == "inactive_key"


CREDENTIALS = {
    "key of a call": (lambda sts, key: sts.get_caller_identity(key), lambda sts, key: sts.keys.delete(key.access_key_id)),
    "password": (lambda sts, key: sts.passwords.verify(ANA, PASSWORD), lambda sts, key: sts.passwords.delete(ANA)),
    "old password": (
        lambda sts, key: sts.passwords.verify(ANA, PASSWORD),
        lambda sts, key: sts.passwords.set(ANA, PASSWORD + "!"),
    ),
    "password to change": (
        lambda sts, key: sts.passwords.change(ANA, PASSWORD, PASSWORD),
        lambda sts, key: sts.passwords.set(ANA, PASSWORD + "!"),
    ),
}


@pytest.mark.parametrize("what", CREDENTIALS)
def test_credentials_removed_in_another_process_are_refused(world, tmp_path, what):
    path = tmp_path / "iam.db"
    verify, remove = CREDENTIALS[what]
    with fastiam.Directory.open(path) as here, fastiam.Directory.open(path) as there:
        here.add_principal(ANA)
        sts, other = (STS(d, world.keyring, clock=world.clock, hasher=CHEAP) for d in (here, there))
        key = sts.keys.create(ANA)
        sts.passwords.set(ANA, PASSWORD)
        sts.authenticate(key)
        verify(sts, key)
        there.refresh()
        remove(other, key)
        assert refused(verify, sts, key) in ("unknown_key", "wrong_password")


def test_role_removed_from_an_instance_profile_is_refused(world, tmp_path):
    path, profile = tmp_path / "iam.db", f"arn:aws:iam::{A}:instance-profile/web"
    machine = f"arn:aws:ec2:us-east-1:{A}:instance/i-0123456789abcdef0"
    trusted = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    with fastiam.Directory.open(path) as here, fastiam.Directory.open(path) as there:
        here.add_principal(DEP, trust_policy=document(trusted))
        here.create_instance_profile(profile, role=DEP)
        sts = STS(here, world.keyring, clock=world.clock)
        assert sts.instance_credentials(profile, machine)
        there.refresh()
        there.remove_role_from_instance_profile(profile)
        with pytest.raises(ValidationError, match="no role is in the instance profile"):
            sts.instance_credentials(profile, machine)


def test_caller_with_the_key_of_another_user_is_refused(world):
    key = world.sts.keys.create(BO)
    assert refused(world.sts.get_caller_identity, Caller(ANA, key.access_key_id)) == "unknown_principal"


def test_caller_of_a_renamed_user_is_refused(world):
    """N34: the key follows the user; its credentials must be verified again."""
    key = world.sts.keys.create(BO)
    caller = world.sts.authenticate(key)
    renamed = world.directory.rename(BO, "bobby")
    assert refused(world.sts.get_caller_identity, caller) == "unknown_principal"
    assert world.sts.get_caller_identity(key).arn == renamed


# -- revocation --------------------------------------------------------------------------------------------------------


def issue_times(world) -> list[str]:
    """The issue times in the revocation policy of `Dep`."""
    policies = [
        stored.policy for stored in world.directory.tables.entities[DEP].inline if stored.name == "AWSRevokeOlderSessions"
    ]
    return [value for policy in policies for s in policy.statements for entry in s.conditions for value in entry.values]


def test_revoke_sessions_twice_keeps_the_later_instant(world):
    """S80: in both orders."""
    made = world.sts.assume_role(ANA, DEP, "run1")
    later = world.sts.revoke_sessions(DEP)
    assert world.sts.revoke_sessions(DEP, world.clock() - timedelta(days=1)) == later
    assert issue_times(world) == ["2026-01-01T00:00:01Z"]
    assert not world.sts.engine.is_allowed(made.session, "s3:GetObject", "arn:aws:s3:::b/k")
    assert world.sts.revoke_sessions(DEP, world.clock() + timedelta(days=1)) == world.clock() + timedelta(days=1)
    assert issue_times(world) == ["2026-01-02T00:00:00Z"]


def test_revoke_sessions_keeps_foreign_statements(world):
    mine = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2027-01-01T00:00:00Z"}},
    }
    world.directory.put_inline_policy(DEP, "AWSRevokeOlderSessions", document(mine))
    for _ in range(2):
        world.sts.revoke_sessions(DEP)
    assert issue_times(world) == ["2027-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]


# -- identity providers (IP41) -----------------------------------------------------------------------------------------

WEB = f"arn:aws:iam::{A}:role/Web"
SAML, OIDC = "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"


def provider(kind: str, account: str = A, partition: str = "aws") -> str:
    name = "saml-provider/idp" if kind == SAML else "oidc-provider/oidc.example.org"
    return f"arn:{partition}:iam::{account}:{name}"


def trust(world: World, *providers: str, call: str, role: str = WEB) -> None:
    statement = {"Effect": "Allow", "Principal": {"Federated": list(providers)}, "Action": call}
    world.directory.add_principal(role, trust_policy=document(statement))


def create(world: World, call: str, arn: str) -> None:
    (world.directory.create_saml_provider if call == SAML else world.directory.create_oidc_provider)(arn)


def assume(world: World, call: str, arn: str, role: str = WEB):
    method = world.sts.assume_role_with_saml if call == SAML else world.sts.assume_role_with_web_identity
    return method(Assertion(provider=arn, session_name="web"), role)


@pytest.mark.parametrize("call", [SAML, OIDC])
def test_assume_role_with_a_missing_provider_is_refused(world, call):
    """IP41, IP42: a trust policy that names it does not help; deletion counts with the next call."""
    arn = provider(call)
    trust(world, arn, call=call)
    with pytest.raises(AuthenticationError) as error:
        assume(world, call, arn)
    assert (error.value.reason, error.value.rule, error.value.code) == ("unknown_provider", "IP41", "InvalidIdentityToken")
    create(world, call, arn)
    made = assume(world, call, arn)
    world.directory.delete_provider(arn)
    assert refused(assume, world, call, arn) == "unknown_provider"
    assert world.sts.get_caller_identity(made.credentials).arn == made.arn  # IP3: sessions that exist go on


@pytest.mark.parametrize("call", [SAML, OIDC])
@pytest.mark.parametrize(("account", "partition"), [(B, "aws"), (A, "aws-cn")])
def test_assume_role_with_a_foreign_provider_is_refused(world, call, account, partition):
    """IP41."""
    own, foreign = provider(call), provider(call, account, partition)
    for arn in (own, foreign):
        create(world, call, arn)
    trust(world, own, foreign, call=call)
    assert assume(world, call, own)
    assert refused(assume, world, call, foreign) == "unknown_provider"


def test_assume_role_checks_the_provider_before_the_role(world):
    """Step 3 of 2.1: a caller without a provider learns nothing about roles."""
    assert refused(assume, world, SAML, provider(SAML), f"arn:aws:iam::{A}:role/None") == "unknown_provider"


def test_built_in_provider_outside_partition_aws_is_refused(world):
    """IP40."""
    role = f"arn:aws-cn:iam::{A}:role/Web"
    trust(world, "accounts.google.com", call=OIDC)
    trust(world, "accounts.google.com", call=OIDC, role=role)
    assert assume(world, OIDC, "accounts.google.com")
    assert refused(assume, world, OIDC, "accounts.google.com", role) == "unknown_provider"


@pytest.mark.parametrize("name", ["idp.example.org", "*", "ec2.amazonaws.com", ANA, "arn:x"])
@pytest.mark.parametrize("call", [SAML, OIDC])
def test_assume_role_with_another_principal_is_refused(world, call, name):
    trust(world, provider(call), call=call)
    with pytest.raises((ValidationError, fastiam.RequestValueError)):
        assume(world, call, name)
