"""`Table`: a result for every library that reads Arrow streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastiam.kernel.columns.table import ArrowColumn, column_stream, table_stream


class ChunkedColumn:
    """The chunks of one column as one Arrow stream, any number of times."""

    def __init__(self, chunks: Sequence[ArrowColumn]) -> None:
        self._chunks = tuple(chunks)

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The chunks, in order; `requested_schema` is not followed, as the protocol allows."""
        return column_stream(self._chunks)


class Table:
    """Columns in chunks. Arrow consumers take it any number of times: `pl.DataFrame(table)`, `pa.table(table)`, DuckDB by name.

    Attributes
    ----------
    column_names
        in order.
    """

    def __init__(self, names: Sequence[str], chunks: Sequence[Sequence[Any]], rows: int) -> None:
        """For fastiam: `chunks` has at least one element, of columns of length 0 where there are no rows."""
        self.column_names = tuple(names)
        self._chunks = tuple(tuple(columns) for columns in chunks)
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        return f"fastiam.Table({self._rows:,} rows: {', '.join(self.column_names)})"

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A table; `requested_schema` is not followed, as the protocol allows."""
        return table_stream(self.column_names, self._chunks)
