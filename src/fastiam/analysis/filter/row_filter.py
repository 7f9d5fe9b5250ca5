"""`Filter`: the rows that a principal may act on, as an expression (docs/filter.md)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fastiam.analysis.filter.build import build
from fastiam.analysis.filter.formula import (
    Column,
    Equals,
    Formula,
    IsNull,
    Leaf,
    Matches,
    Or,
    StartsWith,
    Text,
    Unknown,
    columns_of,
    leaves_of,
    size,
    superset,
)
from fastiam.analysis.filter.row_keys import VALID_ARN, Row, folded_columns
from fastiam.analysis.filter.targets import Writer
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import Lit
from fastiam.model.key_registry import fold
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import Context, check_context, check_key, shorten
from fastiam.model.session import Session
from fastiam.spec.unknown_keys import IAM_RESOURCE_TAG, RESOURCE_TAG

if TYPE_CHECKING:
    import polars as pl

_COLUMN = re.compile(r"\{([^{}]+)\}")
_MAX_PREFILTER = 2_000  # nodes; a larger one would take longer than the decisions that it spares


@dataclass(frozen=True)
class FilterArguments:
    """The parameters of `Engine.filter`, for the decisions of `apply`."""

    engine: AnalysisEngine
    principal: str | Session
    action: str
    resource: Text
    columns: Mapping[str, str]
    context: Mapping[str, Any]
    resource_account: str | Lit | None
    now: datetime | None


@dataclass(frozen=True, eq=False, repr=False)
class Filter:
    """The rows whose requests `decide` allows, for one principal and one action.

    An exact filter is true of a row if and only if the decision is ALLOW. Another one is a superset. It is never null.

    Attributes
    ----------
    exact
        the filter is the decision itself.
    valid_until
        the first instant at which a date test can change the filter; None: no test reads the time.
    """

    exact: bool
    valid_until: datetime | None
    _formula: Formula
    _arguments: FilterArguments

    def __repr__(self) -> str:
        reads = f", reads {', '.join(self.columns)}" if self.columns else ""
        return f"<Filter: {self.kind}{'' if self.exact else ', not exact'}{reads}>"

    @cached_property
    def kind(self) -> Literal["always", "never", "conditional"]:
        """`always`: every row with a resource is allowed. `never`: no row is. `conditional`: it depends on the row."""
        if self._formula is False:
            return "never"
        resource = self._arguments.resource
        valid = {Equals(resource, ("*",)), Matches(resource, VALID_ARN)}
        is_valid = isinstance(self._formula, Or) and set(self._formula.parts) == valid
        return "always" if self.exact and (is_valid or self._formula is True) else "conditional"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the filter reads."""
        return columns_of(self._formula)

    @cached_property
    def digest(self) -> str:
        """A hash of what the filter tests: it changes where a new engine gives another filter, or the arguments do."""
        given = self._arguments
        subject = given.principal if isinstance(given.principal, str) else given.principal.arn
        text = repr((subject, given.action.lower(), given.resource, self.exact, self.valid_until, self._formula))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def prefilter(self) -> Filter:
        """A superset of equalities, `IN` and prefixes only, which data sources evaluate fast."""
        formula = superset(self._formula, lambda leaf: isinstance(leaf, (Equals, IsNull, StartsWith)))
        if size(formula) > _MAX_PREFILTER:
            formula = superset(self._formula, lambda leaf: isinstance(leaf, IsNull))
        is_same = formula == self._formula
        return Filter(self.exact and is_same, self.valid_until, formula, self._arguments)

    def without_columns(self, names: frozenset[str]) -> Filter:
        """A superset that does not read some columns."""

        def keep(leaf: Leaf) -> bool:
            return names.isdisjoint(columns_of(leaf))

        return Filter(False, self.valid_until, superset(self._formula, keep), self._arguments)

    def apply(self, frame: Any, *, on_error: Literal["raise", "deny"] = "deny", threads: int = 1, connection: Any = None) -> Any:
        """The rows of a frame that are allowed, exact whatever `exact` is.

        The prefilter drops rows first where the library of the frame has filters (Polars, DuckDB); the engine decides the others.

        Parameters
        ----------
        frame
            as in `decide_frame`.
        on_error
            "deny": a row that cannot be read is not allowed. "raise": it is an error, and all rows are decided.
        threads, connection
            as in `decide_frame`.

        Raises
        ------
        RequestValueError
            a column is missing, or with "raise" a value cannot be read.
        """
        from fastiam.analysis.filter.apply import apply  # PERF: each form is imported when it is asked for

        return apply(self, self._arguments, frame, on_error, threads, connection)

    def polars(self, *, types: Mapping[str, str] = {}) -> pl.Expr:
        """The filter as a Polars expression. A column that is not text is an error, unless `types` has it.

        Parameters
        ----------
        types
            columns that are cast: "text" (of categories), "bool" or "integer".

        Raises
        ------
        NotExpressible
            Polars cannot express a test; names key and operator.
        """
        from fastiam.analysis.filter.polars_form import PolarsTarget  # PERF: other forms do not need it

        return Writer(PolarsTarget(checked_types(types))).write(self._formula)

    def sql(
        self,
        dialect: str = "duckdb",
        *,
        alias: str | None = None,
        types: Mapping[str, str] = {},
        enforce_until: bool = False,
    ) -> str:
        """The filter as an expression of SQL, never null.

        Parameters
        ----------
        dialect
            `duckdb`, `sqlite`, `datafusion`, `polars` and `spark` are tested on the database; `postgres`, `trino`, `snowflake`
            and `bigquery` are not.
        alias
            of the table.
        types
            columns that are not text: "bool" or "integer"; "text" casts, of enums for example.
        enforce_until
            the expression is false from `valid_until` on. Otherwise a comment has this instant.

        Raises
        ------
        NotExpressible
            the dialect cannot express a test; names key and operator.
        RequestValueError
            a type or the dialect is unknown.
        """
        from fastiam.analysis.filter.sql_form import write_sql  # PERF: other forms do not need it

        until = None if self.valid_until is None else int(self.valid_until.timestamp())
        return write_sql(self._formula, dialect, alias, checked_types(types), until, enforce_until)

    def narwhals(self, *, types: Mapping[str, str] = {}) -> Any:
        """The filter as an expression of narwhals, for the libraries that it supports. Parameters as in `polars`.

        Raises
        ------
        NotExpressible
            narwhals cannot express a test; names key and operator.
        """
        from fastiam.analysis.filter.column_forms import NarwhalsTarget  # PERF: other forms do not need it

        return Writer(NarwhalsTarget(checked_types(types))).write(self._formula)

    def ibis(self, table: Any) -> Any:
        """The filter as an expression of Ibis over the columns of a table.

        Raises
        ------
        NotExpressible
            Ibis cannot express a test; names key and operator.
        RequestValueError
            a column is neither text, bool nor integer.
        """
        from fastiam.analysis.filter.column_forms import IbisTarget  # PERF: other forms do not need it

        return Writer(IbisTarget(table)).write(self._formula)

    def to_dict(self) -> dict[str, Any]:
        """The filter as JSON (docs/filter.md).

        Raises
        ------
        NotExpressible
            it contains a test that no filter expresses; `prefilter.to_dict()` has none.
        """
        from fastiam.analysis.filter.json_form import to_json  # PERF: other forms do not need it

        return {
            "version": 1,
            "kind": self.kind,
            "exact": self.exact,
            "digest": self.digest,
            "valid_until": None if self.valid_until is None else self.valid_until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "columns": list(self.columns),
            "filter": to_json(self._formula),
        }


def checked_types(types: Mapping[str, str]) -> Mapping[str, str]:
    """The types of columns.

    Raises
    ------
    RequestValueError
        a type is none of those that are cast.
    """
    for name, type_ in types.items():
        if type_ not in ("text", "bool", "integer"):
            hint = "use `text`, `bool` or `integer`"
            raise RequestValueError(f"`{shorten(str(type_))}` is not a type of column", column=name, hint=hint)
    return types


def read_template(resource: str) -> Text:
    """The text of the resource: a column, or a template with columns in braces.

    Raises
    ------
    RequestValueError
        it names no column.
    """
    parts = _COLUMN.split(resource)
    if len(parts) == 1:
        if resource.startswith("arn:") or not resource:
            hint = 'pass the column with the ARN, or a template such as "arn:aws:s3:::{bucket}/{key}"'
            raise RequestValueError(f"`{shorten(resource)}` is not the name of a column", column="resource", hint=hint)
        return (Column(resource),)
    return tuple(Column(part) if at % 2 else part for at, part in enumerate(parts) if part)


def make_filter(
    engine: AnalysisEngine,
    principal: str | Session,
    action: str,
    *,
    resource: str,
    columns: Mapping[str, str],
    context: Context,
    resource_account: str | Lit | None,
    now: datetime | None,
) -> Filter:
    """The filter of a principal and an action. Parameters, result and errors as in `Engine.filter`."""
    text, keys = read_template(resource), _checked_columns(columns, context)
    request = engine.read_request(action, context, now=now)
    folded, names = folded_columns(keys)
    constants = {key: value for key, value in request.context.items() if key not in folded}
    row = Row(text, folded, names, replace(request, context=constants), engine.settings, engine.snapshot)
    account = resource_account.value if isinstance(resource_account, Lit) else resource_account and Column(resource_account)
    built = build(engine, principal, row, account)
    given = FilterArguments(engine, principal, action, text, keys, dict(check_context(context)), resource_account, now)
    exact = not any(isinstance(leaf, Unknown) for leaf in leaves_of(built.formula))
    return Filter(exact, built.valid_until, built.formula, given)


def _checked_columns(columns: Mapping[str, str], context: Context) -> dict[str, str]:
    """The columns of keys, each key once and not in the context."""
    if not isinstance(columns, Mapping):
        hint = 'write `columns={"aws:ResourceTag/stage": "stage"}`'
        raise RequestValueError(f"`{type(columns).__name__}` is not a mapping of keys to columns", column="columns", hint=hint)
    given = {fold(name): name for name in check_context(context)}
    for key, name in columns.items():
        if not isinstance(name, str):
            hint = "pass the name of a column; constants belong in `context`"
            raise RequestValueError(f"`{type(name).__name__}` is not the name of a column", column=str(key), hint=hint)
        folded = fold(check_key(key))
        if folded in given:
            raise RequestValueError(f"`{given[folded]}` and `{key}` are one key", column=key, hint="keep one of the two")
        if folded.startswith(RESOURCE_TAG) and IAM_RESOURCE_TAG + folded.removeprefix(RESOURCE_TAG) in given:
            hint = "pass both as columns, or one of them"
            raise RequestValueError(f"`{key}` and its second name are a column and a constant", column=key, hint=hint)
        given[folded] = key
    return dict(columns)
