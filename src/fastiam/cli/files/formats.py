"""The format of a file of requests or results, from its name, its content or an option."""

from __future__ import annotations

import re
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fastiam.errors import SourceError

if TYPE_CHECKING:
    from fastiam.cli.files.batches import OpenedFile, Source

GZIP = b"\x1f\x8b"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # never in the first bytes of a text, UTF-16 included


class Format(StrEnum):
    """The formats of requests and results: a format is one line here, and the function that reads it.

    A line has the name, the suffixes of files, the first bytes (of a text behind a mark and white space; none: any other text),
    whether it is text, the module and function of the reader, and the options of DuckDB's `COPY` that writes it (none: arro3).
    """

    PARQUET = "parquet", (".parquet", ".pq"), (b"PAR1",), False, "arrow_files:open_parquet_file", "FORMAT parquet"
    ARROW = "arrow", (".arrow", ".arrows", ".feather", ".ipc"), (ARROW_FILE, ARROW_STREAM), False, "arrow_files:open_arrow_file"
    JSONL = "jsonl", (".jsonl", ".ndjson"), (b"{",), True, "json_lines:open_json_lines", "FORMAT json"
    CSV = "csv", (".csv",), (), True, "csv_file:open_csv_file", "FORMAT csv, HEADER true"

    suffixes: tuple[str, ...]
    starts: tuple[bytes, ...]
    is_text: bool
    reader: str
    copy: str

    def __new__(cls, value: str, *more: Any) -> Self:
        """A format by its line."""
        form = str.__new__(cls, value)
        form._value_ = value
        form.suffixes, form.starts, form.is_text, form.reader, form.copy = more if len(more) == 5 else (*more, "")
        return form

    def open(self, file: OpenedFile) -> Source:
        """The rows of a file of this format."""
        module, _, function = self.reader.partition(":")
        source: Source = getattr(import_module(f"{__package__}.{module}"), function)(file)
        return source


NAMES = [form.value for form in Format]
SUFFIXES = {suffix: form for form in Format for suffix in form.suffixes}


def of_option(name: str | None) -> Format | None:
    """The format that an option names."""
    return next((form for form in Format if form == name), None)


def of_content(head: bytes, source: str) -> Format:
    """The format of a file, detected from its first bytes.

    Raises
    ------
    SourceError
        the file is empty, a JSON array, which cannot be read row by row, or not text.
    """
    if not head:
        raise SourceError("the file is empty", source=source, hint="a file of requests has a header, or an object a line")
    for form in Format:
        if not form.is_text and head.startswith(form.starts):
            return form
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"["):
        raise SourceError("a JSON array is not a file of requests", source=source, hint="write one JSON object a line")
    if _CONTROL.search(head):
        hint = "requests are Parquet, Arrow, or text in UTF-8: CSV with a header, or JSON lines"
        raise SourceError("the content is not a file of requests", source=source, hint=hint)
    return next(form for form in Format if form.is_text and (text.startswith(form.starts) or not form.starts))


def of_file(name: str, given: Format | None, head: bytes, source: str) -> Format:
    """The format in which to read a file: the given one, that of its suffix where only that can be meant, or that of its content.

    Raises
    ------
    SourceError
        as `of_content`; the content cannot have the format: a reader of a binary format trusts the lengths in a file.
    """
    named = SUFFIXES.get(Path(name.removesuffix(".gz")).suffix.lower())
    wanted = given or named
    if not head and wanted is Format.JSONL:
        return Format.JSONL  # no request at all
    found = of_content(head, source)
    if wanted is None or wanted is found:
        return found
    if wanted.is_text:  # a broken first line has the start of no format
        return wanted if given or not found.starts else found
    hint = "" if given else "the file is damaged, or has a wrong suffix: `--requests-format` names its format"
    raise SourceError(f"the content does not have the format {wanted}", source=source, hint=hint)


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
