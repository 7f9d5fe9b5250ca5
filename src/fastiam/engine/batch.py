"""Arguments and answers of `Engine.decide_many`: columns, sessions by name, threads, and rows with errors."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from fastiam.engine.decisions import NO_CODE, NO_STATEMENT
from fastiam.errors import RequestValueError
from fastiam.kernel.columns.read import TextColumn, are_plain, for_all_rows, read_column
from fastiam.model.key_registry import fold
from fastiam.model.request import ContextValue, check_key, exact_text, is_declared, shorten
from fastiam.model.session import Session

if TYPE_CHECKING:
    from fastiam._core import _Answers

MAX_THREADS = 64


def context_columns(
    defaults: Mapping[str, ContextValue], context: Mapping[str, object], unknown: frozenset[str]
) -> dict[str, object]:
    """The context columns, with the defaults for keys that have none and are not unknown (D71)."""
    given = {check_key(name): value for name, value in context.items()}
    folded: dict[str, str] = {}
    for name in given:
        other = folded.setdefault(fold(name), name)
        if other != name:
            raise RequestValueError(f"`{other}` and `{name}` are one key", column=name, hint="keep one of the two columns")
    for key, value in defaults.items():
        if key not in folded and not is_declared(unknown, key):
            given[value.name] = for_all_rows(value.values if value.multi else value.values[0], value.name)
    return given


def pool_of(threads: int) -> AbstractContextManager[Any]:
    """The additional threads of a batch; None for a batch of one thread."""
    if threads == 1:
        return nullcontext()
    from concurrent.futures import ThreadPoolExecutor  # PERF: it imports many modules

    return ThreadPoolExecutor(threads - 1)


def read_argument(value: object, name: str, kind: Literal["text", "context"], errors: dict[int, Exception] | None) -> TextColumn:
    """Read a column for the kernel, which validates plain text itself; a `TextColumn` is used as it is."""
    return value if isinstance(value, TextColumn) else read_column(value, name, kind=kind, errors=errors, later=True)


def blank_rows(found: _Answers, rows: list[int]) -> None:
    """Clear all other columns of rows with errors."""
    found["assumed_owner"][rows] = False
    if "layer" in found:
        found["layer"][rows], found["reason"][rows], found["statement"][rows] = NO_CODE, NO_CODE, NO_STATEMENT
    if "depends_on" in found:
        found["depends_on"][rows] = NO_STATEMENT


def named_sessions(sessions: Mapping[str, Session] | None) -> dict[str, Session]:
    """The sessions of a batch by name."""
    if sessions is not None and not isinstance(sessions, Mapping):
        raise RequestValueError(
            f"`{type(sessions).__name__}` is not a mapping of sessions",
            column="sessions",
            hint="pass a mapping from names in the principals column to sessions",
        )
    named = dict(sessions or {})
    if are_plain(named):  # PERF: a service may pass many
        return named
    for name in named:
        if not isinstance(name, str):
            raise RequestValueError(f"the name of a session must be text, not `{type(name).__name__}`", column="sessions")
        if not name.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in name):
            raise RequestValueError(f"`{shorten(name)}` has a lone surrogate and is not valid text", column="sessions")
    return {exact_text(name): session for name, session in named.items()}
