"""JSON text to values, with two facts that `json.loads` loses: duplicate names and number tokens.

The standard library's `json` parses the text, so errors and their positions are those of `json.loads`. An object with a
duplicate name becomes a `JsonObject`, which lists these names (V2); a number becomes a `Number`, the source token as text
(G12: `1.0` stays `1.0`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeAlias

from fastiam.errors import Finding, PolicyError, Severity
from fastiam.model.source_map import Source, position_of, snippet_at
from fastiam.runtime.gc_pause import collection_paused

LARGE = 1 << 20  # characters
_MAX_DEPTH = 200  # nested brackets; a policy needs seven
_MAX_NAME = 1000  # characters of a text that may be a name or path in place of a document
_MAX_DIGITS = 4300  # of a Python number, as Python's own limit for integers
_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]|-?Infinity|NaN', re.DOTALL)


class Number(str):
    """A JSON number as its source token."""

    __slots__ = ()


class JsonObject(dict[str, "JsonValue"]):
    """A JSON object whose `duplicates` are the names that occur more than once (the last one is kept)."""

    duplicates: tuple[str, ...] = ()


JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | Number | bool | None"


class BrokenJson(ValueError):
    """A text is not JSON: the message, the text and the offset of the error."""

    def __init__(self, message: str, text: str, offset: int) -> None:
        super().__init__(message)
        self.message, self.text, self.offset = message, text, offset


def parse_json(text: str | bytes, source: Source) -> JsonValue:
    """Parse a JSON text. A byte order mark is accepted.

    Raises
    ------
    PolicyError
        one finding `V1` with the line and column of `json.loads`: the text is not JSON, the bytes are not UTF-8, or brackets are
        nested too deeply.
    """
    try:
        with collection_paused(when=len(text) > LARGE):
            return read_json(decode(text))
    except BrokenJson as error:
        raise PolicyError([broken_json_finding(error, source)]) from None


def parse_json_values(text: str | bytes, source: Source) -> list[JsonValue]:
    """Parse a text with one or several JSON values: JSON Lines, or outputs that were appended to one file.

    Raises
    ------
    PolicyError
        as `parse_json`.
    """
    try:
        with collection_paused(when=len(text) > LARGE):
            return list(_read_values(decode(text).removeprefix("\ufeff")))
    except BrokenJson as error:
        raise PolicyError([broken_json_finding(error, source)]) from None


def read_json(text: str) -> JsonValue:
    """The value of a JSON text, or `BrokenJson`."""
    text = text.removeprefix("\ufeff")
    with _located_errors(text):
        value: JsonValue = _DECODER.decode(text)
    return value


def _read_values(text: str) -> Iterator[JsonValue]:
    at = _after_space(text, 0)
    while True:
        with _located_errors(text):
            value, at = _DECODER.raw_decode(text, at)
        yield value
        at = _after_space(text, at)
        if at == len(text):
            return


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


@contextmanager
def _located_errors(text: str) -> Iterator[None]:
    """Raise the errors of the standard library as `BrokenJson`."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise BrokenJson(f"not JSON: {_lower(error.msg).removesuffix(' starting at')}", text, error.pos) from None
    except _Constant as error:
        raise BrokenJson(f"not JSON: `{error.args[0]}` is not a JSON number", text, _constant_offset(text)) from None
    except RecursionError:
        raise BrokenJson("not a policy: brackets are nested too deeply", text, _deep_offset(text)) from None


def decode(document: str | bytes) -> str:
    """The text of a document that is text or UTF-8 bytes."""
    if isinstance(document, str):
        return document
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = document[: error.start].decode("utf-8-sig")
        text = document.decode("utf-8-sig", "replace")
        raise BrokenJson("not UTF-8 text", text, len(before)) from None


def is_url_encoded(text: str) -> bool:
    """Whether the first character after white space is `%`, which starts no JSON text."""
    return text.lstrip()[:1] == "%"


def url_decode(text: str) -> str:
    """Decode a percent-encoded text (RFC 3986: `+` stays `+`); some SDKs return IAM documents in this form."""
    from urllib.parse import unquote  # PERF: few texts need it

    try:
        return unquote(text.strip(), errors="strict")
    except UnicodeDecodeError:
        raise BrokenJson("not UTF-8 text in the URL encoding", text, len(text) - len(text.lstrip())) from None


def broken_json_finding(error: BrokenJson, source: Source) -> Finding:
    """The finding of a text that is not JSON, at the position of the error (V1)."""
    position = position_of(source.name, error.text, error.offset, error.offset + 1)
    snippet, snippet_column = snippet_at(error.text, position)
    place = (position.line, position.column)
    is_name = error.offset == 0 and 0 < len(error.text) <= _MAX_NAME and "\n" not in error.text.strip()
    hint = "pass the content of a document, not a name or path" if is_name else ""
    return Finding("V1", Severity.ERROR, error.message, source.name, "$", *place, hint, True, snippet, 1, snippet_column)


def number_text(value: int | float | Decimal) -> str | None:
    """The token of a Python number in a parsed mapping; None for `inf`, `nan`, and a number with too many digits (G12)."""
    if isinstance(value, int):
        return _int_text(value)
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not exact.is_finite() or abs(exact.adjusted()) > _MAX_DIGITS:
        return None
    return format(exact, "f")


def _int_text(value: int) -> str | None:
    try:
        return int.__repr__(value)
    except ValueError:  # more digits than Python converts
        return None


class _Constant(ValueError):
    """`NaN` or `Infinity`: the `json` module accepts them, JSON does not."""


def _refuse(name: str) -> JsonValue:
    raise _Constant(name)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _with_duplicates(pairs)


def _with_duplicates(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = JsonObject(pairs)
    found.duplicates = tuple(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_refuse)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _constant_offset(text: str) -> int:
    return next((m.start() for m in _TOKEN.finditer(text) if m.group()[0] in "-IN"), 0)


def _deep_offset(text: str) -> int:
    depth = 0
    for match in _TOKEN.finditer(text):
        if match.group() in ("{", "["):
            depth += 1
            if depth > _MAX_DEPTH:
                return match.start()
        elif match.group() in ("}", "]"):
            depth -= 1
    return 0
