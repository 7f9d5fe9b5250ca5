"""The storage backend of a directory: one SQLite file (docs/store.md). Here one is recognised; `sqlite_backend` uses it."""

from __future__ import annotations

import os

MAGIC = b"SQLite format 3\x00"


def is_sqlite(path: str | os.PathLike[str]) -> bool:
    """Whether the file is an SQLite database, by its first bytes. A pipe is not read: its bytes can be read only once."""
    try:
        name = os.fspath(path)  # an integer would be a file descriptor
        if not os.path.isfile(name):
            return False
        with open(name, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
