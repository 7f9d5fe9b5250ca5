"""Tables, record batches, readers and datasets of pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import Result, decide_batch, no_rows, pinned, results

if TYPE_CHECKING:
    import pyarrow as pa

    from fastiam.model.protocols import DecisionEngine


def decide(engine: DecisionEngine, frame: Any, arguments: FrameArguments) -> tuple[Any, Callable[[], Summary] | None]:
    """The same kind of object with the decisions of its rows; of a dataset a reader."""
    import pyarrow as pa

    engine = pinned(engine)
    if isinstance(frame, (pa.Table, pa.RecordBatch)):
        return decide_table(engine, frame, arguments)
    if hasattr(frame, "scanner"):
        frame = frame.scanner().to_reader()
    if not isinstance(frame, pa.RecordBatchReader):
        hint = "pass a table, a record batch, a reader or a dataset"
        raise RequestValueError(f"`pyarrow.{type(frame).__name__}` is not a table", column="frame", hint=hint)
    return _of_reader(engine, frame, arguments), None


def decide_table(
    engine: DecisionEngine, table: Any, arguments: FrameArguments, first_row: int = 0
) -> tuple[Any, Callable[[], Summary]]:
    """A table or a record batch with the decisions of its rows, and what makes the summary. `first_row` is for messages."""
    selection = arguments.read(table.column_names)
    decisions = decide_batch(engine, arguments, selection, table.column, table.num_rows, first_row=first_row)
    decided = table.select(list(selection.kept_at))
    for name, column in results(decisions, arguments).items():
        decided = decided.append_column(name, array_of(column))
    return decided, selection.counted(decisions.summary)


def _of_reader(engine: DecisionEngine, reader: Any, arguments: FrameArguments) -> Any:
    import pyarrow as pa

    selection = arguments.read(reader.schema.names)
    kept = [reader.schema.field(at) for at in selection.kept_at]
    added = [pa.field(name, array_of(column).type) for name, column in no_rows(arguments).items()]
    schema = pa.schema([*kept, *added], metadata=reader.schema.metadata)

    def batches() -> Iterator[pa.RecordBatch]:
        row = 0
        for batch in reader:
            decided, _ = decide_table(engine, batch, arguments, row)
            row += batch.num_rows
            yield decided.cast(schema) if decided.schema != schema else decided

    return pa.RecordBatchReader.from_batches(schema, batches())


def array_of(column: Result) -> Any:
    """An added column as an array of pyarrow."""
    import pyarrow as pa

    array = pa.array(column)
    return array.cast(pa.string()) if column.name == "error" else array
