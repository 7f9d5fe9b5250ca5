"""User pools in the directory format: configuration is exported and loaded, users, keys and secrets are not."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from cognito_world import ACCOUNT, CS, PASSWORD, POOL, SECRET, START, C, World, secret_hash
from complete_directory import everything

import fastiam
from fastiam import Directory
from fastiam.cognito import UserPools
from fastiam.cognito.user_pools import NotAuthorizedError
from fastiam.directory.format_fields import POOL_PARTS, format_fields
from fastiam.directory.user_pool_records import Attribute, Client, PasswordRules, Pool, Provider, configuration_of
from fastiam.sts import Keyring, StsError


def loaded(tmp_path, text: str) -> Directory:
    path = tmp_path / "copy.json"
    path.write_text(text)
    return fastiam.load(path, mode="strict")


def configuration(directory: Directory):
    """The configuration of user pools; unique ids of providers are made anew by a load."""
    kept = configuration_of(directory._user_pools().tables)
    kept.providers = {key: replace(each, unique_id="") for key, each in kept.providers.items()}
    return kept


def configured() -> World:
    """A pool with a group, a domain, a resource server and an outside provider with a secret."""
    world = World(pool={"mfa_configuration": "OFF", "schema": [{"Name": "dept", "AttributeDataType": "String", "Mutable": True}]})
    of_pool, pools = {"user_pool_id": POOL}, world.pools
    pools.create_group(**of_pool, group_name="staff", precedence=1, role_arn=f"arn:aws:iam::{ACCOUNT}:role/Staff")
    pools.create_user_pool_domain(**of_pool, domain="app")
    scopes = [{"ScopeName": "read", "ScopeDescription": "Read"}]
    pools.create_resource_server(**of_pool, identifier="https://api.example", name="api", scopes=scopes)
    details = {
        "client_id": "app", "client_secret": "outsidesecret1", "oidc_issuer": "https://idp.example",
        "authorize_scopes": "openid", "attributes_request_method": "GET",
    }  # fmt: skip
    pools.create_identity_provider(
        **of_pool, provider_name="Corp", provider_type="OIDC", provider_details=details, attribute_mapping={"email": "email"}
    )
    pools.admin_add_user_to_group(**of_pool, username="ana", group_name="staff")
    world.tokens()
    return world


def test_load_of_an_export_gives_equal_configuration(tmp_path):
    world = configured()
    copy = loaded(tmp_path, world.directory.to_json())
    assert configuration(copy) == configuration(world.directory)
    assert copy.to_json() == world.directory.to_json()
    tables = copy._user_pools().tables
    assert tables.clients.keys() == {C, CS} and tables.groups and tables.domains and tables.resource_servers and tables.providers


def test_export_contains_no_user_key_or_secret():
    world = configured()
    tables, text = world.pools._state.tables, world.directory.to_json()
    secrets = [SECRET, "outsidesecret1", PASSWORD, "ana@x.example", *(user.sub for user in tables.users.values())]
    secrets += [key.kid for key in tables.signing_keys.values()] + [key.modulus for key in tables.signing_keys.values()]
    assert tables.signing_keys and tables.client_secrets and tables.provider_secrets and tables.sign_ins
    assert POOL in text and [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize("kind", [Pool, PasswordRules, Attribute, *(part.record for part in POOL_PARTS.values())])
def test_complete_directory_has_every_setting_of_user_pools(kind):
    """So that the tests of the format and of its schema see each of them."""
    pool = json.loads(everything().to_json())["user_pools"][0]
    part = next((table for table, each in POOL_PARTS.items() if each.record is kind), None)
    found = pool[part][0] if part else {Pool: pool, PasswordRules: pool["password_policy"], Attribute: pool["schema"][0]}[kind]
    assert {each.name for each in format_fields(kind)} == found.keys() - (POOL_PARTS.keys() if kind is Pool else set())


def test_pool_of_an_export_makes_new_keys_and_serves_users(tmp_path):
    world = configured()
    copy = loaded(tmp_path, world.directory.to_json())
    pools = UserPools(copy, Keyring.generate(), clock=lambda: world.now, audit=world.events.append, sender=world.sent.append)
    old = {key["kid"] for key in world.pools.get_jwks(POOL)["keys"]}
    assert len(pools.get_jwks(POOL)["keys"]) == 2 and old.isdisjoint(key["kid"] for key in pools.get_jwks(POOL)["keys"])
    with pytest.raises(NotAuthorizedError):
        pools.get_user(access_token=world.tokens()["AccessToken"])
    pools.sign_up(client_id=C, username="bob", password=PASSWORD, user_attributes=[{"Name": "email", "Value": "b@x.example"}])
    pools.confirm_sign_up(client_id=C, username="bob", confirmation_code=world.code())
    given = {"USERNAME": "bob", "PASSWORD": PASSWORD}
    tokens = pools.initiate_auth(client_id=C, auth_flow="USER_PASSWORD_AUTH", auth_parameters=given)["AuthenticationResult"]
    assert pools.get_user(access_token=tokens["AccessToken"])["Username"] == "bob"


def test_client_with_an_unknown_secret_needs_another_one(tmp_path):
    world = configured()
    copy = loaded(tmp_path, world.directory.to_json())
    pools = UserPools(copy, Keyring.generate(), clock=lambda: world.now, audit=world.events.append)
    pools.admin_create_user(user_pool_id=POOL, username="bob", message_action="SUPPRESS")
    pools.admin_set_user_password(user_pool_id=POOL, username="bob", password=PASSWORD, permanent=True)

    def sign_in(**more: str):
        given = {"USERNAME": "bob", "PASSWORD": PASSWORD, **more}
        return pools.initiate_auth(client_id=CS, auth_flow="USER_PASSWORD_AUTH", auth_parameters=given)

    for more in ({}, {"SECRET_HASH": secret_hash("bob", CS, SECRET)}, {"SECRET_HASH": secret_hash("bob", CS, "")}):
        with pytest.raises(NotAuthorizedError):
            sign_in(**more)
    for given in ({}, {"client_secret": SECRET}, {"client_secret": ""}):
        with pytest.raises(StsError) as error:
            pools.oauth_token({"grant_type": "refresh_token", "refresh_token": "x", "client_id": CS, **given})
        assert error.value.code == "invalid_client"
    new = pools.add_user_pool_client_secret(user_pool_id=POOL, client_id=CS)["ClientSecretDescriptor"]["ClientSecretValue"]
    assert "AuthenticationResult" in sign_in(SECRET_HASH=secret_hash("bob", CS, str(new)))
    assert not pools._state.tables.clients[CS].secret_missing


def test_export_import_and_copy_keep_user_pools(tmp_path):
    path = tmp_path / "store.db"
    world = World(directory=Directory.open(path))
    text = world.directory.to_json()
    with Directory.open(path, read_only=True) as other:  # knows nothing of user pools before
        assert other.to_json() == text
    copy = fastiam.load(path)
    assert copy.to_json() == text
    tables = copy._user_pools().tables
    assert not tables.users and not tables.signing_keys and tables == configuration_of(world.pools._state.tables)
    assert pickle.loads(pickle.dumps(copy)).to_json() == text
    (tmp_path / "copy.json").write_text(text)
    with Directory.open(tmp_path / "second.db") as second:
        fastiam.load(tmp_path / "copy.json", into=second)
    with Directory.open(tmp_path / "second.db") as second:
        assert second.to_json() == text


def test_export_of_a_saml_provider_keeps_its_key_certificate():
    directory = Directory()
    pool = Pool("us-east-1_a", "p", ACCOUNT, "aws", "us-east-1", "https://x.example", START, START)
    details = {"EncryptedResponses": "true", "ActiveEncryptionCertificate": "pem"}
    directory.add_user_pool(pool, [Provider(pool.id, "Idp", "SAML", "u", START, START, details)])
    exported = json.loads(directory.to_json())["user_pools"][0]["providers"][0]
    assert exported["provider_details"] == {"EncryptedResponses": "true"}


POOL_RECORD = Pool("us-east-1_a", "p", ACCOUNT, "aws", "us-east-1", "https://x.example", START, START)
CLIENT = Client("c", "us-east-1_a", "c", START, START)
OIDC = Provider("us-east-1_a", "Corp", "OIDC", "u", START, START, {"client_secret": "x"})


@pytest.mark.parametrize(
    ("pool", "parts"),
    [
        (replace(POOL_RECORD, id="a"), ()),
        (replace(POOL_RECORD, account="1"), ()),
        (replace(POOL_RECORD, id="us-east-1_b"), ()),  # exists
        (POOL_RECORD, (CLIENT, CLIENT)),
        (POOL_RECORD, (replace(CLIENT, id="taken"),)),
        (POOL_RECORD, (OIDC,)),
    ],
)
def test_add_user_pool_with_wrong_records_changes_nothing(pool, parts):
    directory = Directory()
    other = replace(POOL_RECORD, id="us-east-1_b")
    directory.add_user_pool(other, [replace(CLIENT, pool=other.id, id="taken")])
    before = directory.to_json()
    with pytest.raises(fastiam.DirectoryError):
        directory.add_user_pool(pool, parts)
    assert directory.to_json() == before


@pytest.mark.parametrize(
    "change",
    [{"users": []}, {"created": None}, {"case_sensitive": "yes"}, {"clients": [{"id": "c"}]}, {"groups": [{"secret": "x"}]}],
    ids=lambda change: next(iter(change)),
)
def test_reader_refuses_wrong_user_pools(tmp_path, change):
    value = json.loads(everything().to_json())
    value["user_pools"][0] |= change
    with pytest.raises(fastiam.SourceError):
        loaded(tmp_path, json.dumps(value))
