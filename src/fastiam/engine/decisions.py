"""`Decisions`, the result of a batch: columns of outcomes and reasons for NumPy and for Arrow consumers.

Arrow consumers share the buffers of the NumPy arrays and keep them alive, except for columns that need another layout.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from fastiam.engine.summary import OUTCOME_NAMES, Summary
from fastiam.kernel.columns.table import column_array, stream_of, table_array
from fastiam.model.decision import Layer, Outcome, Reason, StatementRef
from fastiam.model.key_registry import spelled
from fastiam.model.result import Result
from fastiam.runtime.forking import cached_property

if TYPE_CHECKING:
    from fastiam.engine.unreadable_values import UnreadableReport
    from fastiam.model.result import Json

_T = TypeVar("_T")
_Texts = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]
TableColumn = tuple[str, npt.NDArray[Any], npt.NDArray[np.uint8] | None, _Texts | None]  # as `kernel.columns.table` takes it

LAYERS: tuple[Layer, ...] = tuple(Layer)
REASONS: tuple[Reason, ...] = tuple(Reason)
OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)
COLUMNS = (  # of a whole frame
    *("outcome", "allowed", "layer", "policy", "sid", "reason", "assumed_owner"),
    *("error_code", "error", "depends_on"),
)
_UNKNOWN_PRINCIPAL = REASONS.index(Reason.UNKNOWN_PRINCIPAL)
NO_CODE = 255  # in columns of uint8: none
NO_STATEMENT = -1


@dataclass(frozen=True, slots=True)
class RowDecision(Result):
    """The decision of one row of a batch.

    `layer`, `statement` and `reason` (codes as in `Decision`) are None without `reasons=True`, and if there is none.
    `assumed_owner` as in `Decision`. `depends_on` as in `Decision`, with reasons. `error` is the message for
    outcome ERROR, without the row, and `error_code` its kind; `Decisions.errors` has the exception.
    """

    outcome: Outcome
    layer: Layer | None = None
    statement: StatementRef | None = None
    reason: Reason | None = None
    assumed_owner: bool = False
    depends_on: tuple[str, ...] = ()
    error: str | None = field(default=None, compare=False)
    error_code: str | None = field(default=None, compare=False)

    _derived = ("allowed",)

    @property
    def allowed(self) -> bool:
        """True iff the request is authorised."""
        return self.outcome is Outcome.ALLOW

    def __bool__(self) -> bool:
        raise TypeError("a decision is not a truth value; ask `.allowed`")


class DictionaryColumn:
    """A dictionary-encoded column of texts; `__arrow_c_array__` exports it to Arrow.

    Attributes
    ----------
    codes
        shape (n,), uint8 or int32; `NO_CODE` or -1 where the row has none.
    values
        the distinct texts.
    """

    def __init__(self, name: str, codes: npt.NDArray[Any], values: Sequence[str]) -> None:
        self.name = name
        self.codes = _frozen(codes)
        self.values = tuple(values)
        self._packed: tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]] | None = None  # the texts as Arrow has them

    @classmethod
    def of_rows(cls, name: str, length: int, texts: Mapping[int, str]) -> Self:
        """A column in which some rows have a text."""
        values = list(dict.fromkeys(texts.values()))
        place = {text: code for code, text in enumerate(values)}
        codes = np.full(length, NO_STATEMENT, np.int32)
        codes[list(texts)] = [place[text] for text in texts.values()]
        return cls(name, codes, values)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> str | None: ...
    @overload
    def __getitem__(self, row: slice) -> DictionaryColumn: ...
    def __getitem__(self, row: int | slice) -> str | None | DictionaryColumn:
        if isinstance(row, slice):
            part = DictionaryColumn(self.name, self.codes[row], self.values)
            part._packed = self._texts()  # PERF: made once for all chunks of a frame
            return part
        code = int(self.codes[row])
        return None if code == self._none else self.values[code]

    def __iter__(self) -> Iterator[str | None]:
        texts = (*self.values, None)
        return (texts[-1 if code == self._none else code] for code in self.codes.tolist())

    def __repr__(self) -> str:
        return f"DictionaryColumn({self.name!r}, {len(self)} rows, {len(self.values)} values)"

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """A dictionary array of text; `requested_schema` is not followed, as the protocol allows."""
        return column_array(self.as_table_column(), len(self))

    @property
    def _none(self) -> int:
        return NO_CODE if self.codes.dtype == np.uint8 else NO_STATEMENT

    def as_table_column(self) -> TableColumn:
        """The column as `kernel.columns.table.table_array` takes it."""
        present = self.codes != self._none
        if present.all():
            return self.name, self.codes, None, self._texts()
        # code 0 under a null: consumers validate every code, nulls included
        codes = np.where(present, self.codes, self.codes.dtype.type(0))
        return self.name, codes, np.packbits(present, bitorder="little"), self._texts()

    def _texts(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """The offsets and bytes of the values."""
        if self._packed is None:
            texts = [value.encode() for value in self.values]
            offsets = np.zeros(len(texts) + 1, np.int32)
            np.cumsum([len(text) for text in texts], out=offsets[1:])
            self._packed = offsets, np.frombuffer(b"".join(texts), np.uint8)
        return self._packed


class LazyStatements(Sequence[StatementRef]):
    """Statements by number, each built when it is used."""

    @abstractmethod
    def chosen(self, codes: list[int]) -> tuple[StatementRef, ...]:
        """Some of them."""


class Decisions:
    """The decisions of a batch, one per row, as a sequence of `RowDecision` and as columns. Immutable.

    A slice is the `Decisions` of its rows.

    Attributes
    ----------
    outcome
        `Outcome` numbers, uint8, shape (n,).
    assumed_owner
        whether the owner of the resource was assumed (D23), bool, shape (n,).
    depends_on_sets
        the distinct sets of deciding keys of rows with outcome DEPENDS, folded.
    errors
        row to error, for rows with outcome ERROR, ascending. A row with several errors has one of them.
    missing_keys
        condition keys that statements read and no column supplied, with the number of rows concerned (D75): those with a
        statement whose action matches, whether or not the decision needs it. A slice has none.

    Notes
    -----
    An Arrow consumer takes it as a table: `pl.DataFrame(decisions)`, `pa.table(decisions)`, `pd.DataFrame.from_arrow(decisions)`,
    or by its name in a query of DuckDB. With reasons the columns are `outcome` (names, not numbers), `allowed`, `layer`,
    `policy`, `sid`, `reason`, `assumed_owner`, `error_code`, `error` and `depends_on`; without them `outcome`, `allowed`,
    `assumed_owner` and, with `on_error="deny"`, `error_code` and `error`.

    It does not inherit from `collections.abc.Sequence`: Polars would read it row by row then, and not as a table.
    """

    def __init__(
        self,
        outcome: npt.NDArray[np.uint8],
        *,
        layer: npt.NDArray[np.uint8] | None = None,
        statement: npt.NDArray[np.int32] | None = None,
        statements: Sequence[StatementRef] = (),
        reason: npt.NDArray[np.uint8] | None = None,
        assumed_owner: npt.NDArray[np.bool_] | None = None,
        depends_on: npt.NDArray[np.int32] | None = None,
        depends_on_sets: Sequence[tuple[str, ...]] = (),
        errors: Mapping[int, Exception] | None = None,
        missing_keys: Mapping[str, int] | None = None,
    ) -> None:
        """For the engine: `layer` indexes `LAYERS`, `reason` `REASONS` (255: none), `statement` `statements` and `depends_on`
        `depends_on_sets` (-1: none). Without `errors` no row can have one."""
        self.outcome = _frozen(outcome)
        self.errors = dict(errors or {})
        self.missing_keys = dict(missing_keys or {})
        self._has_error_column = errors is not None
        self._layer = None if layer is None else _frozen(layer)
        self._statement = None if statement is None else _frozen(statement)
        self._statements = statements
        self._reason = None if reason is None else _frozen(reason)
        self.assumed_owner = _frozen(np.zeros(len(outcome), np.bool_) if assumed_owner is None else assumed_owner)
        self._depends_on = None if depends_on is None else _frozen(depends_on)
        self.depends_on_sets = depends_on_sets
        self._find_unreadable: Callable[[], UnreadableReport] | None = None

    def report_unreadable(self, find: Callable[[], UnreadableReport]) -> None:
        """For frames: what finds the unreadable values of the batch, if they are asked for. It keeps the columns of the batch."""
        self._find_unreadable = find

    @cached_property
    def _unreadable(self) -> UnreadableReport | None:
        return None if self._find_unreadable is None else self._find_unreadable()

    @property
    def unreadable(self) -> DictionaryColumn:
        """The keys whose value in the row tests of statements cannot read (C22). Rows of frames have them."""
        if self._unreadable is None:
            return DictionaryColumn.of_rows("unreadable", len(self), {})
        return self._unreadable.column()

    @cached_property
    def allowed(self) -> npt.NDArray[np.bool_]:
        """Whether the outcome is ALLOW, bool, shape (n,)."""
        return _frozen(self.outcome == Outcome.ALLOW)

    @cached_property
    def layer(self) -> DictionaryColumn:
        """The deciding layer of each row (D50)."""
        return DictionaryColumn("layer", self._reasons(self._layer), LAYERS)

    @cached_property
    def policy(self) -> DictionaryColumn:
        """The name of the policy that holds the reported statement (D51)."""
        return self._statement_column("policy", [ref.policy for ref in self._used[1]])

    @cached_property
    def sid(self) -> DictionaryColumn:
        """The Sid of the reported statement, or `#` and its index in the policy (D51)."""
        return self._statement_column("sid", [ref.label for ref in self._used[1]])

    @property
    def statement(self) -> DictionaryColumn:
        """The same as `sid`."""
        return self.sid

    @cached_property
    def reason(self) -> DictionaryColumn:
        """The `Reason`, where the layer alone does not give it."""
        codes = self._reason
        if codes is None:
            codes = np.full(len(self._reasons(self._layer)), NO_CODE, np.uint8)
        return DictionaryColumn("reason", codes, REASONS)

    @cached_property
    def error(self) -> DictionaryColumn:
        """Why a row could not be decided, as text without the row; `errors` has the exceptions."""
        return DictionaryColumn.of_rows("error", len(self), {row: error_text(error) for row, error in self.errors.items()})

    @cached_property
    def error_code(self) -> DictionaryColumn:
        """The kind of the error of a row: a code of `docs/errors.md`."""
        return DictionaryColumn.of_rows("error_code", len(self), {row: error_code(error) for row, error in self.errors.items()})

    @property
    def statement_refs(self) -> tuple[npt.NDArray[np.int32], tuple[StatementRef, ...]]:
        """The reported statements (D51): the number of each row's, -1 for none, and what the numbers stand for."""
        return self._used

    @cached_property
    def depends_on(self) -> DictionaryColumn:
        """The deciding keys of a row with outcome DEPENDS (D74), as the registry writes them, joined by `, `."""
        codes = self._depends_on
        if codes is None:  # nothing was declared unknown
            codes = np.full(len(self._reasons(self._layer)), NO_STATEMENT, np.int32)
        return DictionaryColumn("depends_on", codes, [", ".join(map(spelled, names)) for names in self.depends_on_sets])

    def __len__(self) -> int:
        return len(self.outcome)

    @overload
    def __getitem__(self, row: int) -> RowDecision: ...
    @overload
    def __getitem__(self, row: slice) -> Decisions: ...
    def __getitem__(self, row: int | slice) -> RowDecision | Decisions:
        if isinstance(row, slice):
            return self._sliced(row)
        at = range(len(self))[row]
        return RowDecision(
            Outcome(int(self.outcome[at])),
            _picked(LAYERS, self._layer, at, NO_CODE),
            _picked(self._statements, self._statement, at, NO_STATEMENT),
            _picked(REASONS, self._reason, at, NO_CODE),
            bool(self.assumed_owner[at]),
            _picked(self.depends_on_sets, self._depends_on, at, NO_STATEMENT) or (),
            error_text(self.errors[at]) if at in self.errors else None,
            error_code(self.errors[at]) if at in self.errors else None,
        )

    def _sliced(self, rows: slice) -> Decisions:
        place = {row: at for at, row in enumerate(range(len(self))[rows])} if self.errors else {}
        errors = {place[row]: error for row, error in self.errors.items() if row in place}
        return self._taken(rows, errors, {})

    def repeated(self, rows: int) -> Decisions:
        """The first decision in each of `rows` rows, for requests that differ in nothing."""
        first = np.zeros(rows, np.intp)
        errors = dict.fromkeys(range(rows), self.errors[0]) if 0 in self.errors else {}
        return self._taken(first, errors, dict.fromkeys(self.missing_keys, rows))

    def with_errors(self, errors: Mapping[int, Exception]) -> Decisions:
        """The same decisions with other errors for the same rows."""
        return self._taken(slice(None), errors, self.missing_keys)

    def _taken(
        self, rows: slice | npt.NDArray[np.intp], errors: Mapping[int, Exception], missing_keys: Mapping[str, int]
    ) -> Decisions:
        return Decisions(
            self.outcome[rows],
            layer=_cut(self._layer, rows),
            statement=_cut(self._statement, rows),
            statements=self._statements,
            reason=_cut(self._reason, rows),
            assumed_owner=self.assumed_owner[rows],
            depends_on=_cut(self._depends_on, rows),
            depends_on_sets=self.depends_on_sets,
            errors=dict(sorted(errors.items())) if self._has_error_column else None,
            missing_keys=missing_keys,
        )

    def __iter__(self) -> Iterator[RowDecision]:
        return map(self.__getitem__, range(len(self)))

    def index(self, row: RowDecision) -> int:
        """The first row that is like `row`. Raises `ValueError` where there is none."""
        for at, other in enumerate(self):
            if other == row:
                return at
        raise ValueError("no row is like this one")

    def count(self, row: RowDecision) -> int:
        """How many rows are like `row`."""
        return sum(other == row for other in self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{OUTCOME_NAMES[outcome]} {count:,}" for outcome, count in self.summary().outcomes.items())
        return f"Decisions({len(self):,} rows: {counts})" if counts else "Decisions(0 rows)"

    def __reduce__(self) -> tuple[Any, ...]:
        statement, statements = (None, ()) if self._statement is None else self._used
        reasons = {"layer": self._layer, "statement": statement, "statements": statements, "reason": self._reason}
        rest: dict[str, Any] = {"assumed_owner": self.assumed_owner, "missing_keys": self.missing_keys}
        rest |= {"depends_on": self._depends_on, "depends_on_sets": self.depends_on_sets}
        return _rebuild, (self.outcome, {**reasons, **rest, "errors": self.errors if self._has_error_column else None})

    def to_dict(self) -> dict[str, Json]:
        """The JSON form: the rows, each as `RowDecision.to_dict` gives it, and `missing_keys`."""
        return {"rows": [row.to_dict() for row in self], "missing_keys": {**self.missing_keys}}

    def summary(self) -> Summary:
        """Counts over the whole batch; `str()` of it is a short report."""
        layers = {} if self._layer is None else _counts(self._layer, dict(enumerate(LAYERS)))
        denies: dict[StatementRef, int] = {}
        if self._statement is not None:
            codes, refs = self._used
            denies = _counts(codes[self.outcome == Outcome.EXPLICIT_DENY], dict(enumerate(refs)))
        depends_on = {}
        if self._depends_on is not None:
            depends_on = _counts(self._depends_on, dict(enumerate(self.depends_on.values)))
        return Summary(
            rows=len(self),
            outcomes=_counts(self.outcome, {int(outcome): outcome for outcome in Outcome}),
            layers=layers,
            denies=denies,
            depends_on=depends_on,
            missing_keys=self.missing_keys,
            assumed_owner=int(np.count_nonzero(self.assumed_owner)),
            unknown_principal=0 if self._reason is None else int(np.count_nonzero(self._reason == _UNKNOWN_PRINCIPAL)),
            first_errors=tuple(str(self.errors[row]) for row in sorted(self.errors)[:3]),
            unreadable=() if self._unreadable is None else self._unreadable.counts(),
        )

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """A struct array; `requested_schema` is not followed, as the protocol allows."""
        return table_array(self._columns(), ("allowed", "assumed_owner"), len(self))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A table of one batch."""
        return stream_of(*self.__arrow_c_array__())

    def __array__(self, dtype: object = None, copy: object = None) -> NoReturn:
        # pandas asks for it, and would otherwise make a table of the fields of rows
        raise TypeError(
            "decisions are several columns, not one array\n"
            "help: `pandas.DataFrame.from_arrow(decisions)` makes a frame, `decisions.outcome` is an array"
        )

    def _columns(self) -> list[TableColumn]:
        columns = [outcome_column(self.outcome).as_table_column(), _bits("allowed", self.allowed)]
        if self._layer is not None:
            columns += [column.as_table_column() for column in (self.layer, self.policy, self.sid, self.reason)]
        columns.append(_bits("assumed_owner", self.assumed_owner))
        if self._layer is not None or self._has_error_column:
            columns += [self.error_code.as_table_column(), self.error.as_table_column()]
        if self._layer is not None:
            columns.append(self.depends_on.as_table_column())
        return columns

    @cached_property
    def _used(self) -> tuple[npt.NDArray[np.int32], tuple[StatementRef, ...]]:
        """`(codes, refs)` with only the reported statements: an organisation has many more than one batch reports."""
        codes = self._reasons(self._statement)
        used = np.flatnonzero(np.bincount(codes + 1)[1:])
        # the last entry serves -1, which means "none" before and after
        moved = np.full(len(self._statements) + 1, NO_STATEMENT, np.int32)
        moved[used] = np.arange(len(used))
        statements, chosen = self._statements, used.tolist()
        codes = moved.take(codes)
        if isinstance(statements, LazyStatements):
            return codes, statements.chosen(chosen)
        return codes, tuple(statements[i] for i in chosen)

    def _statement_column(self, name: str, texts: list[str]) -> DictionaryColumn:
        values = list(dict.fromkeys(texts))
        place = {text: code for code, text in enumerate(values)}
        moved = np.array([*(place[text] for text in texts), NO_STATEMENT], np.int32)
        return DictionaryColumn(name, moved[self._used[0]], values)

    def _reasons(self, column: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        if column is None:
            raise AttributeError("the batch was decided without reasons\nhelp: pass `reasons=True` to `decide_many`")
        return column


def outcome_column(outcome: npt.NDArray[np.uint8]) -> DictionaryColumn:
    """Outcomes as codes into their names; their numbers are the codes, except for ERROR."""
    is_error = outcome == Outcome.ERROR
    codes = np.where(is_error, np.uint8(OUTCOMES.index(Outcome.ERROR)), outcome) if is_error.any() else outcome
    return DictionaryColumn("outcome", codes, [each.name for each in OUTCOMES])


def error_code(error: Exception) -> str:
    """The code of the error of a row: its own, or that of a stored policy that cannot be read."""
    return str(getattr(error, "code", "bad_policy"))


def error_text(error: Exception) -> str:
    """The text of the error of a row, without the row."""
    return str(getattr(error, "text", error))


def _rebuild(outcome: npt.NDArray[np.uint8], rest: dict[str, Any]) -> Decisions:
    return Decisions(outcome, **rest)


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only view, contiguous."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _cut(codes: npt.NDArray[Any] | None, rows: slice | npt.NDArray[np.intp]) -> npt.NDArray[Any] | None:
    return None if codes is None else codes[rows]


def _bits(name: str, values: npt.NDArray[np.bool_]) -> TableColumn:
    return name, np.packbits(values, bitorder="little"), None, None


def _picked(values: Sequence[_T], codes: npt.NDArray[Any] | None, row: int, none: int) -> _T | None:
    return None if codes is None or codes[row] == none else values[int(codes[row])]


def _counts(codes: npt.NDArray[Any], values: Mapping[int, _T]) -> dict[_T, int]:
    """How often each value occurs, the most frequent first; codes without a value do not count."""
    counts = np.bincount(codes.astype(np.int64) + 1)  # from -1 up
    found: Counter[_T] = Counter()
    for code in np.flatnonzero(counts).tolist():
        if code - 1 in values:
            found[values[code - 1]] += int(counts[code])
    return dict(found.most_common())
