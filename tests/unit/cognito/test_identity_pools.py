"""The calls of identity pools beyond the case tables: parameters, linking and merging, developer identities, lists."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import Any

import botocore.session
import jwt
import pytest
from botocore import xform_name
from identity_world import BACKEND, COGNITO, CORP, NAMES, OIDC, IdentityWorld, P, role
from sts_fixture import A

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.identity_pools import CognitoIdentityProvider, GuestLimits, IdentityPools, MappingRule, RoleMapping
from fastiam.cognito.identity_pools.parameters import MATCH_TYPES
from fastiam.cognito.identity_pools.roles import matches
from fastiam.cognito.identity_records import IdentityPoolStore
from fastiam.cognito.user_pools.keys import jwks

MODEL = botocore.session.get_session().get_service_model("cognito-identity")


@pytest.fixture
def world() -> IdentityWorld:
    return IdentityWorld({"allow_classic_flow": True})


@pytest.fixture(scope="module")
def shared() -> IdentityWorld:
    """A world for tests that write nothing."""
    return IdentityWorld()


# -- the API ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", MODEL.operation_names)
def test_every_call_of_the_api_is_a_method_with_its_parameters(operation):
    method = getattr(IdentityPools, xform_name(operation))
    shape = MODEL.operation_model(operation).input_shape
    parameters = inspect.signature(method).parameters
    assert {xform_name(member) for member in shape.members} <= parameters.keys()
    own = {
        name
        for name, each in parameters.items()
        if name not in ("self", "account", "region", "source") and each.default is each.empty
    }
    assert own <= {xform_name(member) for member in shape.required_members}


def test_answers_have_the_members_of_the_api(shared):
    pool = shared.pools.describe_identity_pool(shared.q)
    described = {xform_name(member) for member in MODEL.shape_for("IdentityPool").members}
    assert not [name for name in described if not hasattr(pool, name)]
    guest = shared.pools.describe_identity(shared.get_id())
    assert not [m for m in MODEL.shape_for("IdentityDescription").members if not hasattr(guest, xform_name(m))]


# -- parameters ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"identity_pool_name": ""},
        {"identity_pool_name": "x" * 129},
        {"identity_pool_name": "a/b"},
        {"allow_unauthenticated_identities": "yes"},
        {"allow_unauthenticated_identities": None},
        {"account": "1"},
        {"region": "mars"},
        {"supported_login_providers": {"api.twitter.com": "a;b"}},
        {"supported_login_providers": {"www.digits.com": "a"}},
        {"supported_login_providers": {"accounts.google.com": ""}},
        {"supported_login_providers": ["accounts.google.com"]},
        {"developer_provider_name": "a b"},
        {"open_id_connect_provider_arns": [CORP]},
        {"open_id_connect_provider_arns": OIDC},
        {"open_id_connect_provider_arns": [OIDC, OIDC]},
        {"open_id_connect_provider_arns": [OIDC.replace(A, "222222222222")]},
        {"saml_provider_arns": [OIDC]},
        {"cognito_identity_providers": [{"ProviderName": "us-east-1_AbCdEf123", "ClientId": "c"}]},
        {"cognito_identity_providers": [{"ProviderName": P.replace("us-east-1_", "eu-west-1_"), "ClientId": "c"}]},
        {"cognito_identity_providers": [{"ProviderName": P}]},
        {"cognito_identity_providers": [{"ProviderName": P, "ClientId": "c", "Other": True}]},
        {"cognito_identity_providers": [{"ProviderName": P, "provider_name": P, "ClientId": "c"}]},
        {"cognito_identity_providers": [{"ProviderName": P, "ClientId": "c"}] * 2},
        {"cognito_identity_providers": [{"ProviderName": P, "ClientId": "c", "ServerSideTokenCheck": 1}]},
        {"identity_pool_tags": {"aws:x": "y"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_wrong_parameter_of_a_pool_is_refused(shared, changes):
    with pytest.raises(CognitoError) as error:
        shared.create(**changes)
    assert error.value.code == "InvalidParameterException"


def rule(**changes: Any) -> dict[str, Any]:
    return {"Claim": "a", "MatchType": "Equals", "Value": "b", "RoleARN": role("R1")} | changes


def rules(*each: Any, **changes: Any) -> dict[str, Any]:
    return {"Type": "Rules", "AmbiguousRoleResolution": "Deny", "RulesConfiguration": {"Rules": list(each)}} | changes


@pytest.mark.parametrize(
    ("roles", "mappings"),
    [
        ({"admin": role("R1")}, {}),
        ({"authenticated": "R1"}, {}),
        ({"authenticated": f"arn:aws:iam::{A}:user/eva"}, {}),
        ({"authenticated": f"arn:aws:sts::{A}:assumed-role/R1/x"}, {}),
        ({}, {OIDC: rules()}),
        ({}, {OIDC: rules(*[rule()] * 26)}),
        ({}, {OIDC: rules(rule(), Type="Other")}),
        ({}, {OIDC: rules(rule(), AmbiguousRoleResolution=None)}),
        ({}, {OIDC: rules(rule(), Other=1)}),
        ({}, {OIDC: rules(rule(MatchType="equals"))}),
        ({}, {OIDC: rules(rule(Claim=""))}),
        ({}, {OIDC: rules(rule(Claim="a b"))}),
        ({}, {OIDC: rules(rule(Claim="x" * 65))}),
        ({}, {OIDC: rules(rule(Value="x" * 129))}),
        ({}, {OIDC: rules(rule(RoleARN="R1"))}),
        ({}, {OIDC: {"Type": "Token", "AmbiguousRoleResolution": "Deny"}}),
        ({}, {P: {"Type": "Token", "AmbiguousRoleResolution": "Deny"}}),
        ({}, {f"{P}:d": {"Type": "Token", "AmbiguousRoleResolution": "Deny"}}),
        ({}, {f"{P}:c": rules(rule(), Type="Token")}),
        ({}, {f"p{n}": rules(rule()) for n in range(11)}),
    ],
)
def test_wrong_roles_and_mappings_are_refused(shared, roles, mappings):
    before = shared.pools.get_identity_pool_roles(shared.q)
    with pytest.raises(CognitoError) as error:
        shared.pools.set_identity_pool_roles(shared.q, roles, mappings)
    assert error.value.code == "InvalidParameterException"
    assert shared.pools.get_identity_pool_roles(shared.q) == before


def test_structures_are_records_or_members_of_the_api(world):
    record = RoleMapping("Rules", "Deny", (MappingRule("a", "Equals", "b", role("R1")),))
    for mapping in (record, rules(rule())):
        assert world.pools.set_identity_pool_roles(world.q, {}, {OIDC: mapping}).role_mappings == {OIDC: record}
    provider = CognitoIdentityProvider(P, "c", True)
    for given in (provider, {"ProviderName": P, "ClientId": "c", "ServerSideTokenCheck": True}):
        assert world.create(cognito_identity_providers=[given]).cognito_identity_providers == (provider,)


def test_update_resets_all_but_the_developer_provider(world):
    world.pools.update_identity_pool(world.q, "other", False)
    pool = world.pools.describe_identity_pool(world.q)
    assert (pool.identity_pool_name, pool.developer_provider_name) == ("other", BACKEND)
    assert not (pool.allow_classic_flow or pool.saml_provider_arns or pool.cognito_identity_providers)
    assert pool.roles["authenticated"] == role("Auth")
    assert world.code(world.pools.update_identity_pool, world.q, "x", False, developer_provider_name="y") == "INVALID"


def test_provider_that_was_taken_out_is_refused(world):
    identity = world.get_id(oidc={})
    world.pools.update_identity_pool(world.q, "Q", True)
    assert world.code(world.credentials, identity, oidc={}) == "NAE"


def test_tags_of_a_pool(world):
    arn = world.pools.describe_identity_pool(world.q).arn
    world.pools.tag_resource(arn, {"a": "1", "b": "2"})
    world.pools.untag_resource(arn, ["a", "absent"])
    assert world.pools.list_tags_for_resource(arn) == {"b": "2"}
    assert world.code(world.pools.tag_resource, arn, {f"k{n}": "" for n in range(50)}) == "INVALID"
    for wrong in (arn + "x", arn.replace(A, "222222222222"), "x", None):
        assert world.code(world.pools.list_tags_for_resource, wrong) == "NOT_FOUND"


# -- linking and merging ------------------------------------------------------------------------------------------------------


def test_new_login_is_linked_beside_a_known_one(world):
    identity = world.get_id(P={})
    assert world.credentials(identity, P={}, google={}).identity_id == identity
    assert world.get_id(google={}) == identity
    assert world.pools.describe_identity(identity).logins == (P, NAMES["google"])


def test_get_id_links_and_merges_as_well(world):
    first = world.get_id(P={})
    world.clock.tick(1)
    assert world.get_id(P={}, google={}) == first
    second = world.get_id(oidc={})
    assert second != first and world.get_id(oidc={}, google={}) == first
    assert world.pools.describe_identity(second).is_disabled


def test_merge_of_three_keeps_the_oldest(world):
    ids = []
    for name in ("P", "oidc", "google"):
        ids.append(world.get_id(**{name: {}}))
        world.clock.tick(1)
    assert world.credentials(ids[2], P={}, oidc={}, google={}).identity_id == ids[0]
    assert [world.pools.describe_identity(id_).is_disabled for id_ in ids] == [False, True, True]


def test_merge_that_would_exceed_twenty_logins_is_refused(world):
    backend = world.pools.get_open_id_token_for_developer_identity
    identity = backend(world.q, {BACKEND: "u0"}).identity_id
    for n in range(1, 20):
        backend(world.q, {BACKEND: f"u{n}"}, identity_id=identity)
    assert world.code(backend, world.q, {BACKEND: "u20"}, identity_id=identity) == "CONFLICT"
    other = backend(world.q, {BACKEND: "v"}).identity_id
    assert world.code(world.pools.merge_developer_identities, "v", "u0", BACKEND, world.q) == "CONFLICT"
    assert not world.pools.describe_identity(other).is_disabled


def test_guest_with_two_known_logins_gets_the_merged_identity(world):
    first = world.get_id(P={})
    world.clock.tick(1)
    world.get_id(oidc={})
    guest = world.get_id()
    assert world.credentials(guest, P={}, oidc={}).identity_id == first
    assert world.code(world.credentials, guest) == "NAE"


def test_subjects_of_two_providers_are_two_logins(world):
    """The same subject text at two providers is not the same user; nor in two pools the same identity."""
    assert len({world.get_id(P={"sub": "x"}), world.get_id(oidc={"sub": "x"}), world.get_id(google={"sub": "x"})}) == 3
    other = world.create(identity_pool_name="Q2").identity_pool_id
    assert world.pools.get_id(other, world.logins({"P": {"sub": "x"}})) != world.get_id(P={"sub": "x"})


def test_user_pool_as_oidc_provider_is_another_login(world):
    """One pool configured directly, another one with the same pool as IAM OIDC provider."""
    arn = f"arn:aws:iam::{A}:oidc-provider/{P}"
    keys = json.dumps(jwks(world.state, world.user_pool(P)))
    world.directory.create_oidc_provider(arn, client_ids=["c"], keys=keys)
    pool = world.create(cognito_identity_providers=[], open_id_connect_provider_arns=[arn]).identity_pool_id
    identity = world.pools.get_id(pool, world.logins({"P": {}}))
    login = world.pools._store.tables.identities[identity].logins[0]
    assert (login.provider, login.name) == (arn, P)
    access = world.login("P", {"use": "access", "token_use": "access"})
    assert world.code(world.pools.get_id, pool, {P: access}) == "NAE"


def test_deleted_identity_frees_its_logins(world):
    identity = world.get_id(P={})
    world.pools.delete_identities([identity, "us-east-1:00000000-0000-4000-8000-000000000000"])
    assert world.code(world.credentials, identity, P={}) == "NOT_FOUND"
    assert world.get_id(P={}) != identity
    for wrong in ([], ["x"], [identity] * 61, identity):
        assert world.code(world.pools.delete_identities, wrong) == "INVALID"


# -- tokens -------------------------------------------------------------------------------------------------------------------


def claims(token: Any) -> dict[str, Any]:
    return jwt.decode(str.__str__(token.token), options={"verify_signature": False})


def test_claims_of_tokens(world):
    guest = world.get_id()
    made, now = claims(world.pools.get_open_id_token(guest)), int(world.clock().timestamp())
    expected = {
        "iss": f"https://{COGNITO}",
        "aud": world.q,
        "sub": guest,
        "iat": now,
        "exp": now + 600,
        "amr": ["unauthenticated"],
    }
    assert made == expected
    identity = world.get_id(P={}, oidc={}, Corp={})
    made = claims(world.pools.get_open_id_token(identity, world.logins({"P": {}, "Corp": {}})))
    pairs = [P, f"{P}:CognitoSignIn:u1", CORP, f"{CORP}:SAML:eva"]
    assert made["amr"] == ["authenticated", *pairs]  # of this call's logins only
    made = claims(world.pools.get_open_id_token(identity, world.logins({"oidc": {}})))
    assert made["amr"] == ["authenticated", "oidc.example", f"{OIDC}:OIDC:u1"]


def test_token_carries_the_mapped_tags_to_sts(world):
    world.pools.set_principal_tag_attribute_map(world.q, P, use_defaults=True)
    identity = world.get_id(P={})
    token = world.pools.get_open_id_token(identity, world.logins({"P": {}}))
    made = world.federation.assume_role_with_web_identity(role("Auth"), "run1", str.__str__(token.token))
    assert made.session.tags == {"username": "u1", "client": "c"}
    assert made.session.context[f"{COGNITO}:sub"] == identity


def test_default_tags_of_saml_are_the_names(world):
    name = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
    world.pools.set_principal_tag_attribute_map(world.q, CORP, use_defaults=True)
    described = {"Corp": {"attributes": {name: ["Eva"]}}}
    made = world.credentials(world.get_id(**described), **described)
    assert made.session.tags == {"username": "eva", "client": "Eva"}
    shown = world.pools.get_principal_tag_attribute_map(world.q, CORP)
    assert shown.use_defaults and shown.principal_tags["client"] == name


def test_tag_map_without_tags_is_removed(world):
    world.pools.set_principal_tag_attribute_map(world.q, P, principal_tags={"a": "b"})
    world.pools.set_principal_tag_attribute_map(world.q, P)
    assert world.pools.get_principal_tag_attribute_map(world.q, P).principal_tags == {}
    assert not world.pools.describe_identity_pool(world.q).tag_maps
    for given in (
        {"use_defaults": True, "principal_tags": {"a": "b"}},
        {"principal_tags": {"aws:a": "b"}},
        {"principal_tags": {"a": ""}},
    ):
        assert world.code(world.pools.set_principal_tag_attribute_map, world.q, P, **given) == "INVALID"


# -- developer identities -----------------------------------------------------------------------------------------------------


def test_developer_identity_from_backend_to_session(world):
    token = world.pools.get_open_id_token_for_developer_identity(world.q, {BACKEND: "ana"}, principal_tags={"team": "blue"})
    made = claims(token)
    assert made["amr"] == ["authenticated", BACKEND, f"{BACKEND}:{world.q}:ana"] and made["exp"] - made["iat"] == 900
    session = world.credentials(token.identity_id, own=str.__str__(token.token)).session
    assert session.tags == {"team": "blue"} and session.context[f"{COGNITO}:amr"] == made["amr"]
    again = world.pools.get_open_id_token_for_developer_identity(world.q, {BACKEND: "ana"})
    assert again.identity_id == token.identity_id


def test_developer_call_links_verified_logins(world):
    backend = world.pools.get_open_id_token_for_developer_identity
    known = world.get_id(P={})
    assert backend(world.q, {BACKEND: "ana", **world.logins({"P": {}})}).identity_id == known
    assert world.code(backend, world.q, {BACKEND: "bo", **world.logins({"P": {"aud": "d"}})}) == "NAE"
    assert backend(world.q, {BACKEND: "bo"}, identity_id=known).identity_id == known  # a second user of one identity
    assert world.pools.lookup_developer_identity(world.q, identity_id=known).developer_user_identifier_list == ("ana", "bo")


@pytest.mark.parametrize(
    "given",
    [
        {"logins": {}},
        {"logins": {"google": "x"}},
        {"logins": {BACKEND: "x" * 1_025}},
        {"logins": {BACKEND: "\ud800"}},
        {"token_duration": 0},
        {"token_duration": 86_401},
        {"token_duration": True},
        {"principal_tags": {f"k{n}": "" for n in range(51)}},
        {"principal_tags": {"aws:x": "y"}},
        {"identity_id": "x"},
    ],
)
def test_wrong_developer_call_is_refused(shared, given):
    arguments = {"logins": {BACKEND: "ana"}} | given
    assert shared.code(shared.pools.get_open_id_token_for_developer_identity, shared.q, **arguments) == "INVALID"


def test_lookup_by_user_identity_or_both(world):
    backend, lookup = world.pools.get_open_id_token_for_developer_identity, world.pools.lookup_developer_identity
    identity, other = backend(world.q, {BACKEND: "u1"}).identity_id, backend(world.q, {BACKEND: "v"}).identity_id
    for n in range(2, 6):
        backend(world.q, {BACKEND: f"u{n}"}, identity_id=identity)
    assert lookup(world.q, developer_user_identifier="u1").identity_id == identity
    assert lookup(world.q, identity_id=identity, developer_user_identifier="u1").developer_user_identifier_list == ("u1",)
    page = lookup(world.q, identity_id=identity, max_results=3)
    assert page.developer_user_identifier_list == ("u1", "u2", "u3")
    page = lookup(world.q, identity_id=identity, max_results=3, next_token=page.next_token)
    assert (page.developer_user_identifier_list, page.next_token) == (("u4", "u5"), None)
    assert world.code(lookup, world.q) == "INVALID"
    assert world.code(lookup, world.q, developer_user_identifier="w") == "NOT_FOUND"
    assert world.code(lookup, world.q, identity_id=other, developer_user_identifier="u1") == "CONFLICT"


def test_merge_of_developer_users_keeps_the_destination(world):
    backend, merge = world.pools.get_open_id_token_for_developer_identity, world.pools.merge_developer_identities
    source = backend(world.q, {BACKEND: "a"}).identity_id
    world.clock.tick(1)
    destination = backend(world.q, {BACKEND: "b"}).identity_id
    assert merge("a", "b", BACKEND, world.q) == destination == merge("a", "b", BACKEND, world.q)
    assert world.pools.describe_identity(source).is_disabled
    assert backend(world.q, {BACKEND: "a"}).identity_id == destination
    assert world.code(merge, "a", "absent", BACKEND, world.q) == "NOT_FOUND"
    assert world.code(merge, "a", "b", "other", world.q) == "INVALID"


def test_merge_of_two_subjects_of_a_public_provider_is_refused(world):
    backend = world.pools.get_open_id_token_for_developer_identity
    for user in ("a", "b"):
        backend(world.q, {BACKEND: user, **world.logins({"P": {"sub": user}})})
    assert world.code(world.pools.merge_developer_identities, "a", "b", BACKEND, world.q) == "CONFLICT"


# -- lists --------------------------------------------------------------------------------------------------------------------


def test_identities_are_listed_page_by_page(world):
    ids = []
    for _ in range(7):
        ids.append(world.get_id())
        world.clock.tick(1)
    kept = world.credentials(ids[2], P={}).identity_id
    world.credentials(ids[3], P={})  # the guest is disabled
    seen, token = [], None
    while True:
        page = world.pools.list_identities(world.q, 3, next_token=token)
        seen += page.identities
        if token is None:
            world.pools.delete_identities([page.identities[-1].identity_id])  # a place stays one
        token = page.next_token
        if token is None:
            break
    assert [each.identity_id for each in seen] == ids and kept == ids[2]
    hidden = world.pools.list_identities(world.q, hide_disabled=True).identities
    assert [each.identity_id for each in hidden] == [ids[0], ids[1], *ids[4:]]
    for wrong in ("x", "", "eA==", 3):
        assert world.code(world.pools.list_identities, world.q, next_token=wrong) == "INVALID"
    for number in (0, 61, "3", True):
        assert world.code(world.pools.list_identities, world.q, number) == "INVALID"


def test_pools_are_listed_by_account_and_region(world):
    made = [world.q]
    for n in range(4):
        world.clock.tick(1)
        made.append(world.create(identity_pool_name=f"Q{n}").identity_pool_id)
    world.create(region="eu-west-1")
    first = world.pools.list_identity_pools(3, account=A, region="us-east-1")
    second = world.pools.list_identity_pools(3, account=A, region="us-east-1", next_token=first.next_token)
    assert [pool.identity_pool_id for pool in first.identity_pools + second.identity_pools] == made
    assert second.next_token is None
    assert not world.pools.list_identity_pools(account="222222222222", region="us-east-1").identity_pools
    assert len(world.pools.identity_pools()) == 6


# -- rules and warnings -------------------------------------------------------------------------------------------------------

TABLE = {  # claim: whether Equals, Contains, StartsWith and NotEqual `b1` match it
    "text equal": ("b1", (True, True, True, False)),
    "text around": ("ab1c", (False, True, False, True)),
    "text longer": ("b1c", (False, True, True, True)),
    "text other": ("B1", (False, False, False, True)),
    "number": (1, (False, False, False, True)),
    "boolean": (True, (False, False, False, True)),
    "empty text": ("", (False, False, False, True)),
    "list of it": (["b1"], (True, True, False, False)),
    "list with it": (["b1", "c"], (False, True, False, False)),
    "list around": (["ab1c"], (False, False, False, True)),
    "empty list": ([], (False, False, False, True)),
    "list of others": ([1, "b1"], (False, False, False, False)),
    "object": ({"b1": "b1"}, (False, False, False, False)),
    "null": (None, (False, False, False, False)),
}


@pytest.mark.parametrize("name", TABLE)
def test_match_types(name):
    claim, expected = TABLE[name]
    for match_type, is_match in zip(MATCH_TYPES, expected, strict=True):
        assert matches(MappingRule("a", match_type, "b1", role("R1")), {"a": claim}) is is_match, match_type


def test_numbers_and_booleans_match_as_json():
    for value, claim in (("1", 1), ("true", True), ("1.5", 1.5)):
        assert matches(MappingRule("a", "Equals", value, role("R1")), {"a": claim})
    assert not matches(MappingRule("a", "NotEqual", "b", role("R1")), {})


@pytest.mark.parametrize(
    ("provider", "claim", "match", "warns"),
    [
        (f"{P}:c", "email", "Equals", True),
        (f"{P}:c", "profile", "Equals", True),
        (f"{P}:c", "sub", "Equals", False),
        (f"{P}:c", "custom:dept", "Equals", False),
        (f"{P}:c", "cognito:groups", "Contains", False),
        (f"{P}:c", "custom:dept", "Contains", True),
        (OIDC, "email", "Equals", False),
        (OIDC, "email", "Contains", True),
    ],
)
def test_rule_over_a_claim_that_users_set_warns(world, provider, claim, match, warns):
    made = world.pools.set_identity_pool_roles(world.q, {}, {provider: rules(rule(Claim=claim, MatchType=match))})
    assert bool(made.warnings) is warns == bool(world.events[-1].warnings)


def test_tag_of_a_claim_that_users_set_warns(world):
    made = world.pools.set_principal_tag_attribute_map(world.q, P, principal_tags={"who": "name", "id": "sub"})
    assert len(made.warnings) == 1 and "`name`" in made.warnings[0]
    assert not world.pools.get_principal_tag_attribute_map(world.q, P).warnings


def test_tokens_of_foreign_user_pools_need_a_setting(world):
    """Without it a user pool that is not in the directory does not exist."""
    name = "cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Foreign"
    pool = world.create(cognito_identity_providers=[{"ProviderName": name, "ClientId": "c"}]).identity_pool_id
    assert world.code(world.pools.get_id, pool, {name: world.login("P", {})}) == "NAE"
    pools = world.open(foreign_user_pools=True)
    token = world.login("P", {"iss": f"https://{name}"})
    assert world.code(pools.get_id, pool, {name: token}) == "EXTERNAL"  # no network: its keys cannot be read


# -- the number of guests (ID23) --------------------------------------------------------------------------------------------


LIMITS = GuestLimits(per_pool=3, unused=timedelta(hours=1), used=timedelta(days=90))


def guest_ids(world, pool=None):
    store = world.directory.join(IdentityPoolStore())
    return {each.id for each in store.identities_of(pool or world.q) if not each.is_authenticated}


def test_pool_that_is_full_refuses_guests_and_keeps_those_it_has(world):
    world.pools = world.open(guests=LIMITS)
    guests = [world.get_id() for _ in range(3)]
    with pytest.raises(CognitoError) as error:
        world.get_id()
    assert (error.value.code, error.value.rule) == ("LimitExceededException", "ID23")
    for guest in guests:
        world.credentials(guest)
    assert world.get_id(P={}), "identities of logins are not guests"
    other = world.create(identity_pool_name="other", developer_provider_name=None).identity_pool_id
    assert world.pools.get_id(other), "each pool has its own"
    assert world.credentials(guests[0], P={"sub": "u2"}), "a guest that signs in makes room"
    assert world.get_id()


def test_guests_that_are_not_used_are_removed(world):
    world.pools = world.open(guests=LIMITS)
    unused, used, active = (world.get_id() for _ in range(3))
    for guest in (used, active):
        world.credentials(guest)
    world.clock.now += timedelta(hours=1, seconds=1)
    new = world.get_id()
    assert guest_ids(world) == {used, active, new}
    with pytest.raises(CognitoError) as error:
        world.credentials(unused)
    assert error.value.code == "ResourceNotFoundException"
    world.credentials(new)
    world.clock.now += timedelta(days=60)
    world.credentials(active)
    world.clock.now += timedelta(days=30, seconds=1)
    last = world.get_id()
    assert guest_ids(world) == {active, last}


def test_use_of_a_guest_is_written_once_a_day(world):
    guest, store = world.get_id(), world.directory.join(IdentityPoolStore())
    changes = []
    for hours in (0, 1, 12, 24, 1):
        world.clock.now += timedelta(hours=hours)
        before = dict(store.tables.identities)
        world.pools.get_open_id_token(guest)
        changes.append(store.tables.identities != before)
    assert changes == [True, False, False, True, False]


def test_guests_that_sign_in_with_a_known_login_do_not_pile_up(world):
    world.pools = world.open(guests=LIMITS)
    ana = world.get_id(P={})
    for _ in range(5):
        guest = world.get_id()
        assert world.credentials(guest, P={}).identity_id == ana
        world.clock.now += timedelta(days=91)
    assert len(guest_ids(world)) <= 2


def test_guests_are_counted_by_another_process(world):
    world.pools = world.open(guests=LIMITS)
    used, *_ = (world.get_id() for _ in range(3))
    world.credentials(used)
    world.pools = world.open(guests=LIMITS)
    with pytest.raises(CognitoError, match="3 guests"):
        world.get_id()
