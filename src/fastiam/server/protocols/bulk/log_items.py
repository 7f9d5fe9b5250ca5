"""Records of single rows, for a decision log that has a line for each (G185)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fastiam.engine.decisions import LAYERS
from fastiam.frames.arguments import REQUEST
from fastiam.model.decision import Decision, Outcome
from fastiam.server.decision_records import DecisionRecord
from fastiam.server.protocols.bulk.rows import Decided, Part, listed
from fastiam.server.protocols.bulk.stated_sessions import StatedSession


def row_records(
    parts: Sequence[Part], decided: Decided, sessions: Mapping[str, StatedSession], path: str, generation: int
) -> Iterator[tuple[int, DecisionRecord]]:
    """The record of each row of a chunk by its number, in any order. `decided` has reasons."""
    for numbers, rows in parts:
        principals, actions, resources = (listed(rows.columns[name], rows.length) for name in REQUEST)
        keys = {name: listed(column, rows.length) for name, column in rows.keys.items()}
        for at, number in enumerate(numbers):
            principal = principals[at]
            if principal in sessions:
                principal = sessions[principal].session.arn
            context = {name: values[at] for name, values in keys.items() if values[at] is not None}
            record = DecisionRecord(path, generation, principal, actions[at], resources[at], context, None, False)
            fault = decided.errors.get(number)
            if fault is not None:
                record.error = fault.code
            else:
                record.decision = decision_at(decided, number)
                record.result = record.decision.allowed
            yield number, record


def decision_at(decided: Decided, row: int) -> Decision:
    """The decision on a row that could be decided."""
    assert decided.layer is not None and decided.statement is not None and decided.depends_on is not None
    statement, depends_on = int(decided.statement[row]), int(decided.depends_on[row])
    return Decision(
        Outcome(int(decided.outcome[row])),
        LAYERS[int(decided.layer[row])],
        decided.refs[statement] if statement >= 0 else None,
        depends_on=decided.sets[depends_on] if depends_on >= 0 else (),
    )
