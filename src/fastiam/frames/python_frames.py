"""Lists of mappings and mappings of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastiam.engine.decisions import DictionaryColumn
from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError, ShapeError
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import Bools, decide_batch, pinned, results
from fastiam.frames.row_objects import columns_of
from fastiam.frames.table import Table
from fastiam.kernel.columns.table import column_array, column_chunks

if TYPE_CHECKING:
    import numpy.typing as npt

    from fastiam.model.protocols import DecisionEngine

_HINT = "leave it out with `keep`, or pass a frame of a library"


def decide(
    engine: DecisionEngine, frame: Mapping[str, Any] | Sequence[Mapping[str, Any]], arguments: FrameArguments
) -> tuple[Table, Callable[[], Summary]]:
    """A mapping of columns, or a list of mappings, gives a `Table`. A key that a mapping lacks is null in its row."""
    columns = dict(frame) if isinstance(frame, Mapping) else _columns_of(frame)
    for name in columns:
        if not isinstance(name, str):
            raise RequestValueError(f"the name of a column is `{type(name).__name__}`, not text", column="frame")
        if isinstance(columns[name], (str, bytes)) or not hasattr(columns[name], "__len__"):
            hint = "pass a list, an array or a series"
            raise RequestValueError(f"`{type(columns[name]).__name__}` is not a column", column=name, hint=hint)
    lengths = {name: len(column) for name, column in columns.items()}
    rows = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != rows:
            first = next(iter(lengths))
            raise ShapeError(f"columns differ in length: `{first}` has {rows} rows, `{name}` has {length} rows")
    selection = arguments.read(list(columns))
    decisions = decide_batch(pinned(engine), arguments, selection, columns.__getitem__, rows)
    added = results(decisions, arguments)
    kept = {name: _exported(name, columns[name]) for name in selection.kept}
    return Table([*kept, *added], [[*kept.values(), *added.values()]], rows), selection.counted(decisions.summary)


def _columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    for at, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise RequestValueError(f"`{type(row).__name__}` is not a mapping", column="frame", row=at)
    return columns_of(rows)


class _Numbers:
    """A column of numbers as an Arrow array."""

    def __init__(self, name: str, values: npt.NDArray[Any]) -> None:
        self.name, self.values = name, values

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """An array without nulls."""
        return column_array((self.name, self.values, None, None), len(self.values))


def _exported(name: str, column: Any) -> Any:
    """A kept column as something with `__arrow_c_array__`."""
    if hasattr(column, "__arrow_c_array__"):
        return column
    if hasattr(column, "__arrow_c_stream__"):
        chunks = column_chunks(column)
        if len(chunks) == 1:
            return chunks[0]
        raise RequestValueError(f"the column has {len(chunks)} chunks", column=name, hint="combine its chunks")
    values = column.tolist() if isinstance(column, np.ndarray) else list(column)
    kinds = {type(value) for value in values}
    if kinds <= {str, type(None)}:
        texts = dict.fromkeys(value for value in values if value is not None)
        place = {text: code for code, text in enumerate(texts)} | {None: -1}
        return DictionaryColumn(name, np.array([place[value] for value in values], np.int32), list(texts))
    if kinds == {bool}:
        return Bools(name, np.array(values, np.bool_))
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values):
        return _Numbers(name, np.array(values, np.int64))
    if kinds <= {int, float}:
        return _Numbers(name, np.array(values, np.float64))
    return _nested(name, values, kinds)


def _nested(name: str, values: list[Any], kinds: set[type]) -> Any:
    """A column of lists, mappings, instants or other values as an array of pyarrow, if it is installed."""
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    hint = _HINT
    try:
        import pyarrow as pa

        return pa.array([dict(value) if isinstance(value, Mapping) else value for value in values])
    except ImportError:
        hint += "; with pyarrow it can"
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass
    raise RequestValueError(f"a column of values `{names}` cannot be kept", column=name, hint=hint)
