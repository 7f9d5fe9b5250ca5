"""Engine files. This module only recognises one, for readers of files of any kind; `engines` reads and writes them."""

from __future__ import annotations

import os

MAGIC = b"fastiam engine\r\n"  # a transfer that changes the ends of lines changes it


def is_saved(path: str | os.PathLike[str]) -> bool:
    """Whether a file starts as an engine file does."""
    try:
        path = os.fspath(path)  # a number would be a file descriptor
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
