"""Console federation: sign-in tokens and the SAML sign-in endpoint (federation.md, chapter 8)."""

from __future__ import annotations

import pytest
from saml_world import CORP, DEV, OPS, SamlWorld, good
from sts_fixture import ALL, ANA, A, document, trusting

from fastiam.federation import ExpiredTokenError, IdentityTokenError
from fastiam.sts import StsError, ValidationError

HOME = "https://console.example/home"
CHAIN = f"arn:aws:iam::{A}:role/Chain"


@pytest.fixture
def world() -> SamlWorld:
    made = SamlWorld({"console_destinations": [HOME]})
    made.directory.add_principal(ANA, unique_id="AIDAANA", identity_policies=[document(ALL)])
    made.directory.add_principal(CHAIN, unique_id="AROACHAIN", trust_policy=trusting(ANA, DEV))
    made.directory.put_inline_policy(DEV, "all", document(ALL))
    return made


def test_signin_token_becomes_a_console_session_once(world):
    """CF10, CF12, F190."""
    made = world.assume(good())
    token = world.federation.signin_token(made.credentials, 7200)
    assert str(made.credentials.session_token) not in token and repr(token) == "<secret>"
    session = world.federation.console_login(token, HOME)
    assert session.caller.arn == made.arn and session.destination == HOME
    assert (session.caller.expires_at - world.clock()).total_seconds() == 7200  # it outlives the credentials
    with pytest.raises(IdentityTokenError):
        world.federation.console_login(token, HOME)
    assert [event.kind for event in world.events[2:]] == ["GetSigninToken", "ConsoleLogin", "ConsoleLogin"]


def test_console_session_ends_by_revocation_of_its_role_session(world):
    """CF12: the session of the engine is the same."""
    made = world.assume(good())
    session = world.federation.console_login(world.federation.signin_token(made.credentials), HOME)
    sts = world.federation.sts
    assert session.caller.expires_at == made.credentials.expiration
    assert sts.engine.is_allowed(session.caller.principal, "s3:GetObject", "arn:aws:s3:::b/k", now=world.clock())
    sts.revoke_sessions(DEV)
    assert not sts.engine.is_allowed(session.caller.principal, "s3:GetObject", "arn:aws:s3:::b/k", now=world.clock())


def test_signin_token_expires_after_15_minutes(world):
    token = world.federation.signin_token(world.assume(good()).credentials)
    world.clock.tick(900)
    with pytest.raises(ExpiredTokenError):
        world.federation.console_login(token, HOME)


@pytest.mark.parametrize("change", [lambda text: text[:-8] + "AAAAAAA=", lambda text: "x", lambda text: "é", lambda text: ""])
def test_altered_signin_token_is_refused(world, change):
    token = world.federation.signin_token(world.assume(good()).credentials)
    with pytest.raises(IdentityTokenError):
        world.federation.console_login(change(token), HOME)


def test_destination_outside_the_console_is_refused(world):
    token = world.federation.signin_token(world.assume(good()).credentials)
    for destination in ("https://evil.example", HOME + "/", HOME + "@evil.example", ""):
        with pytest.raises(ValidationError):
            world.federation.console_login(token, destination)
    assert world.federation.console_login(token, HOME).destination == HOME  # the refusals did not spend it


def test_credentials_of_other_kinds_are_refused(world):
    """CF11, F190."""
    sts = world.federation.sts
    key = sts.keys.create(ANA)
    with pytest.raises(ValidationError):
        world.federation.signin_token(key)
    with pytest.raises(ValidationError):
        world.federation.signin_token(sts.get_session_token(key).credentials)
    federated = sts.get_federation_token(key, "kio").credentials
    with pytest.raises(ValidationError):
        world.federation.signin_token(federated, 3600)
    assert world.federation.console_login(world.federation.signin_token(federated), HOME)


def test_session_duration_needs_a_role_that_is_not_chained(world):
    """CF11: a role assumed by a user may choose, one assumed by a role may not."""
    sts = world.federation.sts
    direct = sts.assume_role(ANA, CHAIN, "run1").credentials
    assert world.federation.signin_token(direct, 43_200)
    chained = sts.assume_role(world.assume(good()).credentials, CHAIN, "run2").credentials
    with pytest.raises(ValidationError):
        world.federation.signin_token(chained, 3600)
    assert world.federation.signin_token(chained)
    for seconds in (899, 43_201):
        with pytest.raises(ValidationError):
            world.federation.signin_token(direct, seconds)


def test_saml_sign_in_redeems_and_ignores_the_role_maximum(world):
    """CF20."""
    both = {"roles": [f"{DEV},{CORP}", f"{OPS},{CORP}"], "attributes": {"SessionDuration": ["28800"]}}
    session = world.federation.console_sign_in(DEV, CORP, good(**both), relay_state=HOME)
    assert (session.caller.expires_at - world.clock()).total_seconds() == 28_800 and session.destination == HOME
    with pytest.raises(IdentityTokenError):
        world.assume(good(**both), OPS)
    ends = good(id="_2", authn=[{"ends": 600}])
    session = world.federation.console_sign_in(DEV, CORP, ends, relay_state="https://evil.example")
    assert (session.caller.expires_at - world.clock()).total_seconds() == 600 and session.destination == ""


def test_console_is_off_by_default():
    world = SamlWorld()
    calls = (
        lambda: world.federation.signin_token(world.assume(good()).credentials),
        lambda: world.federation.console_login("x", HOME),
        lambda: world.federation.console_sign_in(DEV, CORP, good()),
    )
    for call in calls:
        with pytest.raises(StsError) as error:
            call()
        assert error.value.rule == "CF10"
