"""The keys of an issuer: pinned, or read by discovery and kept in a cache (WI40 to WI47)."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from fastiam.federation.federation_errors import CommunicationError, IdentityTokenError
from fastiam.federation.fetch import Fetch, FetchError, FetchLimits
from fastiam.federation.jwks import KeySet, read_jwks
from fastiam.runtime import forking
from fastiam.strict_json import IDENTITY_LIMITS, read_object

MAX_DISCOVERY, MAX_JWKS = 65_536, 262_144  # bytes
MIN_FRESH, FRESH, MAX_FRESH = timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24)
MAX_AGE = timedelta(hours=24)  # of keys that serve while the issuer does not answer
PAUSE = timedelta(minutes=1)  # between two reads that an unknown key id or a failure causes
_MAX_ENTRIES = 10_000
_MAX_AGE_HEADER = re.compile(r'(?:^|,)\s*max-age\s*=\s*"?([0-9]{1,12})', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the keys of one provider come from.

    Attributes
    ----------
    name
        ARN of the provider, or its built-in name.
    unique_id
        a provider that is created again has another one.
    url
        issuer, with scheme.
    pinned
        JWKS text; with it nothing is read from the network (IP33).
    """

    name: str
    unique_id: str
    url: str
    thumbprints: tuple[str, ...] = ()
    pinned: str = ""


@dataclass(slots=True)
class _Entry:
    """What is known of one source. A read acquires the lock, so that concurrent calls share it."""

    source: KeySource
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: KeySet | None = None
    fetched: datetime | None = None
    fresh: timedelta = FRESH
    asked: datetime | None = None  # last read for an unknown key id
    failed: datetime | None = None  # last read, if it failed
    attempts: int = 0
    error: CommunicationError | IdentityTokenError | None = None  # of the last attempt

    def is_fresh(self, now: datetime) -> bool:
        """Whether the keys need no read; a clock that was set back makes them old."""
        return self.fetched is not None and timedelta() <= now - self.fetched < self.fresh

    def is_usable(self, now: datetime) -> bool:
        """Whether the keys serve while the issuer does not answer."""
        return self.fetched is not None and timedelta() <= now - self.fetched < MAX_AGE


class IssuerKeys:
    """The cached keys of all issuers. Thread-safe. A changed provider has no cached keys (WI47).

    `issuers` : the only ones whose keys are read from the network; None reads those of all.
    """

    def __init__(self, fetch: Fetch, private_hosts: frozenset[str], issuers: frozenset[str] | None = None) -> None:
        self._fetch, self._hosts, self._issuers = fetch, private_hosts, issuers
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        forking.on_fork(self)

    def _forked(self) -> None:
        """A child reads the keys itself: a thread of the parent may own a lock."""
        self._entries, self._lock = OrderedDict(), threading.Lock()

    def find(self, source: KeySource, key_id: str | None, now: datetime) -> KeySet:
        """The keys of an issuer for a token with this key id.

        Raises
        ------
        CommunicationError
            the issuer does not answer, and no keys of the last 24 hours are there.
        IdentityTokenError
            what the issuer answers is wrong, or no key has the id.
        """
        entry = self._entry(source)
        keys = self._pinned(entry) if source.pinned else self._read_or_cached(entry, key_id, now)
        if not keys.has(key_id):
            raise IdentityTokenError("couldn't retrieve verification key from the issuer", reason="unknown_key", rule="WI44")
        return keys

    def _entry(self, source: KeySource) -> _Entry:
        with self._lock:
            entry = self._entries.get(source.name)
            if entry is None or entry.source != source:
                entry = self._entries[source.name] = _Entry(source)
            self._entries.move_to_end(source.name)
            if len(self._entries) > _MAX_ENTRIES:
                self._entries.popitem(last=False)
            return entry

    def _read_or_cached(self, entry: _Entry, key_id: str | None, now: datetime) -> KeySet:
        seen, cached = entry.attempts, entry.keys
        if cached is not None and entry.is_fresh(now) and cached.has(key_id):
            return cached
        error = entry.error
        has_key = cached is not None and entry.is_usable(now) and cached.has(key_id)
        if not entry.lock.acquire(
            blocking=error is None and not has_key
        ):  # no call waits for what is likely to fail, or not needed
            if cached is not None and has_key:
                return cached
            assert error is not None
            raise error.with_traceback(None)
        try:
            keys = self._current(entry, now, is_shared=entry.attempts != seen)  # another call may have read meanwhile
            is_read_now = entry.attempts != seen
            if not keys.has(key_id) and not is_read_now and _may(entry.asked, now):
                entry.asked = now
                keys = self._read(entry, now)
            return keys
        finally:
            entry.lock.release()

    def _pinned(self, entry: _Entry) -> KeySet:
        if entry.keys is None:
            try:
                entry.keys = read_jwks(entry.source.pinned.encode())
            except ValueError as error:
                raise _wrong(f"the pinned JWKS is wrong: {error}", "IP33") from None
        return entry.keys

    def _current(self, entry: _Entry, now: datetime, is_shared: bool) -> KeySet:
        """The fresh keys, those of a new read, or old ones while the issuer does not answer (WI46)."""
        if entry.keys is not None and entry.is_fresh(now):
            return entry.keys
        error = entry.error if is_shared or not _may(entry.failed, now) else None
        if error is None:
            try:
                return self._read(entry, now)
            except (CommunicationError, IdentityTokenError) as raised:
                error = raised
        if entry.keys is None or not entry.is_usable(now) or not isinstance(error, CommunicationError):
            raise error.with_traceback(None)
        return entry.keys

    # -- reading ----------------------------------------------------------------------------------------------------------

    def _read(self, entry: _Entry, now: datetime) -> KeySet:
        try:
            keys, entry.fresh = self._discover(entry.source)
        except (CommunicationError, IdentityTokenError) as error:
            entry.failed, entry.error = now, error
            raise
        finally:
            entry.attempts += 1  # at the end, so that a call that comes during the read shares it
        entry.keys, entry.fetched, entry.failed, entry.error = keys, now, None, None
        return keys

    def _discover(self, source: KeySource) -> tuple[KeySet, timedelta]:
        """Discovery, then the JWKS (WI40)."""
        if self._issuers is not None and source.url not in self._issuers:
            message = "the keys of the issuer are not read from the network here, and none are pinned"
            raise CommunicationError(message, reason="unreachable", rule="G151")
        where = f"{source.url.removesuffix('/')}/.well-known/openid-configuration"
        body, _ = self._get(where, MAX_DISCOVERY, source)
        try:
            document = read_object(body, IDENTITY_LIMITS)
        except ValueError as error:
            raise _wrong(f"the discovery document is wrong: {error}", "WI40") from None
        if document.get("issuer") != source.url:
            raise _wrong("the discovery document is of another issuer", "WI40")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not is_https(address):
            raise _wrong("the discovery document has no `jwks_uri` with `https`", "WI40")
        body, cache_control = self._get(address, MAX_JWKS, source)
        try:
            keys = read_jwks(body)
        except ValueError as error:
            raise _wrong(f"the JWKS is wrong: {error}", "WI41") from None
        return keys, _freshness(cache_control)

    def _get(self, url: str, size: int, source: KeySource) -> tuple[bytes, str]:
        prints = tuple(text.lower() for text in source.thumbprints)
        try:
            result = self._fetch(url, FetchLimits(size=size, hosts=self._hosts, thumbprints=prints))
        except FetchError as error:
            if error.is_reachable:
                raise _wrong(f"the keys of the issuer cannot be read: {error}", "WI41") from None
            raise CommunicationError(f"the issuer does not answer: {error}", reason="unreachable", rule="WI41") from None
        if result.status == 429 or result.status >= 500:
            raise CommunicationError(f"the issuer answers status {result.status}", reason="unreachable", rule="WI41")
        if result.status != 200:
            raise _wrong(f"the issuer answers status {result.status}", "WI41")
        if len(result.body) > size:
            raise _wrong(f"the issuer answers more than {size:,} bytes", "WI41")
        return result.body, result.headers.get("cache-control", "")


def is_https(url: str) -> bool:
    """Whether a URL is of the scheme `https`, and names a host and no user."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False


def _may(last: datetime | None, now: datetime) -> bool:
    return last is None or not timedelta() <= now - last < PAUSE


def _freshness(cache_control: str) -> timedelta:
    found = _MAX_AGE_HEADER.search(cache_control)
    return FRESH if found is None else min(max(timedelta(seconds=int(found[1])), MIN_FRESH), MAX_FRESH)


def _wrong(message: str, rule: str) -> IdentityTokenError:
    return IdentityTokenError(message, reason="issuer_invalid", rule=rule)
