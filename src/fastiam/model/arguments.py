"""Types of the arguments of public calls: a wrong one is an error of fastiam that names the argument."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastiam.errors import RequestValueError, SourceError
from fastiam.model.request import is_iterable, shorten


def check_type(value: object, kind: type | tuple[type, ...], name: str, expected: str, hint: str = "") -> None:
    """Check the type of an argument.

    Parameters
    ----------
    name, expected
        the argument, and what it must be, for the message.

    Raises
    ------
    RequestValueError
        the value is not an instance of `kind`.
    """
    if not isinstance(value, kind):
        raise RequestValueError(f"`{name}` must be {expected}, not `{type(value).__name__}`", column=name, hint=hint)


def check_items(value: object, name: str, expected: str, hint: str = "") -> Iterable[Any]:
    """The value of an argument that takes many items; one text or bytes is not many.

    Raises
    ------
    RequestValueError
        the value cannot be iterated, or is text or bytes.
    """
    if isinstance(value, (str, bytes)) or not is_iterable(value):
        raise RequestValueError(f"`{name}` must be {expected}, not `{type(value).__name__}`", column=name, hint=hint)
    return value  # type: ignore[return-value]


def check_choice(value: object, name: str, what: str, *choices: str) -> None:
    """Check an argument that takes one of a few words; `what` names it in the message.

    Raises
    ------
    RequestValueError
        another value.
    """
    if not isinstance(value, str) or value not in choices:
        shown = shorten(str(value)) if isinstance(value, str) else type(value).__name__
        words = " or ".join(f"`{choice}`" for choice in choices)
        raise RequestValueError(f"unknown {what} `{shown}`", column=name, hint=f"use {words}")


def as_path(value: object, name: str = "path") -> Path:
    """A path that the file system takes. A number is not one: it would be read as the number of an open file.

    Raises
    ------
    SourceError
        another type than text or `os.PathLike[str]`; an empty text; a NUL or a lone surrogate.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise SourceError(f"`{type(value).__name__}` is not a path", source=name, path="", hint="pass text or a `Path`")
    try:
        is_possible = b"\0" not in os.fsencode(text) and text != ""
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise SourceError(f"{ascii(text)} is not a path", source=name, path="", hint="a path is not empty and has no NUL")
    return Path(text)
