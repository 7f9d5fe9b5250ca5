"""Parsers for the texts of condition values. Each returns None for a text that its grammar does not contain (C22, V18).

Policy values and context values are the same texts (C24), so these functions read both.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

Instant = tuple[int, int]  # seconds since 1970-01-01T00:00:00Z, nanoseconds in [0, 1e9)

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_EPOCH = re.compile(r"[+-]?[0-9]+")
_DATE = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})"
    r"(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?:Z|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):(?P<zone_minute>[0-9]{2})))?)?"
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}")
_INT64 = range(-(2**63), 2**63)
_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
_DAYS_TO_1970 = 719_528  # from 0000-01-01 of the proleptic Gregorian calendar
_YEAR_0, _YEAR_1, _YEARS_400 = -719_528 * 86_400, -719_162 * 86_400, 146_097 * 86_400


def read_number(text: str) -> Decimal | None:
    """A decimal number, compared exactly: no exponent, no space, no bare point (C30)."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def read_bool(text: str) -> bool | None:
    """`true` or `false` in any case (C31)."""
    return {"true": True, "false": False}.get(text.lower())


def read_binary(text: str) -> bytes | None:
    """Standard base64 with padding (C32)."""
    return base64.b64decode(text) if _BASE64.fullmatch(text) else None


def read_date(text: str) -> Instant | None:
    """An instant: epoch seconds or the W3C profile of ISO 8601 (C40 to C43)."""
    return _read_epoch(text) if _EPOCH.fullmatch(text) else _read_iso(text)


def _read_epoch(text: str) -> Instant | None:
    """Epoch seconds in the range of int64; four bare digits could be a year and are refused (C41, C43)."""
    digits = text.lstrip("+-").lstrip("0") or "0"
    if re.fullmatch("[0-9]{4}", text) or len(digits) > 19:
        return None
    seconds = -int(digits) if text.startswith("-") else int(digits)
    return (seconds, 0) if seconds in _INT64 else None


def _read_iso(text: str) -> Instant | None:
    """Missing parts are the first instant; a time needs a zone (C42); digits beyond nanoseconds are cut (C43)."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (
        int(found[name] or default)
        for name, default in (("year", 0), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))
    )
    zone_hour, zone_minute = int(found["zone_hour"] or 0), int(found["zone_minute"] or 0)
    if not (1 <= month <= 12 and 1 <= day <= _days_in_month(year, month)):
        return None
    if hour > 23 or minute > 59 or second > 59 or zone_hour > 23 or zone_minute > 59:
        return None
    ahead = (zone_hour * 60 + zone_minute) * (-60 if found["sign"] == "-" else 60)
    seconds = _days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - ahead
    return seconds, int((found["fraction"] or "0")[:9].ljust(9, "0"))


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in_month(year: int, month: int) -> int:
    return _DAYS_BEFORE_MONTH[month] - _DAYS_BEFORE_MONTH[month - 1] + (month == 2 and _is_leap(year))


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Counted by hand: `datetime` has no year 0."""
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400 + 1  # the year 0 is one of them
    return year * 365 + leap_days + _DAYS_BEFORE_MONTH[month - 1] + (month > 2 and _is_leap(year)) + day - 1 - _DAYS_TO_1970


def date_text(seconds: int) -> str | None:
    """The canonical text of an instant (C24), or None outside the years 0 to 9999."""
    if _YEAR_0 <= seconds < _YEAR_1:  # `datetime` has no year 0; the year 400 has the same days
        later = date_text(seconds + _YEARS_400)
        return later and "0000" + later[4:]
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
    except (ValueError, OverflowError, OSError):
        return None


class Network(NamedTuple):
    """Addresses that share their first `prefix` bits; an address alone shares all of them."""

    version: int
    bits: int
    prefix: int

    def contains(self, other: Network) -> bool:
        """Whether an address lies in this range; an address of the other version never does (C52)."""
        unused = (32 if self.version == 4 else 128) - self.prefix
        return self.version == other.version and self.bits >> unused == other.bits >> unused


def read_address(text: str) -> Network | None:
    """One address without prefix, by value (C51, C53); IPv4 written inside IPv6 is IPv4 (C52)."""
    return None if "/" in text else _read_network(text, None)


def read_network(text: str) -> Network | None:
    """An address with an optional prefix length; host bits do not count (C50)."""
    address, slash, prefix = text.partition("/")
    if slash and not _PREFIX.fullmatch(prefix):
        return None
    return _read_network(address, int(prefix) if slash else None)


def _read_network(text: str, prefix: int | None) -> Network | None:
    """`ipaddress` reads both grammars strictly (no leading zeros, no short forms); zone ids it would take (C51)."""
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    width = address.max_prefixlen
    prefix = width if prefix is None else prefix
    if prefix > width:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None and prefix >= 96:
        return Network(4, int(mapped), prefix - 96)
    return Network(address.version, int(address), prefix)
