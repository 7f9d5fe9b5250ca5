"""CSV files of requests: all values are text, and an empty field has no value.

A row that cannot be read must be reported, or denied, and never be dropped. So the strict reader of the standard library
decides. arro3 reads blocks of lines without a quote, in which no two readers differ, about 5 times faster. `csv` reads blocks
with quotes, and those that arro3 rejects. (DuckDB cannot be used: it ignores the rest of a file after an unbalanced quote.)
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO

from fastiam.cli.files.batches import ROWS, Batch, OpenedFile, RowProblem, Source, check_names
from fastiam.cli.files.columns import text_type, texts
from fastiam.errors import SourceError

BLOCK = 4 << 20  # bytes
_BOM = b"\xef\xbb\xbf"

Row = list[str] | csv.Error  # an error replaces a row that breaks the grammar


class _UnclosedQuote(Exception):
    """A quote is open at the end of the text; the argument is the line of the row that opens it."""


def open_csv(stream: BinaryIO, source: str) -> tuple[list[str], Iterator[Batch]]:
    """The names in the header of a CSV file, and the batches below it.

    Raises
    ------
    SourceError
        no header, or a name that occurs twice; from the batches: a quote that is never closed.
    """
    names, used = _header(stream, source)
    return names, _batches(stream, names, used, source)


def open_csv_file(file: OpenedFile) -> Source:
    """Open a CSV file."""
    names, batches = open_csv(file.stream, file.shown)
    return Source(file.shown, batches, file.progress, dict.fromkeys(names, text_type()))


def _batches(stream: BinaryIO, names: Sequence[str], line: int, source: str) -> Iterator[Batch]:
    first = 0
    for block, rest in _blocks(stream):
        is_clean = b'"' not in block and not block.startswith(_BOM)  # arro3 leaves out a mark at the start of any block
        batch = _clean_block(block, names, first, line) if is_clean else None
        batch = batch or _block(block, names, first, line)
        if batch is None:  # the end of the block is inside quotes
            yield from _stream(chain([block], rest), names, first, line, source)
            return
        yield batch
        first, line = first + batch.length, line + _count_lines(block)


def _header(stream: BinaryIO, source: str) -> tuple[list[str], int]:
    """The names of the columns, and the number of lines that they take."""
    lines = (line.decode("utf-8", "surrogateescape") for line in stream)
    try:
        first = next(lines, "").removeprefix("\ufeff")
        reader = csv.reader(chain([first], lines), strict=True)
        names = next(reader, None)
    except csv.Error as error:
        raise SourceError(f"the header cannot be read: {_csv_message(error)}", source=source, line=1, column=1) from error
    if not names:
        raise SourceError("there is no header", source=source, hint="the first line names the columns")
    if not _is_utf8("".join(names)):
        raise SourceError("the header is not UTF-8", source=source, line=1, column=1)
    check_names(names, source, line=1)
    return names, reader.line_num


def _blocks(stream: BinaryIO) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """Blocks of whole lines, each with the rest of the stream."""
    rest = iter(lambda: stream.read(BLOCK), b"")
    carry = b""
    for data in rest:
        cut = data.rfind(b"\n") + 1
        block, carry = carry + data[:cut], data[cut:] if cut else carry + data
        if cut:
            yield block, chain([carry], rest)
    if carry:
        yield carry, iter(())


def _clean_block(block: bytes, names: Sequence[str], first: int, line: int) -> Batch | None:
    """The batch of a block without quotes, or None if a row of it is broken."""
    from arro3.core import DataType, Field, Schema
    from arro3.io import read_csv as read_clean

    schema = Schema([Field(name, DataType.utf8(), nullable=True) for name in names])
    try:
        lines = _count_lines(block) + 1
        batches = list(read_clean(io.BytesIO(block), schema, has_header=False, batch_size=lines))
    except Exception:  # arro3 has one type for all errors, which is private; `csv` will report the cause
        return None
    if not batches:
        return Batch(first, 0, {})
    columns = {name: batches[0].column(i) for i, name in enumerate(names)}
    return Batch(first, batches[0].num_rows, columns, {}, _lines_of(block, line))


def _lines_of(block: bytes, before: int) -> Callable[[int], int]:
    """Without quotes a row is a line that is not empty."""

    def line_of(row: int) -> int:
        full = (number for number, text in enumerate(block.splitlines(), before + 1) if text)
        return next(islice(full, row, None))

    return line_of


def _block(block: bytes, names: Sequence[str], first: int, line: int) -> Batch | None:
    """The batch of any block, or None if a quote is open at its end."""
    try:
        rows = list(_rows(csv.reader(_lines([block]), strict=True)))
    except _UnclosedQuote:
        return None
    return _batch(rows, names, first, line)


def _stream(data: Iterable[bytes], names: Sequence[str], first: int, line: int, source: str) -> Iterator[Batch]:
    """Batches of rows of text with quotes that may cross blocks."""
    reader = csv.reader(_lines(data), strict=True)
    rows = _rows(reader)
    began = 0
    try:
        while part := list(islice(rows, ROWS)):
            batch = _batch(part, names, first, line + began)
            yield batch
            first, began = first + batch.length, reader.line_num
    except _UnclosedQuote as error:
        raise SourceError("a quote is never closed", source=source, line=line + error.args[0], column=1) from None


def _lines(data: Iterable[bytes]) -> Iterator[str]:
    """Lines of text; bytes that are not UTF-8 become lone surrogates, which `_check_utf8` finds."""
    carry = b""
    for part in data:
        *lines, carry = (carry + part).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "surrogateescape") + "\n"
    if carry:
        yield carry.decode("utf-8", "surrogateescape")


def _rows(reader: Any) -> Iterator[Row]:
    """Rows; after an error a new row starts at the next line."""
    while True:
        before = reader.line_num
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise _UnclosedQuote(before + 1) from error
            yield error


def _batch(raw: Sequence[Row], names: Sequence[str], first: int, line: int) -> Batch:
    rows = [row for row in raw if row != []]  # blank lines are not rows
    columns, broken = _columns(rows, names)
    return Batch(first, len(rows), columns, broken, _lines_of_rows(raw, line))


def _columns(rows: list[Any], names: Sequence[str]) -> tuple[dict[str, Any], dict[int, RowProblem]]:
    broken: dict[int, RowProblem] = {}
    width = len(names)
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {width}:
        broken = {i: RowProblem("bad_csv", "", _fault(row, width)) for i, row in enumerate(rows) if not _has_width(row, width)}
        rows = [row if i not in broken else [""] * width for i, row in enumerate(rows)]
    columns = dict(zip(names, zip(*rows, strict=True) if rows else [()] * width, strict=True))
    for name, values in columns.items():
        _check_utf8(name, values, broken)
    return {name: texts(_without(values, broken)) for name, values in columns.items()}, broken


def _has_width(row: object, width: int) -> bool:
    return isinstance(row, list) and len(row) == width


def _fault(row: Row, width: int) -> str:
    return _csv_message(row) if isinstance(row, csv.Error) else f"{len(row)} fields where the header has {width}"


def _csv_message(error: csv.Error) -> str:
    """The message of `csv`, clearer for a lone carriage return."""
    return "a carriage return without a line feed, where lines end in a line feed" if "new-line" in str(error) else str(error)


def _check_utf8(name: str, values: Sequence[str], broken: dict[int, RowProblem]) -> None:
    if "".join(values).isascii():
        return
    for i, value in enumerate(values):
        if not _is_utf8(value):
            broken.setdefault(i, RowProblem("bad_encoding", name, "the value is not UTF-8"))


def _is_utf8(text: str) -> bool:
    """Whether a text that `_lines` decoded was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _without(values: Sequence[str], broken: Mapping[int, RowProblem]) -> list[str | None]:
    return [None if i in broken else value or None for i, value in enumerate(values)]


def _lines_of_rows(raw: Sequence[Row], before: int) -> Callable[[int], int]:
    """A row takes a line, and one more for each line end inside its fields."""

    def line_of(row: int) -> int:
        line = before + 1
        for entry in raw:
            if entry != [] and row == 0:
                return line
            row -= entry != []
            line += 1 + (sum(value.count("\n") for value in entry) if isinstance(entry, list) else 0)
        return line

    return line_of


def _count_lines(block: bytes) -> int:
    return block.count(b"\n")
