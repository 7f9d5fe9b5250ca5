"""Conditions of many values, and what a request may have for them: one of these, or what nearly is one."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from typing import Any

Json = Any

TEXTS = ("ab", "ab\0é🔑", "aäÄéÉßẞ", "ab?*é", "kKK", "iIİı", "ǆǅǄ", "σςΣ")


def _text(rng: random.Random, letters: str, most: int = 5) -> str:
    return "".join(rng.choices(letters, k=rng.randint(0, most)))


def _network(rng: random.Random) -> str:
    number = rng.choice((rng.randrange(1 << 32), 0, 1 << 31, 10 << 24, (10 << 24) + (1 << 16), (1 << 32) - 1))
    size = rng.choice((0, 1, 7, 8, 9, 15, 16, 24, 31, 32))
    return rng.choice((
        f"{ipaddress.IPv4Address(number)}/{size}", f"{ipaddress.IPv4Address(number)}/{size}",
        f"::ffff:{ipaddress.IPv4Address(number)}/{96 + size}", rng.choice(("::/0", "::/64", "::ffff:0:0/95", "::/8")),
        f"2001:db8::{number & 0xFFFF:x}/{96 + size}",
    ))  # fmt: skip


def _near_network(rng: random.Random, text: str) -> str:
    """One of both ends of a network, and of the addresses just outside of it, or no address."""
    if rng.random() < 0.1:
        return rng.choice(("10.0.0.01", "256.1.1.1", "1.2.3.256", "no address", "", "0.0.0.0", "::", "255.255.255.255"))
    one = ipaddress.ip_network(text, strict=False)
    number = rng.choice((int(one[0]) - 1, int(one[0]), int(one[-1]), int(one[-1]) + 1))
    return str(type(one[0])(min(max(number, 0), 2**one.max_prefixlen - 1)))


def _number(rng: random.Random) -> str:
    whole = rng.choice(("", "-")) + str(rng.choice((0, 1, 9, 10, 11, 99, 100)))
    return whole + rng.choice(("", "", ".0", ".5", ".05", ".50"))


def _moment(rng: random.Random) -> str:
    day, hour = rng.choice(("2024-05-05", "2024-05-06", "2024-05-07")), rng.choice((0, 1, 12, 22, 23))
    return f"{day}T{hour:02}:{rng.choice(('00', '30'))}:00{rng.choice(('Z', '+02:00', '-02:00', '-00:30', '+05:30', '.5Z'))}"


def _altered(rng: random.Random, text: str, letters: str) -> str:
    at = rng.randint(0, len(text))
    return rng.choice((text, text, text[:at] + rng.choice(letters) + text[at + 1 :], text[:at] + text[at + 1 :], text.swapcase()))


def some_values(rng: random.Random) -> tuple[tuple[str, ...], list[Json], Callable[[], str]]:
    """Operators, the values of a condition, and what a request may have for it."""
    form, n = (
        rng.choice(("text", "text", "like", "like", "network", "network", "number", "date")),
        rng.choice((1, 2, 2, 3, 6, 14)),
    )
    if form in ("text", "like"):
        letters = rng.choice(TEXTS)
        values = [_text(rng, letters if form == "text" else letters + "?*") for _ in range(n)]
        names = ("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase")
        names = names if form == "text" else ("StringLike", "StringLike", "StringNotLike")
        plain = [
            text.replace("*", _text(rng, letters)).replace("?", rng.choice(letters)) if form == "like" else text
            for text in values
        ]
        return names, values, lambda: _altered(rng, rng.choice(plain), letters)
    if form == "network":
        values = [_network(rng) for _ in range(n)]
        return ("IpAddress", "NotIpAddress"), values, lambda: _near_network(rng, rng.choice(values))
    write, base = (_number, "Numeric") if form == "number" else (_moment, "Date")
    compared = tuple(
        base + one for one in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
    )
    values = [write(rng) for _ in range(rng.choice((1, 1, n)))]
    return compared, values, lambda: rng.choice(values) if rng.random() < 0.3 else write(rng)
