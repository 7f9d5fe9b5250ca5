"""Rows of requests as columns, and the decisions on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastiam.api.engine import Engine
from fastiam.engine.decisions import LAYERS, NO_CODE, NO_STATEMENT, Decisions
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments, Selection
from fastiam.frames.batch import decide_batch
from fastiam.model.decision import Outcome, StatementRef
from fastiam.model.key_registry import fold
from fastiam.model.request import is_declared
from fastiam.server.mapping import MappingError
from fastiam.server.protocols.bulk.parameters import Parameters
from fastiam.server.protocols.bulk.stated_sessions import StatedSession

SESSION: Final = "session"
_REASONS: Final = ("layer", "policy", "sid", "depends_on")


@dataclass(slots=True)
class Rows:
    """Some rows.

    Attributes
    ----------
    length
        number of rows.
    columns
        `principal`, `action`, `resource` and `resource_account`: lists of texts, or Arrow arrays; None: not given.
    keys
        the same of condition keys, which the identity may state.
    faults
        row -> why it is not decided. The values of such a row do not matter.
    """

    length: int
    columns: dict[str, Any]
    keys: dict[str, Any] = field(default_factory=dict)
    faults: dict[int, MappingError] = field(default_factory=dict)

    def fail(self, row: int, fault: MappingError) -> None:
        """Mark a row; the first fault of a row is kept."""
        self.faults.setdefault(row, fault)


Part = tuple[Sequence[int], Rows]
"""Rows that are decided together, and their numbers among those that are answered together."""


class Chunk(NamedTuple):
    """Rows of a body that are complete."""

    rows: int
    read: Callable[[], Iterable[list[Part]]]
    """Reads them, in groups that are answered together."""
    sessions: object = None
    """What the body states of sessions before them."""


class Reader(Protocol):
    """Reads the body of one request in one form.

    Raises
    ------
    RequestRefused, MappingError
        the rest of the body cannot be read.
    """

    @property
    def missing(self) -> int:
        """Bytes without which no further row is complete; at most 1: unknown."""

    def feed(self, piece: bytes, *, has_answered: bool) -> Iterator[Chunk]:
        """The rows that are complete. `has_answered`: whether a part of the answer was given."""

    def finish(self) -> Iterator[Chunk]:
        """The rest of the rows."""


@dataclass(slots=True)
class Decided:
    """The decisions on some rows, in their order.

    Attributes
    ----------
    outcome
        `Outcome` numbers, uint8, shape (n,).
    layer, statement, depends_on
        numbers in `LAYERS`, `refs` and `sets`; `NO_CODE` and -1 for none. None without reasons.
    errors
        row -> why it could not be decided, ascending.
    """

    outcome: npt.NDArray[np.uint8]
    layer: npt.NDArray[np.uint8] | None = None
    statement: npt.NDArray[np.int32] | None = None
    depends_on: npt.NDArray[np.int32] | None = None
    refs: Sequence[StatementRef] = ()
    sets: Sequence[tuple[str, ...]] = ()
    errors: Mapping[int, MappingError] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.outcome)

    def first(self, count: int) -> Decided:
        """The first rows, without errors."""

        def cut(column: Any) -> Any:
            return None if column is None else column[:count]

        return Decided(cut(self.outcome), cut(self.layer), cut(self.statement), cut(self.depends_on), self.refs, self.sets, {})

    def plain(self) -> Decided:
        """The same without reasons."""
        return Decided(self.outcome, errors=self.errors)

    def at(self, rows: Sequence[int]) -> Decided:
        """Some of the rows, in ascending order."""
        places = np.asarray(rows, np.intp)

        def chosen(column: Any) -> Any:
            return None if column is None else column[places]

        errors = {i: self.errors[row] for i, row in enumerate(rows) if row in self.errors}
        columns = chosen(self.outcome), chosen(self.layer), chosen(self.statement), chosen(self.depends_on)
        return Decided(*columns, self.refs, self.sets, errors)

    def counts(self) -> dict[tuple[str, str], int]:
        """Rows by the names of outcome and layer, without errors."""
        layer = np.uint8(NO_CODE) if self.layer is None else self.layer
        counts = np.bincount(self.outcome.astype(np.intp) * 256 + layer)
        found: dict[tuple[str, str], int] = {}
        for code in np.flatnonzero(counts).tolist():
            outcome = Outcome(code // 256)
            if outcome is not Outcome.ERROR:
                found[outcome.name, "" if code % 256 == NO_CODE else str(LAYERS[code % 256])] = int(counts[code])
        return found


class Judge:
    """Decides rows by one generation, with the parameters of one request."""

    def __init__(self, engine: Engine, parameters: Parameters, *, with_reasons: bool) -> None:
        self._engine, self._parameters, self._with_reasons = engine, parameters, with_reasons
        self.sessions: dict[str, StatedSession] = {}

    def decide(self, rows: Rows) -> Decided:
        """The decisions on some rows.

        Raises
        ------
        RequestValueError
            a whole column cannot be read.
        """
        if not self.sessions:
            return self._decide(rows, rows.keys)
        keys, known = _with_session_keys(rows, self.sessions, self._parameters.unknown)
        decided = self._decide(rows, keys)
        if not known or len(known) == rows.length:
            return decided
        # SAFETY: a column makes its key known in every row. In rows without the session the key is still unknown.
        others = sorted(set(range(rows.length)).difference(known))
        without = self._decide(rows, rows.keys)
        return merged([(known, decided.at(known)), (others, without.at(others))], rows.length)

    def _decide(self, rows: Rows, keys: Mapping[str, Any]) -> Decided:
        given = self._parameters
        arguments = FrameArguments(
            sessions={name: stated.session for name, stated in self.sessions.items()},
            unknown=given.unknown,
            now=given.now,
            add=_REASONS if self._with_reasons else (),
            on_error="deny",
            threads=given.threads,
        )
        columns = {name: column for name, column in rows.columns.items() if column is not None} | dict(keys)
        selection = Selection.of_columns(columns, keys)
        decisions = decide_batch(self._engine, arguments, selection, columns.__getitem__, rows.length)
        return _decided(decisions, rows.faults, with_reasons=self._with_reasons)


def _with_session_keys(
    rows: Rows, sessions: Mapping[str, StatedSession], unknown: frozenset[str]
) -> tuple[dict[str, Any], list[int]]:
    """The keys of rows with those of the sessions that they use. What a row states itself is kept.

    Rows whose session has a key that is declared unknown by its name are marked.

    Returns
    -------
    tuple[dict[str, Any], list[int]]
        the columns, and the rows with keys of a session below an unknown prefix, ascending.
    """
    keys, known = dict(rows.keys), set[int]()
    principals = listed(rows.columns["principal"], rows.length)
    for name in {name for stated in sessions.values() for name in stated.keys}:
        given = next((key for key in keys if fold(key) == fold(name)), name)
        values = listed(keys.get(given), rows.length)
        using = [row for row, principal in enumerate(principals) if values[row] is None and principal in sessions]
        using = [row for row in using if name in sessions[principals[row]].keys]
        if fold(name) in unknown:
            for row in using:
                rows.fail(row, MappingError("bad_value", f"`{name}` is declared unknown, and the session has it", "$.session"))
        elif using:
            for row in using:
                values[row] = sessions[principals[row]].keys[name]
            keys[given] = values
            if given not in rows.keys and is_declared(unknown, fold(name)):
                known.update(using)
    return keys, sorted(known)


def listed(column: Any, length: int) -> list[Any]:
    """The values of a column."""
    if column is None:
        return [None] * length
    return list(column if isinstance(column, list) else column.to_pylist())


def _decided(decisions: Decisions, faults: Mapping[int, MappingError], *, with_reasons: bool) -> Decided:
    found = {row: _engine_fault(error) for row, error in decisions.errors.items()} | dict(faults)
    failed = sorted(found)
    errors = {row: found[row] for row in failed}

    def blank(column: npt.NDArray[Any], code: int) -> npt.NDArray[Any]:
        """The column with a code in the rows that failed."""
        if failed:
            column = column.copy()
            column[failed] = code
        return column

    outcome = blank(decisions.outcome, Outcome.ERROR)
    if not with_reasons:
        return Decided(outcome, errors=errors)
    statement, refs = decisions.statement_refs
    layer, statement = blank(decisions.layer.codes, NO_CODE), blank(statement, NO_STATEMENT)
    depends_on = blank(decisions.depends_on.codes, NO_STATEMENT)
    return Decided(outcome, layer, statement, depends_on, refs, decisions.depends_on_sets, errors)


def _engine_fault(error: Exception) -> MappingError:
    """A value that the engine refuses. Its message may have values of the directory, so only the column is named (G63)."""
    column = error.column if isinstance(error, RequestValueError) else ""
    return MappingError("bad_value", f"the value of `{column}` cannot be decided, or contradicts what is known", f"$.{column}")


def merged(parts: Sequence[tuple[Sequence[int], Decided]], length: int) -> Decided:
    """The decisions on rows that were decided in several parts: the numbers of the rows of each part, and its decisions."""
    if len(parts) == 1:
        return parts[0][1]
    has_reasons = parts[0][1].layer is not None
    whole = Decided(np.empty(length, np.uint8))
    if has_reasons:
        whole.layer, whole.statement = np.empty(length, np.uint8), np.empty(length, np.int32)
        whole.depends_on = np.empty(length, np.int32)
    refs: list[StatementRef] = []
    sets: list[tuple[str, ...]] = []
    errors: dict[int, MappingError] = {}
    for rows, part in parts:
        at = np.asarray(rows, np.intp)
        whole.outcome[at] = part.outcome
        if has_reasons:
            assert part.layer is not None and part.statement is not None and part.depends_on is not None
            assert whole.layer is not None and whole.statement is not None and whole.depends_on is not None
            whole.layer[at] = part.layer
            whole.statement[at] = np.where(part.statement >= 0, part.statement + len(refs), NO_STATEMENT)
            whole.depends_on[at] = np.where(part.depends_on >= 0, part.depends_on + len(sets), NO_STATEMENT)
            refs += part.refs
            sets += part.sets
        errors.update((int(at[row]), fault) for row, fault in part.errors.items())
    whole.refs, whole.sets, whole.errors = refs, sets, dict(sorted(errors.items()))
    return whole
