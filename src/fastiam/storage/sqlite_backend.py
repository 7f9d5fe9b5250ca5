"""The SQLite backend of record stores: one process writes at a time, any number read.

Readers use memory, which follows the file. Each commit has a number, and each record has the number of its last commit. A process
that has seen commit n reads the records with greater numbers. A writer does this with the lock, before it reads anything else, so
that it never decides on, or overwrites, what it has not seen.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastiam.directory.record_codec import FieldCodec, UnknownFieldError, from_text, tables_of, to_text
from fastiam.directory.transactions import Change, RecordStore
from fastiam.runtime.gc_pause import collection_paused
from fastiam.storage.connection import Connection

_NOTHING = -1  # no commit: all records are compared
_RESERVE = 1 << 20  # bytes
_KEEP_REMOVED = 4096  # commits after which the row of a removed record is deleted
_LOAD = """SELECT tables.name, key, body, checksum FROM records JOIN tables ON tables.id = table_id
           WHERE body IS NOT NULL ORDER BY records.id"""
_SINCE = """SELECT tables.name, key, body, checksum FROM records JOIN tables ON tables.id = table_id
            WHERE commit_id > ? ORDER BY commit_id, records.id"""
_UPDATE = "UPDATE records SET (body, checksum, commit_id) = (?, ?, ?) WHERE table_id = ? AND key = ?"
_INSERT = "INSERT OR REPLACE INTO records (body, checksum, commit_id, table_id, key) VALUES (?, ?, ?, ?, ?)"
_Row = tuple[str, str, str | None, int]
_State = tuple[RecordStore[Any], str, str, Any]  # store, table, key, record


class SqliteBackend:
    """The open file of a store, migrated to this release.

    Parameters
    ----------
    path
        the file.
    lock
        of the transaction manager: one thread at a time uses the backend.
    create
        whether to create an absent file.
    read_only
        never write, not even to migrate an older store.
    timeout
        seconds to wait for another writer.

    Raises
    ------
    StoreError
        no file, not a store, or one that this release cannot read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lock: threading.RLock,
        create: bool,
        read_only: bool,
        timeout: float,
    ) -> None:
        self.path = Path(path).absolute()
        self._read_only, self.timeout = read_only, timeout
        self._connection = Connection(self.path, read_only=read_only, timeout=timeout, lock=lock)
        self._record_stores: dict[str, RecordStore[Any]] = {}
        self._codecs: dict[str, tuple[RecordStore[Any], str, FieldCodec]] = {}  # by the name of the table in the file
        self._seen = 0  # the last commit in memory
        self._reserve = self.path.with_name(f"{self.path.name}.reserve")
        self._wants_reserve = False
        self._is_closed = False
        if not read_only and (create or self.path.exists()):
            self._connection.create()
        self._connection.check()

    # -- reading ------------------------------------------------------------------------------------------------------

    def load(self, store: RecordStore[Any]) -> None:
        """Fill a record store that has just joined; the others are updated to the same commit."""
        with self._using() as connection, _at_one_moment(connection), collection_paused():
            if self._record_stores:
                self._catch_up(connection)
            else:
                self._seen = _counter(connection, "commit")
            codecs = {f"{store.name}.{table}": (store, table, codec) for table, codec in tables_of(type(store.tables)).items()}
            for _, table, key, record in self._records(self._all_rows(connection), codecs):
                store.change(table, key, None, record)
            if self._connection.is_replaced:
                raise self._connection.error("busy", "the store was changed while it was read", hint="try again")
        self._record_stores[store.name] = store
        self._codecs |= codecs

    def refresh(self) -> bool:
        """Add what others have written to all record stores. Return whether there was anything."""
        with self._using() as connection:
            if _counter(connection, "commit") == self._seen:
                return False
            with _at_one_moment(connection):
                return self._catch_up(connection)

    def is_current(self) -> bool:
        """Whether memory holds the last commit of the file."""
        with self._using() as connection:
            return _counter(connection, "commit") == self._seen

    def _catch_up(self, connection: sqlite3.Connection) -> bool:
        """Add what was committed since. After too many commits, or for another file, all records are compared."""
        self._connection.check_version(connection)  # a newer release may have migrated the open store
        latest, horizon = _counter(connection, "commit"), _counter(connection, "horizon")
        if latest == self._seen:
            return False
        if horizon <= self._seen < latest:
            states = list(self._records(connection.execute(_SINCE, (self._seen,)), self._codecs))
        else:
            states = self._all_states(connection)
        for store, table, key, record in states:
            old = store.get(table, key)
            if old is not record and old != record:
                store.change(table, key, old, record)
        self._seen = latest
        return True

    def _all_states(self, connection: sqlite3.Connection) -> list[_State]:
        states = list(self._records(self._all_rows(connection), self._codecs))
        present = {(id(store), table, key) for store, table, key, _ in states}
        removed: list[_State] = []
        for store, table, _ in self._codecs.values():
            records = getattr(store.tables, table)
            keys = list(records) if isinstance(records, dict) else [""] if records is not None else []
            removed += [(store, table, key, None) for key in keys if (id(store), table, key) not in present]
        return removed + states

    def _all_rows(self, connection: sqlite3.Connection) -> Iterator[_Row]:
        """The rows of all records, counted: a damaged page may lose rows without an error."""
        n_records = 0
        for row in connection.execute(_LOAD):
            n_records += 1
            yield row
        wanted = _counter(connection, "records")
        if n_records != wanted:
            raise self._corrupt(f"{wanted} records were written, {n_records} exist")

    def _records(self, rows: Iterable[_Row], codecs: dict[str, tuple[RecordStore[Any], str, FieldCodec]]) -> Iterator[_State]:
        """The records of rows, without those of record stores that have not joined."""
        record_stores = {store.name for store, _, _ in codecs.values()}
        for name, key, body, checksum in rows:
            if name not in codecs:
                if name.partition(".")[0] in record_stores:
                    raise self._newer(f"the table `{name}` is unknown")
                continue
            store, table, codec = codecs[name]
            if checksum != _checksum(name, key, body):
                raise self._corrupt(f"the checksum of the row `{key}` of `{name}` is wrong")
            yield store, table, key, None if body is None else self._read(codec, name, key, body)

    def _read(self, codec: FieldCodec, name: str, key: str, body: str) -> Any:
        try:
            return from_text(codec, body)
        except UnknownFieldError as error:
            raise self._newer(f"the row `{key}` of `{name}`: {error}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._corrupt(f"the row `{key}` of `{name}` cannot be read: {error}") from error

    def _newer(self, message: str) -> Exception:
        return self._connection.error("newer", f"a newer release has written the store: {message}", hint="install it")

    def _corrupt(self, why: str) -> Exception:
        return self._connection.error("corrupt", f"the store is corrupt: {why}", hint="restore a backup")

    # -- writing ------------------------------------------------------------------------------------------------------

    def begin(self, *, is_last_try: bool) -> bool:
        """Lock out other writers, then take in what they have written; False if one writes (see `StorageBackend`)."""
        if self._read_only:
            raise self._connection.error("read_only", "the store was opened for reading")
        with self._using() as connection:
            if not self._connection.begin(connection, is_last_try=is_last_try):
                return False
            try:
                self._catch_up(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        return True

    def commit(self, changes: Sequence[Change]) -> None:
        """Make the changes durable and let others write."""
        with self._using() as connection:
            written = [change for change in changes if change.record_store.name in self._record_stores]
            if not written:
                connection.execute("ROLLBACK")
                return
            try:
                self._write_all(connection, written)
            except sqlite3.OperationalError as error:
                if not _is_full(error) or all(change.old is None for change in written):
                    raise
                self._write_in_room(connection, written)
            if self._wants_reserve and not self._reserve.exists():
                self.keep_reserve()

    def _write_all(self, connection: sqlite3.Connection, written: Sequence[Change]) -> None:
        number = self._seen + 1
        for change in written:
            self._write(connection, number, change)
        more = sum((change.new is not None) - (change.old is not None) for change in written)
        connection.execute("UPDATE counters SET value = ? WHERE name = 'commit'", (number,))
        connection.execute("UPDATE counters SET value = value + ? WHERE name = 'records'", (more,))
        if number % _KEEP_REMOVED == 0:
            _purge_removed(connection, number - _KEEP_REMOVED)
        connection.execute("COMMIT")
        self._seen = number

    # -- a full disk --------------------------------------------------------------------------------------------------

    def keep_reserve(self) -> None:
        """Keep some room beside the file, for changes of records on a full disk: a key must be disabled there too.

        What only adds records never gets it.
        """
        self._wants_reserve = True
        try:
            with open(os.open(self._reserve, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVE)
        except OSError:  # the disk is full already, or the file system has no such call
            self._reserve.unlink(missing_ok=True)

    def _write_in_room(self, connection: sqlite3.Connection, written: Sequence[Change]) -> None:
        """Write on a full disk: over the log, once it is in the file, and then with the reserve."""
        for has_reserve in (False, True):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if has_reserve:
                self._reserve.unlink(missing_ok=True)
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            if _counter(connection, "commit") != self._seen:
                raise self._connection.error("busy", "another process has written meanwhile", hint="try again")
            try:
                self._write_all(connection, written)
                return
            except sqlite3.OperationalError as error:
                if has_reserve or not _is_full(error):
                    raise

    def rollback(self) -> None:
        """Let others write, without storing anything."""
        if not self._connection.roll_back():
            # it has ended by itself, or an interrupt followed the commit: memory may differ from the file
            self._seen = _NOTHING

    def _write(self, connection: sqlite3.Connection, number: int, change: Change) -> None:
        name = f"{change.record_store.name}.{change.table}"
        if name not in self._codecs:
            raise TypeError(f"`{name}` is not a table of records")
        table_id = _table_id(connection, name)
        body = None if change.new is None else to_text(self._codecs[name][2], change.new)
        values = (body, _checksum(name, change.key, body), number, table_id, change.key)
        # INVARIANT: rows are in the order of insertion: a record that is added again is the last one, as in a dict
        done = connection.execute(_INSERT if change.old is None else _UPDATE, values)
        if done.rowcount != 1:
            raise self._corrupt(f"the row `{change.key}` of `{name}` is absent")

    # -- the file -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file for good."""
        self._is_closed = True
        self._connection.close()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        if self._is_closed:
            raise self._connection.error("closed", "the store was closed")
        if self._connection.is_replaced:
            if self._connection.in_transaction:
                raise self._connection.error("gone", "another file has replaced the store", hint="write again")
            self._connection.close()
            self._connection.check()
            self._seen = _NOTHING
        with self._connection.use() as connection:
            yield connection


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def _counter(connection: sqlite3.Connection, name: str) -> int:
    found = connection.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    if found is None:
        raise sqlite3.DatabaseError(f"the counter `{name}` is absent")
    return int(found[0])


def _table_id(connection: sqlite3.Connection, name: str) -> int:
    found = connection.execute("SELECT id FROM tables WHERE name = ?", (name,)).fetchone()
    if found is None:
        found = connection.execute("INSERT INTO tables (name) VALUES (?) RETURNING id", (name,)).fetchone()
    return int(found[0])


def _purge_removed(connection: sqlite3.Connection, number: int) -> None:
    """Delete the rows of records that were removed up to a commit. Readers of earlier commits compare all records."""
    done = connection.execute("DELETE FROM records WHERE body IS NULL AND commit_id <= ?", (number,))
    if done.rowcount:
        connection.execute("UPDATE counters SET value = ? WHERE name = 'horizon'", (number,))


def _checksum(table: str, key: str, body: str | None) -> int:
    return zlib.crc32(f"{table}\0{key}\0{body}".encode("utf-8", "surrogatepass"))


@contextmanager
def _at_one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All reads inside see one commit, as they do in a transaction."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
