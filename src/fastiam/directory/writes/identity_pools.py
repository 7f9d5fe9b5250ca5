"""Writes of Cognito identity pools. `fastiam.cognito.IdentityPools` checks their parameters before it writes."""

from __future__ import annotations

import re
from dataclasses import replace

from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.directory.transactions import write
from fastiam.directory.writes.base import Writes
from fastiam.errors import DirectoryError
from fastiam.model.request import shorten

_ID = re.compile("[a-z]{2}(?:-[a-z]+)+-[0-9]:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ACCOUNT = re.compile("[0-9]{12}")


class IdentityPoolWrites(Writes):
    """Cognito identity pools."""

    @write
    def add_identity_pool(self, record: IdentityPool) -> None:
        """Add an identity pool.

        Raises
        ------
        DirectoryError
            the id or account has another form, or a pool with this id exists.
        """
        reader, id_ = self._reader(), record.identity_pool_id
        if not _ID.fullmatch(id_):
            raise DirectoryError(f"`{shorten(id_)}` is not the id of an identity pool", hint="use `<region>:<uuid>`")
        if not _ACCOUNT.fullmatch(record.account):
            raise DirectoryError(f"`{shorten(record.account)}` is not an account id")
        if self._exists(reader, self.tables.identity_pools, id_, "identity pool"):
            return
        tags = self._read_tags(reader, record.identity_pool_tags, id_)
        self._commit(reader)
        self._store.put("identity_pools", id_, replace(record, identity_pool_tags=tags))
        self._ensure_account(record.account)

    @write
    def replace_identity_pool(self, record: IdentityPool) -> None:
        """Another state of an identity pool that exists."""
        self._store.put("identity_pools", self._identity_pool(record.identity_pool_id).identity_pool_id, record)

    @write
    def delete_identity_pool(self, identity_pool_id: str) -> None:
        """Delete an identity pool. Its identities go with it."""
        self._store.put("identity_pools", self._identity_pool(identity_pool_id).identity_pool_id, None)

    def _identity_pool(self, id_: str) -> IdentityPool:
        found = self.tables.identity_pools.get(id_)
        if found is None:
            raise DirectoryError(f"identity pool not found: `{shorten(id_)}`", hint="`list` shows the identity pools")
        return found
