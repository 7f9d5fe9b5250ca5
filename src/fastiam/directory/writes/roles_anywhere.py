"""Writes of trust anchors, revocation lists and profiles of IAM Roles Anywhere.

Certificates are text here: `fastiam.rolesanywhere` checks them before it writes, and each time it uses them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from fastiam.directory.account_records import RevocationList, RolesAnywhereProfile, RolesAnywhereRecord, TrustAnchor
from fastiam.directory.transactions import write
from fastiam.directory.writes.base import Writes
from fastiam.errors import DirectoryError
from fastiam.model.request import shorten

UUID = "[a-f0-9]{8}-(?:[a-z0-9]{4}-){3}[a-z0-9]{12}"
_ARN = re.compile(f"arn:(aws[a-z-]*):rolesanywhere:([a-z0-9-]+):([0-9]{{12}}):(trust-anchor|crl|profile)/{UUID}")
_PLACES: dict[type, tuple[str, str]] = {  # table, and type in ARNs
    TrustAnchor: ("trust_anchors", "trust-anchor"),
    RevocationList: ("revocation_lists", "crl"),
    RolesAnywhereProfile: ("roles_anywhere_profiles", "profile"),
}
_NAME = re.compile("[ a-zA-Z0-9_-]{1,255}")


class RolesAnywhereWrites(Writes):
    """Objects of IAM Roles Anywhere."""

    @write
    def add_roles_anywhere(self, record: RolesAnywhereRecord) -> None:
        """Add a trust anchor, revocation list or profile. Its account is that of its ARN.

        Raises
        ------
        DirectoryError
            the ARN is of another type, or there is one of this ARN; a revocation list whose trust anchor is absent.
        """
        reader, (table, type_) = self._reader(), _PLACES[type(record)]
        found = _ARN.fullmatch(record.arn)
        if found is None or found[4] != type_:
            hint = f"write `arn:aws:rolesanywhere:us-east-1:111111111111:{type_}/<uuid>`"
            raise DirectoryError(f"`{shorten(record.arn)}` is not the ARN of a {type_}", hint=hint)
        partition, account = found[1], found[3]
        if self._exists(reader, getattr(self.tables, table), record.arn, type_):
            return
        if not _NAME.fullmatch(record.name):
            self._refuse(reader, "DIR-NAME", record.arn, f"`{shorten(record.name)}` is not a valid name of a {type_}")
        if isinstance(record, RevocationList) and record.trust_anchor not in self.tables.trust_anchors:
            self._refuse(reader, "DIR-NO-ANCHOR", record.arn, "the trust anchor of a revocation list is absent")
        tags = self._read_tags(reader, record.tags, record.arn)
        self._commit(reader)
        self._put(table, replace(record, account=account, tags=tags))
        self._ensure_account(account, partition)

    @write
    def replace_roles_anywhere(self, record: RolesAnywhereRecord) -> None:
        """Replace an existing trust anchor, revocation list or profile."""
        table, type_ = _PLACES[type(record)]
        self._require(table, type_, record.arn)
        self._put(table, record)

    @write
    def delete_roles_anywhere(self, arn: str) -> None:
        """Delete a trust anchor with its revocation lists, or a revocation list or profile."""
        table, type_ = next((place for place in _PLACES.values() if f":{place[1]}/" in arn), _PLACES[TrustAnchor])
        self._store.put(table, self._require(table, type_, arn).arn, None)
        for crl in list(self.tables.revocation_lists.values()):
            if crl.trust_anchor == arn:
                self._store.put("revocation_lists", crl.arn, None)

    def _require(self, table: str, type_: str, arn: str) -> Any:
        found = getattr(self.tables, table).get(arn)
        if found is None:
            raise DirectoryError(f"there is no {type_} `{shorten(arn)}`", hint="`list` shows what there is")
        return found
