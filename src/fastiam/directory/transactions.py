"""Record stores, the tables of a directory, and the transaction manager that updates them.

A table maps keys to immutable records. `RecordStore.put` is the only way to change it, inside a transaction. Invariant:
transactions are atomic, in memory and in the storage backend.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from importlib import import_module
from inspect import signature
from types import NoneType
from typing import Any, ClassVar, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from fastiam.errors import DirectoryError
from fastiam.runtime import forking
from fastiam.runtime.registered import registered

T = TypeVar("T")
B = TypeVar("B", bound="RecordStore[Any]")
P = ParamSpec("P")
R = TypeVar("R")
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025)  # seconds between tries to begin; the last one is repeated
SINGLE = ""  # the key of the record in a table with at most one


class Change(NamedTuple):
    """The change of a record from `old` to `new`; None means that it is absent."""

    record_store: RecordStore[Any]
    table: str
    key: str
    old: Any
    new: Any

    @property
    def removes_owner(self) -> bool:
        """Whether a record is removed or replaced by one with another unique id, so that records that it owns must follow."""
        if self.old is None or self.new is None:
            return self.old is not None
        return getattr(self.old, "unique_id", None) != getattr(self.new, "unique_id", None)


class StorageBackend(Protocol):
    """Stores the record stores of a transaction manager durably."""

    def load(self, store: RecordStore[Any]) -> None:
        """Fill a record store that has just joined."""

    timeout: float
    """Seconds to wait for a writer of another process."""

    def begin(self, *, is_last_try: bool) -> bool:
        """Lock out other writers, then add what they have written to all record stores.

        False if another process writes at the moment; with `is_last_try`, that is an error.
        """

    def commit(self, changes: Sequence[Change]) -> None:
        """Make the changes durable and let others write. If it raises, nothing is stored."""

    def rollback(self) -> None:
        """Let others write, without storing anything."""

    def refresh(self) -> bool:
        """Add what others have written to all record stores. Return whether there was anything."""

    def is_current(self) -> bool:
        """Whether `refresh` would add nothing."""

    def keep_reserve(self) -> None:
        """Keep room for changes of records, so that they are possible on a full disk."""

    def close(self) -> None:
        """Close the file."""


def _no_transaction_manager() -> None:
    """The transaction manager of a record store that has not joined one."""


class RecordStore(Generic[T]):
    """A set of tables. A subclass has a name, and may update indexes in `changed`.

    Parameters
    ----------
    tables
        a dataclass. A field `dict[str, Record]` is a table, a field `Record | None` a table with at most one record. Other fields
        are indexes, which are not stored.
    """

    name: ClassVar[str]  # of its rows in a database
    owner_tables: ClassVar[frozenset[str]] = frozenset()  # tables of the directory whose records own records of this store

    def __init__(self, tables: T) -> None:
        self.tables = tables
        self.sealed_tables: dict[str, Callable[[str], bytes]] = {}  # tables with a field `sealed`, and the purpose of each key
        self._transaction_manager: Callable[[], TransactionManager | None] = _no_transaction_manager

    def __getstate__(self) -> Mapping[str, Any]:
        return self.__dict__ | {"_transaction_manager": _no_transaction_manager}  # set again by the transaction manager

    @property
    def transaction_manager(self) -> TransactionManager:
        """The transaction manager. The reference is weak: without a cycle, memory is freed with the last reference."""
        transaction_manager = self._transaction_manager()
        if transaction_manager is None:
            raise RuntimeError(f"the record store `{self.name}` has not joined a directory")
        return transaction_manager

    def get(self, table: str, key: str) -> Any:
        """The record under a key, or None."""
        records = getattr(self.tables, table)
        return records.get(key) if isinstance(records, dict) else records

    def put(self, table: str, key: str, new: Any) -> None:
        """Replace the record under a key; None removes it.

        Raises
        ------
        RuntimeError
            no transaction is open.
        """
        old = self.get(table, key)
        if old is not new:
            self.transaction_manager.note(Change(self, table, key, old, new))
            self.change(table, key, old, new)

    def change(self, table: str, key: str, old: Any, new: Any) -> None:
        """Change a record in memory: for `put`, for an undo, or because another process has written it."""
        records = getattr(self.tables, table)
        if not isinstance(records, dict):
            setattr(self.tables, table, new)
        elif new is None:
            records.pop(key, None)
        else:
            records[key] = new
        self.changed(table, key, old, new)

    def changed(self, table: str, key: str, old: Any, new: Any) -> None:
        """Called after each change of a record in memory. Subclasses update their indexes here."""

    def before_commit(self, changes: Sequence[Change]) -> None:
        """Called with the changes of a transaction in all record stores. It may change more records. An error undoes all."""


class TransactionManager:
    """The record stores of one directory. One transaction at a time; other threads wait.

    A registered store that has not joined joins the transaction that removes or replaces an owner of its records: no record
    outlives its owner.
    """

    def __init__(self) -> None:
        self.record_stores: dict[str, RecordStore[Any]] = {}
        self.backend: StorageBackend | None = None
        self.lock = forking.new_lock(forking.DIRECTORY)  # acquired by transactions, and by readers of several tables
        self._is_open = False  # whether a transaction is open
        self._is_pinned = False  # whether a thread reads in `pinned`
        self._changes: list[Change] = []  # of the open transaction

    def __getstate__(self) -> dict[str, Any]:
        if self.backend is not None:
            raise TypeError("a directory that is kept in a store does not pickle; open the store where it is needed")
        return {"record_stores": self.record_stores}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TransactionManager.__init__(self)
        self.record_stores = state["record_stores"]
        for store in self.record_stores.values():
            store._transaction_manager = weakref.ref(self)

    def join(self, store: B) -> B:
        """Add a record store, and fill it from the backend. If one with this name has joined, it stays and is returned."""
        with self.lock:
            joined = self.record_stores.get(store.name)
            if isinstance(joined, type(store)):
                return joined
            if joined is not None:
                raise TypeError(f"`{store.name}` is the name of another record store")
            if self.backend is not None:
                self.backend.load(store)
            self.record_stores[store.name], store._transaction_manager = store, weakref.ref(self)
            return store

    def attach_backend(self, backend: StorageBackend) -> None:
        """Fill the record stores from a backend, and store later changes there."""
        for store in self.record_stores.values():
            backend.load(store)
        self.backend = backend

    def detach_backend(self) -> None:
        """Close the backend, and keep later changes in memory only."""
        with self.lock:
            self.close()
            self.backend = None

    def close(self) -> None:
        """Close the backend for good: memory can be read, and not written."""
        with self.lock:
            if self.backend is not None:
                self.backend.close()

    def note(self, change: Change) -> None:
        """Add a change to the open transaction."""
        if not self._is_open:
            raise RuntimeError(f"`{change.record_store.name}.{change.table}` changes inside a transaction only")
        self._changes.append(change)

    @contextmanager
    def transaction(self, notes: list[Any], *, waits: bool = True) -> Iterator[None]:
        """Run the changes inside as one transaction. An error undoes them; a nested transaction undoes its own changes only.

        An error also removes what was appended to `notes` inside.

        Parameters
        ----------
        waits
            for a writer of another process, until the time of the backend is over. Other threads do not wait meanwhile.
        """
        is_outer = self._enter(waits)
        try:
            start, n_notes = len(self._changes), len(notes)
            try:
                yield
                if is_outer:
                    self._commit()
            except BaseException:
                del notes[n_notes:]
                self._undo(start)
                if is_outer and self.backend is not None:
                    self.backend.rollback()
                raise
            finally:
                if is_outer:
                    self._is_open, self._changes = False, []
        finally:
            self.lock.release()

    def _enter(self, waits: bool) -> bool:
        """Acquire the lock and begin a transaction; False if one is open already.

        A writer of another process is waited for without the lock, so that it does not hold up those that read.
        """
        pauses = iter(_PAUSES)
        ends = time.monotonic() + (self.backend.timeout if self.backend is not None and waits else 0.0)
        while True:
            self.lock.acquire()
            try:
                if self._is_open:
                    return False
                if self.backend is None or self.backend.begin(is_last_try=time.monotonic() >= ends):
                    self._is_open = True
                    return True
            except BaseException:
                self.lock.release()
                raise
            self.lock.release()
            time.sleep(next(pauses, _PAUSES[-1]))

    def refresh(self) -> bool:
        """Add what other processes have written. Return whether there was anything.

        Inside a transaction and in `pinned` there is nothing.
        """
        with self.lock:
            is_fixed = self._is_open or self._is_pinned
            return self.backend is not None and not is_fixed and self.backend.refresh()

    @contextmanager
    def pinned(self) -> Iterator[bool]:
        """Read memory as it is, without waiting; False if that cannot be done.

        It cannot while another thread has the lock, or if memory lacks what other processes have written. Inside, nothing changes
        and `refresh` adds nothing: all reads see the state of one moment.
        """
        if not self.lock.acquire(blocking=False):
            yield False
            return
        try:
            self._is_pinned = not self._is_open and (self.backend is None or self.backend.is_current())
            yield self._is_pinned
        finally:
            self._is_pinned = False
            self.lock.release()

    def _commit(self) -> None:
        seen = 0
        while seen < len(self._changes):
            latest, seen = self._changes[seen:], len(self._changes)
            if self.backend is not None:
                self._join_dependents(latest)
            for store in self.record_stores.values():
                store.before_commit(latest)
        if self.backend is not None:
            self.backend.commit(self._changes)

    def _join_dependents(self, changes: Sequence[Change]) -> None:
        """Join the registered stores whose owners the changes remove. PERF: other transactions do not read them."""
        tables = {change.table for change in changes if change.removes_owner}
        for place in registered("RECORD_STORES") if tables else ():
            module, _, name = place.partition(":")
            kind: type[RecordStore[Any]] = getattr(import_module(module), name)
            if tables & kind.owner_tables and kind.name not in self.record_stores:
                self.join(kind())  # type: ignore[call-arg]  # registered stores take no arguments

    def _undo(self, start: int) -> None:
        while len(self._changes) > start:
            change = self._changes.pop()
            change.record_store.change(change.table, change.key, change.new, change.old)


class Transactional(Protocol):
    """An object with transactions."""

    def transaction(self) -> AbstractContextManager[None]:
        """Run the writes inside as one transaction."""


W = TypeVar("W", bound=Transactional)


# the types that an annotation allows, and their name in messages
_TYPES: dict[object, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "str | None": ((str, NoneType), "text or None"),
    "int": ((int,), "a whole number"),
    "bool": ((bool,), "True or False"),
    "Mapping[str, str]": ((Mapping,), "a mapping of text to text"),
    "Mapping[str, Policies]": ((Mapping,), "a mapping of names to policies"),
    "Mapping[str, str | Sequence[str] | None]": ((Mapping,), "a mapping of account ids"),
    "Iterable[str]": ((Iterable,), "a list of texts"),
    "Mapping[str, Given] | None": ((Mapping, NoneType), "a mapping of names to policies, or None"),
    "Iterable[str] | Mapping[str, Iterable[str]]": ((Mapping, Iterable), "a list of texts, or a mapping"),
    "Iterable[str] | None": ((Iterable, NoneType), "a list of texts, or None"),
}


def _checked(name: str, value: Any, kinds: tuple[type, ...], words: str) -> Any:
    """Check the type of an argument. A list of texts becomes a tuple."""
    is_array = getattr(value, "ndim", 1) == 0
    if not isinstance(value, kinds) or is_array or (isinstance(value, bool) and kinds == (int,)):
        raise DirectoryError(f"`{name}` must be {words}, not `{type(value).__name__}`")
    if isinstance(value, str) and not value.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise DirectoryError(f"`{name}` has a lone surrogate and is not valid text")
    if kinds[0] is not Iterable or isinstance(value, (str, NoneType)):
        return value
    return tuple(_checked(name, item, (str,), words) for item in cast("Iterable[Any]", value))


def write(method: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R]:
    """Decorate a method that writes: check the types of its arguments, then run it as one transaction."""
    names = tuple(signature(method).parameters)[1:]
    checks = {name: _TYPES[text] for name, text in method.__annotations__.items() if text in _TYPES}

    @wraps(method)
    def as_one(self: W, /, *args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = {**dict(zip(names, args, strict=False)), **kwargs}
        if len(given) < len(args) + len(kwargs):  # too many arguments, or a duplicate: Python raises
            return method(self, *args, **kwargs)
        for name, value in given.items():
            if name in checks:
                given[name] = _checked(name, value, *checks[name])
        with self.transaction():
            return method(self, **given)  # type: ignore[call-arg]

    return as_one
