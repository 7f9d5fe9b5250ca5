"""Answers as JSON lines."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import orjson

from fastiam.engine.decisions import LAYERS, NO_CODE
from fastiam.model.decision import Outcome, StatementRef
from fastiam.model.key_registry import spelled
from fastiam.server.mapping import MappingError
from fastiam.server.protocols.bulk.parameters import Parameters
from fastiam.server.protocols.bulk.rows import Decided

_WIDTH: Final = 256  # of the numbers of layers
_CACHED: Final = 16_384  # lines; all are dropped when there are more


class JsonAnswers:
    """Writes one line for each row, and the lines that end the stream (G165)."""

    def __init__(self, parameters: Parameters, generation: int) -> None:
        self._fields, self._summary = parameters.fields, parameters.summary
        self._generation = generation
        self._lines: dict[tuple[int, int, int], tuple[StatementRef | None, bytes]] = {}

    def write(self, decided: Decided) -> bytes:
        """The lines of some rows. PERF: rows that are alike are written once."""
        layer = np.full(len(decided), NO_CODE, np.uint8) if decided.layer is None else decided.layer
        statement = np.full(len(decided), -1, np.int32) if decided.statement is None else decided.statement
        depends_on = np.full(len(decided), -1, np.int32) if decided.depends_on is None else decided.depends_on
        codes = decided.outcome.astype(np.int64) * _WIDTH + layer
        codes = codes * (len(decided.refs) + 1) + statement + 1
        codes = codes * (len(decided.sets) + 1) + depends_on + 1
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        columns = (column[first].tolist() for column in (decided.outcome, layer, statement, depends_on))
        refs, cached = (*decided.refs, None), self._lines
        kinds: list[bytes] = []
        for kind in zip(*columns, strict=True):
            found = cached.get((kind[0], kind[1], id(refs[kind[2]])))
            kinds.append(found[1] if found is not None and kind[3] < 0 else self._line_of(decided, *kind))
        lines = [kinds[kind] for kind in inverse.tolist()]
        for row, fault in decided.errors.items():
            lines[row] = self._error_line(fault)
        return b"".join(lines)

    def _line_of(self, decided: Decided, outcome: int, layer: int, statement: int, depends_on: int) -> bytes:
        """The line of a kind of decisions. PERF: cached, because the batches of one engine have the same statements."""
        if depends_on >= 0:
            return self._line(decided, outcome, layer, statement, depends_on)
        if len(self._lines) >= _CACHED:
            self._lines.clear()
        ref = decided.refs[statement] if statement >= 0 else None
        line = self._line(decided, outcome, layer, statement, depends_on)
        self._lines[outcome, layer, id(ref)] = ref, line  # with the statement, so that no other one gets its id
        return line

    def _line(self, decided: Decided, outcome: int, layer: int, statement: int, depends_on: int) -> bytes:
        members: dict[str, Any] = {}
        fields = self._fields
        if "outcome" in fields:
            members["outcome"] = Outcome(outcome).name
        members["allowed"] = outcome == Outcome.ALLOW
        if "layer" in fields and layer != NO_CODE:
            members["layer"] = str(LAYERS[layer])
        if statement >= 0:
            ref = decided.refs[statement]
            if "policy" in fields:
                members["policy"] = ref.arn or ref.policy
            if "sid" in fields:
                members["sid"] = ref.label
        if depends_on >= 0 and "depends_on" in fields:
            members["depends_on"] = [spelled(key) for key in decided.sets[depends_on]]
        return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)

    def _error_line(self, fault: MappingError) -> bytes:
        members: dict[str, Any] = {"outcome": "ERROR"} if "outcome" in self._fields else {}
        members["allowed"] = False
        if "error" in self._fields:
            members["error"] = {"code": fault.code, "message": fault.message}
        return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)

    def finish(self, rows: int, allowed: int, errors: int) -> bytes:
        """The end of a complete answer."""
        if not self._summary:
            return b""
        summary = {"rows": rows, "allowed": allowed, "errors": errors, "generation": self._generation}
        return orjson.dumps({"summary": summary}, option=orjson.OPT_APPEND_NEWLINE)

    def abort(self, code: str, row: int, message: str = "") -> bytes:
        """The last line of an answer that ends early; `row` counts from 1."""
        members: dict[str, Any] = {"code": code, "row": row}
        if message:
            members["message"] = message
        return orjson.dumps({"error": members}, option=orjson.OPT_APPEND_NEWLINE)
