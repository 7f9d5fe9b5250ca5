"""Writes of tags (spec 1.3, 1.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fastiam.directory.account_records import Entity
from fastiam.directory.governing_resources import stored_arn
from fastiam.directory.naming_rules import read_tags
from fastiam.directory.transactions import write
from fastiam.directory.writes.base import Writes
from fastiam.errors import DirectoryError
from fastiam.model.key_registry import fold
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import shorten

_TABLES = (
    *("entities", "managed", "instance_profiles", "saml_providers", "oidc_providers"),
    *("trust_anchors", "revocation_lists", "roles_anywhere_profiles", "resources"),
)


class TagWrites(Writes):
    """Tags of all records that have them."""

    @write
    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a user, role, managed policy, instance profile, provider, Roles Anywhere object or resource.

        An existing key gets the new value. The case of keys does not count for IAM resources (spec 1.3).
        """
        table, record = self._tagged(arn)
        if table == "resources":
            self._put(table, replace(record, tags={**record.tags, **read_tags(tags, ignore_case=False)}))
            return
        reader = self._reader()
        new = self._read_tags(reader, {**record.tags, **read_tags(tags, ignore_case=True)}, arn)
        self._commit(reader)
        self._put(table, replace(record, tags=new))

    @write
    def untag(self, arn: str, keys: Iterable[str]) -> None:
        """Remove the tags with these keys; absent keys are ignored."""
        table, record = self._tagged(arn)
        spelled = str if table == "resources" else fold
        gone = {spelled(key) for key in ((keys,) if isinstance(keys, str) else keys)}
        self._put(table, replace(record, tags={k: v for k, v in record.tags.items() if spelled(k) not in gone}))

    def _tagged(self, arn: str) -> tuple[str, Any]:
        """The table and record with this ARN. A user or role precedes a resource with the same ARN."""
        for table in _TABLES:
            record = getattr(self.tables, table).get(stored_arn(arn) if table == "resources" else arn)
            if record is not None and not (isinstance(record, Entity) and record.kind is PrincipalKind.ROOT):
                return table, record
        raise DirectoryError(f"there is no `{shorten(arn)}` that could have tags", hint="groups have none")
