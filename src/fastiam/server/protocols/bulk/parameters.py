"""Parameters and types of a request for bulk decisions (G161, G162)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from importlib import import_module
from typing import Any, Final
from urllib.parse import parse_qsl

from fastiam.errors import RequestValueError
from fastiam.model.request import read_unknown
from fastiam.server.http import Request
from fastiam.server.identity import ASSERT_CONTEXT, Identity
from fastiam.server.mapping import MappingError, RequestRefused, read_instant

NDJSON: Final = "application/x-ndjson"
ARROW: Final = "application/vnd.apache.arrow.stream"


class Form(Enum):
    """The forms of requests and answers: a form is one line here, and the classes that read and write it.

    A line has the media types, that of answers first, and the module and class of the reader and of the writer.
    """

    JSON_LINES = (NDJSON, "application/jsonl", "application/json-lines"), "json_rows:JsonReader", "json_answers:JsonAnswers"
    ARROW = (ARROW,), "arrow_rows:ArrowReader", "arrow_answers:ArrowAnswers"

    @property
    def types(self) -> tuple[str, ...]:
        """The media types."""
        types: tuple[str, ...] = self.value[0]
        return types

    def reader(self) -> Any:
        """The class of a `Reader`."""
        return _imported(self.value[1])

    def writer(self) -> Any:
        """The class of `Answers`."""
        return _imported(self.value[2])


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(f"{__package__}.{module}"), attribute)  # PERF: pyarrow only when it is used


TYPES: Final[Mapping[str, Form]] = {type_: form for form in Form for type_ in form.types}
FIELDS: Final = ("outcome", "layer", "policy", "sid", "depends_on", "error")
_NAMES: Final = frozenset({"reasons", "unknown", "now", "on_error", "threads", "fields", "summary"})
_MAX_UNKNOWN: Final = 256


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request asks for."""

    source: Form
    answer: Form
    now: datetime
    reasons: bool = True
    unknown: frozenset[str] = frozenset()
    """Folded; a prefix keeps its `*`."""
    stops: bool = False
    """Whether the stream ends at the first row that cannot be decided."""
    threads: int = 1
    fields: frozenset[str] = frozenset(FIELDS)
    summary: bool = True


def read_parameters(request: Request, identity: Identity, now: datetime, threads: int) -> Parameters:
    """Read the query string and the types.

    Parameters
    ----------
    now
        the time of the request, unless it states one.
    threads
        the most that it may ask for.

    Raises
    ------
    RequestRefused
        a type.
    MappingError
        `bad_parameter`; `not_asserted`: the identity may not state the time.
    """
    source, answer = _forms(request)
    given: dict[str, str] = {}
    for name, value in parse_qsl(request.raw_query.decode("ascii", "replace"), keep_blank_values=True):
        if name not in _NAMES:
            raise _bad(f"there is no parameter `{name[:64]}`")
        if name in given:
            raise _bad(f"`{name}` is given twice")
        given[name] = value
    fields = frozenset(given["fields"].split(",")) if "fields" in given else frozenset(FIELDS)
    if not fields <= frozenset(FIELDS):
        raise _bad(f"`fields` has names other than {', '.join(FIELDS)}")
    return Parameters(
        source,
        answer,
        _now(given.get("now"), identity, now),
        _flag(given, "reasons"),
        _unknown(given.get("unknown")),
        _choice(given, "on_error", ("deny", "stop")) == "stop",
        _count(given.get("threads"), threads),
        fields,
        _flag(given, "summary"),
    )


def _bad(message: str) -> MappingError:
    return MappingError("bad_parameter", message, "query")


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = given.get(name, choices[0])
    if value not in choices:
        raise _bad(f"`{name}` is not one of {', '.join(choices)}")
    return value


def _flag(given: Mapping[str, str], name: str) -> bool:
    return _choice(given, name, ("true", "false")) == "true"


def _count(text: str | None, most: int) -> int:
    if text is None:
        return 1
    if not text.isascii() or not text.isdigit() or len(text) > 3 or not 1 <= int(text) <= most:
        raise _bad(f"`threads` is not a number from 1 to {most}")
    return int(text)


def _unknown(text: str | None) -> frozenset[str]:
    names = [] if not text else text.split(",")
    if len(names) > _MAX_UNKNOWN:
        raise _bad(f"`unknown` has more than {_MAX_UNKNOWN} keys")
    try:
        return read_unknown(names)
    except RequestValueError as error:
        raise _bad(error.message) from None


def _now(text: str | None, identity: Identity, now: datetime) -> datetime:
    if text is None:
        return now
    if ASSERT_CONTEXT not in identity.scopes:
        raise MappingError("not_asserted", f"stating the time needs the scope `{ASSERT_CONTEXT}`", "query")
    return read_instant(text, "query")


def _forms(request: Request) -> tuple[Form, Form]:
    source = TYPES.get(_media_type(request.header(b"content-type") or b""))
    if source is None:
        raise RequestRefused(415, "bad_content_type", f"the content type is neither `{NDJSON}` nor `{ARROW}`")
    accepted = [part for value in request.header_values(b"accept") for part in value.split(b",") if part.strip()]
    if not accepted:
        return source, source
    for part in accepted:
        media = _media_type(part)
        if media in TYPES:
            return source, TYPES[media]
        if media in ("*/*", "application/*"):
            return source, source
    raise RequestRefused(406, "bad_content_type", f"the answer is `{NDJSON}` or `{ARROW}`")


def _media_type(value: bytes) -> str:
    return value.partition(b";")[0].strip().lower().decode("latin-1")
