"""The record store of user pools, with its indexes: names of users, users of a pool, sign-ins of a user."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Any

from fastiam.directory.transactions import RecordStore
from fastiam.directory.user_pool_records import (
    SEALED,
    Client,
    Group,
    Identity,
    Pool,
    Provider,
    SignIn,
    User,
    UserPoolTables,
    configuration_of,
    purpose_of,
)
from fastiam.model.key_registry import fold

_OF_USER = ("passwords", "software_tokens", "codes", "attempts")
_OF_POOL = ("signing_keys", "users", "groups", "sign_ins", "resource_servers", "providers", "provider_secrets", "identities")


class UserPoolStore(RecordStore[UserPoolTables]):
    """The records of user pools. Invariant: in a pool, a user name, `sub` or active alias belongs to one user (UP23)."""

    name = "user_pools"

    def __init__(self) -> None:
        super().__init__(UserPoolTables())
        self.sealed_tables = {table: partial(purpose_of, table) for table in SEALED}
        self._pools: dict[str, Pool] = {}  # with deleted ones: their fixed settings say how names of their users were folded
        self._names: dict[str, dict[str, str]] = {}  # pool: folded name: key of the user
        self._users: dict[str, dict[str, None]] = {}  # pool: keys, in the order of creation
        self._unconfirmed: dict[str, dict[str, None]] = {}  # pool: keys of the users that never confirmed, the oldest first
        self._sign_ins: dict[str, dict[str, None]] = {}  # key of the user: keys
        self._identities: dict[str, dict[str, None]] = {}  # key of the user: keys
        self._unknown: dict[str, dict[str, None]] = {}  # pool: keys of the attempts of unknown names, oldest first
        self._kids: dict[str, str] = {}

    def __getstate__(self) -> Mapping[str, Any]:
        if any(getattr(self.tables, table) for table in SEALED):
            raise TypeError("sealed keys are not pickled; open the store where they are needed")
        return super().__getstate__()

    # -- lookups ----------------------------------------------------------------------------------------------------------

    def fold(self, pool: str, name: str) -> str:
        """A name in the form in which the pool compares names."""
        return name if self._pools[pool].case_sensitive else fold(name)

    def user_key(self, pool: str, name: str) -> str | None:
        """The key of the user with a user name, `sub` or active alias."""
        return self._names.get(pool, {}).get(self.fold(pool, name))

    def user(self, pool: str, name: str) -> User | None:
        """The user with a user name, `sub` or active alias."""
        key = self.user_key(pool, name)
        return None if key is None else self.tables.users[key]

    def owners(self, user: User) -> dict[str, str]:
        """The keys of other users that have one of the names of a user, by the kind of the name: `username` or an attribute."""
        found = {}
        for kind, name in names_of(self._pools[user.pool], user):
            key = self.user_key(user.pool, name)
            if key is not None and key != user.key:
                found[kind] = key
        return found

    def users(self, pool: str) -> list[User]:
        """The users of a pool, in the order of creation."""
        return [self.tables.users[key] for key in self._users.get(pool, ())]

    def unconfirmed(self, pool: str) -> Collection[str]:
        """The keys of the users of a pool that have signed up and never confirmed, the oldest first."""
        return self._unconfirmed.get(pool, {})

    def known_pools(self) -> Iterable[str]:
        """The ids of all pools that this process has seen, deleted ones too."""
        return self._pools

    def clients(self, pool: str) -> list[Client]:
        """The app clients of a pool."""
        return [client for client in self.tables.clients.values() if client.pool == pool]

    def groups(self, user: User) -> list[Group]:
        """The groups of a user, the best precedence first, then by name (UP66)."""
        found = [self.tables.groups[f"{user.pool}/{name}"] for name in user.groups]
        return sorted(found, key=lambda group: (group.precedence is None, group.precedence or 0, group.name))

    def sign_ins(self, user: User) -> list[tuple[str, SignIn]]:
        """The sign-ins of a user, with their keys."""
        return [(key, self.tables.sign_ins[key]) for key in self._sign_ins.get(user.key, ())]

    def last_refresh(self, now: datetime) -> datetime | None:
        """When the last refresh token ends that may still be used; None if there is none."""
        ends = (sign_in.until for sign_in in self.tables.sign_ins.values() if not sign_in.revoked and sign_in.until > now)
        return max(ends, default=None)

    def signing_key(self, kid: str) -> Any:
        """The signing key with an id, of whatever pool."""
        key = self._kids.get(kid)
        return None if key is None else self.tables.signing_keys[key]

    def unknown(self, pool: str) -> Iterable[str]:
        """The keys of the attempts of unknown names, the oldest first."""
        return self._unknown.get(pool, {})

    def providers(self, pool: str) -> list[Provider]:
        """The outside providers of a pool."""
        return [provider for provider in self.tables.providers.values() if provider.pool == pool]

    def identities(self, user: User) -> list[tuple[str, Identity]]:
        """The outside identities of a user, with their keys."""
        return [(key, self.tables.identities[key]) for key in self._identities.get(user.key, ())]

    # -- deletion ---------------------------------------------------------------------------------------------------------

    def delete_user(self, user: User) -> None:
        """Delete a user with everything that belongs to it."""
        for table in _OF_USER:
            stored = getattr(self.tables, table)
            for key in [key for key in stored if key == user.key or key.startswith(user.key + "/")]:
                self.put(table, key, None)
        for key in list(self._sign_ins.get(user.key, ())):
            self.put("sign_ins", key, None)
        for key, _ in self.identities(user):
            self.put("identities", key, None)
        self.put("users", user.key, None)

    def delete_client(self, client: Client) -> None:
        """Delete an app client with its secrets. Its tokens are refused from now on."""
        for key, secret in list(self.tables.client_secrets.items()):
            if secret.client == client.id:
                self.put("client_secrets", key, None)
        self.put("clients", client.id, None)

    def delete_pool(self, pool: Pool) -> None:
        """Delete a pool with everything in it (UP86)."""
        for user in self.users(pool.id):
            self.delete_user(user)
        for client in self.clients(pool.id):
            self.delete_client(client)
        for table in (*_OF_POOL, *_OF_USER):
            for key in [key for key in getattr(self.tables, table) if key.startswith(pool.id + "/")]:
                self.put(table, key, None)
        for domain in list(self.tables.domains.values()):
            if domain.pool == pool.id:
                self.put("domains", domain.name, None)
        self.put("pool_secrets", pool.id, None)
        self.put("pools", pool.id, None)

    def keep_configuration(self) -> None:
        """Remove users, keys and secrets from memory, for a copy of a store."""
        kept = configuration_of(self.tables)
        for table in (each.name for each in fields(kept) if each.name != "horizon"):
            for key, old in list(getattr(self.tables, table).items()):
                new = getattr(kept, table).get(key)
                if new is not old:
                    self.change(table, key, old, new)
        self.tables.horizon = None

    # -- indexes ----------------------------------------------------------------------------------------------------------

    def changed(self, table: str, key: str, old: Any, new: Any) -> None:
        if table == "pools" and new is not None:
            self._pools[key] = new
        elif table == "users":
            self._index_user(key, old, new)
        elif table == "sign_ins":
            _index(self._sign_ins, f"{(new or old).pool}/{(new or old).sub}", key, new)
        elif table == "identities":
            _index(self._identities, f"{(new or old).pool}/{(new or old).sub}", key, new)
        elif table == "signing_keys":
            if new is None:
                self._kids.pop(old.kid, None)
            else:
                self._kids[new.kid] = key
        elif table == "attempts" and "/~" in key:
            _index(self._unknown, key.partition("/")[0], key, new)

    def _index_user(self, key: str, old: User | None, new: User | None) -> None:
        pool = (new or old).pool  # type: ignore[union-attr]
        names = self._names.setdefault(pool, {})
        if old is not None:
            for _, name in names_of(self._pools[pool], old):
                if names.get(self.fold(pool, name)) == key:
                    del names[self.fold(pool, name)]
        if new is not None:
            for _, name in names_of(self._pools[pool], new):
                names[self.fold(pool, name)] = key
        _index(self._users, pool, key, new)
        _index(self._unconfirmed, pool, key, new if new is not None and new.status == "UNCONFIRMED" else None)


def _index(index: dict[str, dict[str, None]], of: str, key: str, new: object) -> None:
    stored = index.setdefault(of, {})
    if new is None:
        stored.pop(key, None)
        if not stored:
            del index[of]
    else:
        stored.setdefault(key)


def names_of(pool: Pool, user: User) -> list[tuple[str, str]]:
    """The names by which a user signs in, with their kind: `username`, `sub` or an attribute (UP22, UP23)."""
    names = [("username", user.username), ("sub", user.sub)]
    values = user.attributes
    for name in (*pool.alias_attributes, *pool.username_attributes):
        is_active = name in ("preferred_username", user.login) or values.get(f"{name}_verified") == "true"
        if is_active and values.get(name):
            names.append((name, values[name]))
    return names
