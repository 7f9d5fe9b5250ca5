"""User pools in a store: transactions, several processes, sealed secrets, and a clock that is set back (9.1 to 9.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cognito_world import CS, PASSWORD, POOL, C, World

from fastiam import Directory
from fastiam.cognito import UserPools
from fastiam.cognito.user_pools import CognitoError, NotAuthorizedError
from fastiam.sts import STS, Keyring, StsError


def opened(path, keyring: Keyring, world: World) -> UserPools:
    """The pools of a store as another process has them."""
    return UserPools(Directory.open(path), keyring, sender=world.sent.append, clock=lambda: world.now, audit=world.events.append)


def sign_in(pools: UserPools, password: str = PASSWORD) -> dict:
    given = {"USERNAME": "ana", "PASSWORD": password}
    return pools.initiate_auth(client_id=C, auth_flow="USER_PASSWORD_AUTH", auth_parameters=given)["AuthenticationResult"]


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "store.db"
    world = World(directory=Directory.open(path))
    return path, world


def test_another_process_continues_what_one_began(stored):
    path, world = stored
    other = opened(path, world.keyring, world)
    tokens = world.tokens()
    assert other.get_user(access_token=tokens["AccessToken"])["Username"] == "ana"
    other.global_sign_out(access_token=tokens["AccessToken"])
    with pytest.raises(NotAuthorizedError):
        world.pools.get_user(access_token=tokens["AccessToken"])
    challenge, a = world.srp_start()
    given = {"USERNAME": "ana", **world.srp_proof(challenge, a)}
    answer = {"client_id": C, "challenge_name": "PASSWORD_VERIFIER", "challenge_responses": given}
    world.pass_time(0.001)
    assert "AuthenticationResult" in other.respond_to_auth_challenge(**answer)
    with pytest.raises(NotAuthorizedError):
        world.pools.respond_to_auth_challenge(**answer)


def test_lock_out_counts_attempts_of_all_processes(stored):
    path, world = stored
    other = opened(path, world.keyring, world)
    for n in range(5):
        with pytest.raises(NotAuthorizedError):
            sign_in(world.pools if n % 2 else other, "Wrong-Horse7")
    for pools in (world.pools, other):
        with pytest.raises(NotAuthorizedError, match="exceeded"):
            sign_in(pools)


def test_store_is_read_back_as_it_was(stored):
    path, world = stored
    world.pools.create_group(user_pool_id=POOL, group_name="staff", precedence=1)
    world.pools.admin_add_user_to_group(user_pool_id=POOL, username="ana", group_name="staff")
    world.tokens(client=CS)
    tables = world.pools._state.tables
    again = opened(path, world.keyring, world)._state
    assert again.tables == tables
    assert again.store.user(POOL, "ana") == world.pools._state.store.user(POOL, "ana")


def test_failed_call_changes_nothing(stored):
    path, world = stored
    world.pools.admin_create_user(user_pool_id=POOL, username="bob", temporary_password=PASSWORD, message_action="SUPPRESS")
    challenge = world.password_sign_in("bob")
    before = dict(world.pools._state.tables.users), dict(world.pools._state.tables.passwords)
    for answers in ({"NEW_PASSWORD": "weak"}, {"NEW_PASSWORD": "Other-Horse8", "userAttributes.email": "no address"}):
        with pytest.raises(CognitoError):
            world.answer(challenge, answers, "bob")
    assert (world.pools._state.tables.users, world.pools._state.tables.passwords) == before
    assert opened(path, world.keyring, world)._state.tables.users == before[0]


def test_secret_in_another_record_does_not_open():
    """ST10, F191: a sealed secret copied into the record of another client fails, with an event."""
    world = World()
    made = world.pools.create_user_pool_client(user_pool_id=POOL, client_name="x", generate_secret=True)["UserPoolClient"]
    state = world.pools._state
    by_client = {secret.client: key for key, secret in state.tables.client_secrets.items()}
    own, other = by_client[CS], by_client[made["ClientId"]]
    with state.transaction():
        record = state.tables.client_secrets[own]
        state.put("client_secrets", own, replace(record, sealed=state.tables.client_secrets[other].sealed))
    with pytest.raises(CognitoError) as error:
        world.password_sign_in(client=CS)
    assert error.value.code == "InternalErrorException" and world.events[-1].warnings


def test_rotated_keyring_needs_reseal_before_the_old_key_leaves(tmp_path):
    """F192: STS over the same directory reseals the secrets of user pools too; a refresh token needs its key itself."""
    path, old = tmp_path / "store.db", Keyring.generate()
    world = World(directory=Directory.open(path), keyring=old)
    token = world.tokens()["RefreshToken"]
    both = old.rotated()
    new = Keyring([(both.ids[0], dict(zip(both.ids, both._keys.values(), strict=True))[both.ids[0]])])
    with pytest.raises(CognitoError):
        opened(path, new, world).initiate_auth(
            client_id=CS, auth_flow="USER_PASSWORD_AUTH", auth_parameters={"USERNAME": "ana", "SECRET_HASH": "x", "PASSWORD": "x"}
        )
    pools = opened(path, both, world)
    n_resealed = STS(pools._state.base.directory, both).reseal()
    assert n_resealed >= 5  # two signing keys, a client secret, a password, the key of the pool
    renewed = opened(path, new, world)
    assert sign_in(renewed)["AccessToken"]
    given = {"REFRESH_TOKEN": token}
    with pytest.raises(NotAuthorizedError):
        renewed.initiate_auth(client_id=C, auth_flow="REFRESH_TOKEN_AUTH", auth_parameters=given)
    assert pools.initiate_auth(client_id=C, auth_flow="REFRESH_TOKEN_AUTH", auth_parameters=given)["AuthenticationResult"]


def test_clock_that_is_set_back_revives_nothing():
    """ST20, F193."""
    world = World()
    challenge, a = world.srp_start()
    proof = world.srp_proof(challenge, a)
    world.answer(challenge, proof)
    world.pass_time(3600)
    world.tokens()  # sweeps what has ended
    world.pass_time(-3600)
    with pytest.raises(NotAuthorizedError):
        world.answer(challenge, proof)


def test_sweep_removes_what_has_ended():
    world = World()
    world.tokens()
    challenge, a = world.srp_start()
    world.answer(challenge, world.srp_proof(challenge, a))
    world.pools.forgot_password(client_id=C, username="ana")
    tables = world.pools._state.tables
    assert len(tables.sign_ins) == 2 and tables.spent and tables.codes
    world.pass_time(31 * 86_400)
    challenge, a = world.srp_start()
    world.answer(challenge, world.srp_proof(challenge, a))
    assert len(tables.sign_ins) == 1 and len(tables.spent) == 1 and not tables.codes


def test_deleted_user_and_pool_take_everything_along():
    world = World()
    world.tokens()
    world.pools.forgot_password(client_id=C, username="ana")
    world.pools.admin_delete_user(user_pool_id=POOL, username="ana")
    tables = world.pools._state.tables
    assert not (tables.users or tables.passwords or tables.codes or tables.sign_ins or tables.attempts)
    world.pools.delete_user_pool(user_pool_id=POOL)
    left = {name: len(getattr(tables, name)) for name in type(tables).__slots__ if name != "horizon"}
    assert {name: n for name, n in left.items() if n and name != "spent"} == {}


def test_protected_pool_is_not_deleted():
    world = World(pool={"deletion_protection": "ACTIVE"})
    with pytest.raises(CognitoError, match="protection"):
        world.pools.delete_user_pool(user_pool_id=POOL)


def test_two_processes_that_sign_up_one_name_make_one_user(stored):
    path, world = stored
    other = opened(path, world.keyring, world)
    other.sign_up(client_id=C, username="bob", password=PASSWORD)
    with pytest.raises(StsError) as error:
        world.pools.sign_up(client_id=C, username="bob", password=PASSWORD)
    assert error.value.code == "UsernameExistsException"


def test_pools_are_not_pickled():
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(World().pools)
