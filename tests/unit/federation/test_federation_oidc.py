"""AssumeRoleWithWebIdentity one behaviour at a time: providers, checkers of access tokens, keys, events and attacks."""

from __future__ import annotations

import hashlib
import json
import traceback
from typing import Any

import pytest
from oidc_world import CALLS, CLIENT, PROVIDER, URL, WEB, A, B, Issuer, OidcWorld, jwk
from sts_fixture import document

import fastiam
from fastiam.federation import (
    AccessToken,
    Expired,
    FederationSettings,
    FetchError,
    FetchResult,
    Rejected,
    Unreachable,
    WebIdentity,
    amazon_checker,
    facebook_checker,
)
from fastiam.sts import AccessDeniedError, ValidationError


def test_provider_of_another_account_is_not_found():
    """F080: although the trust policy names it."""
    world = OidcWorld()
    foreign = world.federation.oidc_providers.create(B, "https://b.example", client_ids=[CLIENT]).arn
    world.set_trust(foreign, CALLS, {})
    assert world.outcome(world.token(iss="https://b.example")) == "InvalidIdentityToken"
    assert world.events[-1].rule == "WI20" and world.issuer.asked == []


def test_deleted_provider_ends_acceptance_and_no_session():
    world = OidcWorld()
    made, arn = world.assume(), world.provider
    world.federation.oidc_providers.delete(arn)
    assert world.outcome() == "InvalidIdentityToken"
    assert world.sts.authenticate(made.credentials).arn == made.arn
    world.federation.oidc_providers.create(A, URL, client_ids=[CLIENT])
    rounds = world.issuer.rounds
    assert world.outcome() == "OK" and world.issuer.rounds == rounds + 1


def test_token_can_be_reused_until_it_expires_by_default():
    """F092."""
    world, single = OidcWorld(), OidcWorld(settings=FederationSettings(web_identity_single_use=True))
    token = world.token(jti="j1")
    assert [world.outcome(token), world.outcome(token)] == ["OK", "OK"]
    assert [single.outcome(token), single.outcome(token)] == ["OK", "InvalidIdentityToken"]
    assert single.events[-1].rule == "SA80"
    assert single.outcome(single.token(jti="j2")) == "OK"
    assert single.outcome(single.token()) == "InvalidIdentityToken" and single.events[-1].rule == "WI26"
    single.set_trust(PROVIDER, CALLS, {"StringEquals": {"oidc.example:sub": "u2"}})
    refused = single.token(jti="j3")
    assert single.outcome(refused) == "AccessDenied"
    single.set_trust(PROVIDER, CALLS, {})
    assert single.outcome(refused) == "OK"  # a refused call does not spend the token


def facebook(token: str, now: Any) -> AccessToken:
    """A checker of the tests; the token says what it answers."""
    errors: dict[str, Exception] = {"rejected": Rejected(), "expired": Expired(), "unreachable": Unreachable()}
    if token in errors:
        raise errors[token]
    return AccessToken("other-app" if token == "foreign" else "my-app", "user-7", now.replace(year=now.year + (token != "past")))


def test_access_tokens_are_checked_by_the_given_callable():
    """F094: without a condition on `app_id` the token of any application will do, and the trust policy has a finding."""
    name = "graph.facebook.com"
    world = OidcWorld(token_checkers={name: facebook})
    world.set_trust(name, CALLS[:1], {})
    assert "S42" in {finding.code for finding in world.directory.findings}
    made = world.assume("foreign", provider_id=name)
    assert (made.subject, made.provider, made.audience) == ("user-7", name, "other-app")
    assert made.session.context == {"aws:FederatedProvider": name, f"{name}:id": "user-7"}
    world.set_trust(name, CALLS[:1], {"StringEquals": {f"{name}:app_id": "my-app"}})
    for token, code in {
        "foreign": "AccessDenied",
        "good": "OK",
        "past": "ExpiredTokenException",
        "expired": "ExpiredTokenException",
        "rejected": "IDPRejectedClaim",
        "unreachable": "IDPCommunicationError",
    }.items():
        assert world.outcome(token, provider_id=name) == code
    assert world.outcome("good", provider_id="www.amazon.com") == "InvalidIdentityToken"
    assert world.outcome("good") == "InvalidIdentityToken"  # without `ProviderId` it is not a JWT
    china = "arn:aws-cn:iam::111111111111:role/Web"
    assert world.outcome("good", role=china, provider_id=name) == "InvalidIdentityToken"  # IP40


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"data": {"is_valid": True, "app_id": 12, "user_id": "u", "expires_at": 9_999_999_999}}, "12"),
        ({"data": {"is_valid": True, "app_id": "12", "user_id": "u", "expires_at": 0}}, "12"),
        ({"data": {"is_valid": False, "app_id": "12", "user_id": "u", "expires_at": 0}}, Rejected),
        ({"data": {"is_valid": True, "user_id": "u", "expires_at": 0}}, Rejected),
        ({"data": {"is_valid": True, "app_id": "12", "user_id": "u", "expires_at": 1e300}}, Rejected),
        ({"data": []}, Rejected),
        ([], Rejected),
        (400, Rejected),
        (503, Unreachable),
        (FetchError("refused", is_reachable=False), Unreachable),
        (FetchError("redirect", is_reachable=True), Rejected),
    ],
    ids=str,
)
def test_checker_of_facebook_reads_the_answer_strictly(answer, expected):
    urls = []

    def fetch(url, limits):
        urls.append(url)
        if isinstance(answer, Exception):
            raise answer
        return FetchResult(answer, b"{}") if isinstance(answer, int) else FetchResult(200, json.dumps(answer).encode())

    check, now = facebook_checker("app|secret", fetch), OidcWorld().clock()
    if isinstance(expected, str):
        assert check("a b&c", now).app_id == expected
    else:
        with pytest.raises(expected) as error:
            check("a b&c", now)
        assert "a b" not in repr(error.value) and "secret" not in repr(error.value)
    assert urls == ["https://graph.facebook.com/debug_token?input_token=a+b%26c&access_token=app%7Csecret"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "amzn1.app"),
        ({"exp": 0}, Expired),
        ({"iss": "https://www.amazon.example"}, Rejected),
        ({"exp": 1_900_000_000}, Rejected),
        ({"aud": None}, Rejected),
        ({"user_id": 7}, Rejected),
    ],
    ids=str,
)
def test_checker_of_amazon_reads_the_answer_strictly(changes, expected):
    answer = {"iss": "https://www.amazon.com", "user_id": "u", "aud": "amzn1.app", "exp": 60} | changes
    check = amazon_checker(lambda url, limits: FetchResult(200, json.dumps(answer).encode()))
    if isinstance(expected, str):
        assert check("t", OidcWorld().clock()).app_id == expected
    else:
        with pytest.raises(expected):
            check("t", OidcWorld().clock())


def test_missing_role_is_refused_like_one_that_does_not_trust():
    """F095, F203: only principals that may assume a role learn its maximum."""
    world, missing_role = OidcWorld(), f"arn:aws:iam::{A}:role/Nobody"
    assert world.outcome(duration=7200) == "ValidationError" and world.events[-1].rule == "S1"
    assert world.outcome(duration=7200, role=missing_role) == "AccessDenied"
    missing = world.events[-1]
    world.set_trust(PROVIDER, CALLS, {"StringEquals": {"oidc.example:sub": "u2"}})
    messages = []
    for role, duration in ((WEB, 7200), (WEB, None), (missing_role, 7200), (missing_role, None)):
        with pytest.raises(AccessDeniedError) as error:
            world.assume(role=role, duration=duration)
        messages.append(str(error.value).replace(role, "ROLE"))
    assert len(set(messages)) == 1
    assert (missing.rule, missing.code) == (world.events[-1].rule, world.events[-1].code)


def test_session_keeps_four_keys_of_the_token():
    """F097."""
    world = OidcWorld()
    session = world.assume(world.token(email="e@x.example", amr=["pwd"])).session
    assert session.context == {
        "aws:FederatedProvider": PROVIDER,
        "oidc.example:aud": "app1",
        "oidc.example:sub": "u1",
        "oidc.example:amr": ["pwd"],
    }
    for key, expected in {"sub": True, "email": False, "oaud": False, "aud": True}.items():
        value = {"sub": "u1", "email": "e@x.example"}.get(key, "app1")
        policy = document({"Effect": "Allow", "Action": "*", "Resource": "*"} | {
            "Condition": {"StringEquals": {f"oidc.example:{key}": value}}})  # fmt: skip
        world.directory.put_inline_policy(WEB, "all", policy)
        assert world.directory.compile().is_allowed(session, "s3:GetObject", "arn:aws:s3:::b/x") is expected, key


def google(**options: Any) -> OidcWorld:
    world = OidcWorld(**options)
    world.set_trust("accounts.google.com", CALLS, {"StringEquals": {"accounts.google.com:aud": "my-client"}})
    return world


def test_built_in_providers_are_off_until_configured():
    """IP40: then the trust policy alone decides on the audience."""
    changes = {"iss": "https://accounts.google.com", "aud": "x", "azp": "my-client", "email": "e@x.example"}
    world = google()
    assert world.outcome(world.token(**changes)) == "InvalidIdentityToken" and world.events[-1].rule == "WI20"
    world = google(web_providers={"accounts.google.com": json.dumps({"keys": [jwk("RSA")]})})
    made = world.assume(world.token(**changes))
    assert (made.provider, made.audience) == ("https://accounts.google.com", "my-client")
    assert made.session.context["aws:FederatedProvider"] == "accounts.google.com"
    assert world.federation.verify_web_identity(WEB, "run1", world.token(**changes)).keys == {
        "accounts.google.com:aud": "my-client",
        "accounts.google.com:oaud": "x",
        "accounts.google.com:sub": "u1",
        "accounts.google.com:email": "e@x.example",
    }
    assert world.outcome(world.token(**changes | {"iss": "accounts.google.com"})) == "OK"  # WI20
    assert world.outcome(world.token(**changes | {"azp": "other"})) == "AccessDenied"
    assert world.outcome(world.token(**changes | {"azp": ..., "aud": ["my-client"]})) == "OK"
    assert world.outcome(world.token(**changes | {"azp": ..., "aud": ["my-client", "x"]})) == "InvalidIdentityToken"
    assert world.outcome(world.token(**changes | {"iss": "https://accounts.google.com/"})) == "InvalidIdentityToken"
    china = "arn:aws-cn:iam::111111111111:role/Web"
    assert world.outcome(world.token(**changes), role=china) == "InvalidIdentityToken"
    assert world.issuer.asked == []


def test_provider_of_an_account_precedes_the_built_in_one():
    """IP21: a token of Google has one reading, by the account of the role."""
    world = google(web_providers={"accounts.google.com": json.dumps({"keys": [jwk("RSA")]})})
    token = world.token(iss="https://accounts.google.com", aud="my-client")
    assert world.outcome(token) == "OK"
    made = world.federation.oidc_providers.create(
        A, "https://accounts.google.com", client_ids=["my-client"], keys=json.dumps({"keys": [jwk("RSA")]})
    )
    assert world.outcome(token) == "AccessDenied", "the trust policy names the built-in provider"
    world.set_trust(made.arn, CALLS, {})
    assert world.assume(token).session.context["aws:FederatedProvider"] == made.arn
    assert world.outcome(world.token(iss="https://accounts.google.com", aud="other")) == "InvalidIdentityToken"


def test_keys_of_google_are_read_by_discovery():
    issuer = Issuer("https://accounts.google.com")
    world = google(issuer=issuer, web_providers={"accounts.google.com": ""})
    assert world.outcome(world.token(aud="my-client")) == "OK"
    assert issuer.asked == ["https://accounts.google.com/.well-known/openid-configuration", "https://accounts.google.com/jwks"]


def test_identity_pool_tokens_are_verified_with_configured_keys():
    name = "cognito-identity.amazonaws.com"
    world = OidcWorld(web_providers={name: lambda: json.dumps({"keys": [jwk("RSA 2")]})})
    trust = {"StringEquals": {f"{name}:aud": "us-east-1:p"}, "ForAnyValue:StringLike": {f"{name}:amr": "authenticated"}}
    world.set_trust(name, CALLS, trust)
    claims = {"iss": f"https://{name}", "aud": "us-east-1:p", "amr": ["authenticated", "x"]}
    assert world.outcome(world.token("RSA 2", **claims)) == "OK"
    assert world.outcome(world.token("RSA 2", **claims | {"iss": name})) == "InvalidIdentityToken"
    assert world.outcome(world.token("RSA", **claims)) == "InvalidIdentityToken"
    assert world.outcome(world.token("RSA 2", **claims | {"amr": ["unauthenticated"]})) == "AccessDenied"


@pytest.mark.parametrize(
    "options",
    [
        {"web_providers": {"cognito-identity.amazonaws.com": ""}},
        {"web_providers": {"www.amazon.com": ""}},
        {"web_providers": {"oidc.example": ""}},
        {"token_checkers": {"accounts.google.com": facebook}},
    ],
    ids=["pool", "amazon", "other", "checker"],
)
def test_other_built_in_providers_cannot_be_configured(options):
    with pytest.raises(ValidationError, match="IP40|WI70"):
        OidcWorld(**options)


def test_claims_that_the_operator_adds_become_keys():
    """WI50, O3: by issuer, and never those of the token itself."""
    settings = FederationSettings(web_identity_claims={"oidc.example": ["groups", "org_id", "aud"]})
    world = OidcWorld(settings=settings)
    identity = world.federation.verify_web_identity(WEB, "run1", world.token(org_id=7, groups=["a"]))
    assert identity.keys["oidc.example:org_id"] == "7"
    assert "oidc.example:groups" not in identity.keys and identity.keys["oidc.example:aud"] == "app1"


def test_verify_gives_an_assertion_that_sts_takes():
    """The two stages of FD1 give what the one call gives."""
    world = OidcWorld()
    identity = world.federation.verify_web_identity(WEB, "run1", world.token())
    assert isinstance(identity, WebIdentity) and identity.key_id == "k1" and identity.token_id == ""
    made = world.sts.assume_role_with_web_identity(identity, WEB)
    assert made.session == world.assume().session


def test_event_of_a_session_names_the_identity_and_no_token():
    world, token = OidcWorld(), OidcWorld().token()
    world.assume(token, source="192.0.2.7")
    event = world.events[-1]
    assert (event.kind, event.account, event.source, event.outcome) == ("AssumeRoleWithWebIdentity", A, "192.0.2.7", "success")
    assert event.details == {
        "role": WEB,
        "session_name": "run1",
        "token": hashlib.sha256(token.encode()).hexdigest()[:16],
        "provider": PROVIDER,
        "subject": "u1",
        "user_name": "u1",
        "audience": "app1",
        "key_id": "k1",
        "type": "WebIdentityUser",
        "principal_id": f"{URL}:app1:u1",
    }
    assert token not in repr(event)
    hashing = OidcWorld(settings=FederationSettings(hash_personal_data=True))
    hashing.assume()
    assert "u1" not in repr(hashing.events[-1])


def test_event_of_a_forged_token_names_no_person():
    world = OidcWorld()
    assert world.outcome(world.token("RSA attacker", sub="admin")) == "InvalidIdentityToken"
    assert "admin" not in repr(world.events[-1])


@pytest.mark.parametrize(
    "parts",
    [
        {"aud": "app2"},
        {"iss": 5},
        {"exp": 1},
        {"header": {"crit": ["x"]}},
        {"header": {"b64": True}},
        {"header": {"cty": "JWT"}},
        {"header": {"kid": 7}},
        {"key": "RSA 2"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("change", [str, str.encode, lambda token: token + "=", lambda token: token + ".e30"])
def test_traceback_of_a_refusal_shows_no_token(parts, change):
    world = OidcWorld()
    token = world.token(**parts)
    with pytest.raises(fastiam.FastiamError) as error:
        world.assume(change(token))
    frames = [frame for frame, _ in traceback.walk_tb(error.value.__traceback__)]
    own = [value for frame in frames if "/src/fastiam/" in frame.f_code.co_filename for value in frame.f_locals.values()]
    assert own and token.split(".")[2] not in repr(own)


@pytest.mark.parametrize(
    "raw", [b"a" * 1_000_000, "a" * 1_000_000, "." * 1_000_000, None, 7, b"\xff" * 10], ids=lambda v: repr(v)[:12]
)
def test_anything_else_than_a_token_is_refused_before_it_is_read(raw):
    world = OidcWorld()
    with pytest.raises(fastiam.FastiamError):
        world.assume(raw if raw is not None else [])
    assert world.issuer.asked == []


@pytest.mark.parametrize("key", ["RSA", "P-256"])
def test_token_with_any_other_character_is_refused(key):
    """Each place of a token is under the signature, or is the signature."""
    world = OidcWorld(issuer=Issuer(URL, jwk(key)))
    token = world.token(key)
    accepted = [
        place
        for place, old in enumerate(token)
        for new in {"A", "B", "-", "_", "."} - {old}
        if world.outcome(token[:place] + new + token[place + 1 :]) == "OK"
    ]
    assert world.outcome(token) == "OK" and accepted == []


def test_skew_can_be_lowered():
    """FD6."""
    world = OidcWorld(settings=FederationSettings(skew=0))
    assert world.outcome(world.token(iat=world.now + 1)) == "InvalidIdentityToken"
    assert world.outcome(world.token(iat=world.now)) == "OK"
