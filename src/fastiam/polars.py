"""Decisions in Polars: functions of frames and expressions, and the same as `.iam`, which `import fastiam.polars` registers.

    fastiam.polars.decide(df, engine)          df.iam.decide(engine)        the frame with the decisions as columns
    fastiam.polars.authorized(df, engine)      df.iam.authorized(engine)    the rows that are allowed
    fastiam.polars.allowed("principal", engine, "action", "resource", context={"aws:SourceIp": "ip"})
    pl.col("principal").iam.allowed(engine, "action", "resource", context={"aws:SourceIp": "ip"})

Type checkers know the functions; they do not see names that are registered.

Lazy frames and expressions have `on_error="deny"` as default: Polars also evaluates rows that the rest of a query excludes, so an
error of one of these rows must not end the query. A `LiveEngine` gives its current engine for each batch that Polars evaluates;
`live.engine` stays the same for the whole query. Without `now`, the clock is read when the expression is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import polars as pl

from fastiam.frames.arguments import ADDED, FrameArguments, FrameOptions, Lit
from fastiam.frames.expressions import read_expressions
from fastiam.frames.polars_frames import DecideStruct, decide_lazy, types_of
from fastiam.model.protocols import DecisionEngine
from fastiam.model.session import Session

Source = str | pl.Expr | Lit
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def decide(frame: Frame, engine: Any, **options: Unpack[FrameOptions]) -> Frame:
    """Return the frame with the decisions as columns; of a lazy frame nothing is run.

    Parameters
    ----------
    frame
        one request per row.
    engine
        an `Engine`, a `LiveEngine` or a `SharedEngine`.
    options
        as in `Engine.decide_frame`, with its errors.
    """
    if isinstance(frame, pl.LazyFrame):
        options.setdefault("on_error", "deny")
        return decide_lazy(engine, frame, FrameArguments(**options))
    decided: pl.DataFrame = engine.decide_frame(frame, **options)
    return decided


def authorized(frame: Frame, engine: Any, **options: Unpack[FrameOptions]) -> Frame:
    """Return the rows that are allowed, without additional columns; of a lazy frame nothing is run.

    Parameters
    ----------
    frame, engine
        as in `decide`.
    options
        as in `decide`, without `add` and `keep`.
    """
    if isinstance(frame, pl.LazyFrame):
        names = frame.collect_schema().names()
        options.setdefault("on_error", "deny")
        checked = dataclasses.replace(FrameArguments(**options), add=("allowed",), keep=False)
        selection = checked.read(names)
        rows = pl.struct([pl.col(name) for name in selection.columns]) if selection.columns else pl.struct(pl.first())
        return frame.filter(_decided(engine, rows, checked).struct.field(checked.prefix + "allowed"))
    decided = engine.decide_frame(frame, **options, add=("allowed",), keep=False, prefix="")
    return frame.filter(decided["allowed"])


class DecisionOptions(TypedDict, total=False):
    """The keyword arguments of `decision`."""

    context: Mapping[str, Any] | Collection[str]
    resource_account: Source | None
    sessions: Mapping[str, Session] | None
    unknown: Collection[str]
    now: datetime | None
    on_error: Literal["raise", "deny"]
    threads: int


def allowed(
    principal: Source,
    engine: DecisionEngine,
    action: Source = "action",
    resource: Source = "resource",
    **options: Unpack[DecisionOptions],
) -> pl.Expr:
    """Return an expression: whether each row is allowed, never null. Parameters as in `decision`, without `add`."""
    return decision(principal, engine, action, resource, **options, add=("allowed",)).struct.field("allowed")


def decision(
    principal: Source,
    engine: DecisionEngine,
    action: Source = "action",
    resource: Source = "resource",
    *,
    context: Mapping[str, Any] | Collection[str] = (),
    resource_account: Source | None = None,
    sessions: Mapping[str, Session] | None = None,
    unknown: Collection[str] = (),
    now: datetime | None = None,
    add: Collection[str] = ADDED,
    on_error: Literal["raise", "deny"] = "deny",
    threads: int = 1,
) -> pl.Expr:
    """Return an expression: a struct of the columns of `add`.

    Parameters
    ----------
    principal, action, resource, resource_account
        the name of a column, an expression, or `fastiam.lit(text)`.
    engine
        an `Engine`, or a `LiveEngine`.
    context
        names of columns that are condition keys, or a mapping from keys to names, expressions or constants. "auto" is refused,
        since an expression does not see the frame.
    sessions, unknown, now, add, on_error, threads
        as in `Engine.decide_frame`.

    Raises
    ------
    RequestValueError
        an argument cannot be read.
    """
    checked, fields = read_expressions(
        pl.Expr,
        pl.col,
        principal=principal,
        action=action,
        resource=resource,
        context=context,
        resource_account=resource_account,
        sessions=sessions,
        unknown=unknown,
        now=now,
        add=add,
        on_error=on_error,
        threads=threads,
    )
    return _decided(engine, pl.struct([value.alias(name) for name, value in fields.items()]), checked)


@pl.api.register_dataframe_namespace("iam")
class DataFrameNamespace:
    """`df.iam`."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def decide(self, engine: Any, **options: Unpack[FrameOptions]) -> pl.DataFrame:
        """As `fastiam.polars.decide`."""
        return decide(self._frame, engine, **options)

    def authorized(self, engine: Any, **options: Unpack[FrameOptions]) -> pl.DataFrame:
        """As `fastiam.polars.authorized`."""
        return authorized(self._frame, engine, **options)


@pl.api.register_lazyframe_namespace("iam")
class LazyFrameNamespace:
    """`lf.iam`."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def decide(self, engine: Any, **options: Unpack[FrameOptions]) -> pl.LazyFrame:
        """As `fastiam.polars.decide`."""
        return decide(self._frame, engine, **options)

    def authorized(self, engine: Any, **options: Unpack[FrameOptions]) -> pl.LazyFrame:
        """As `fastiam.polars.authorized`."""
        return authorized(self._frame, engine, **options)


@pl.api.register_expr_namespace("iam")
class ExprNamespace:
    """`pl.col("principal").iam`."""

    def __init__(self, principal: pl.Expr) -> None:
        self._principal = principal

    def allowed(
        self, engine: DecisionEngine, action: Source = "action", resource: Source = "resource", **options: Unpack[DecisionOptions]
    ) -> pl.Expr:
        """As `fastiam.polars.allowed`."""
        return allowed(self._principal, engine, action, resource, **options)

    def decision(
        self, engine: DecisionEngine, action: Source = "action", resource: Source = "resource", **options: Any
    ) -> pl.Expr:
        """As `fastiam.polars.decision`."""
        return decision(self._principal, engine, action, resource, **options)


def _decided(engine: Any, rows: pl.Expr, arguments: FrameArguments) -> pl.Expr:
    pinned = dataclasses.replace(arguments, now=arguments.now or datetime.now(UTC))
    return rows.map_batches(DecideStruct(engine, pinned), return_dtype=types_of(pinned), is_elementwise=True)
