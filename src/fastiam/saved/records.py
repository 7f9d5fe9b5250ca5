"""The directory of a saved engine, read record by record when somebody asks.

What most requests need lies in the tables. A name that no table holds (a session), an explanation or a reason need records:
each is read on first use and stays, so that a policy is one object for as long as the engine lives. A record is the row that a
store has of it (`storage.rows`), but that policies are numbers of rows of their own.
"""

from __future__ import annotations

import json
import threading
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from fastiam.account.documents import FULL_ACCESS, StoredPolicy
from fastiam.account.records import Tables
from fastiam.account.snapshot import Snapshot
from fastiam.errors import SourceError
from fastiam.model import Policy, PolicyKind
from fastiam.positions import Origin, Source
from fastiam.saved.file import BROKEN
from fastiam.saved.packing import Packer, Unpacker
from fastiam.storage.rows import Form, Forms, form_of, from_text, tables_of, to_text

FULL, NOBODY = 0xFFFF_FFFE, 0xFFFF_FFFF  # in place of a row: `FullAWSAccess`, which is ours; a policy that nobody has
SECTIONS = ("records", "policies", "texts", "tables")
_BROKEN = (*BROKEN, zlib.error)
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class _Policy:
    """A stored policy, and where in a file it stands; the text of the file, where it is known, is a row of its own."""

    kind: PolicyKind
    name: str
    text: str
    arn: str | None = None
    file: str | None = None
    file_text: int | None = None
    path: tuple[str | int, ...] = ()


_POLICY, _TEXT = form_of(_Policy), form_of(str)


def write_records(tables: Tables, policies: Sequence[Policy]) -> dict[str, bytes]:
    """Sections for the records of a directory and the policies of an engine, which are by number those that it has compiled."""
    writer = _Writer()
    index: dict[str, Any] = {"roles": [[*key, arn] for key, arn in tables.roles.items()]}
    for name, form in tables_of(Tables, writer.forms).items():
        held = getattr(tables, name)
        records = held if isinstance(held, Mapping) else {} if held is None else {"": held}
        index[name] = {key: writer.records.add(to_text(form, record)) for key, record in records.items()}
    if isinstance(policies, Policies):  # of an engine from a file: nothing is read to be written
        numbers = array("I", map(writer.row_of, policies.saved()))
        policies = policies.later
    else:
        numbers = array("I")
    numbers.extend(map(writer.row_of_policy, policies))
    writer.tables.add(json.dumps(index, separators=(",", ":")))
    sections = {"policy_rows": numbers.tobytes()}
    for name in SECTIONS:
        sections[f"rows_of_{name}"], sections[f"index_of_{name}"] = getattr(writer, name).done()
    return sections


class _Writer:
    def __init__(self) -> None:
        self.records, self.policies, self.texts, self.tables = Packer(), Packer(), Packer(), Packer()
        self.forms = Forms(Form(self._stored, _same, int))
        self._rows: dict[int, int] = {}  # of stored policies by identity, as everything here: the tables keep them
        self._compiled: dict[int, int] = {}
        self._texts: dict[int, int] = {}
        self._alike: dict[tuple[object, ...], list[StoredPolicy]] = {}
        self._equal: dict[StoredPolicy, tuple[int, Origin | None]] = {}

    def _stored(self, stored: StoredPolicy) -> int:
        if stored is FULL_ACCESS:
            return FULL
        found = self._rows.get(id(stored))
        if found is None:
            found = self._rows[id(stored)] = self._write(stored, stored.origin)
            if stored.is_read:
                self._compiled[id(stored.policy)] = found
                self._alike.setdefault(_likeness(stored.policy), []).append(stored)
            self._equal[stored] = found, stored.origin
        return found

    def _write(self, stored: StoredPolicy, origin: Origin | None) -> int:
        row = _Policy(stored.kind, stored.name, stored.text, stored.arn)
        if origin is not None and not _is_own(origin, stored):
            text = None if origin.source.text is None else self._text(origin.source.text)
            row = _Policy(row.kind, row.name, row.text, row.arn, origin.source.name, text, origin.path)
        return self.policies.add(to_text(_POLICY, row))

    def _text(self, text: str) -> int:
        found = self._texts.get(id(text))
        if found is None:
            found = self._texts[id(text)] = self.texts.add(to_text(_TEXT, text))
        return found

    def row_of(self, stored: StoredPolicy | None) -> int:
        """The row of a compiled policy, which the directory may hold no more, or hold as another object."""
        if stored is None:
            return NOBODY
        if stored is not FULL_ACCESS and id(stored) not in self._rows:
            row, origin = self._equal.get(stored, (NOBODY, None))
            if row != NOBODY and origin == stored.origin:
                return row
        return self._stored(stored)

    def row_of_policy(self, policy: Policy) -> int:
        """The same, by the policy as it was read."""
        if policy is FULL_ACCESS.policy:
            return FULL
        found = self._compiled.get(id(policy))
        if found is not None:
            return found
        for stored in self._alike.get(_likeness(policy), ()):
            if stored.policy == policy:
                return self._write(stored, policy.origin)
        return NOBODY


def _same(value: Any) -> Any:
    return value


def _likeness(policy: Policy) -> tuple[object, ...]:
    """What equal policies have in common; cheap."""
    return policy.kind, policy.name, policy.arn, len(policy.statements)


def _is_own(origin: Origin, stored: StoredPolicy) -> bool:
    """Whether a policy comes from its own text: what a stored policy says of itself."""
    return not origin.path and origin.source.name == (stored.name or "policy") and origin.source.text == stored.text


class Records:
    """What `write_records` wrote, in sections that are read when needed. Thread-safe.

    Parameters
    ----------
    met : is told of each compiled policy that is read, with its number.
    starts : the first occurrence of each compiled policy, and where the next one would have its own, as bytes of uint32.

    Raises
    ------
    ValueError: there are more policies in one place than in another.
    """

    def __init__(
        self, section: Callable[[str], memoryview], source: str, met: Callable[[Policy, int], None], starts: bytes | bytearray
    ) -> None:
        self._rows = {name: Unpacker(section(f"rows_of_{name}"), section(f"index_of_{name}")) for name in SECTIONS}
        self.numbers = array("I")
        self.numbers.frombytes(section("policy_rows"))
        self._starts = array("I")
        self._starts.frombytes(starts)
        if len(self._starts) != len(self.numbers) + 1:
            raise ValueError(f"{len(self.numbers)} policies, not {len(self._starts) - 1}")
        self._met, self._source = met, source
        self._lock = threading.RLock()
        self._stored: dict[int, StoredPolicy] = {}
        self._texts: dict[int, str] = {}
        self._made: dict[int, Any] = {}
        self._compiled: dict[int, int] | None = None
        self._kept: list[Policy] = []
        if FULL in self.numbers:
            met(FULL_ACCESS.policy, self.numbers.index(FULL))

    def policy(self, number: int) -> Policy:
        """A policy by its number in the tables."""
        found = self.stored(self.numbers[number]).policy
        if len(found.statements) != self._starts[number + 1] - self._starts[number]:
            raise self._broken()  # an occurrence would name a statement that is not there
        return found

    def stored(self, row: int) -> StoredPolicy:
        """A policy by its row."""
        if row == FULL:
            return FULL_ACCESS
        with self._lock:
            found = self._stored.get(row)
            if found is None:
                found = self._stored[row] = _SavedPolicy.of(self, row, self._read("policies", row, _POLICY))
            return found

    def text(self, row: int) -> str:
        """The text of a file."""
        with self._lock:
            found = self._texts.get(row)
            if found is None:
                found = self._texts[row] = self._read("texts", row, _TEXT)
            return found

    def record(self, row: int, form: Form) -> Any:
        """A record of the directory."""
        with self._lock:
            found = self._made.get(row)
            if found is None:
                found = self._made[row] = self._read("records", row, form)
            return found

    def snapshot(self) -> Snapshot:
        """The directory; its records are read when they are asked for."""
        try:
            index = json.loads(self._rows["tables"].row(0))
            tables: dict[str, Any] = {
                "roles": {(partition, account, role): arn for partition, account, role, arn in index["roles"]}
            }
            for name, form in tables_of(Tables, Forms(Form(_same, self.stored, int))).items():
                tables[name] = Lazy(index[name], self, form)
            tables["organization"] = tables["organization"].get("")
            return Snapshot(Tables(**tables))
        except _BROKEN as error:
            raise self._broken() from error

    def tell(self, policy: Policy, row: int) -> None:
        """A policy was read."""
        with self._lock:
            if self._compiled is None:
                self._compiled = {row: number for number, row in enumerate(self.numbers)}
            number = self._compiled.get(row)
            if number is not None:
                self._kept.append(policy)  # INVARIANT: it goes by its identity, so it must not be collected
                self._met(policy, number)

    def _read(self, name: str, row: int, form: Form) -> Any:
        try:
            return from_text(form, self._rows[name].row(row))
        except _BROKEN as error:
            raise self._broken() from error

    def _broken(self) -> SourceError:
        return SourceError("a record cannot be read", source=self._source, path="", hint="compile the directory again")


class _SavedPolicy(StoredPolicy):
    """A policy of a file, which tells when it is read."""

    __slots__ = ("_records", "_row")
    _records: Records
    _row: int

    @classmethod
    def of(cls, records: Records, row: int, said: _Policy) -> _SavedPolicy:
        origin = None
        if said.file is not None:
            source = Source(said.file) if said.file_text is None else _SavedSource.of(records, said.file_text, said.file)
            origin = Origin(source, said.path)
        stored = cast(_SavedPolicy, cls.unread(said.text, said.kind, said.name, said.arn, origin))
        stored._records, stored._row = records, row
        return stored

    def _read(self) -> Policy:
        policy = super()._read()
        self._records.tell(policy, self._row)
        return policy

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredPolicy.unread, (self.text, self.kind, self.name, self.arn, self.origin)


class _SavedSource(Source):
    """A named text that is read when somebody asks where in it something stands."""

    __slots__ = ("_records", "_row")
    _records: Records
    _row: int

    @classmethod
    def of(cls, records: Records, row: int, name: str) -> _SavedSource:
        source = cls.__new__(cls)
        for slot, value in (("name", name), ("_records", records), ("_row", row)):
            object.__setattr__(source, slot, value)
        return source

    @property
    def text(self) -> str:
        """The whole text."""
        return self._records.text(self._row)

    def __reduce__(self) -> tuple[Any, ...]:
        return Source, (self.name, self.text)


class Lazy(Mapping[K, Any]):
    """A table of records, each read on first use; it stands where a dict does that nobody writes."""

    def __init__(self, rows: dict[K, int], records: Records, form: Form) -> None:
        self._rows, self._records, self._form = rows, records, form

    def __getitem__(self, key: K) -> Any:
        return self._records.record(self._rows[key], self._form)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class Policies(Sequence[Policy]):
    """The policies of a saved engine by their number, and behind them those that were compiled later. It stands for a list."""

    def __init__(self, records: Records, later: Sequence[Policy] = ()) -> None:
        self._records, self.later = records, list(later)
        self._n = len(records.numbers)

    def saved(self) -> Iterator[StoredPolicy | None]:
        """Those of the file, not read yet; None for one that nobody has."""
        for row in self._records.numbers:
            yield None if row == NOBODY else self._records.stored(row)

    def __len__(self) -> int:
        return self._n + len(self.later)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):  # INVARIANT: from the first one to one of the later
            return Policies(self._records, self.later[: at.stop - self._n])
        return self._records.policy(at) if at < self._n else self.later[at - self._n]

    def __delitem__(self, at: slice) -> None:
        del self.later[at.start - self._n :]

    def append(self, policy: Policy) -> None:
        """One more."""
        self.later.append(policy)
