"""Values of one operator family that show each result which its tests can have together.

Each function returns texts, grouped: the texts of a group are spellings of one value. The argument why a set is complete is
written at its function. Texts that the operator cannot read (C22) are in each set.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from decimal import Context as DecimalContext
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address

from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.spec.values import Instant, Network, date_text, read_binary, read_date, read_network, read_number

Spellings = tuple[str, ...]
UNREADABLE = "~"  # no grammar of 4.4 and 4.5 contains it
_MAX_DIGITS = 10_000
_MAPPED = range(0xFFFF_0000_0000, 0x1_0000_0000_0000)  # IPv4 in IPv6 (C52)
_ISO_SECONDS = range(-62_167_219_200, 253_402_300_800)  # of the years 0 to 9999
_INT64 = range(-(2**63), 2**63)


def bool_values() -> list[Spellings]:
    """Complete: a readable text is true or false (C31)."""
    return [("true", "TRUE", "True"), ("false", "FALSE", "False"), (UNREADABLE,)]


def binary_values(policy_values: Iterable[str]) -> list[Spellings]:
    """Complete: each test compares bytes for equality (C32), so that bytes of no test all have one result."""
    known = {read_binary(text): text for text in policy_values if read_binary(text) is not None}
    other = b"\0"
    while other in known:
        other += b"\0"
    return [*((text,) for text in known.values()), (base64.b64encode(other).decode(),), (UNREADABLE,)]


def number_values(policy_values: Iterable[str]) -> list[Spellings]:
    """Complete: all tests are constant at a threshold, between two neighbours, and beyond each end (C30)."""
    known = sorted({value for text in policy_values if (value := read_number(text)) is not None})
    if not known:
        return [("0", "0.0"), (UNREADABLE,)]
    found: list[Decimal] = [_exactly(known[0], Decimal(-1), 1)]
    for one, following in zip(known, [*known[1:], None], strict=True):
        found.append(one)
        if following is not None:
            found.append(_exactly(one, following, Decimal("0.5")))
    found.append(_exactly(known[-1], Decimal(1), 1))
    return [*map(_number_spellings, found), (UNREADABLE,)]


def _exactly(one: Decimal, two: Decimal, factor: Decimal | int) -> Decimal:
    """Return (one + two) * factor without rounding."""
    digits = sum(len(value.as_tuple().digits) + abs(int(value.as_tuple().exponent)) for value in (one, two)) + 4
    if digits > _MAX_DIGITS:
        raise ProofLimitError("a number with too many digits")
    context = DecimalContext(prec=digits)
    return context.multiply(context.add(one, two), Decimal(factor))


def _number_spellings(value: Decimal) -> Spellings:
    text = format(value, "f")
    return (text, text + "0", text + "00") if "." in text else (text, text + ".0", text + ".00")


def date_values(policy_values: Iterable[str]) -> list[Spellings]:
    """Complete: all tests are constant at a threshold, between two neighbours, and beyond each end (C43).

    Between two neighbours is an instant unless they differ by one nanosecond. Beyond the years of ISO dates instants are whole
    seconds (C41).
    """
    known = sorted({value for text in policy_values if (value := read_date(text)) is not None})
    if not known:
        return [_date_spellings((0, 0)), (UNREADABLE,)]
    instants = [(known[0][0] - 1, 0), *known, (known[-1][0] + 1, 0)]
    instants += [between for one, two in zip(known, known[1:], strict=False) for between in _between(one, two)]
    return [*(spellings for one in instants if (spellings := _date_spellings(one))), (UNREADABLE,)]


def _between(one: Instant, two: Instant) -> list[Instant]:
    """Return instants between two, of whole seconds and of a part of a second."""
    found: list[Instant] = [(one[0] + 1, 0)] if (one[0] + 1, 0) < two else []
    end = two[1] if two[0] == one[0] else 1_000_000_000
    if end - one[1] > 1:
        found.append((one[0], (one[1] + end) // 2))
    return [each for each in found if one < each < two]


def _date_spellings(instant: Instant) -> Spellings:
    seconds, nanos = instant
    if seconds in _ISO_SECONDS:
        text = (date_text(seconds) or "")[:-1]
        fraction = f".{nanos:09}" if nanos else ""
        more = f".{nanos:09}0" if nanos else ".0"
        return (f"{text}{fraction}Z", f"{text}{more}Z", f"{text}{more}0Z")
    return (str(seconds), ("-0" if seconds < 0 else "+0") + str(abs(seconds))) if seconds in _INT64 and not nanos else ()


def address_values(policy_values: Iterable[str]) -> list[Spellings]:
    """Complete: membership in all ranges is constant from each start of a range, or first address after one, to the next.

    The IPv6 addresses of C52 are read as IPv4, so their range begins and ends such an interval as well.
    """
    starts: dict[int, set[int]] = {4: {0}, 6: {0, _MAPPED.start - 1, _MAPPED.stop}}
    for text in policy_values:
        network = read_network(text)
        if network is not None:
            first, after = _bounds(network)
            starts[network.version] |= {first, after, max(first - 1, 0)}
    found = [_v4_spellings(bits) for bits in sorted(starts[4]) if bits < 1 << 32]
    found += [_v6_spellings(bits) for bits in sorted(starts[6]) if bits < 1 << 128 and bits not in _MAPPED]
    return [*found, (UNREADABLE,)]


def _bounds(network: Network) -> tuple[int, int]:
    unused = (32 if network.version == 4 else 128) - network.prefix
    first = network.bits >> unused << unused
    return first, first + (1 << unused)


def _v4_spellings(bits: int) -> Spellings:
    return str(IPv4Address(bits)), f"::ffff:{IPv4Address(bits)}", f"::FFFF:{IPv4Address(bits)}"


def _v6_spellings(bits: int) -> Spellings:
    address = IPv6Address(bits)
    return tuple(dict.fromkeys((str(address), address.exploded, address.exploded.upper())))
