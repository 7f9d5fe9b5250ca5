"""User names: which ones a pool takes, and users that are made (UP20 to UP26)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.attributes import alias_kind, refused
from fastiam.cognito.user_pools.social import SOCIAL
from fastiam.cognito.user_pools.state import PoolState
from fastiam.directory.user_pool_records import Pool, User
from fastiam.model.key_registry import fold


def check_name(state: PoolState, pool: Pool, name: str) -> None:
    """Refuse user names of federated users (UP26), and ones that look like an alias (UP22).

    Raises
    ------
    CognitoError
        InvalidParameterException.
    """
    reserved = [*SOCIAL, *(provider.name for provider in state.store.providers(pool.id))]
    if any(fold(name).startswith(fold(provider) + "_") for provider in reserved):
        raise refused("Username cannot begin with the name of an identity provider and `_`", rule="UP26")
    kind = alias_kind(name)
    if kind and kind in pool.alias_attributes:
        raise refused(f"Username cannot be of {kind.replace('_', ' ')} format, since user pool is configured for it", rule="UP22")


def new_user(state: PoolState, pool: Pool, name: str, attributes: Mapping[str, str], status: str) -> User:
    """A user with a name as a call gives it, not written yet.

    Raises
    ------
    CognitoError
        the name is not one that the pool takes, or is taken (`UsernameExistsException`).
    """
    sub, now, login = state.new_id(), state.now(), ""
    values = dict(attributes)
    if pool.username_attributes:
        login = alias_kind(name)
        if login not in pool.username_attributes:
            words = " or ".join("an email" if kind == "email" else "a phone number" for kind in pool.username_attributes)
            raise refused(f"Username should be {words}.", rule="UP21")
        if values.setdefault(login, name) != name:
            raise refused(f"the user name and the attribute `{login}` differ", rule="UP21")
        if state.store.user_key(pool.id, name) is not None:
            raise CognitoError("User already exists", code="UsernameExistsException", rule="UP21")
        return User(pool.id, sub, sub, now, now, status, attributes=values, login=login)
    check_name(state, pool, name)
    if state.store.user_key(pool.id, name) is not None:
        raise CognitoError("User already exists", code="UsernameExistsException", rule="UP20")
    return User(pool.id, sub, name, now, now, status, attributes=values)


def take_aliases(state: PoolState, user: User) -> None:
    """Take the aliases of a user that is about to be written from the users that hold them, inside a transaction (UP22)."""
    for kind, key in state.store.owners(user).items():
        if kind in ("username", "sub"):
            continue
        owner = state.tables.users[key]
        values = {name: value for name, value in owner.attributes.items() if name != kind or kind != "preferred_username"}
        if kind != "preferred_username":
            values[f"{kind}_verified"] = "false"
        state.warn(f"the alias `{kind}` was taken from user {owner.sub}")
        state.put("users", key, replace(owner, attributes=values, login="" if owner.login == kind else owner.login))
