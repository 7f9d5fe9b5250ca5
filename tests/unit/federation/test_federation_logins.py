"""What federation verifies for packages on top of it: logins to identity pools, and tokens by keys of our own."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from oidc_world import WEB, OidcWorld, jwk
from saml_world import CORP, SamlWorld, good, metadata, rsa_key
from sts_fixture import A, B

from fastiam.credentials.secret import Secret, takes_secrets
from fastiam.federation import IdentityTokenError
from fastiam.federation.audit import Entry
from fastiam.federation.saml import SamlLogin
from fastiam.sts import ValidationError

COGNITO = "cognito-identity.amazonaws.com"


def login(world: SamlWorld, response: str, account: str = A) -> SamlLogin:
    return world.federation.verifiers.saml.verify_login(CORP, account, response, world.clock(), Entry())


def test_saml_login_needs_no_role_and_spends_nothing():
    world = SamlWorld()
    response = good(roles=[], name_id="eva", name_id_format="f", attributes={"urn:x": ["a", "b"], "urn:y": ["c"]})
    for _ in range(2):
        found = login(world, response)
        assert (found.subject, found.subject_format) == ("eva", "f")
        assert found.attributes["urn:x"] == ["a", "b"] and found.attributes["urn:y"] == "c"
        world.clock.tick(1)
    assert found.provider_id == world.directory.tables.saml_providers[CORP].unique_id


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"name_id": None}, "SA38"),
        ({"encrypt": {}}, "SA61"),
        ({"issuer": "https://evil.example"}, "SA30"),
        ({"signing": {"key": rsa_key("evil").private}}, "2.4"),
        ({"confirmation_ends": -61}, "SA31"),
    ],
)
def test_wrong_saml_login_is_refused(changes, rule):
    with pytest.raises(IdentityTokenError) if rule != "SA31" else pytest.raises(Exception, match="expired") as error:
        login(SamlWorld(), good(**changes))
    assert error.value.rule == rule


def test_saml_login_with_required_encryption_is_refused():
    world = SamlWorld()
    with pytest.raises(IdentityTokenError) as error:
        login(world, good(), B)
    assert error.value.rule == "IP41"
    world.federation.saml_providers.update(CORP, add_private_key=rsa_key("sp").pem)
    world.federation.saml_providers.update(CORP, encryption="Allowed")
    assert login(world, good()).subject == "eva"
    with pytest.raises(IdentityTokenError):
        login(world, good(encrypt={}))
    world.federation.saml_providers.update(CORP, encryption="Required")
    for response in (good(), good(encrypt={})):
        with pytest.raises(IdentityTokenError):
            login(world, response)
    with pytest.raises(ValidationError):
        login(world, "x" * 100_001)


def test_recreated_saml_provider_has_another_id():
    world = SamlWorld()
    first = login(world, good())
    world.federation.saml_providers.delete(CORP)
    world.federation.saml_providers.create(A, "Corp", metadata())
    assert login(world, good()).provider_id != first.provider_id


@pytest.mark.parametrize("configured", [None, json.dumps({"keys": [jwk("RSA 2", "k2")]})])
def test_own_keys_are_accepted_next_to_configured_keys(configured):
    world = OidcWorld(web_providers={} if configured is None else {COGNITO: configured})
    world.set_trust(COGNITO, ["sts:AssumeRoleWithWebIdentity"], {"StringEquals": {f"{COGNITO}:aud": "pool"}})
    own, foreign = (
        world.token(key=key, header={"kid": id_}, iss=f"https://{COGNITO}", aud="pool")
        for key, id_ in (("RSA", "k1"), ("RSA 2", "k2"))
    )
    assert world.outcome(own) == "InvalidIdentityToken"
    world.federation.verifiers.web.add_keys(COGNITO, lambda: json.dumps({"keys": [jwk("RSA", "k1")]}))
    assert world.outcome(own) == "OK"
    assert world.outcome(foreign) == ("InvalidIdentityToken" if configured is None else "OK")


@pytest.mark.parametrize("configured", ["x", "[]", '{"keys": 1}'])
def test_configured_keys_of_another_form_stay_refused(configured):
    world = OidcWorld(web_providers={COGNITO: configured})
    world.federation.verifiers.web.add_keys(COGNITO, lambda: json.dumps({"keys": [jwk("RSA", "k1")]}))
    assert world.outcome(world.token(iss=f"https://{COGNITO}", aud="pool"), role=WEB) == "InvalidIdentityToken"


def test_values_of_mappings_are_hidden():
    @takes_secrets(mappings=("logins",))
    def call(logins: object) -> object:
        return logins

    assert repr(call({"p": "token"})) == "{'p': <secret>}" and call(logins={"p": "token"}) == {"p": "token"}
    assert type(call("token")) is Secret and call(None) is None
    assert "token" not in repr(call({"p": b"token"}))


def test_event_of_a_call_has_the_account_that_it_finds():
    world = SamlWorld()
    with world.federation.verifiers.state.auditor.call("GetId", world.clock() + timedelta()) as entry:
        entry.account = B
    assert world.events[-1].account == B
