"""The syntax of condition values by operator family (V18; spec 4.4 to 4.6).

Only the form is checked here; the evaluators compute the values.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from fastiam.policy import variables as variable_syntax

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_EPOCH = re.compile(r"([+-]?)0*([0-9]+)")
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})"
    r"(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?(?:Z|[+-]([0-9]{2}):([0-9]{2})))?)?"
)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_number(text: str) -> bool:
    """A number without exponent (C30)."""
    return _NUMBER.fullmatch(text) is not None


def is_bool(text: str) -> bool:
    """`true` or `false` in any case (C15, C31)."""
    return text.lower() in ("true", "false")


def is_base64(text: str) -> bool:
    """Base64 of the standard alphabet, with padding (C32)."""
    return _BASE64.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Epoch seconds, or a date of the W3C profile of ISO 8601 (C40 to C43)."""
    epoch = _EPOCH.fullmatch(text)
    if epoch:
        return not (len(text) == 4 and text.isdigit()) and _fits_int64(epoch.group(1) == "-", epoch.group(2))
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    year, month, *rest = (int(part or 0) for part in match.groups())
    day, hour, minute, second, zone_hour, zone_minute = rest
    if match.group(3) is None:
        day = 1
    return (
        1 <= month <= 12
        and 1 <= day <= _days_in(year, month)
        and max(hour, zone_hour) <= 23
        and max(minute, second, zone_minute) <= 59
    )


def _fits_int64(negative: bool, digits: str) -> bool:
    return len(digits) <= 19 and int(digits) <= 2**63 - (0 if negative else 1)


def _days_in(year: int, month: int) -> int:
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS[month - 1] + leap


def is_ip_range(text: str) -> bool:
    """An address without zone id, and a prefix length after a slash (C50)."""
    address, slash, prefix = text.partition("/")
    if "%" in address:
        return False
    try:
        width = ipaddress.ip_address(address).max_prefixlen
    except ValueError:
        return False
    return not slash or (_PREFIX.fullmatch(prefix) is not None and int(prefix) <= width)


def is_arn_pattern(text: str, variables: bool) -> bool:
    """Six fields, the first of them `arn`, as far as the text determines them without the values of its variables (C62, C64)."""
    masked = variable_syntax.mask(text, variables)
    start = variable_syntax.first_key_variable(text) if variables else None
    if start is None:
        return masked.startswith("arn:") and masked.count(":") >= 5
    return masked[:start].startswith("arn:") or "arn:".startswith(masked[:start])


# family of the operator: (test of a value, description of a valid value)
READERS: dict[str, tuple[Callable[[str], bool], str]] = {
    "numeric": (is_number, "a number such as `10` or `-2.5`, without exponent"),
    "date": (is_date, "a date such as `2030-01-31T12:00:00Z`, or epoch seconds of other than four digits"),
    "bool": (is_bool, "`true` or `false`"),
    "null": (is_bool, "`true` or `false`"),
    "binary": (is_base64, "base64 text with padding"),
    "ip": (is_ip_range, "an address or a range such as `203.0.113.0/24` or `2001:db8::/32`"),
}
