"""Frames of Polars: eager ones by columns, lazy ones by one elementwise expression."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastiam.engine.decisions import NO_CODE
from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import Bools, Result, decide_batch, enums, no_rows, pinned, results

if TYPE_CHECKING:
    import polars as pl

    from fastiam.model.protocols import DecisionEngine


def decide(engine: DecisionEngine, frame: Any, arguments: FrameArguments) -> tuple[Any, Callable[[], Summary] | None]:
    """A `DataFrame` with the decisions of its rows, or a `LazyFrame` in which they are computed when it is collected."""
    import polars as pl

    if isinstance(frame, pl.LazyFrame):
        return decide_lazy(engine, frame, arguments), None
    if not isinstance(frame, pl.DataFrame):
        hint = "pass a `DataFrame` or a `LazyFrame`; for expressions `import fastiam.polars`"
        raise RequestValueError(f"`polars.{type(frame).__name__}` is not a frame", column="frame", hint=hint)
    added, summary = _decided(pinned(engine), frame, arguments)
    selection = arguments.read(frame.columns)
    if not selection.kept:
        return pl.DataFrame(added), summary
    return frame.select(selection.kept).hstack(added), summary


def _decided(
    engine: DecisionEngine, frame: pl.DataFrame, arguments: FrameArguments, first_row: int | None = 0
) -> tuple[list[pl.Series], Callable[[], Summary]]:
    selection = arguments.read(frame.columns)
    decisions = decide_batch(engine, arguments, selection, frame.__getitem__, frame.height, first_row=first_row)
    return [series(name, column) for name, column in results(decisions, arguments).items()], selection.counted(decisions.summary)


def series(name: str, column: Result) -> pl.Series:
    """An added column: bools, enums for outcome and layer, text for errors, and categories for all other texts."""
    import polars as pl

    if isinstance(column, Bools):
        return pl.Series(name, column.values)
    kind = _types()[column.name]
    if not isinstance(kind, pl.Enum):
        return pl.Series(column).cast(kind).alias(name)
    # PERF: from codes, 3 ms for a million rows; by a dictionary and a cast up to 260 ms
    codes = pl.Series(name, column.codes)
    return codes.set(codes == NO_CODE, None).cat.to(kind)


def _types() -> Mapping[str, Any]:
    import polars as pl

    fixed = {name: pl.Enum(values) for name, values in enums().items()}
    texts = dict.fromkeys(("policy", "sid", "reason", "error_code", "depends_on", "unreadable"), pl.Categorical())
    return {**fixed, **texts, "allowed": pl.Boolean(), "assumed_owner": pl.Boolean(), "error": pl.String()}


# -- lazy -----------------------------------------------------------------------------------------------------------------


def decide_lazy(engine: Any, frame: pl.LazyFrame, arguments: FrameArguments) -> pl.LazyFrame:
    """Add one elementwise expression over a struct of the columns that are read; nothing is run.

    The clock is read here, so that all rows of a query have one time (H22).
    """
    import polars as pl

    names = frame.collect_schema().names()
    selection = arguments.read(names)
    name = "fastiam"
    while name in names:
        name += "_"
    pinned_arguments = dataclasses.replace(arguments, keep=False, now=arguments.now or datetime.now(UTC))
    # without columns there still is one row for each row of the frame
    rows = pl.struct([pl.col(column) for column in selection.columns] or [pl.first()])
    decided = rows.map_batches(DecideStruct(engine, pinned_arguments), return_dtype=types_of(arguments), is_elementwise=True)
    return frame.select(*map(pl.col, selection.kept), decided.alias(name)).unnest(name)


def types_of(arguments: FrameArguments) -> pl.Struct:
    """The type of the struct of added columns."""
    import polars as pl

    kinds = _types()
    return pl.Struct([pl.Field(arguments.prefix + name, kinds[name]) for name in arguments.added])


class DecideStruct:
    """What Polars calls with the rows of a batch. It pickles if its engine does."""

    def __init__(self, engine: Any, arguments: FrameArguments) -> None:
        self.engine, self.arguments = engine, arguments

    def __call__(self, rows: pl.Series) -> pl.Series:
        """Decide the rows of a struct series. A masked row of the struct is null in every field."""
        import polars as pl

        frame = rows.struct.unnest()
        if frame.height:
            # the engine of a live one for this batch only (H22); where the batch lies in the frame is not known
            added, _ = _decided(pinned(self.engine), frame, self.arguments, None)
        else:
            added = [series(name, column) for name, column in no_rows(self.arguments).items()]
        return pl.DataFrame(added).to_struct(rows.name)
