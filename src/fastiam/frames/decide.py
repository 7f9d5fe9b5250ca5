"""`decide_frame`: finds the kind of a frame and hands it to the module of its library."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastiam.model.protocols import DecisionEngine

# the frame, and what makes its summary; None: the frame is lazy
_Decided: TypeAlias = "tuple[Any, Callable[[], Summary] | None]"
# by the first part of `type(frame).__module__`: the module that reads and makes frames of that library
_LIBRARIES = {"polars": "polars_frames", "pandas": "pandas_frames", "pyarrow": "pyarrow_frames", "duckdb": "duckdb_frames"}
_LIBRARIES |= {"_duckdb": "duckdb_frames", "ibis": "ibis_frames"}
_CLUSTERS = {
    "pyspark": "`fastiam.spark.decide(df, engine)` decides it in the workers",
    "dask": "decide its partitions: `ddf.map_partitions(fastiam.SharedEngine(engine).decide_frame)`",
    "ray": 'decide its batches: `ds.map_batches(fastiam.SharedEngine(engine).decide_frame, batch_format="pyarrow")`',
}
_HINT = "pass a frame of Polars, pandas, pyarrow or DuckDB, an object with an Arrow stream, or a mapping of columns"


def decide_frame(engine: DecisionEngine, frame: Any, arguments: FrameArguments, *, connection: Any = None) -> Any:
    """Decide the rows of a frame. Parameters and result as in `Engine.decide_frame`."""
    return _decided(engine, frame, arguments, connection)[0]


def decide_frame_with_summary(
    engine: DecisionEngine, frame: Any, arguments: FrameArguments, *, connection: Any = None
) -> tuple[Any, Summary]:
    """The same with the counts of the batch; lazy frames have none."""
    decided, summary = _decided(engine, frame, replace(arguments, with_summary=True), connection)
    if summary is None:
        raise RequestValueError(
            f"`{type(frame).__name__}` is lazy, and nothing is decided yet",
            column="frame",
            hint="use `decide_frame`, or collect it first",
        )
    return decided, summary()


def _decided(engine: DecisionEngine, frame: Any, arguments: FrameArguments, connection: Any) -> _Decided:
    library = type(frame).__module__.partition(".")[0]
    if library in _CLUSTERS:
        raise RequestValueError(f"`{type(frame).__name__}` is a frame of a cluster", column="frame", hint=_CLUSTERS[library])
    if library == "narwhals":
        return _of_narwhals(engine, frame, arguments)
    module = _LIBRARIES.get(library)
    if connection is not None and module != "duckdb_frames":
        raise RequestValueError("only relations of DuckDB have a connection", column="connection")
    if module is None:
        module = "arrow_frames" if hasattr(frame, "__arrow_c_stream__") else "python_frames"
        if module == "python_frames" and not _is_python_table(frame):
            raise RequestValueError(f"`{type(frame).__name__}` is not a frame", column="frame", hint=_HINT)
    decide = importlib.import_module(f"fastiam.frames.{module}").decide
    further = (connection,) if module == "duckdb_frames" else ()
    decided: _Decided = decide(engine, frame, arguments, *further)
    return decided


def _of_narwhals(engine: DecisionEngine, frame: Any, arguments: FrameArguments) -> _Decided:
    import narwhals  # type: ignore[import-not-found,unused-ignore]

    native, summary = _decided(engine, frame.to_native(), arguments, None)
    return narwhals.from_native(native), summary


def _is_python_table(frame: object) -> bool:
    return isinstance(frame, Mapping) or (isinstance(frame, Sequence) and not isinstance(frame, (str, bytes)))
