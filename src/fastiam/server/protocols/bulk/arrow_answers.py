"""Answers as an Arrow IPC stream (G164)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from fastiam.engine.decisions import LAYERS, NO_CODE, OUTCOMES, DictionaryColumn
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled
from fastiam.server.protocols.bulk.parameters import Parameters
from fastiam.server.protocols.bulk.rows import Decided

_OUTCOMES: Final = [outcome.name for outcome in OUTCOMES]
_LAYERS: Final = [str(layer) for layer in LAYERS]
_ERROR: Final = OUTCOMES.index(Outcome.ERROR)


class _Sink:
    """Keeps what the library writes."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self.pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing to do: each piece is there."""


class ArrowAnswers:
    """Writes one batch for some rows. The schema is sent with the first one, a dictionary when it changes."""

    def __init__(self, parameters: Parameters, generation: int) -> None:
        self._fields = parameters.fields
        self._metadata = {"fastiam.generation": str(generation)}
        self._sink = _Sink()
        self._writer: Any = None

    def write(self, decided: Decided) -> bytes:
        """The messages of some rows."""
        columns = self._columns(decided)
        batch = pa.record_batch(columns).replace_schema_metadata(self._metadata)
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._sink, batch.schema)
        if len(decided):
            self._writer.write_batch(batch)
        return self._taken()

    def _taken(self) -> bytes:
        written = b"".join(self._sink.pieces)
        self._sink.pieces.clear()
        return written

    def _columns(self, decided: Decided) -> dict[str, Any]:
        fields, length = self._fields, len(decided)
        columns: dict[str, Any] = {}
        if "outcome" in fields:
            codes = np.where(decided.outcome == Outcome.ERROR, np.uint8(_ERROR), decided.outcome)
            columns["outcome"] = _dictionary("outcome", codes, _OUTCOMES)
        columns["allowed"] = pa.array(decided.outcome == Outcome.ALLOW)
        if "layer" in fields:
            layer = np.full(length, NO_CODE, np.uint8) if decided.layer is None else decided.layer
            columns["layer"] = _dictionary("layer", layer, _LAYERS)
        statement = np.full(length, -1, np.int32) if decided.statement is None else decided.statement
        if "policy" in fields:
            columns["policy"] = _texts("policy", statement, [ref.arn or ref.policy for ref in decided.refs])
        if "sid" in fields:
            columns["sid"] = _texts("sid", statement, [ref.label for ref in decided.refs])
        if "depends_on" in fields:
            columns["depends_on"] = _lists(decided)
        if "error" in fields:
            columns["error"] = _errors(decided)
        return columns

    def finish(self, rows: int, allowed: int, errors: int) -> bytes:
        """The end of a complete answer; the schema too if there were no rows."""
        begin = b"" if self._writer is not None else self.write(Decided(np.zeros(0, np.uint8)))
        self._writer.close()
        return begin + self._taken()

    def abort(self, code: str, row: int, message: str = "") -> bytes:
        """Nothing: the stream has no end marker then, and readers see that it is cut."""
        return b""


def _dictionary(name: str, codes: Any, values: list[str]) -> Any:
    return pa.array(DictionaryColumn(name, codes, values))


def _texts(name: str, codes: Any, texts: list[str]) -> Any:
    """A dictionary column without equal values."""
    values = list(dict.fromkeys(texts))
    place = {text: code for code, text in enumerate(values)}
    moved = np.array([*(place[text] for text in texts), -1], np.int32)
    return _dictionary(name, moved[codes], values)


def _lists(decided: Decided) -> Any:
    codes = np.full(len(decided), -1, np.int32) if decided.depends_on is None else decided.depends_on
    sets = [[spelled(key) for key in names] for names in decided.sets]
    sizes = np.array([*(len(names) for names in sets), 0], np.int32)[codes]
    offsets = np.zeros(len(decided) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    values = [name for code in codes[codes >= 0].tolist() for name in sets[code]]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.string()))


def _errors(decided: Decided) -> Any:
    texts = {row: f"{fault.code}: {fault.message}" for row, fault in decided.errors.items()}
    values = list(dict.fromkeys(texts.values()))
    place = {text: code for code, text in enumerate(values)}
    codes = np.full(len(decided), -1, np.int32)
    if texts:
        codes[list(texts)] = [place[text] for text in texts.values()]
    return _dictionary("error", codes, values).cast(pa.string())
