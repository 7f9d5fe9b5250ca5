"""Answers as JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
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
        self._heads: dict[tuple[int, int], dict[str, Any]] = {}  # by outcome and layer
        self._lines: dict[int, bytes] = {}  # by outcome, layer and the id of the statement
        self._refs: list[StatementRef | None] = []  # of `_lines`, so that no other one gets the id of one

    def write(self, decided: Decided) -> bytes:
        """The lines of some rows. PERF: rows that are alike are written once."""
        layer = np.full(len(decided), NO_CODE, np.uint8) if decided.layer is None else decided.layer
        statement = np.full(len(decided), -1, np.int32) if decided.statement is None else decided.statement
        codes = (decided.outcome.astype(np.int64) * _WIDTH + layer) * (len(decided.refs) + 1) + statement + 1
        depends_on = None if not decided.sets else decided.depends_on
        if depends_on is not None:
            codes = codes * (len(decided.sets) + 1) + depends_on + 1
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        outcomes, layers, statements = (column[first].tolist() for column in (decided.outcome, layer, statement))
        refs = (*decided.refs, None)
        if depends_on is None:
            kinds = self._kinds(outcomes, layers, [refs[at] for at in statements])
        else:
            sets = (*decided.sets, ())
            each = zip(outcomes, layers, statements, depends_on[first].tolist(), strict=True)
            kinds = [self._line(outcome, layer, refs[at], sets[of]) for outcome, layer, at, of in each]
        lines = [kinds[kind] for kind in inverse.tolist()]
        for row, fault in decided.errors.items():
            lines[row] = self._error_line(fault)
        return b"".join(lines)

    def _kinds(self, outcomes: list[int], layers: list[int], refs: list[StatementRef | None]) -> list[bytes]:
        """The lines of kinds of decisions. PERF: cached, because the batches of one engine have the same statements."""
        keys = [(id(ref) << 16) + (outcome << 8) + layer for outcome, layer, ref in zip(outcomes, layers, refs, strict=True)]
        if len(self._lines) + len(keys) > _CACHED:
            self._lines, self._refs = {}, []
        new = [i for i, key in enumerate(keys) if key not in self._lines]
        self._refs += [refs[i] for i in new]
        for i in new:
            self._lines[keys[i]] = self._line(outcomes[i], layers[i], refs[i], ())
        return [self._lines[key] for key in keys]

    def _line(self, outcome: int, layer: int, ref: StatementRef | None, depends_on: Sequence[str]) -> bytes:
        head = self._heads.get((outcome, layer))
        if head is None:
            head = self._heads[outcome, layer] = self._head(outcome, layer)
        members, fields = dict(head), self._fields
        if ref is not None:
            if "policy" in fields:
                members["policy"] = ref.arn or ref.policy
            if "sid" in fields:
                members["sid"] = ref.label
        if depends_on and "depends_on" in fields:
            members["depends_on"] = [spelled(key) for key in depends_on]
        return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)

    def _head(self, outcome: int, layer: int) -> dict[str, Any]:
        """The first members of a line."""
        members: dict[str, Any] = {"outcome": Outcome(outcome).name} if "outcome" in self._fields else {}
        members["allowed"] = outcome == Outcome.ALLOW
        if "layer" in self._fields and layer != NO_CODE:
            members["layer"] = str(LAYERS[layer])
        return members

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
        """The last line of an answer that ends early; `row` counts from 0."""
        members: dict[str, Any] = {"code": code, "row": row}
        if message:
            members["message"] = message
        return orjson.dumps({"error": members}, option=orjson.OPT_APPEND_NEWLINE)
