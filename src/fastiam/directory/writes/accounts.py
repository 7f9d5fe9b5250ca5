"""Writes of accounts, and of SCP and RCP paths of single accounts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fastiam.directory.account_records import Account
from fastiam.directory.naming_rules import check_account
from fastiam.directory.stored_policies import Policies, StoredLevels, StoredPolicy
from fastiam.directory.transactions import write
from fastiam.directory.writes.base import Writes
from fastiam.errors import DirectoryError
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten

_PARTITION = re.compile("[a-z0-9-]+")
_ALIAS = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")


class AccountWrites(Writes):
    """Accounts."""

    @write
    def add_account(
        self,
        id: str,
        *,
        name: str | None = None,
        canonical_id: str | None = None,
        partition: str | None = None,
        alias: str | None = None,
        email: str | None = None,
        joined: datetime | None = None,
        request: str | None = None,
        closed: datetime | None = None,
    ) -> None:
        """Add an account. It need not be added before its principals; `canonical_id` is the S3 canonical user id.
        `alias` is its name in sign-in addresses, which no other account has; "" removes it.

        `email`, `joined` and `request` (the id of its CreateAccount) are what Organizations shows of it. The credentials of an
        account that is `closed` are refused.

        A second call updates the account; None keeps a value. The partition of a new account is `aws` by default.
        """
        if partition is not None and not _PARTITION.fullmatch(partition):
            raise DirectoryError(f"`{shorten(partition)}` is not a partition", hint="write `aws`, `aws-cn`, `aws-us-gov`, ...")
        old = self.tables.accounts.get(check_account(id), Account(id, partition or "aws"))
        new = replace(
            old,
            name=name or old.name,
            canonical_id=canonical_id or old.canonical_id,
            partition=partition or old.partition,
            email=email or old.email,
            joined=joined or old.joined,
            request=request or old.request,
            closed=closed or old.closed,
            alias=old.alias if alias is None else self._free_alias(id, alias),
        )
        self._put("accounts", new)

    def _free_alias(self, id: str, alias: str) -> str:
        """The alias, if no other account has it."""
        if alias and not _ALIAS.fullmatch(alias):
            hint = "use 3 to 63 small letters, digits and single `-` between them"
            raise DirectoryError(f"`{shorten(alias)}` is not the alias of an account", rule="DIR-NAME", hint=hint)
        if alias and any(each.alias == alias and each.id != id for each in self.tables.accounts.values()):
            raise DirectoryError(f"another account has the alias `{alias}`", rule="DIR-EXISTS")
        return alias

    @write
    def set_scps(self, account: str, levels: Sequence[Policies] | None) -> None:
        """Set the SCPs on an account's path, one list per level, root first, with or without an organisation.

        They replace those of the organisation's tree; None restores these. They do not apply to management accounts (D11).
        """
        found = self._read_levels(account, levels, PolicyKind.SCP, "scps")
        self._put("accounts", replace(self.tables.accounts[account], scps=found))

    @write
    def set_rcps(self, account: str, levels: Sequence[Policies] | None) -> None:
        """Set the RCPs on an account's path; see `set_scps`. Only their Denies count (D13)."""
        found = self._read_levels(account, levels, PolicyKind.RCP, "rcps")
        self._put("accounts", replace(self.tables.accounts[account], rcps=found))

    def _read_levels(self, account: str, levels: Sequence[Policies] | None, kind: PolicyKind, name: str) -> StoredLevels | None:
        check_account(account)
        reader = self._reader()
        found = None if levels is None else reader.read_levels(levels, kind, name)
        for i, level in enumerate(found or ()):
            self._check_level(reader, level, f"{name}[{i}] of {account}")
        self._commit(reader)
        self._ensure_account(account)
        if found is None:
            return None
        return tuple(tuple(self._one_object(kind, stored) for stored in level) for level in found)

    def _one_object(self, kind: PolicyKind, stored: StoredPolicy) -> StoredPolicy:
        """One object for equal SCPs of many accounts."""
        return self._levels.setdefault((kind, stored.name, stored.text), stored)
