"""Identity pools in a store: what is kept, by whom it is seen, and what happens at once (federation.md 9.1, ID31)."""

from __future__ import annotations

import base64
import json
import pickle
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from identity_world import BACKEND, COGNITO, NAMES, IdentityWorld, P, role

import fastiam
from fastiam.cognito import IdentityPools
from fastiam.federation import Federation
from fastiam.sts import STS, Keyring, StsError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "iam.db"


@pytest.fixture
def world(path: Path) -> IdentityWorld:
    return IdentityWorld({"allow_classic_flow": True}, directory=fastiam.Directory.open(path))


def other_process(world: IdentityWorld, path: Path) -> IdentityPools:
    """Identity pools over the same file, as another process has them."""
    sts = STS(fastiam.Directory.open(path), world.keyring, clock=world.clock)
    return IdentityPools(Federation(sts, audit=world.events.append))


def at_once(*calls: Any) -> list[Any]:
    """The results of calls that begin together; a refusal is its code."""
    start, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(n: int) -> None:
        start.wait()
        try:
            results[n] = calls[n]()
        except StsError as error:
            results[n] = error.code

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_new_login_at_once_gives_one_identity(world, path):
    """F156, by two processes and two threads of each."""
    other = other_process(world, path)
    for n in range(5):
        logins = world.logins({"P": {"sub": f"u{n}"}})
        calls = [lambda pools=pools, logins=logins: pools.get_id(world.q, logins) for pools in (world.pools, other) * 2]
        ids = at_once(*calls)
        assert len(set(ids)) == 1 and ids[0].startswith("us-east-1:")
    assert len(world.pools.list_identities(world.q).identities) == 5


def test_login_linked_by_two_guests_at_once_ends_at_one(world, path):
    other = other_process(world, path)
    guests, logins = [world.get_id(), world.get_id()], world.logins({"P": {}})
    made = at_once(
        lambda: world.pools.get_credentials_for_identity(guests[0], logins).identity_id,
        lambda: other.get_credentials_for_identity(guests[1], logins).identity_id,
    )
    assert made[0] == made[1] and made[0] in guests
    described = [world.pools.describe_identity(guest) for guest in guests]
    assert sorted(each.is_disabled for each in described) == [False, True]


def test_records_are_stored_across_a_restart(world, path):
    identity = world.get_id(P={}, oidc={})
    token = world.pools.get_open_id_token_for_developer_identity(world.q, {BACKEND: "ana"}, identity_id=world.get_id())
    world.pools.set_principal_tag_attribute_map(world.q, P, principal_tags={"a": "b"})
    rules = {"Rules": [{"Claim": "a", "MatchType": "Equals", "Value": "b", "RoleARN": role("R1")}]}
    mapping = {"Type": "Rules", "AmbiguousRoleResolution": "AuthenticatedRole", "RulesConfiguration": rules}
    world.pools.set_identity_pool_roles(world.q, {"authenticated": role("Auth")}, {f"{P}:c": mapping})
    pool, keys, described = (
        world.pools.describe_identity_pool(world.q),
        world.pools.jwks(),
        world.pools.describe_identity(identity),
    )
    world.directory.close()

    again = other_process(world, path)
    assert (again.describe_identity_pool(world.q), again.jwks(), again.describe_identity(identity)) == (pool, keys, described)
    assert again.get_id(world.q, world.logins({"P": {}})) == identity
    own = {COGNITO: str.__str__(token.token)}
    assert again.get_credentials_for_identity(token.identity_id, own).session.issuer == role("Auth")


def test_changes_of_another_process_count_with_the_next_call(world, path):
    other = other_process(world, path)
    logins = world.logins({"P": {}})
    identity = other.get_id(world.q, logins)
    assert world.pools.get_id(world.q, logins) == identity
    other.unlink_identity(identity, logins, [P])
    with pytest.raises(StsError):
        world.pools.get_credentials_for_identity(identity, logins)
    other.delete_identity_pool(world.q)
    with pytest.raises(StsError) as error:
        world.pools.get_id(world.q, logins)
    assert error.value.code == "ResourceNotFoundException"


def test_merge_of_another_process_moves_the_logins(world, path):
    """Memory follows the file in whichever order the records come."""
    other = other_process(world, path)
    first = world.get_id(P={})
    world.clock.tick(1)
    second = world.get_id(oidc={})
    assert other.get_id(world.q, world.logins({"oidc": {}})) == second
    world.get_id(P={}, oidc={})
    for described in ({"P": {}}, {"oidc": {}}):
        assert other.get_id(world.q, world.logins(described)) == first
        assert other.get_credentials_for_identity(first, world.logins(described)).identity_id == first


def test_failed_call_leaves_nothing(world):
    """A merge that is refused for a conflict changes neither identity."""
    x = world.get_id(P={"sub": "u1"}, google={})
    y = world.get_id(P={"sub": "u2"}, oidc={})
    before = dict(world.pools._store.tables.identities)
    assert world.code(world.get_id, google={}, oidc={}) == "CONFLICT"
    assert world.pools._store.tables.identities == before
    assert (world.get_id(google={}), world.get_id(oidc={})) == (x, y)


def test_pool_takes_its_identities_with_it(world):
    identity, guest = world.get_id(P={}), world.get_id()
    other = world.create(identity_pool_name="Q2").identity_pool_id
    kept = world.pools.get_id(other, world.logins({"P": {}}))
    world.pools.delete_identity_pool(world.q)
    for id_ in (identity, guest):
        assert world.code(world.pools.describe_identity, id_) == "NOT_FOUND"
    assert world.pools.get_id(other, world.logins({"P": {}})) == kept
    store = world.pools._store
    assert not store.tables.identities.keys() - {kept} and len(store._by_login) == 1 and store._of_pool.keys() == {other}


def test_secrets_are_sealed_in_the_file(world, path):
    token = world.pools.get_open_id_token(world.get_id()).token
    assert jwt.get_unverified_header(str.__str__(token))["alg"] == "RS512"
    world.directory.close()
    query = "SELECT body FROM records JOIN tables ON tables.id = table_id WHERE tables.name = 'identity_pools.token_keys'"
    ((body,),) = sqlite3.connect(path).execute(query).fetchall()
    record = json.loads(body)
    assert record.keys() == {"id", "region", "public", "sealed", "created"}
    assert json.loads(record["public"]).keys() == {"kty", "n", "e", "kid", "alg", "use"}
    assert not base64.b64decode(record["sealed"]).startswith(b"0")  # not a DER sequence


def test_resealed_key_signs_after_the_old_one_left(world):
    guest = world.get_id()
    first = world.pools.get_open_id_token(guest).token
    world.keyring = world.keyring.rotated()
    world.open()
    assert world.sts.reseal() > 0
    world.keyring = world.keyring.rotated(keep=1)
    pools = world.open()
    second = pools.get_open_id_token(guest).token
    kids = {jwt.get_unverified_header(str.__str__(token))["kid"] for token in (first, second)}
    assert len(kids) == 1


def test_rotated_token_key_verifies_for_a_day(world):
    guest, roles = world.get_id(), world.federation.assume_role_with_web_identity
    made = world.pools.get_open_id_token_for_developer_identity(world.q, {BACKEND: "ana"}, token_duration=86_400)
    old = str.__str__(made.token)
    world.pools.rotate_token_key("us-east-1")
    new = str.__str__(world.pools.get_open_id_token(guest).token)
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    assert roles(role("Guest"), "run1", new).subject == guest
    world.clock.tick(86_399)
    assert roles(role("Auth"), "run1", old).subject == made.identity_id
    assert roles(role("Auth"), "run1", old).audience == world.q
    world.clock.tick(1)
    with pytest.raises(StsError):
        roles(role("Auth"), "run1", old)
    assert world.pools.jwks().count('"kid"') == 1


def test_store_with_sealed_keys_does_not_pickle(world):
    with pytest.raises(TypeError):
        pickle.dumps(world.pools._store)


def test_identities_of_a_deleted_provider_keep_their_ids(world):
    """A provider that comes back finds its users again, except a SAML provider (F243)."""
    identity = world.get_id(oidc={})
    keys = world.directory.tables.oidc_providers[NAMES["oidc-arn"]].keys
    world.directory.delete_provider(NAMES["oidc-arn"])
    world.directory.create_oidc_provider(NAMES["oidc-arn"], client_ids=["app1"], keys=keys)
    assert world.get_id(oidc={}) == identity


def test_configuration_is_exported_without_identities_and_keys(world, tmp_path):
    identity = world.get_id(P={})
    world.pools.get_open_id_token(world.get_id())
    world.pools.set_principal_tag_attribute_map(world.q, P, principal_tags={"a": "b"})
    text = world.directory.to_json()
    assert world.q in text and identity not in text and "token_keys" not in text
    (tmp_path / "copy.json").write_text(text)
    copy = fastiam.load(tmp_path / "copy.json")
    assert copy.tables.identity_pools == world.directory.tables.identity_pools
    pools = IdentityPools(Federation(STS(copy, Keyring.generate(), clock=world.clock)))
    assert pools.get_id(world.q, world.logins({"oidc": {}})) != identity
    guest = pools.get_credentials_for_identity(pools.get_id(world.q))
    assert guest.session.issuer == role("Guest")


def test_directory_refuses_wrong_identity_pools(world):
    pool = world.pools.describe_identity_pool(world.q)
    directory = world.directory
    for wrong in (replace(pool, identity_pool_id="x"), replace(pool, account="1"), pool):
        with pytest.raises(fastiam.DirectoryError):
            directory.add_identity_pool(wrong)
    for call in (
        directory.delete_identity_pool,
        lambda id_: directory.replace_identity_pool(replace(pool, identity_pool_id=id_)),
    ):
        with pytest.raises(fastiam.DirectoryError):
            call("eu-west-1:00000000-0000-4000-8000-000000000000")
    assert directory.tables.identity_pools == {world.q: pool}


def test_pool_deleted_by_another_package_takes_its_identities(world, path):
    """A process that knows nothing of Cognito deletes the pool."""
    identity = world.get_id(P={})
    with fastiam.Directory.open(path) as directory:
        directory.delete_identity_pool(world.q)
    assert world.code(world.pools.describe_identity, identity) == "NOT_FOUND"
    assert not world.pools._store.tables.identities
