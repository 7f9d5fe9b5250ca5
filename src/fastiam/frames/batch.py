"""One batch of a frame: its columns to `decide_many`, errors in the frame's own names, results as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from fastiam.engine.decisions import LAYERS, OUTCOMES, Decisions, DictionaryColumn, outcome_column
from fastiam.errors import RequestValueError, ShapeError, error_at
from fastiam.frames.arguments import FrameArguments, Lit, Selection
from fastiam.frames.nested import TAGS, context_columns, tag_columns
from fastiam.kernel.columns.read import for_all_rows
from fastiam.model.key_registry import fold
from fastiam.model.request import shorten
from fastiam.model.session import Session

if TYPE_CHECKING:
    import numpy.typing as npt

    from fastiam.api.engine import Engine
    from fastiam.engine.unreadable_values import UnreadableReport
    from fastiam.model.protocols import DecisionEngine

OUTCOME_NAMES: Final = tuple(outcome.name for outcome in OUTCOMES)
LAYER_NAMES: Final = tuple(str(layer) for layer in LAYERS)


def pinned(engine: DecisionEngine) -> DecisionEngine:
    """The engine that a live engine has now, or the engine itself: one generation for all batches of a call."""
    current: DecisionEngine = getattr(engine, "engine", engine)
    return current


def decide_batch(
    engine: DecisionEngine,
    arguments: FrameArguments,
    selection: Selection,
    column: Callable[[str], object],
    rows: int,
    *,
    first_row: int | None = 0,
    constants: Mapping[str, Any] | None = None,
) -> Decisions:
    """Decide the rows of one batch.

    Parameters
    ----------
    column
        gives a column by name, as `decide_many` takes it.
    rows
        how many there are.
    first_row
        of the batch in its frame, for messages; None: not known, and messages have no row.
    constants
        further keys, with one value for all rows.

    Raises
    ------
    RequestValueError
        a value cannot be read; it names the frame's column and row.
    """
    sessions = dict(arguments.sessions or {})
    requests = {name: _value(source, column, sessions) for name, source in selection.requests.items()}
    try:
        if selection.context_column is None:
            found = {key: _context_value(key, source, column) for key, source in selection.context.items()}
        else:
            found = context_columns(column(selection.context_column), selection.context_column)
        labels = {key: selection.context_column or selection.label(key) for key in found}
        context = with_constants(with_tags(found, labels), constants or {})
        decisions = engine.decide_many(
            requests.pop("principals"),
            requests.pop("actions"),
            requests.pop("resources"),
            context,
            resource_accounts=requests.get("resource_accounts"),
            sessions=sessions or None,
            unknown=arguments.unknown,
            now=arguments.now,
            reasons=arguments.needs_reasons,
            on_error=arguments.on_error,
            threads=arguments.threads,
        )
    except RequestValueError as error:
        raise _in_frame(error, selection, first_row) from error.__cause__
    if arguments.on_error == "deny" and decisions.errors:
        decisions = decisions.with_errors(
            {row: _in_frame(error, selection, first_row) for row, error in decisions.errors.items()}
        )
    if len(decisions) != rows:
        # constants alone, or a map without keys
        if len(decisions) != 1 or not all(isinstance(source, (Lit, Session)) for source in selection.requests.values()):
            raise ShapeError(f"the columns have {len(decisions)} rows, the frame has {rows} rows")
        decisions = decisions.repeated(rows)
    if arguments.with_summary or "unreadable" in arguments.add:  # PERF: otherwise the columns are not kept for it
        allowed = decisions.allowed  # not the decisions, which refer to the function
        decisions.report_unreadable(lambda: _unreadable(engine, context, allowed))
    return decisions


def _unreadable(engine: DecisionEngine, context: Mapping[str, object], allowed: npt.NDArray[np.bool_]) -> UnreadableReport:
    from fastiam.engine.unreadable_values import UnreadableReport  # PERF: many batches are not asked for it

    return UnreadableReport(cast("Engine", engine), context, len(allowed), np.flatnonzero(~allowed))


def _value(source: str | Lit | Session, column: Callable[[str], object], sessions: dict[str, Session]) -> object:
    if isinstance(source, Lit):
        return source.value
    if isinstance(source, Session):
        name = "session"
        while name in sessions:
            name += "'"
        sessions[name] = source
        return name
    return column(source)


def _context_value(key: str, source: object, column: Callable[[str], object]) -> object:
    if isinstance(source, str):
        return column(source)
    if isinstance(source, Lit):
        return source.value
    return for_all_rows(source, key) if isinstance(source, (list, tuple)) else source


def with_tags(context: Mapping[str, object], labels: Mapping[str, str]) -> dict[str, object]:
    """The columns of a context, with one for each tag in place of a column of tags. `labels` : what messages call them.

    Raises
    ------
    RequestValueError
        a column under a name such as `aws:RequestTag/*` is not one of tags, or a key comes from two columns.
    """
    found: dict[str, object] = {}
    for key, values in context.items():
        label = labels.get(key, key)
        for name, column in (tag_columns(values, label, key) if key.endswith(TAGS) else {key: values}).items():
            if name in found:
                raise RequestValueError(f"the key `{shorten(name)}` comes from two columns", column=label, hint="leave one out")
            found[name] = column
    return found


def with_constants(context: Mapping[str, object], constants: Mapping[str, Any]) -> dict[str, object]:
    """The columns of a context, and keys that have one value in all rows; None is absent.

    Raises
    ------
    RequestValueError
        a key has a column and a constant.
    """
    names = {fold(name): name for name in context}
    for name in constants:
        if fold(name) in names:
            raise RequestValueError(
                f"the key `{shorten(name)}` has a column, and one value for all rows", column=name, hint="leave one of them out"
            )
    lists = {name: for_all_rows(value, name) if isinstance(value, list) else value for name, value in constants.items()}
    return {**context, **{name: value for name, value in lists.items() if value is not None}}


def _in_frame(error: Exception, selection: Selection, first_row: int | None) -> Exception:
    """The error with the frame's name of the column and the row of the frame (H3)."""
    if not isinstance(error, RequestValueError):
        return error
    row = None if error.row is None or first_row is None else error.row + first_row
    return error_at(error, column=selection.label(error.column), row=row)


# -- results ------------------------------------------------------------------------------------------------------------


class Bools:
    """A column of bools as an Arrow array."""

    def __init__(self, name: str, values: npt.NDArray[np.bool_]) -> None:
        self.name, self.values = name, values

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """A bool array without nulls."""
        from fastiam.kernel.columns.table import column_array  # PERF: only Arrow needs it

        return column_array((self.name, np.packbits(self.values, bitorder="little"), None, None), len(self.values), is_bits=True)


Result = Bools | DictionaryColumn


def results(decisions: Decisions, arguments: FrameArguments) -> dict[str, Result]:
    """The columns to add, by name with prefix, in order."""
    return {arguments.prefix + name: _result(decisions, name) for name in arguments.added}


def _result(decisions: Decisions, name: str) -> Result:
    if name == "outcome":
        return outcome_column(decisions.outcome)
    if name in ("allowed", "assumed_owner"):
        return Bools(name, getattr(decisions, name))
    column: DictionaryColumn = getattr(decisions, name)
    return column


def enums() -> Mapping[str, Sequence[str]]:
    """The added columns with a fixed set of values, in their order."""
    return {"outcome": OUTCOME_NAMES, "layer": LAYER_NAMES}


def no_rows(arguments: FrameArguments) -> dict[str, Any]:
    """The columns to add to a frame without rows: for their types."""
    none, codes = np.zeros(0, np.uint8), np.zeros(0, np.int32)
    empty = Decisions(none, layer=none, statement=codes, reason=none, errors={})
    return results(empty, arguments)
