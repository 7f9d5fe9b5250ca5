"""Printing: plain text into files and pipes, colours on a terminal.

rich decides about colours (`NO_COLOR`, `FORCE_COLOR`, `TERM`, `COLUMNS`). It is loaded only for a terminal, or if
`FORCE_COLOR` is set.
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


def visible(text: str, allowed: str = "\t\n") -> str:
    """The text with control characters as escapes: names in policies could move the cursor, or set the title of a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in allowed else repr(c)[1:-1] for c in text)


def write(pieces: Iterable[Piece] | str, stream: TextIO | None = None) -> None:
    """Write styled pieces and a line break, by default to standard output, with control characters as escapes, never wrapped."""
    stream = stream or sys.stdout
    line = [(visible(text), style) for text, style in ([(pieces, "")] if isinstance(pieces, str) else pieces)]
    if not is_rich(stream):
        stream.write("".join(text for text, _ in line) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    Console(file=stream, soft_wrap=True, highlight=False).print(Text.assemble(*line))


def note(message: str) -> None:
    """Write a message for a person to standard error, so that it never mixes with data."""
    write(message, sys.stderr)


def note_unseen(unseen: Iterable[str]) -> None:
    """Say what a verb that searches did not check, one fact a line (`exit_codes.of_search`)."""
    for text in unseen:
        note(f"not checked: {text}")
