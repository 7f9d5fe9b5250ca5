"""Answers as an Arrow IPC stream (G164)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fastiam.engine.decisions import LAYERS, NO_CODE, DictionaryColumn, outcome_column
from fastiam.model.decision import Outcome, StatementRef
from fastiam.model.key_registry import spelled
from fastiam.server.protocols.bulk.parameters import Parameters
from fastiam.server.protocols.bulk.rows import Decided

_MOST: Final = 4  # times the statements of a batch: of a larger dictionary, not all is sent again for new texts

Codes = npt.NDArray[Any]


class _Sink:
    """Keeps what the library writes."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[Any] = []

    def write(self, data: Any) -> int:
        self._pieces.append(data)  # PERF: not a copy, since what is written is taken before the batch is dropped
        return len(data)

    def flush(self) -> None:
        """Nothing to do: each piece is there."""

    def taken(self) -> bytes:
        """What was written since the last call."""
        written = b"".join(self._pieces)
        self._pieces.clear()
        return written


class _Texts:
    """Texts of statements as a dictionary."""

    def __init__(self, texts: list[str]) -> None:
        encoded = pa.array(texts, pa.string()).dictionary_encode()
        self.values = encoded.dictionary
        self._codes = encoded.indices.to_numpy()

    def column(self, numbers: Codes, statement: Codes, present: Any) -> Any:
        """The texts of rows whose statements have some numbers, each -1 for a null or a place in `numbers`."""
        codes = np.append(self._codes.take(numbers), np.int32(0))  # the last one is for -1
        return _dictionary(codes.take(statement), self.values, present)


class _Statements:
    """Policies and ids of the statements of a stream.

    PERF: its batches share the dictionaries: statements that were there before are not read again, and a dictionary is sent again
    only with new texts. SAFETY: requests do not share them, since a client may not know what decides the requests of others.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # by id
        self._refs: list[StatementRef] = []
        self._policies, self._sids = _Texts([]), _Texts([])

    def columns(self, decided: Decided) -> dict[str, Any]:
        """Policies and ids of some rows; null where there is no statement."""
        statement = np.full(len(decided), -1, np.int32) if decided.statement is None else decided.statement
        present = _present(statement >= 0)
        try:
            numbers = self._numbers_of(decided.refs)
        except KeyError:
            self._add(decided.refs)
            numbers = self._numbers_of(decided.refs)
        found = {"policy": self._policies, "sid": self._sids}
        return {name: texts.column(numbers, statement, present) for name, texts in found.items()}

    def _numbers_of(self, refs: Sequence[StatementRef]) -> Codes:
        return np.fromiter(map(self._numbers.__getitem__, map(id, refs)), np.intp, len(refs))

    def _add(self, refs: Sequence[StatementRef]) -> None:
        if len(self._refs) > _MOST * len(refs):
            self._numbers, self._refs = {}, []
        first = len(self._refs)
        self._refs += [ref for ref in refs if id(ref) not in self._numbers]
        self._numbers.update(zip(map(id, self._refs[first:]), range(first, len(self._refs)), strict=True))
        self._policies = _Texts([ref.arn or ref.policy for ref in self._refs])
        self._sids = _Texts([ref.label for ref in self._refs])


class ArrowAnswers:
    """Writes one batch for some rows. The schema is sent with the first one, a dictionary when it changes."""

    def __init__(self, parameters: Parameters, generation: int) -> None:
        self._fields = parameters.fields
        self._metadata = {"fastiam.generation": str(generation)}
        self._sink = _Sink()
        self._writer: Any = None
        self._statements = _Statements()

    def write(self, decided: Decided) -> bytes:
        """The messages of some rows."""
        columns = self._columns(decided)
        batch = pa.record_batch(columns).replace_schema_metadata(self._metadata)
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._sink, batch.schema)
        if len(decided):
            self._writer.write_batch(batch)
        return self._sink.taken()

    def _columns(self, decided: Decided) -> dict[str, Any]:
        fields = self._fields
        columns: dict[str, Any] = {}
        if "outcome" in fields:
            columns["outcome"] = pa.array(outcome_column(decided.outcome))
        columns["allowed"] = _bools(decided.outcome == Outcome.ALLOW)
        if "layer" in fields:
            layer = np.full(len(decided), NO_CODE, np.uint8) if decided.layer is None else decided.layer
            columns["layer"] = pa.array(DictionaryColumn("layer", layer, LAYERS))
        if "policy" in fields or "sid" in fields:
            columns |= {name: column for name, column in self._statements.columns(decided).items() if name in fields}
        if "depends_on" in fields:
            columns["depends_on"] = _lists(decided)
        if "error" in fields:
            columns["error_code"] = _errors(decided, "code")
            columns["error"] = _errors(decided, "message")
        return columns

    def finish(self, rows: int, allowed: int, errors: int) -> bytes:
        """The end of a complete answer; the schema too if there were no rows."""
        begin = b"" if self._writer is not None else self.write(Decided(np.zeros(0, np.uint8)))
        self._writer.close()
        return begin + self._sink.taken()

    def abort(self, code: str, row: int, message: str = "") -> bytes:
        """Nothing: the stream has no end marker then, and readers see that it is cut."""
        return b""


def _bools(values: npt.NDArray[np.bool_]) -> Any:
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))])


def _present(is_present: npt.NDArray[np.bool_]) -> Any:
    """The bits of the rows that have a value; None if all have."""
    return None if is_present.all() else pa.py_buffer(np.packbits(is_present, bitorder="little"))


def _dictionary(codes: Codes, values: Any, present: Any) -> Any:
    """A dictionary column. Consumers validate each code, those of nulls too."""
    indices = pa.Array.from_buffers(pa.from_numpy_dtype(codes.dtype), len(codes), [present, pa.py_buffer(codes)])
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)  # PERF: the codes are places in `values`


def _lists(decided: Decided) -> Any:
    offsets = np.zeros(len(decided) + 1, np.int32)
    values: list[str] = []
    if decided.depends_on is not None and decided.sets:
        codes = decided.depends_on
        sets = [[spelled(key) for key in names] for names in decided.sets]
        sizes = np.array([*(len(names) for names in sets), 0], np.int32)[codes]
        np.cumsum(sizes, out=offsets[1:])
        values = [name for code in codes[codes >= 0].tolist() for name in sets[code]]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.string()))


def _errors(decided: Decided, field: str) -> Any:
    if not decided.errors:
        return pa.nulls(len(decided), pa.string())
    texts = {row: getattr(fault, field) for row, fault in decided.errors.items()}
    return pa.array(DictionaryColumn.of_rows(field, len(decided), texts)).dictionary_decode()
