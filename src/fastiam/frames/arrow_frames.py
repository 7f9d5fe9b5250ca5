"""Tables of every library that has an Arrow stream: arro3, Daft, DataFusion, nanoarrow, fastiam's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from fastiam.engine.summary import Summary
from fastiam.frames.arguments import FrameArguments
from fastiam.frames.batch import Bools, Result, decide_batch, no_rows, pinned, results
from fastiam.frames.table import ChunkedColumn, Table
from fastiam.kernel.columns.table import ArrowColumn, TableReader

if TYPE_CHECKING:
    from fastiam.model.protocols import DecisionEngine

BATCH_ROWS: Final = 1 << 20  # chunks are decided together up to these (H17): fewer batches take less time


def decide(engine: DecisionEngine, frame: Any, arguments: FrameArguments) -> tuple[Table, Callable[[], Summary]]:
    """Read the stream of a table once, and give a `Table`."""
    engine, reader = pinned(engine), TableReader(frame)
    selection = arguments.read(reader.names)
    total = Summary()
    chunks, rows = [], 0
    kept: list[ArrowColumn]
    added: dict[str, Result]
    for batch in batches(reader):
        decisions = decide_batch(engine, arguments, selection, batch.column, len(batch), first_row=rows)
        if arguments.with_summary:
            total += decisions.summary()
        columns = results(decisions, arguments)
        start = 0
        for chunk in batch.chunks:
            kept = [chunk[at] for at in selection.kept_at]
            end = start + batch.rows_of(chunk)
            added = {name: cut(column, start, end) for name, column in columns.items()}
            chunks.append([*kept, *added.values()])
            start = end
        rows += len(batch)
    names = [*selection.kept, *(arguments.prefix + name for name in arguments.added)]
    if not chunks:
        empty = reader.empty()
        chunks = [[*(empty[at] for at in selection.kept_at), *no_rows(arguments).values()]]
    return Table(names, chunks, rows), selection.counted(lambda: total)


def cut(column: Result, start: int, end: int) -> Result:
    """Some rows of an added column."""
    if isinstance(column, Bools):
        return Bools(column.name, column.values[start:end])
    return column[start:end]


class Batch:
    """Some chunks of a table: at least `BATCH_ROWS` rows, unless the table ends."""

    def __init__(self, names: list[str], chunks: list[list[ArrowColumn]]) -> None:
        self._place = {name: i for i, name in enumerate(names)}
        self.chunks = chunks
        self._rows = sum(self.rows_of(chunk) for chunk in chunks)

    def rows_of(self, chunk: list[ArrowColumn]) -> int:
        """How many rows a chunk has."""
        return len(chunk[0]) if chunk else 0

    def __len__(self) -> int:
        return self._rows

    def column(self, name: str) -> ChunkedColumn:
        """A column of the batch whose name occurs once."""
        return ChunkedColumn([chunk[self._place[name]] for chunk in self.chunks])


def batches(reader: TableReader) -> Iterator[Batch]:
    """The chunks of a table in batches."""
    waiting: list[list[ArrowColumn]] = []
    rows = 0
    chunk: list[ArrowColumn]
    for chunk in _with_rows(reader):
        waiting.append(chunk)
        rows += len(chunk[0])
        if rows >= BATCH_ROWS:
            yield Batch(reader.names, waiting)
            waiting, rows = [], 0
    if waiting:
        yield Batch(reader.names, waiting)


def _with_rows(reader: Iterable[list[ArrowColumn]]) -> Iterator[list[ArrowColumn]]:
    return (chunk for chunk in reader if chunk and len(chunk[0]))
