"""The hook for request rates: a callable of the deployment decides which calls are too many (UP101)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastiam.cognito.cognito_errors import CognitoError

Admit = Callable[[str, Mapping[str, str]], bool]


def admit_all(call: str, details: Mapping[str, str]) -> bool:
    """Limit nothing."""
    return True


def check_rate(admit: Admit, call: str, details: Mapping[str, str]) -> None:
    """Refuse a call that the deployment does not admit, before it reads or writes anything.

    Raises
    ------
    CognitoError
        TooManyRequestsException.
    """
    if not admit(call, details):
        raise CognitoError("Too many requests", code="TooManyRequestsException", rule="UP101")
