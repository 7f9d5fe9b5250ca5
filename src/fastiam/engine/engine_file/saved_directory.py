"""The directory of an engine file, read record by record on demand.

Most requests need only the tables. A session, an explanation or a reason needs records. Each is read on first use and cached,
so that a policy is one object for the lifetime of the engine.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from fastiam.directory.account_records import Tables
from fastiam.directory.record_codec import FieldCodec, FieldCodecs, from_text, tables_of
from fastiam.directory.stored_policies import FULL_ACCESS, StoredPolicy
from fastiam.engine.engine_file.file import BROKEN
from fastiam.engine.engine_file.packing import Unpacker
from fastiam.engine.engine_file.rows import FULL, NO_ROW, POLICY, SECTIONS, TEXT, PolicyRow, unchanged
from fastiam.errors import SourceError
from fastiam.model.policy import Policy
from fastiam.model.source_map import Origin, Source
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime import forking

_BROKEN = (*BROKEN, zlib.error)
K = TypeVar("K")


class Records:
    """The sections that `writing` wrote, read on demand. Thread-safe.

    Parameters
    ----------
    register
        is called for each compiled policy that is read, with its id.
    starts
        the first occurrence of each compiled policy and of the next one, as bytes of uint32.

    Raises
    ------
    ValueError
        the sections have different numbers of policies.
    """

    def __init__(
        self,
        section: Callable[[str], memoryview],
        source: str,
        register: Callable[[Policy, int], None],
        starts: bytes | bytearray,
    ) -> None:
        self._rows = {name: Unpacker(section(f"rows_of_{name}"), section(f"index_of_{name}")) for name in SECTIONS}
        self.numbers = array("I")
        self.numbers.frombytes(section("policy_rows"))
        self._starts = array("I")
        self._starts.frombytes(starts)
        if len(self._starts) != len(self.numbers) + 1:
            raise ValueError(f"{len(self.numbers)} policies, not {len(self._starts) - 1}")
        self._register, self._source = register, source
        self._lock = forking.new_lock(forking.LEAF)
        self._stored: dict[int, StoredPolicy] = {}
        self._texts: dict[int, str] = {}
        self._made: dict[int, Any] = {}
        self._compiled: dict[int, int] | None = None
        self._kept: list[Policy] = []
        full = _index_of(FULL, self.numbers)
        if full is not None:
            register(FULL_ACCESS.policy, full)

    def policy(self, number: int) -> Policy:
        """Return a policy by its id in the tables."""
        found = self.stored(self.numbers[number]).policy
        if len(found.statements) != self._starts[number + 1] - self._starts[number]:
            raise self._broken()  # an occurrence would name a statement that is not there
        return found

    def stored(self, row: int) -> StoredPolicy:
        """Return a stored policy by its row."""
        if row == FULL:
            return FULL_ACCESS
        with self._lock:
            found = self._stored.get(row)
            if found is None:
                found = self._stored[row] = _SavedPolicy.of(self, row, self._read("policies", row, POLICY))
            return found

    def text(self, row: int) -> str:
        """The text of a file."""
        with self._lock:
            found = self._texts.get(row)
            if found is None:
                found = self._texts[row] = self._read("texts", row, TEXT)
            return found

    def record(self, row: int, codec: FieldCodec) -> Any:
        """A record of the directory."""
        with self._lock:
            found = self._made.get(row)
            if found is None:
                found = self._made[row] = self._read("records", row, codec)
            return found

    def snapshot(self) -> Snapshot:
        """Return the directory; its records are read on demand."""
        try:
            index = json.loads(self._rows["tables"].row(0))
            tables: dict[str, Any] = {
                "roles": {(partition, account, role): arn for partition, account, role, arn in index["roles"]}
            }
            for name, codec in tables_of(Tables, FieldCodecs(FieldCodec(unchanged, self.stored, int))).items():
                tables[name] = Lazy(index[name], self, codec)
            tables["organization"] = tables["organization"].get("")
            return Snapshot(Tables(**tables))
        except _BROKEN as error:
            raise self._broken() from error

    def on_read(self, policy: Policy, row: int) -> None:
        """Register a policy that was read, if it is compiled."""
        with self._lock:
            if self._compiled is None:
                self._compiled = {row: number for number, row in enumerate(self.numbers)}
            number = self._compiled.get(row)
            if number is not None:
                self._kept.append(policy)  # INVARIANT: it is found by its identity, so it must not be collected
                self._register(policy, number)

    def _read(self, name: str, row: int, codec: FieldCodec) -> Any:
        try:
            return from_text(codec, self._rows[name].row(row))
        except _BROKEN as error:
            raise self._broken() from error

    def _broken(self) -> SourceError:
        return SourceError("a record cannot be read", source=self._source, path="", hint="compile the directory again")


def _index_of(number: int, numbers: array[int]) -> int | None:
    """Return the first index of a number. PERF: a search for its bytes creates no objects."""
    data, wanted, at = numbers.tobytes(), array(numbers.typecode, [number]).tobytes(), 0
    while (at := data.find(wanted, at)) >= 0:
        if at % numbers.itemsize == 0:
            return at // numbers.itemsize
        at += 1
    return None


class _SavedPolicy(StoredPolicy):
    """A policy of an engine file, which registers itself when it is read."""

    __slots__ = ("_records", "_row")
    _records: Records
    _row: int

    @classmethod
    def of(cls, records: Records, row: int, data: PolicyRow) -> _SavedPolicy:
        origin = None
        if data.file is not None:
            source = Source(data.file) if data.file_text is None else _SavedSource.of(records, data.file_text, data.file)
            origin = Origin(source, data.path)
        stored = cast(_SavedPolicy, cls.unparsed(data.text, data.kind, data.name, data.arn, origin))
        stored._records, stored._row = records, row
        return stored

    def _read(self) -> Policy:
        policy = super()._read()
        self._records.on_read(policy, self._row)
        return policy

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredPolicy.unparsed, (self.text, self.kind, self.name, self.arn, self.origin)


class _SavedSource(Source):
    """A named text that is read when a position in it is needed."""

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
    """A read-only table of records, each read on first use."""

    def __init__(self, rows: dict[K, int], records: Records, codec: FieldCodec) -> None:
        self._rows, self._records, self._codec = rows, records, codec

    def __getitem__(self, key: K) -> Any:
        return self._records.record(self._rows[key], self._codec)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class Policies(Sequence[Policy]):
    """The policies of an engine file by id, followed by those that were compiled later. Has the methods of a list in use."""

    def __init__(self, records: Records, later: Sequence[Policy] = ()) -> None:
        self._records, self.later = records, list(later)
        self._n = len(records.numbers)

    def saved(self) -> Iterator[StoredPolicy | None]:
        """Yield the policies of the file, unparsed; None for a policy without a record."""
        for row in self._records.numbers:
            yield None if row == NO_ROW else self._records.stored(row)

    def __len__(self) -> int:
        return self._n + len(self.later)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):  # INVARIANT: from the first one to one of the later
            return Policies(self._records, self.later[: at.stop - self._n])
        return self._records.policy(at) if at < self._n else self.later[at - self._n]

    def __delitem__(self, at: slice) -> None:
        del self.later[at.start - self._n :]

    def append(self, policy: Policy) -> None:
        """Append a compiled policy."""
        self.later.append(policy)
