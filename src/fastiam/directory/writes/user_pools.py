"""Writes of the configuration of Cognito user pools. `fastiam.cognito.UserPools` has the calls about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fastiam.directory.naming_rules import check_account
from fastiam.directory.transactions import write
from fastiam.directory.writes.base import Writes
from fastiam.errors import DirectoryError
from fastiam.model.request import shorten

if TYPE_CHECKING:  # PERF: few directories have user pools
    from fastiam.directory.user_pool_records import Pool, PoolPart
    from fastiam.directory.user_pool_store import UserPoolStore

_ID = re.compile("[a-z]{2}(?:-[a-z]+)+-[0-9]_[0-9A-Za-z]+")


class UserPoolWrites(Writes):
    """Cognito user pools."""

    def _user_pools(self) -> UserPoolStore:
        """The records of user pools, read from the store if they have not been."""
        from fastiam.directory.user_pool_store import UserPoolStore  # PERF: few directories have user pools

        return self.transaction_manager.join(UserPoolStore())

    @write
    def add_user_pool(self, pool: Pool, parts: Sequence[PoolPart] = ()) -> None:
        """Add the configuration of a user pool. Its keys are made when they are needed.

        Raises
        ------
        DirectoryError
            the id or account has another form; the pool or a part of it exists; a provider has a secret.
        """
        from fastiam.directory.user_pool_records import Provider, place_of  # PERF: a directory without pools has none

        reader, store = self._reader(), self._user_pools()
        if not _ID.fullmatch(pool.id):
            raise DirectoryError(f"`{shorten(pool.id)}` is not the id of a user pool", hint="use `<region>_<letters and digits>`")
        check_account(pool.account)
        if self._exists(reader, dict.fromkeys(store.known_pools()), pool.id, "user pool"):
            return
        tags = self._read_tags(reader, pool.tags, pool.id)
        self._commit(reader)
        store.put("pools", pool.id, replace(pool, tags=tags))
        for part in parts:
            table, key = place_of(pool, part)
            if store.get(table, key) is not None:
                raise DirectoryError(f"`{shorten(key)}` of user pool `{pool.id}` exists", hint="use another id or name")
            if isinstance(part, Provider) and "client_secret" in part.details:
                raise DirectoryError(f"provider `{shorten(part.name)}` has a secret", hint="set it with UpdateIdentityProvider")
            store.put(table, key, part)
        self._ensure_account(pool.account)
