"""Files of results: DuckDB writes Parquet, CSV and JSON lines, arro3 writes Arrow.

The writer requests the batches one by one, so that they do not accumulate. Neither library opens the file: only
`runtime.output_files` determines how a file is written. arro3 writes to an open file; DuckDB writes to the path of a pipe.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO

from fastiam.cli.file_arguments import open_out
from fastiam.cli.files.columns import connect, raise_interrupt
from fastiam.cli.files.formats import Format
from fastiam.errors import SourceError
from fastiam.runtime.output_files import is_replaced

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK = 1 << 20


def write_results(batches: Iterable[Any], schema: Any, name: str, form: Format) -> None:
    """Write record batches of one schema to a file, or to standard output for `-`.

    Raises
    ------
    SourceError
        the file cannot be written. What the batches raise is passed on unchanged.
    """
    is_stream = name == "-" or name.endswith(".arrows") or not is_replaced(name)
    with open_out(name) as file:
        _write(batches, schema, file, form, shown="<stdout>" if name == "-" else name, is_stream=is_stream)


def _write(batches: Iterable[Any], schema: Any, file: BinaryIO, form: Format, *, shown: str, is_stream: bool) -> None:
    from arro3.core import RecordBatchReader

    raised: list[BaseException] = []  # errors of our own, which DuckDB and arro3 wrap in theirs
    reader = RecordBatchReader.from_batches(schema, _recording(batches, raised))
    try:
        if not form.copy:
            _write_arrow(reader, _RecordingFile(file, raised), is_stream)
        else:
            with _piped(file, raised) as path:
                connect("write").from_arrow(reader).query("results", f"COPY (FROM results) TO '{path}' ({form.copy})")
    except Exception as error:
        if raised:
            raise raised[0] from None
        raise_interrupt(error)
        raise SourceError(
            f"the results cannot be written as {form}", source=shown, path="", hint="`--debug` shows the cause"
        ) from error
    if raised:
        raise raised[0]


def _recording(batches: Iterable[Any], raised: list[BaseException]) -> Iterator[Any]:
    try:
        yield from batches
    except (Exception, KeyboardInterrupt) as error:
        raised.append(error)
        raise


@contextmanager
def _piped(file: BinaryIO, raised: list[BaseException]) -> Iterator[str]:
    """The path of a pipe whose content a thread copies to the file."""
    source, sink = os.pipe()

    def copy() -> None:
        try:
            while chunk := os.read(source, _CHUNK):
                file.write(chunk)
                file.flush()
        except Exception as error:
            raised.append(error)
        finally:
            os.close(source)  # a writer that continues gets an error

    thread = Thread(target=copy, daemon=True)  # a FIFO without a reader must not block the end of the process
    thread.start()
    try:
        yield f"/dev/fd/{sink}"
    finally:
        os.close(sink)
        thread.join()


def _write_arrow(reader: Any, file: Any, is_stream: bool) -> None:
    from arro3.io import write_ipc, write_ipc_stream

    (write_ipc_stream if is_stream else write_ipc)(reader, file)


class _RecordingFile(io.RawIOBase):
    """A file that records its errors, because arro3 replaces them by its own.

    A pipe would be a deadlock: arro3 holds the GIL while it writes.
    """

    def __init__(self, file: BinaryIO, raised: list[BaseException]) -> None:
        self._file, self._raised = file, raised

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return self._file.write(data)
        except (Exception, KeyboardInterrupt) as error:
            self._raised.append(error)
            raise
