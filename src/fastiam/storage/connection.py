"""A connection to the file of a store: opening, translation of errors, and forks.

A child process must not use an SQLite connection that was open at the fork. All connections are closed before a fork, and opened
again on next use in both processes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

from fastiam.errors import Hint, StoreError
from fastiam.storage.schema import MIGRATIONS, migrate, version_of

Stamp = tuple[int, int]

_OF_WRITERS = "foreign_keys = ON", "synchronous = FULL"
_CREATE = Hint("create one: `fastiam.Directory.open(path)`", "create one with `fastiam init`")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CORRUPT = (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)  # 0: text is not UTF-8
_REASONS = {
    **dict.fromkeys(_BUSY, ("busy", "another process has locked the store", "try again, or raise `timeout`")),
    **dict.fromkeys(
        _CORRUPT, ("corrupt", "the file is corrupt, or is not a store", "restore a backup, or pass a file of `fastiam init`")
    ),
    sqlite3.SQLITE_READONLY: ("read_only", "the file or its folder cannot be written", "nothing was changed"),
    sqlite3.SQLITE_FULL: ("full", "the disk is full", "nothing was changed"),
    sqlite3.SQLITE_CANTOPEN: (
        "unreadable",
        "the file cannot be opened",
        "its folder must exist and be writable",
    ),
    sqlite3.SQLITE_IOERR: ("disk", "the disk fails", "nothing was changed"),
}


class Connection:
    """One connection, opened on first use, for one thread at a time: `lock` guards it.

    Parameters
    ----------
    lock
        must be acquired to use the connection; a fork waits for it.
    timeout
        seconds to wait for other writers.
    """

    def __init__(self, path: Path, *, read_only: bool, timeout: float, lock: threading.RLock) -> None:
        self.path, self.read_only, self.lock = path, read_only, lock
        self._timeout = timeout
        self._open: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._stamp: Stamp | None = None
        self._frozen: Stamp | None = None  # of a file in a folder that cannot be written
        _connections.add(self)

    def __del__(self) -> None:
        self.close()

    def create(self) -> None:
        """Create the store if the file is empty or absent, and migrate the store of an older release.

        Only its owner can read a new file, since it may contain credentials; the files next to it have the same mode.
        """
        try:
            os.close(os.open(self.path, os.O_CREAT, 0o600))
        except FileNotFoundError:
            raise self.error("absent", "the folder does not exist") from None
        except OSError as error:
            raise self.error("unreadable", f"the file cannot be created or opened: {error.strerror}") from None
        with self.use("rwc") as connection:
            version = version_of(connection)
            if version is not None and version < len(MIGRATIONS):
                migrate(connection)

    def check(self) -> None:
        """Check that this release can read the file.

        Raises
        ------
        StoreError
            it cannot.
        """
        with self.use() as connection:
            self.check_version(connection)

    def check_version(self, connection: sqlite3.Connection) -> None:
        """As `check`, with an open connection."""
        version, known = version_of(connection), len(MIGRATIONS)
        if version is None or version == 0:
            raise self.error("foreign", "the file is not a store of fastiam", hint=_CREATE)
        if version > known:
            message = f"the store has version {version}, this release reads versions up to {known}"
            raise self.error("newer", message, hint="install a newer fastiam; nothing was changed")
        if version < known:
            raise self.error("older", f"the store has version {version}", hint="open it once for writing to migrate it")

    @contextmanager
    def use(self, mode: str = "") -> Iterator[sqlite3.Connection]:
        """The connection, by default opened as its parameters say; errors of SQLite become `StoreError`."""
        try:
            yield self._connection(mode or ("ro" if self.read_only else "rw"))
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except UnicodeDecodeError as error:
            raise self._explain(sqlite3.DatabaseError(str(error))) from None
        except UnicodeEncodeError as error:
            raise self.error("text", f"a lone surrogate cannot be a key: `{error.object!a}`") from None

    @property
    def is_replaced(self) -> bool:
        """Whether another file has replaced the one that was read, or a file opened as immutable has changed."""
        if self._frozen is not None and _content(self.path) != self._frozen:
            return True
        return self._stamp is not None and _stamp(self.path) != self._stamp

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._open is not None and self._open.in_transaction

    def begin(self, connection: sqlite3.Connection, *, is_last_try: bool) -> bool:
        """Begin a transaction that writes, without waiting; False if another process writes and this is not the last try."""
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_last_try or error.sqlite_errorcode & 0xFF not in _BUSY:
                raise
            return False
        finally:
            connection.execute(f"PRAGMA busy_timeout = {round(self._timeout * 1000)}")
        return True

    def roll_back(self) -> bool:
        """Roll back the open transaction; False if there is none."""
        if self._process != os.getpid() or not self.in_transaction:
            return False
        with self.use() as connection:
            connection.execute("ROLLBACK")
        return True

    def close(self) -> None:
        """Close the file; it is opened again on next use."""
        connection, self._open = self._open, None
        if connection is not None and self._process == os.getpid():
            connection.close()

    def _connection(self, mode: str) -> sqlite3.Connection:
        if self._open is not None and self._process != os.getpid():
            raise self.error("forked", "the process forked inside a transaction", hint="open the store in the child")
        if self._open is None:
            self._process = os.getpid()
            self._open = self._connect(mode)
            self._stamp = _stamp(self.path)
        return self._open

    def _connect(self, mode: str) -> sqlite3.Connection:
        self._frozen = None
        connection = self._connect_as(f"mode={mode}")
        if mode == "ro" and _is_locked_out(connection, self.path):
            connection.close()
            self._frozen = _content(self.path)
            connection = self._connect_as("mode=ro&immutable=1")
        elif mode == "rwc" and version_of(connection) == 0:
            connection.execute("PRAGMA journal_mode = WAL")  # stored in the file
        return connection

    def _connect_as(self, parameters: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{parameters}",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,  # transactions begin explicitly
            check_same_thread=False,
        )
        try:
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", *(() if self.read_only else _OF_WRITERS)):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _explain(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_CANTOPEN and _is_absent(self.path):
            return self.error("absent", "the file does not exist", hint=_CREATE)
        reason, message, hint = _REASONS.get(code, _REASONS[sqlite3.SQLITE_IOERR])
        return self.error(reason, f"{message} ({error})", hint=hint)

    def error(self, reason: str, message: str, *, hint: str = "") -> StoreError:
        """Make an error about this store."""
        return StoreError(message, source=str(self.path), reason=reason, hint=hint)


def _stamp(path: Path) -> Stamp | None:
    """The identity of a file: it differs between two files of the same name."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _content(path: Path) -> Stamp | None:
    """The time and size of a file, and whether a writer has a log next to it: it differs after a write."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, -1 if _log_of(path).exists() else stat.st_size


def _is_absent(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:  # a parent folder cannot be read
        return False
    return False


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _is_locked_out(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether an intact file cannot be read because SQLite cannot create its shared memory file in the folder."""
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        refused = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        return refused and not _is_absent(path) and not _log_of(path).exists()
    except sqlite3.DatabaseError:
        return False  # the next read raises it again
    return False


_connections: WeakSet[Connection] = WeakSet()
_locked: list[Connection] = []


def _before_fork() -> None:
    for connection in list(_connections):
        connection.lock.acquire()
        _locked.append(connection)
        if connection._open is not None and not connection._open.in_transaction:
            connection.close()


def _after_fork() -> None:
    while _locked:
        _locked.pop().lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
