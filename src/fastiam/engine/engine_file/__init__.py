"""Engines in files (`engines`). Here is only what tells such a file, for those who meet files of every kind."""

from __future__ import annotations

import os

MAGIC = b"fastiam engine\r\n"  # a transfer that changes the ends of lines changes it


def is_saved(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a saved engine does."""
    try:
        path = os.fspath(path)  # a number would be a file descriptor
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
