"""Attacks on identity pools: forged, foreign and stale logins, roles out of reach, guests, and what events and errors show."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jwt
import pytest
from identity_world import BACKEND, COGNITO, CORP, NAMES, IdentityWorld, P, issuer_key, refused, role
from saml_world import encoded, good, response_tree, rsa_key

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.sts import StsError


@pytest.fixture(scope="module")
def shared() -> IdentityWorld:
    """A world for tests that are refused before anything is written."""
    return IdentityWorld({"allow_classic_flow": True})


@pytest.fixture
def world() -> IdentityWorld:
    return IdentityWorld({"allow_classic_flow": True})


# -- logins -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("P", {"by": "P2"}),  # the right claims by the key of another pool
        ("P", {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123/"}),
        ("P", {"exp": 1}),
        ("P", {"aud": ["c"]}),
        ("P", {"sub": ""}),
        ("P", {"sub": None}),
        ("oidc", {"aud": "app2"}),
        ("oidc", {"aud": "app1", "azp": "app2"}),
        ("oidc", {"by": "google"}),
        ("oidc", {"iss": "https://oidc.example/"}),
        ("oidc", {"iss": f"https://{P}"}),
        ("oidc", {"exp": 1}),
        ("oidc", {"nbf": 99_999_999_999}),
        ("google", {"aud": "g3"}),
        ("google", {"aud": "g1;g2"}),
        ("google", {"azp": "g3"}),
        ("google", {"iss": "accounts.google.com.evil"}),
        ("google", {"by": "oidc"}),
        ("facebook", {"app": "f2"}),
        ("Corp", {"issuer": "https://evil.example"}),
        ("Corp", {"name_id": None}),
        ("Corp", {"name_id": " eva"}),
        ("Corp", {"not_on_or_after": -61}),
        ("Corp", {"audiences": [["urn:other"]]}),
        ("Corp", {"signing": {"key": rsa_key("evil").private}}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_wrong_login_is_refused(shared, name, given):
    error = refused(shared, shared.get_id, **{name: given})
    assert error.code == "NotAuthorizedException"


def test_correct_logins_are_accepted(shared):
    """The attacks above differ from these in one point."""
    for described in (
        {"P": {}},
        {"oidc": {}},
        {"google": {}},
        {"google": {"aud": "x", "azp": "g2"}},
        {"facebook": {}},
        {"Corp": {}},
    ):
        identity = shared.get_id(**described)
        assert shared.credentials(identity, **described).identity_id == identity


def test_encrypted_assertion_is_refused(shared):
    text = good(shared.clock(), encrypt={})
    assert refused(shared, shared.get_id, Corp=text).rule == "SA61"


def test_unsigned_assertion_is_refused(shared):
    text = encoded(response_tree(shared.clock(), signed=()))
    assert refused(shared, shared.get_id, Corp=text).code == "NotAuthorizedException"


@pytest.mark.parametrize("name", ["dev", "own", "P2", "oidc-arn"])
def test_login_of_a_provider_that_is_not_configured_is_refused(shared, name):
    """Public calls that give out ids do not take developer users and developer tokens."""
    call = shared.pools.get_id
    error = refused(shared, call, shared.q, {NAMES[name]: "user"})
    assert (error.code, error.rule) == ("NotAuthorizedException", "ID13")


def test_one_wrong_login_refuses_the_call(shared):
    error = refused(shared, shared.get_id, P={}, oidc={"aud": "app2"})
    assert (error.code, error.rule) == ("NotAuthorizedException", "WI23")


def test_token_under_the_key_of_another_provider_is_refused(shared):
    """A token is tried only against the provider that its key names."""
    for name, of in (("oidc", "P"), ("P", "oidc"), ("google", "oidc"), ("Corp", "P")):
        refused(shared, shared.pools.get_id, shared.q, {NAMES[name]: shared.login(of, {})})


def test_provider_of_another_account_is_refused(world):
    """Even if the record of the pool names it: an import may have written it."""
    other = CORP.replace("111111111111", "222222222222")
    world.federation.saml_providers.create("222222222222", "Corp", world.directory.tables.saml_providers[CORP].metadata)
    with pytest.raises(CognitoError, match="account"):
        world.create(saml_provider_arns=[other])
    pool = replace(world.directory.tables.identity_pools[world.q], saml_provider_arns=(other,))
    world.directory.replace_identity_pool(pool)
    response = good(world.clock(), roles=[])
    assert refused(world, world.pools.get_id, world.q, {other: response}).rule == "IP41"


def test_provider_that_was_deleted_is_refused(world):
    world.directory.delete_provider(NAMES["oidc-arn"])
    assert refused(world, world.get_id, oidc={}).rule == "IP41"
    world.federation.saml_providers.delete(CORP)
    assert refused(world, world.get_id, Corp={}).rule == "IP41"


def test_user_pool_that_was_deleted_is_refused(world):
    token = world.login("P", {})
    with world.state.transaction():
        world.state.store.delete_pool(world.user_pool(P))
    assert refused(world, world.pools.get_id, world.q, {P: token}).code == "NotAuthorizedException"


def test_rotated_out_key_of_a_user_pool_is_refused_after_a_day(world):
    from fastiam.cognito.user_pools.keys import make_keys, put_keys

    token = world.login("P", {"exp": int(world.clock().timestamp()) + 172_800})
    made = make_keys(world.state, world.user_pool(P))
    with world.state.transaction():
        put_keys(world.state, world.user_pool(P), made)
    world.clock.tick(86_399)
    world.pools.get_id(world.q, {P: token})
    world.clock.tick(1)
    assert refused(world, world.pools.get_id, world.q, {P: token}).code == "NotAuthorizedException"


# -- whose identity it is -----------------------------------------------------------------------------------------------------


def test_unlinked_login_opens_the_identity_no_more(world):
    both = {"P": {}, "oidc": {}}
    identity = world.get_id(**both)
    world.pools.unlink_identity(identity, world.logins(both), [P])
    assert refused(world, world.credentials, identity, P={}).rule == "ID20"
    assert world.get_id(P={}) != identity
    assert world.credentials(identity, oidc={}).identity_id == identity


def test_identity_without_logins_is_inaccessible_for_good(world):
    identity = world.get_id(P={})
    world.pools.unlink_identity(identity, world.logins({"P": {}}), [P])
    assert refused(world, world.credentials, identity, P={}).rule == "ID11"
    assert refused(world, world.credentials, identity).rule == "ID20"
    backend = world.pools.get_open_id_token_for_developer_identity
    assert refused(world, backend, world.q, {BACKEND: "ana"}, identity_id=identity).rule == "ID11"


def test_unlinking_needs_a_login_of_the_identity(world):
    identity = world.get_id(P={}, oidc={})
    call = world.pools.unlink_identity
    for described in ({}, {"google": {}}, {"P": {}, "google": {}}, {"P": {"sub": "u2"}}):
        assert refused(world, call, identity, world.logins(described), [P]).code == "NotAuthorizedException"
    for names in ([], [NAMES["google"]], [P, NAMES["google"]]):
        assert refused(world, call, identity, world.logins({"P": {}}), names).code == "ResourceNotFoundException"


def test_public_call_does_not_unlink_developer_users(world):
    identity = world.pools.get_open_id_token_for_developer_identity(
        world.q, {BACKEND: "ana", **world.logins({"P": {}})}
    ).identity_id
    error = refused(world, world.pools.unlink_identity, identity, world.logins({"P": {}}), [BACKEND])
    assert error.code == "ResourceNotFoundException"


def test_foreign_login_does_not_take_an_identity_over(world):
    """A login of the attacker, with or without an identity of its own, proves nothing about another identity."""
    victim, _ = world.get_id(P={"sub": "victim"}), world.get_id(oidc={"sub": "known"})
    for sub in ("new", "known"):
        assert refused(world, world.credentials, victim, oidc={"sub": sub}).rule == "ID20"
    assert refused(world, world.credentials, victim, P={"sub": "attacker"}).code == "ResourceConflictException"


def test_identity_of_another_pool_is_refused(world):
    other = world.create(identity_pool_name="Q2").identity_pool_id
    mine = world.pools.get_id(other, world.logins({"P": {}}))
    error = refused(world, world.credentials, mine, P={})  # Q2 has no roles: the id alone decides which pool it is
    assert error.code == "InvalidIdentityPoolConfigurationException"
    assert world.get_id(P={}) != mine
    call = world.pools.get_open_id_token_for_developer_identity
    assert refused(world, call, world.q, {BACKEND: "ana"}, identity_id=mine).code == "ResourceNotFoundException"
    unlink = world.pools.unlink_developer_identity
    assert refused(world, unlink, mine, world.q, BACKEND, "ana").code == "ResourceNotFoundException"


def test_merged_identity_is_disabled_everywhere(world):
    world.get_id(P={})
    world.clock.tick(1)
    made = world.pools.get_open_id_token_for_developer_identity(world.q, {BACKEND: "ana"}, token_duration=3_600)
    lost = made.identity_id
    world.credentials(lost, own=str.__str__(made.token), P={})  # merges into the older one
    calls = [
        (world.credentials, {"own": str.__str__(made.token)}),
        (world.credentials, {"P": {}}),
        (world.credentials, {}),
    ]
    for call, described in calls:
        assert refused(world, call, lost, **described).rule == "ID22"
    assert refused(world, world.pools.get_open_id_token, lost, world.logins({"P": {}})).rule == "ID22"
    assert refused(world, world.pools.unlink_identity, lost, world.logins({"P": {}}), [P]).rule == "ID22"
    assert world.pools.describe_identity(lost).is_disabled


def test_guest_that_signed_in_is_disabled(world):
    guest = world.get_id()
    known = world.get_id(P={})
    assert world.credentials(guest, P={}).identity_id == known
    assert refused(world, world.credentials, guest).rule == "ID22"


def test_guests_are_refused_once_the_pool_forbids_them(world):
    guest = world.get_id()
    world.pools.update_identity_pool(world.q, "Q", False, allow_classic_flow=True)
    for call in (world.credentials, world.pools.get_open_id_token):
        assert refused(world, call, guest).code == "NotAuthorizedException"


@pytest.mark.parametrize("id_", ["", "us-east-1:1", "us-east-1:" + "0" * 36, "x" * 200, "us-east-1:../" + "0" * 30, None, 7])
def test_id_of_another_form_is_invalid(shared, id_):
    assert refused(shared, shared.pools.get_credentials_for_identity, id_).code == "InvalidParameterException"


def test_unknown_ids_are_not_found(shared):
    unknown = "us-east-1:00000000-0000-4000-8000-000000000000"
    for call in (shared.pools.get_credentials_for_identity, shared.pools.get_open_id_token, shared.pools.get_id):
        assert refused(shared, call, unknown).code == "ResourceNotFoundException"


# -- developer tokens ---------------------------------------------------------------------------------------------------------


def token_of(world: IdentityWorld, user: str = "ana", **options: Any) -> tuple[str, str]:
    """A developer token, and the identity that it is of."""
    made = world.pools.get_open_id_token_for_developer_identity(world.q, {BACKEND: user}, **options)
    return str.__str__(made.token), made.identity_id


def forged(world: IdentityWorld, token: str, *, key: Any = None, header: Mapping[str, Any] = {}, **changes: Any) -> str:
    """The claims of a token with changes, signed by a key of the attacker."""
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    head = {"kid": jwt.get_unverified_header(token)["kid"]} | header
    head = {name: value for name, value in head.items() if value is not None}
    return jwt.encode(claims, issuer_key("evil") if key is None else key, algorithm=head.pop("alg", "RS512"), headers=head)


def test_forged_developer_token_is_refused(world):
    token, identity = token_of(world)
    public = json.loads(world.pools.jwks())["keys"][0]
    head, payload, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    tokens = {
        "another key": forged(world, token),
        "no key id": forged(world, token, header={"kid": None}),
        "RS256": forged(world, token, header={"alg": "RS256"}),
        "HS512": forged(world, token, key="x" * 64 + public["n"], header={"alg": "HS512"}),
        "none": f"{none}.{payload}.",
        "none with signature": f"{none}.{payload}.{signature}",
        "jwk": forged(world, token, header={"jwk": public}),
        "truncated": token[:-4],
        "payload of another user": f"{head}.{token_of(world, 'eve')[0].split('.')[1]}.{signature}",
        "text": "x",
    }
    for text in tokens.values():
        assert refused(world, world.credentials, identity, own=text).code == "NotAuthorizedException"
    assert world.credentials(identity, own=token).identity_id == identity


def test_developer_token_of_another_identity_or_pool_is_refused(world):
    _, identity = token_of(world)
    assert refused(world, world.credentials, identity, own=token_of(world, "eve")[0]).code == "NotAuthorizedException"
    other = world.create(identity_pool_name="Q2").identity_pool_id
    foreign = world.pools.get_open_id_token_for_developer_identity(other, {BACKEND: "ana"})
    assert refused(world, world.credentials, identity, own=str.__str__(foreign.token)).code == "NotAuthorizedException"


def test_token_of_the_classic_flow_is_no_developer_token(world):
    """Neither a guest's nor that of another login, whatever its provider is called."""
    guest = world.get_id()
    token = world.pools.get_open_id_token(guest).token
    assert refused(world, world.credentials, guest, own=str.__str__(token)).rule == "5.5"
    identity = world.get_id(P={})
    token = world.pools.get_open_id_token(identity, world.logins({"P": {}})).token
    assert refused(world, world.credentials, identity, own=str.__str__(token)).rule == "5.5"


def test_developer_token_of_an_unlinked_user_is_refused(world):
    token, identity = token_of(world, token_duration=86_400)
    world.pools.unlink_developer_identity(identity, world.q, BACKEND, "ana")
    assert refused(world, world.credentials, identity, own=token).rule == "ID20"


def test_developer_token_expires_at_the_instant(world):
    token, identity = token_of(world, token_duration=60)
    world.clock.tick(59)
    world.credentials(identity, own=token)
    world.clock.tick(1)
    assert refused(world, world.credentials, identity, own=token).code == "NotAuthorizedException"


def test_developer_token_of_a_foreign_cognito_is_refused(world):
    """STS may trust keys of another Cognito; logins of identity pools do not."""
    token, identity = token_of(world)
    text = forged(world, token, key=issuer_key("foreign"), header={"kid": "foreign"})
    from identity_world import jwks

    world.federation.verifiers.web.add_keys(COGNITO, lambda: jwks("foreign"))
    world.federation.verify_web_identity(role("Auth"), "run1", text)
    assert refused(world, world.credentials, identity, own=text).code == "NotAuthorizedException"


@pytest.mark.parametrize("name", [COGNITO, "accounts.google.com", "authenticated", "unauthenticated", "a/b", "a:b", ""])
def test_developer_provider_cannot_have_the_name_of_another_one(shared, name):
    if name:
        assert refused(shared, shared.create, developer_provider_name=name).code == "InvalidParameterException"
    else:
        assert shared.create(developer_provider_name=name).developer_provider_name == ""
    assert refused(shared, shared.create, developer_provider_name="oidc.example").code == "InvalidParameterException"


# -- limits and secrets -------------------------------------------------------------------------------------------------------


def test_limits_of_logins(shared):
    for logins in ({f"p{n}": "t" for n in range(11)}, {"p": "t" * 50_001}, {"p": ""}, {"p": b"t"}, {3: "t"}, "text", ["a"]):
        with pytest.raises(CognitoError) as error:
            shared.pools.get_id(shared.q, logins)
        assert error.value.code == "InvalidParameterException"


def test_errors_events_and_tracebacks_show_no_token(world):
    token = world.login("P", {"aud": "d"})
    developer, identity = token_of(world)
    for call in (
        lambda: world.pools.get_id(world.q, {P: token}),
        lambda: world.pools.get_credentials_for_identity(identity, {COGNITO: developer + "x"}),
        lambda: world.pools.get_id(world.q, {"p": "t", P: token * 60}),
    ):
        with pytest.raises(StsError) as error:
            call()
        shown = traceback.TracebackException.from_exception(error.value, capture_locals=True)
        inner = [frame for frame in shown.stack if "fastiam" in frame.filename]
        texts = str(error.value) + repr(world.events[-1]) + "".join(str(frame.locals) for frame in inner)
        for secret in (token, developer):
            assert secret.split(".")[2] not in texts and secret.split(".")[1] not in texts


def test_events_contain_a_hash_in_place_of_a_guests_id(world):
    guest = world.get_id()
    world.credentials(guest)
    with pytest.raises(NotAuthorizedError):
        world.pools.get_credentials_for_identity(guest, {P: "x"})
    for event in world.events[-3:]:
        assert guest not in repr(event) and event.details["identity"].startswith("hmac:")
    assert len({event.details["identity"] for event in world.events[-3:]}) == 1
    assert world.pools.logged_id(guest) == world.events[-1].details["identity"]
    identity = world.get_id(P={})
    assert world.events[-1].details["identity"] == identity == world.pools.logged_id(identity)
    assert world.pools.logged_id("eu-west-1:11111111-1111-4111-8111-111111111111").startswith("hmac:"), "it may be one elsewhere"


# -- request rates ----------------------------------------------------------------------------------------------------------


def test_hook_for_rates_refuses_public_calls_before_they_write():
    seen = []

    def admit(call, details):
        seen.append((call, details["source"]))
        return False

    world = IdentityWorld(admit=admit)
    calls = {
        "GetId": lambda: world.pools.get_id(world.q, source="192.0.2.1"),
        "GetCredentialsForIdentity": lambda: world.pools.get_credentials_for_identity(world.q, source="192.0.2.1"),
        "GetOpenIdToken": lambda: world.pools.get_open_id_token(world.q, source="192.0.2.1"),
        "UnlinkIdentity": lambda: world.pools.unlink_identity(world.q, {}, ["x"], source="192.0.2.1"),
    }
    assert {world.code(call) for call in calls.values()} == {"TooManyRequestsException"}
    assert seen == [(name, "192.0.2.1") for name in calls]
    assert world.pools.list_identities(world.q).identities == ()
