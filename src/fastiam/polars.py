"""`import fastiam.polars` registers `.iam` on the frames and expressions of Polars.

    df.iam.decide(engine)                      the frame with the decisions as columns, as `engine.decide_frame(df)`
    df.iam.authorized(engine)                  the rows that are allowed
    pl.col("principal").iam.allowed(engine, action="action", resource="resource", context={"aws:SourceIp": "ip"})

Lazy frames and expressions have `on_error="deny"` as default: Polars also evaluates rows that the rest of a query excludes, so an
error of one of these rows must not end the query. A `LiveEngine` gives its current engine for each batch that Polars evaluates;
`live.engine` stays the same for the whole query. Without `now`, the clock is read when the expression is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl

from fastiam.frames.arguments import ADDED, FrameArguments, Lit
from fastiam.frames.expressions import read_expressions
from fastiam.frames.polars_frames import DecideStruct, decide_lazy, types_of
from fastiam.model.protocols import DecisionEngine
from fastiam.model.session import Session

Source = str | pl.Expr | Lit


@pl.api.register_dataframe_namespace("iam")
class DataFrameNamespace:
    """`df.iam`."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def decide(self, engine: Any, **arguments: Any) -> pl.DataFrame:
        """The frame with the decisions as columns. Parameters and errors as in `Engine.decide_frame`."""
        decided: pl.DataFrame = engine.decide_frame(self._frame, **arguments)
        return decided

    def authorized(self, engine: Any, **arguments: Any) -> pl.DataFrame:
        """The rows that are allowed, without additional columns. Parameters as in `decide`, without `add` and `keep`."""
        decided = engine.decide_frame(self._frame, **arguments, add=("allowed",), keep=False, prefix="")
        return self._frame.filter(decided["allowed"])


@pl.api.register_lazyframe_namespace("iam")
class LazyFrameNamespace:
    """`lf.iam`."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def decide(self, engine: Any, **arguments: Any) -> pl.LazyFrame:
        """The frame with the decisions as columns; nothing is run. Parameters as in `Engine.decide_frame`."""
        return decide_lazy(engine, self._frame, FrameArguments(**{"on_error": "deny", **arguments}))

    def authorized(self, engine: Any, **arguments: Any) -> pl.LazyFrame:
        """The rows that are allowed, without additional columns; nothing is run. Parameters as in `decide`."""
        names = self._frame.collect_schema().names()
        checked = FrameArguments(**{"on_error": "deny", **arguments, "add": ("allowed",), "keep": False})
        selection = checked.read(names)
        rows = pl.struct([pl.col(name) for name in selection.columns]) if selection.columns else pl.struct(pl.first())
        return self._frame.filter(_decided(engine, rows, checked).struct.field(checked.prefix + "allowed"))


@pl.api.register_expr_namespace("iam")
class ExprNamespace:
    """`pl.col("principal").iam`."""

    def __init__(self, principal: pl.Expr) -> None:
        self._principal = principal

    def allowed(self, engine: Any, action: Source = "action", resource: Source = "resource", **arguments: Any) -> pl.Expr:
        """Whether the request of each row is allowed, never null. Parameters as in `decision`, without `add`."""
        return self.decision(engine, action, resource, **arguments, add=("allowed",)).struct.field("allowed")

    def decision(
        self,
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
        """A struct of the columns of `add`; the expression itself is the principal.

        Parameters
        ----------
        engine : an `Engine`, or a `LiveEngine`.
        action, resource, resource_account : the name of a column, an expression, or `fastiam.lit(text)`.
        context : names of columns that are condition keys, or a mapping from keys to names, expressions or constants. "auto" is
            refused, since an expression does not see the frame.

        Raises
        ------
        RequestValueError: an argument cannot be read.
        """
        checked, fields = read_expressions(
            pl.Expr,
            pl.col,
            principal=self._principal,
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


def _decided(engine: Any, rows: pl.Expr, arguments: FrameArguments) -> pl.Expr:
    pinned = dataclasses.replace(arguments, now=arguments.now or datetime.now(UTC))
    return rows.map_batches(DecideStruct(engine, pinned), return_dtype=types_of(pinned), is_elementwise=True)
