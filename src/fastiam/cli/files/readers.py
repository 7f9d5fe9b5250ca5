"""Opens files of requests, which the modules of their formats read in batches of columns."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import cast

from fastiam.cli.files.batches import Batch, OpenedFile, Source
from fastiam.cli.files.formats import GZIP, Format, of_file
from fastiam.errors import SourceError

_HEAD = 64  # bytes from which the format is detected


def open_requests(name: str, form: Format | None, stack: ExitStack, renamed: Collection[str] = ()) -> Source:
    """Open a file of requests, or standard input for `-`; `stack` closes it. `renamed` are the columns that get other names.

    Gzip is unpacked for text formats. A Parquet or Arrow file from a pipe is copied to a temporary file.

    Raises
    ------
    SourceError
        the content is not a file of requests.
    """
    shown = "<stdin>" if name == "-" else name
    # a file opened in binary mode is a BufferedReader, and so is the buffer below standard input
    stream = cast(io.BufferedReader, sys.stdin.buffer if name == "-" else stack.enter_context(open(name, "rb")))
    progress = _progress_of(stream)
    if stream.peek(_HEAD)[:2] == GZIP:
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stream))
    with _unpacking(shown):
        head = stream.peek(_HEAD)[:_HEAD]
        form = of_file(name, form, head, shown)
        source = form.open(OpenedFile(name, shown, stream, head, progress, stack, renamed))
    return replace(source, batches=_unpacked(source.batches, shown)) if form.is_text else source


@contextmanager
def _unpacking(shown: str) -> Iterator[None]:
    """Convert the errors of a truncated or damaged gzip file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"damaged gzip file: {error}", source=shown) from error


def _unpacked(batches: Iterator[Batch], shown: str) -> Iterator[Batch]:
    with _unpacking(shown):
        yield from batches


def _progress_of(stream: io.BufferedReader) -> Callable[[], float | None]:
    try:
        size = os.fstat(stream.fileno()).st_size
    except (OSError, io.UnsupportedOperation):
        size = 0
    if not size or not stream.seekable():
        return lambda: None
    return lambda: stream.raw.tell() / size
