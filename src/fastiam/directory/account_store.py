"""The book of an account model: its records, with the indexes and the journal that follow each change.

A table that a snapshot shares is copied before its next change, so a snapshot costs nothing and the first write after it
copies one dict.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastiam.directory.indexes import Indexes, name_of
from fastiam.directory.organization import Organization
from fastiam.directory.records import Entity, Tables
from fastiam.directory.transactions import SINGLE, Book
from fastiam.resolve.changes import Mark, Touched
from fastiam.resolve.snapshot import Snapshot


class Store(Book[Tables]):
    """Records, their indexes and their journal."""

    name = "directory"

    def __init__(self) -> None:
        self.indexes = Indexes()
        self._shared: set[str] = set()  # tables that the last snapshot holds too
        self._mark = Mark()
        self._touched: Touched | None = None  # None until a snapshot could be compared with what comes
        self._snapshot: Snapshot | None = None
        super().__init__(Tables())

    def snapshot(self) -> Snapshot:
        """An immutable view of what is there now."""
        with self.ledger.lock:
            if self._snapshot is None:
                if self._touched:
                    self._mark.touched, self._mark.next = self._touched, Mark(self._mark.number + 1)
                    self._mark = self._mark.next
                self._touched = Touched()
                self._shared = set(Tables.__slots__)
                self._snapshot = Snapshot(replace(self.tables), self._mark)
            return self._snapshot

    def put_organization(self, organization: Organization | None) -> None:
        """Another organisation, or another state of it."""
        self.put("organization", SINGLE, organization)

    def change(self, table: str, key: str, old: Any, new: Any) -> None:
        """A record in place of another, with whatever follows from it."""
        if table == "organization":
            self._change_organization(new)
        else:
            self._change_record(table, key, old, new)
        self._snapshot = None

    def _change_record(self, table: str, key: str, old: Any, new: Any) -> None:
        held = self._own(table)
        if self._touched is not None:
            self._touched.record(table, key, old, new, self.tables, self.indexes)
        if old is None:
            self.indexes.add(table, key, new)
        else:
            self.indexes.replace(table, key, old, new)
        if table in ("entities", "groups", "instance_profiles"):
            self._name(key, old, new)
        if new is None:
            del held[key]
        else:
            held[key] = new

    def _change_organization(self, organization: Organization | None) -> None:
        old = replace(self.tables)
        self.tables.organization = organization
        if self._touched is not None:
            self._touched.organization(old, self.tables, self.indexes)

    def _own(self, table: str) -> dict[Any, Any]:
        """The table, as one that no snapshot holds."""
        held: dict[Any, Any] = getattr(self.tables, table)
        if table in self._shared:
            held = dict(held)
            setattr(self.tables, table, held)
            self._shared.discard(table)
        return held

    def _name(self, arn: str, old: Any, new: Any) -> None:
        """Names follow records. Of two with one name, which only a lenient load has, the last one is found."""
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
