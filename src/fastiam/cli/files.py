"""Files as the command line names them: a path, or `-` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path


def read_bytes(name: str) -> bytes:
    """The content of a file, or of standard input."""
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
