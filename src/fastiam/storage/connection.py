"""A connection to the file of a store: how it is opened, what its errors mean, and that no fork inherits it.

SQLite must not be used by a child that was forked with a connection open. So all connections are closed before a fork, and
opened again by whoever needs one, on both sides.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

from fastiam.errors import StoreError
from fastiam.storage.schema import MIGRATIONS, migrate, version_of

Stamp = tuple[int, int]

_OF_WRITERS = "foreign_keys = ON", "synchronous = FULL"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CORRUPT = (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)  # 0: text is no UTF-8
_REASONS = {
    **dict.fromkeys(_BUSY, ("busy", "another process has locked the store", "try again; `timeout` says how long to wait")),
    **dict.fromkeys(_CORRUPT, ("corrupt", "the file is broken, or is no store", "put a backup in its place")),
    sqlite3.SQLITE_READONLY: ("read_only", "the file or its folder cannot be written", "nothing was changed"),
    sqlite3.SQLITE_FULL: ("full", "the disk is full", "nothing was changed"),
    sqlite3.SQLITE_CANTOPEN: (
        "unreadable",
        "the file cannot be opened",
        "its folder must be there, and writable",
    ),
    sqlite3.SQLITE_IOERR: ("disk", "the disk fails", "nothing was changed"),
}


class Connection:
    """One connection, opened when it is needed; not for several threads at once: `lock` guards it.

    Parameters
    ----------
    lock : held by whoever uses the connection; a fork waits for it.
    timeout : seconds to wait for other writers.
    """

    def __init__(self, path: Path, *, read_only: bool, timeout: float, lock: threading.RLock) -> None:
        self.path, self.read_only, self.lock = path, read_only, lock
        self._timeout = timeout
        self._open: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._stamp: Stamp | None = None
        self._frozen: Stamp | None = None  # of a file that lies where nobody can write
        _connections.add(self)

    def __del__(self) -> None:
        self.close()

    def create(self) -> None:
        """Make the file a store of this release, if it is empty, absent or a store of an older release.

        A new file is its owner's alone, since credentials may come into it; the files beside it follow.
        """
        try:
            os.close(os.open(self.path, os.O_CREAT, 0o600))
        except FileNotFoundError:
            raise self.error("absent", "there is no such folder") from None
        except OSError as error:
            raise self.error("unreadable", f"the file cannot be made or opened: {error.strerror}") from None
        with self._told():
            version = self._version("rwc")
            if version is not None and version < len(MIGRATIONS):
                migrate(self._connection("rwc"))

    def check(self) -> None:
        """Whether this release can read the file.

        Raises
        ------
        StoreError: it cannot.
        """
        with self.use() as connection:
            self.check_version(connection)

    def check_version(self, connection: sqlite3.Connection) -> None:
        """As `check`, over a connection that is in use."""
        version, known = version_of(connection), len(MIGRATIONS)
        if version is None or version == 0:
            raise self.error("foreign", "the file is no store of fastiam", hint="`fastiam init` makes one")
        if version > known:
            message = f"the store has version {version}, this release knows versions up to {known}"
            raise self.error("newer", message, hint="install a newer fastiam; nothing was changed")
        if version < known:
            raise self.error("older", f"the store has version {version}", hint="open it once for writing, which brings it up")

    def _version(self, mode: str) -> int | None:
        return version_of(self._connection(mode))

    @property
    def _mode(self) -> str:
        return "ro" if self.read_only else "rw"

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """The connection, with errors told as what they mean."""
        with self._told():
            yield self._connection(self._mode)

    @property
    def is_replaced(self) -> bool:
        """Whether the file is another one than was read, or one that could not change has changed."""
        if self._frozen is not None and _content(self.path) != self._frozen:
            return True
        return self._stamp is not None and _stamp(self.path) != self._stamp

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._open is not None and self._open.in_transaction

    def roll_back(self) -> bool:
        """Undo the open transaction; False if there is none any more."""
        if self._process != os.getpid() or not self.in_transaction:
            return False
        with self.use() as connection:
            connection.execute("ROLLBACK")
        return True

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed."""
        connection, self._open = self._open, None
        if connection is not None and self._process == os.getpid():
            connection.close()

    def _connection(self, mode: str) -> sqlite3.Connection:
        if self._open is not None and self._process != os.getpid():
            raise self.error("forked", "the process forked inside of a transaction", hint="open the store in the child")
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
            connection.execute("PRAGMA journal_mode = WAL")  # kept in the file
        return connection

    def _connect_as(self, parameters: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{parameters}",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,  # transactions are begun by name
            check_same_thread=False,
        )
        try:
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", *(() if self.read_only else _OF_WRITERS)):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except UnicodeDecodeError as error:
            raise self._explain(sqlite3.DatabaseError(str(error))) from None
        except UnicodeEncodeError as error:
            raise self.error("text", f"a lone surrogate cannot be a key: `{error.object!a}`") from None

    def _explain(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_CANTOPEN and _is_absent(self.path):
            return self.error("absent", "there is no such file", hint="`fastiam init` makes a store")
        reason, message, hint = _REASONS.get(code, _REASONS[sqlite3.SQLITE_IOERR])
        return self.error(reason, f"{message} ({error})", hint=hint)

    def error(self, reason: str, message: str, *, hint: str = "") -> StoreError:
        """An error about this store."""
        return StoreError(message, source=str(self.path), reason=reason, hint=hint)


def _stamp(path: Path) -> Stamp | None:
    """What tells one file from another one of the same name."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _content(path: Path) -> Stamp | None:
    """What tells that a file was written to: its time and size, and the log that a writer has beside it."""
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
    except OSError:  # a folder on the way is not to be looked into
        return False
    return False


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _is_locked_out(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a whole file cannot be read because its folder cannot be written, where SQLite keeps what readers share."""
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        refused = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        return refused and not _is_absent(path) and not _log_of(path).exists()
    except sqlite3.DatabaseError:
        return False  # whoever reads next meets it again
    return False


_connections: WeakSet[Connection] = WeakSet()
_held: list[Connection] = []


def _before_fork() -> None:
    for connection in list(_connections):
        connection.lock.acquire()
        _held.append(connection)
        if connection._open is not None and not connection._open.in_transaction:
            connection.close()


def _after_fork() -> None:
    while _held:
        _held.pop().lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
