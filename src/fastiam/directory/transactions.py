"""Books, the sets of tables that a directory is made of, and the ledger, which runs transactions over them.

A table maps keys to frozen records. It changes through one door, `RecordStore.put`, inside of a transaction. The law: what one
transaction changes is there as a whole or not at all: in memory, and on the disk where the ledger has one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from inspect import signature
from types import NoneType
from typing import Any, ClassVar, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from fastiam.errors import DirectoryError
from fastiam.runtime import forking

T = TypeVar("T")
B = TypeVar("B", bound="RecordStore[Any]")
P = ParamSpec("P")
R = TypeVar("R")
SINGLE = ""  # the key of the record in a table that holds one at most


class Change(NamedTuple):
    """One record in place of another; None where there was or will be none."""

    record_store: RecordStore[Any]
    table: str
    key: str
    old: Any
    new: Any

    @property
    def removes_owner(self) -> bool:
        """Whether a record is removed, or replaced by one with another unique id: records that it owns must follow."""
        if self.old is None or self.new is None:
            return self.old is not None
        return getattr(self.old, "unique_id", None) != getattr(self.new, "unique_id", None)


class StorageBackend(Protocol):
    """What keeps the books of a ledger beyond the process."""

    def load(self, record_store: RecordStore[Any]) -> None:
        """Fill a book that has just joined."""

    def begin(self) -> None:
        """Lock out other writers, then bring all books up to what they have written."""

    def commit(self, changes: Sequence[Change]) -> None:
        """Make the changes durable and let others write. If it raises, nothing is changed on the disk."""

    def rollback(self) -> None:
        """Let others write, with nothing changed."""

    def refresh(self) -> bool:
        """Bring all books up to what others have written; whether there was anything."""

    def close(self) -> None:
        """Let go of the file."""


def _no_transaction_manager() -> None:
    """What a book knows of its ledger before it has joined one."""


class RecordStore(Generic[T]):
    """A set of tables. A subclass gives it a name, and keeps whatever indexes it wants in `changed`.

    Parameters
    ----------
    tables : a dataclass. Each field `dict[str, Record]` is a table, each field `Record | None` one with a single record; a field
        of another form is an index, which is not kept on the disk.
    """

    name: ClassVar[str]  # of its rows in a database
    owner_tables: ClassVar[frozenset[str]] = frozenset()  # tables of the directory whose records own records of this store

    def __init__(self, tables: T) -> None:
        self.tables = tables
        self.sealed_tables: dict[str, Callable[[str], bytes]] = {}  # tables with a field `sealed`, and the purpose of each key
        self._transaction_manager: Callable[[], TransactionManager | None] = _no_transaction_manager

    def __getstate__(self) -> Mapping[str, Any]:
        return self.__dict__ | {"_transaction_manager": _no_transaction_manager}  # the ledger tells it again

    @property
    def transaction_manager(self) -> TransactionManager:
        """The ledger that has the book. It is not kept by it: without a circle, memory is given back with the last reference."""
        transaction_manager = self._transaction_manager()
        if transaction_manager is None:
            raise RuntimeError(f"`{self.name}` is a book of no ledger")
        return transaction_manager

    def get(self, table: str, key: str) -> Any:
        """The record under a key, or None."""
        held = getattr(self.tables, table)
        return held.get(key) if isinstance(held, dict) else held

    def put(self, table: str, key: str, new: Any) -> None:
        """A record in place of the one under its key, if any; None removes it.

        Raises
        ------
        RuntimeError: no transaction is open.
        """
        old = self.get(table, key)
        if old is not new:
            self.transaction_manager.note(Change(self, table, key, old, new))
            self.change(table, key, old, new)

    def change(self, table: str, key: str, old: Any, new: Any) -> None:
        """The change of memory that `put`, an undo, or the write of another process comes to."""
        held = getattr(self.tables, table)
        if not isinstance(held, dict):
            setattr(self.tables, table, new)
        elif new is None:
            held.pop(key, None)
        else:
            held[key] = new
        self.changed(table, key, old, new)

    def changed(self, table: str, key: str, old: Any, new: Any) -> None:
        """A record has changed, whoever did it: the place to keep indexes."""

    def before_commit(self, changes: Sequence[Change]) -> None:
        """Called with what a transaction has changed, in whatever book. It may put more, or raise, which undoes everything."""


class TransactionManager:
    """The record stores of one directory. One transaction at a time; other threads wait.

    Parameters
    ----------
    dependents : record stores that must follow changes of their owners. One that has not joined joins the transaction that
        removes or replaces an owner: no record outlives its owner.
    """

    def __init__(self, dependents: Sequence[type[RecordStore[Any]]] = ()) -> None:
        self.record_stores: dict[str, RecordStore[Any]] = {}
        self._dependents = tuple(dependents)
        self.backend: StorageBackend | None = None
        self.lock = forking.new_lock(forking.DIRECTORY)  # held by a transaction, and by who reads several tables at once
        self._is_open = False  # whether a transaction is
        self._changes: list[Change] = []  # by it, so far

    def __getstate__(self) -> dict[str, Any]:
        if self.backend is not None:
            raise TypeError("a directory that is kept in a store does not pickle; open the store where it is needed")
        return {"record_stores": self.record_stores, "dependents": self._dependents}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TransactionManager.__init__(self, state["dependents"])
        self.record_stores = state["record_stores"]
        for record_store in self.record_stores.values():
            record_store._transaction_manager = weakref.ref(self)

    def join(self, record_store: B) -> B:
        """Take a book in, with what the disk holds of it. Of two of one name the first one stays, and is given back."""
        with self.lock:
            held = self.record_stores.get(record_store.name)
            if isinstance(held, type(record_store)):
                return held
            if held is not None:
                raise TypeError(f"`{record_store.name}` is the name of another book")
            if self.backend is not None:
                self.backend.load(record_store)
            self.record_stores[record_store.name], record_store._transaction_manager = record_store, weakref.ref(self)
            return record_store

    def attach_backend(self, backend: StorageBackend) -> None:
        """From now on the books are kept on a disk, and begin with what it holds."""
        for record_store in self.record_stores.values():
            backend.load(record_store)
        self.backend = backend

    def detach_backend(self) -> None:
        """From now on nothing is kept on the disk."""
        with self.lock:
            self.close()
            self.backend = None

    def close(self) -> None:
        """Let go of the disk, for good: what is in memory can be read, and not be written."""
        with self.lock:
            if self.backend is not None:
                self.backend.close()

    def note(self, change: Change) -> None:
        """A change that the open transaction makes."""
        if not self._is_open:
            raise RuntimeError(f"`{change.record_store.name}.{change.table}` changes inside of a transaction only")
        self._changes.append(change)

    @contextmanager
    def transaction(self, notes: list[Any]) -> Iterator[None]:
        """All changes inside are one. An error undoes them; inside of another transaction, back to where this one began.

        `notes` lose what was appended to them meanwhile.
        """
        with self.lock:
            is_outer, start, n_notes = not self._is_open, len(self._changes), len(notes)
            if is_outer:
                self._begin()
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

    def refresh(self) -> bool:
        """Take in what other processes have written; whether there was anything. Inside of a transaction there is nothing."""
        with self.lock:
            return self.backend is not None and not self._is_open and self.backend.refresh()

    def _begin(self) -> None:
        if self.backend is not None:
            self.backend.begin()
        self._is_open = True

    def _commit(self) -> None:
        seen = 0
        while seen < len(self._changes):
            latest, seen = self._changes[seen:], len(self._changes)
            if self.backend is not None:
                self._join_dependents(latest)
            for record_store in self.record_stores.values():
                record_store.before_commit(latest)
        if self.backend is not None:
            self.backend.commit(self._changes)

    def _join_dependents(self, changes: Sequence[Change]) -> None:
        """Join the stores that own records of what the changes remove. PERF: other transactions do not read them."""
        tables = {change.table for change in changes if change.removes_owner}
        for kind in self._dependents:
            if tables & kind.owner_tables and kind.name not in self.record_stores:
                self.join(kind())  # type: ignore[call-arg]  # dependents take no arguments

    def _undo(self, start: int) -> None:
        while len(self._changes) > start:
            change = self._changes.pop()
            change.record_store.change(change.table, change.key, change.new, change.old)


class Transactional(Protocol):
    """Whatever runs transactions."""

    def transaction(self) -> AbstractContextManager[None]:
        """All writes inside are one."""


W = TypeVar("W", bound=Transactional)


# what an annotation allows, and how a message calls it
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
    """The value of an argument, of texts as a tuple."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds == (int,)):
        raise DirectoryError(f"`{name}` must be {words}, not `{type(value).__name__}`")
    if isinstance(value, str) and not value.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise DirectoryError(f"`{name}` holds a lone surrogate and is not valid text")
    if kinds[0] is not Iterable or isinstance(value, (str, NoneType)):
        return value
    return tuple(_checked(name, item, (str,), words) for item in cast("Iterable[Any]", value))


def write(method: Callable[Concatenate[W, P], R]) -> Callable[Concatenate[W, P], R]:
    """A method that writes: it runs as one transaction, after a check of the types of its arguments."""
    names = tuple(signature(method).parameters)[1:]
    checks = {name: _TYPES[text] for name, text in method.__annotations__.items() if text in _TYPES}

    @wraps(method)
    def as_one(self: W, /, *args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = {**dict(zip(names, args, strict=False)), **kwargs}
        if len(given) < len(args) + len(kwargs):  # too many arguments, or one twice: Python says so
            return method(self, *args, **kwargs)
        for name, value in given.items():
            if name in checks:
                given[name] = _checked(name, value, *checks[name])
        with self.transaction():
            return method(self, **given)  # type: ignore[call-arg]

    return as_one
