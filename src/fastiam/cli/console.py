"""Printing: plain text into files and pipes, colours on a terminal.

rich decides about colours (`NO_COLOR`, `FORCE_COLOR`, `TERM`, `COLUMNS`), and is loaded only where a terminal, or
`FORCE_COLOR`, asks for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

Piece = tuple[str, str]  # text and its style, "" for none


def is_rich(stream: TextIO) -> bool:
    """Whether a stream may show colours and progress."""
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))


def write(pieces: Iterable[Piece] | str, stream: TextIO | None = None) -> None:
    """One line of styled pieces, on standard output unless told otherwise. Text is printed as it is, never wrapped."""
    stream = stream or sys.stdout
    line = [(pieces, "")] if isinstance(pieces, str) else list(pieces)
    if not is_rich(stream):
        stream.write("".join(text for text, _ in line) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    Console(file=stream, soft_wrap=True, highlight=False).print(Text.assemble(*line))


def note(message: str) -> None:
    """A message for the person who looks on: standard error, so that it never mixes with data."""
    write(message, sys.stderr)
