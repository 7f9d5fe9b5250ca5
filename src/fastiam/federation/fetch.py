"""The only network access of this package: one injectable function that reads one document (FD7).

A `Fetch` takes a URL and the limits of the read, and returns the answer or raises `FetchError`. It follows no redirect and sends
no cookie. The caller judges status and content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """Limits of one read (WI41).

    Attributes
    ----------
    seconds
        for the whole read, name resolution included.
    size
        bytes of the body.
    hosts
        host names, in any case, whose addresses may be private; the addresses of all others must be public.
    thumbprints
        SHA-1 of CA certificates, as lower-case hexadecimal digits, that are trusted if the host's certificate chain does not end
        in the store of trusted CAs (IP30).
    headers
        further request headers, such as the one credential that a protocol requires.
    form
        body of a POST request as `application/x-www-form-urlencoded`; without it the request is a GET.
    """

    seconds: float = 5.0
    size: int = 65_536
    hosts: frozenset[str] = frozenset()
    thumbprints: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FetchResult:
    """An answer: status, headers with lower-case names, and the body."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class FetchError(Exception):
    """No acceptable answer. `is_reachable` is False if there was none at all: no connection, TLS refused, or a time-out."""

    def __init__(self, message: str, *, is_reachable: bool) -> None:
        self.is_reachable = is_reachable
        super().__init__(message)


Fetch = Callable[[str, FetchLimits], FetchResult]


def no_fetch(url: str, limits: FetchLimits) -> FetchResult:
    """The fetch of a deployment without network access: every read fails."""
    raise FetchError("network access is switched off", is_reachable=False)
