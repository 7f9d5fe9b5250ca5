"""The format of a file of requests or results, from its name, its content or an option."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

from fastiam.errors import SourceError


class Format(StrEnum):
    """The formats of requests and results."""

    PARQUET = "parquet"
    ARROW = "arrow"
    CSV = "csv"
    JSONL = "jsonl"


NAMES = [form.value for form in Format]
GZIP = b"\x1f\x8b"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # never in the first bytes of a text, UTF-16 included

SUFFIXES = {
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".arrow": Format.ARROW,
    ".arrows": Format.ARROW,
    ".feather": Format.ARROW,
    ".ipc": Format.ARROW,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
}


def of_content(head: bytes, source: str) -> Format:
    """The format of a file, detected from its first bytes.

    Raises
    ------
    SourceError
        the file is empty, a JSON array, which cannot be read row by row, or not text.
    """
    if not head:
        raise SourceError("the file is empty", source=source, hint="a file of requests has a header, or an object a line")
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    if head.startswith((ARROW_FILE, ARROW_STREAM)):
        return Format.ARROW
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        raise SourceError("a JSON array is not a file of requests", source=source, hint="write one JSON object a line")
    if _CONTROL.search(head):
        hint = "requests are Parquet, Arrow, or text in UTF-8: CSV with a header, or JSON lines"
        raise SourceError("the content is not a file of requests", source=source, hint=hint)
    return Format.JSONL if text.startswith(b"{") else Format.CSV


def of_name(name: str) -> Format:
    """The format in which to write a file, from its suffix; JSON lines for standard output.

    Raises
    ------
    SourceError
        a suffix of no known format.
    """
    if name == "-":
        return Format.JSONL
    form = SUFFIXES.get(Path(name).suffix.lower())
    if form is None:
        hint = f"use one of {', '.join(SUFFIXES)}, or pass `--out-format`"
        raise SourceError("the suffix does not determine a format", source=name, hint=hint)
    return form
