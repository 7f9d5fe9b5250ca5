"""Secrets as arguments: the conversion of arguments into values that representations and tracebacks do not show.

Invariant: each method that takes a secret converts it before anything can fail. A traceback that shows local variables then
shows `<secret>`. The same holds for an identifier that is not written like one: it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from fastiam.credentials.sts_errors import ValidationError
from fastiam.model.request import shorten
from fastiam.model.secret import Secret, SecretBytes, hidden

__all__ = ["Secret", "SecretBytes", "hidden", "shown", "takes_secrets"]

P = ParamSpec("P")
R = TypeVar("R")

# an ARN, an access key id, an account id
_IDENTIFIER = re.compile(r"arn:.*|A[A-Z]{3}[A-Z0-9]{16}|[0-9]{12}", re.ASCII | re.DOTALL)


def shown(identifier: object) -> str:
    """An identifier for a message; `<hidden>` for one that `takes_secrets` has converted."""
    return "`<hidden>`" if isinstance(identifier, Secret) else f"`{shorten(str(identifier))}`"


def takes_secrets(
    *secrets: str,
    codes: Collection[str] = (),
    identifiers: Collection[str] = (),
    tokens: Collection[str] = (),
    mappings: Collection[str] = (),
    forms: Collection[str] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a method that takes secrets: convert the named arguments before the method runs.

    Parameters
    ----------
    secrets
        texts; a value of another type is a `ValidationError`, except None.
    codes
        MFA codes, of any type; one that is not text is wrong like any other wrong code.
    identifiers
        values that become a `Secret` unless they are an ARN, an access key id or an account id.
    tokens
        texts, or their bytes as a client sends them.
    mappings
        mappings whose values are secrets; a text in place of one is hidden as well.
    forms
        parameters of a form, a mapping or pairs, whose values are secrets; the method gets pairs. A value that is not text stays
        one that is not text.
    """

    def wrap(method: Callable[P, R]) -> Callable[P, R]:
        converters: dict[str, Callable[[Any], Any]] = dict.fromkeys(secrets, _secret)
        converters |= dict.fromkeys(tokens, _token) | dict.fromkeys(codes, _code) | dict.fromkeys(identifiers, _identifier)
        converters |= dict.fromkeys(mappings, _mapping) | dict.fromkeys(forms, _form)
        parameters = enumerate(signature(method).parameters)
        places = [(place, name, converters[name]) for place, name in parameters if name in converters]

        def convert(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], str]:
            """The positional arguments converted, and what is wrong. Converts `kwargs` in place. Raises nothing."""
            given, wrong = list(args), ""
            for place, name, converter in places:
                if name in kwargs:
                    value = kwargs[name] = converter(kwargs[name])
                elif place < len(given):
                    value = given[place] = converter(given[place])
                else:
                    continue
                if type(value) is _Unreadable:
                    wrong = f"`{name}` must be text, not `{value.kind}`"
            return given, wrong

        @wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given, wrong = convert(args, kwargs)
            del args
            if wrong:
                del given, kwargs  # an object that is being made has no representation yet
                raise ValidationError(wrong, hint="decode bytes before")
            return method(*given, **kwargs)

        return call

    return wrap


class _Unreadable:
    """Takes the place of a value that is not text."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def _secret(value: object) -> object:
    if value is None or type(value) is Secret:
        return value
    return Secret(value) if isinstance(value, str) else _Unreadable(type(value).__name__)


def _token(value: object) -> object:
    return _secret(value.decode("latin-1") if isinstance(value, bytes) else value)


def _mapping(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: Secret(each) if isinstance(each, str) else _Unreadable(type(each).__name__) for key, each in value.items()}
    return None if value is None else Secret(str(value))


def _form(value: Any) -> list[tuple[object, object]]:
    try:
        return [(name, _secret(each)) for name, each in (value.items() if isinstance(value, Mapping) else value)]
    except (TypeError, ValueError):
        return [("", _Unreadable(type(value).__name__))]


def _code(value: object) -> object:
    return None if value is None else Secret(str(value))


def _identifier(value: object) -> object:
    if value is None or (isinstance(value, str) and _IDENTIFIER.fullmatch(value)):
        return value
    return Secret(str(value))
