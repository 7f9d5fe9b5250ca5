"""The record store of an account model: its records, and indexes over them.

Invariant: tables that `freeze` has returned do not change. A table is copied before its next change, so that `freeze` costs
nothing, and the first write to a table after it copies one dict.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from fastiam.directory.account_records import Entity, Tables
from fastiam.directory.indexes import Indexes, name_of
from fastiam.directory.organization import Organization
from fastiam.directory.transactions import SINGLE, RecordStore


class ChangeObserver(Protocol):
    """An observer of the changes of a record store. It is called before the tables change."""

    def record(self, table: str, key: str, old: Any, new: Any, tables: Tables, indexes: Indexes) -> None:
        """A record changes from `old` to `new`; None means that it is absent."""

    def organization(self, old: Tables, new: Tables, indexes: Indexes) -> None:
        """The organisation changes."""


class AccountStore(RecordStore[Tables]):
    """Records and their indexes.

    Attributes
    ----------
    observer
        receives each change. None: no observer.
    """

    name = "directory"

    def __init__(self) -> None:
        self.indexes = Indexes()
        self.observer: ChangeObserver | None = None
        self._shared: set[str] = set()  # tables that the last `freeze` returned as well
        super().__init__(Tables())

    def freeze(self) -> Tables:
        """Return the current tables; later changes do not affect them."""
        self._shared = set(Tables.__slots__)
        return replace(self.tables)

    def put_organization(self, organization: Organization | None) -> None:
        """Replace the organisation."""
        self.put("organization", SINGLE, organization)

    def change(self, table: str, key: str, old: Any, new: Any) -> None:
        """Replace a record, and update the indexes."""
        if table == "organization":
            self._change_organization(new)
        else:
            self._change_record(table, key, old, new)

    def _change_record(self, table: str, key: str, old: Any, new: Any) -> None:
        records = self._own(table)
        if self.observer is not None:
            self.observer.record(table, key, old, new, self.tables, self.indexes)
        if old is None:
            self.indexes.add(table, key, new)
        else:
            self.indexes.replace(table, key, old, new)
        if table in ("entities", "groups", "instance_profiles"):
            self._name(key, old, new)
        if new is None:
            del records[key]
        else:
            records[key] = new

    def _change_organization(self, organization: Organization | None) -> None:
        old = replace(self.tables)
        self.tables.organization = organization
        if self.observer is not None:
            self.observer.organization(old, self.tables, self.indexes)

    def _own(self, table: str) -> dict[Any, Any]:
        """The table; a copy of it if a snapshot shares it."""
        records: dict[Any, Any] = getattr(self.tables, table)
        if table in self._shared:
            records = dict(records)
            setattr(self.tables, table, records)
            self._shared.discard(table)
        return records

    def _name(self, arn: str, old: Any, new: Any) -> None:
        """Update the index of names. If two records have one name, after a lenient load, the last one is found."""
        was, is_ = name_of(old), name_of(new)
        if was == is_:
            return
        if was is not None and self.indexes.names.get(was) == arn:
            del self.indexes.names[was]
        if is_ is not None:
            self.indexes.names[is_] = arn
        if (was or is_ or ("", "", "", ""))[2] == "role":
            self._name_role(arn, old, new)

    def _name_role(self, arn: str, old: Entity | None, new: Entity | None) -> None:
        roles = self._own("roles")
        if old is not None and roles.get(_role(old)) == arn:
            del roles[_role(old)]
        if new is not None:
            roles[_role(new)] = arn


def _role(role: Entity) -> tuple[str, str, str]:
    return role.partition, role.account, role.name
