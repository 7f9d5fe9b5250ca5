"""Snapshots of a directory, and the journal of what was written between them."""

from __future__ import annotations

from typing import Any

from fastiam.directory.account_records import Tables
from fastiam.directory.account_store import AccountStore
from fastiam.directory.indexes import Indexes
from fastiam.resolve.changes import AffectedSet, JournalPosition
from fastiam.resolve.snapshot import Snapshot


class Journal:
    """Observes a record store and makes its snapshots. `changes_between` reads what it has noted.

    It does not hold the store, which holds it: without a reference cycle, memory is freed with the last reference.
    """

    def __init__(self) -> None:
        self._position = JournalPosition()
        self._affected: AffectedSet | None = None  # None until there is a snapshot that later writes could be compared with
        self._snapshot: Snapshot | None = None

    def record(self, table: str, key: str, old: Any, new: Any, tables: Tables, indexes: Indexes) -> None:
        """Note which principals and resources the change of a record affects."""
        self._snapshot = None
        if self._affected is not None:
            self._affected.record(table, key, old, new, tables, indexes)

    def organization(self, old: Tables, new: Tables, indexes: Indexes) -> None:
        """Note which accounts another organisation affects."""
        self._snapshot = None
        if self._affected is not None:
            self._affected.organization(old, new, indexes)

    def snapshot(self, store: AccountStore) -> Snapshot:
        """An immutable view of the store. The same one as before if nothing was written since."""
        with store.transaction_manager.lock:
            if self._snapshot is None:
                if self._affected:
                    self._position.affected, self._position.next = self._affected, JournalPosition(self._position.number + 1)
                    self._position = self._position.next
                self._affected = AffectedSet()
                self._snapshot = Snapshot(store.freeze(), self._position)
            return self._snapshot
