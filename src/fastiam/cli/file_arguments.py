"""Files as the command line names them: a path, or `-` for standard input and output."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from fastiam.errors import SourceError
from fastiam.runtime.output_files import check_output, open_output


def read_bytes(name: str) -> bytes:
    """The content of a file, or of standard input."""
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


@contextmanager
def open_out(name: str, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to be written, as `open_output` does it, or standard output for `-`: the open stream, which stays open."""
    if name != "-":
        with open_output(name, private=private) as file:
            yield file
        return
    sys.stdout.flush()
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def check_out(name: str, what: str, *sources: str) -> None:
    """Check, before any computation, that a file can be written and is not one of the files that are read.

    Parameters
    ----------
    what
        the content of the file, for the message.
    sources
        the files, folders and stores that are read; `-` is standard input.

    Raises
    ------
    SourceError
        the folder is missing; the path is a folder, or one of the sources.
    """
    if name != "-":
        check_output(name)
    target = _identity(name, sys.stdout)
    for source in sources:
        if target is not None and _identity(source, sys.stdin) == target:
            shown = "<stdin>" if source == "-" else source
            raise SourceError(f"{what} would replace `{shown}`", source=name, path="", hint="write to another file")


def _identity(name: str, stream: IO[Any]) -> tuple[int, int] | None:
    """Device and inode of a regular file; None for everything else."""
    try:
        status = os.fstat(stream.fileno()) if name == "-" else os.stat(name)
    except (OSError, io.UnsupportedOperation):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
