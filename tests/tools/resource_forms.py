"""Patterns that the fuzz generator makes of the resource of a request, most of which match it (R1 to R13, VR1 to VR11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policy_generators import Maker


def cut_field(make: Maker, resource: str) -> str:
    """A pattern of fewer fields with a trailing star (R6)."""
    fields = resource.split(":", 5)
    at = make.rng.randint(2, 5)
    return ":".join(fields[:at]) + make.pick("*", ":*")


def star_field(make: Maker, resource: str) -> str:
    """A star as one whole field, or at the end of one (R4, R5)."""
    fields = resource.split(":", 5)
    at = make.rng.randint(1, 4)
    fields[at] = make.pick("*", fields[at][:1] + "*", "*" + fields[at][1:])
    return ":".join(fields)


def crossing(make: Maker, resource: str) -> str:
    """A trailing star of fields 2 to 5 that must cross colons to match (R5)."""
    parts = resource.split(":")
    first = make.rng.randint(2, 4)
    last = make.rng.randint(first + 1, max(first + 1, len(parts) - 1))
    pattern = [*parts[:first], "*", *parts[last:]]
    return ":".join(pattern if len(pattern) > 5 else [*pattern[:-1], *[""] * (6 - len(pattern)), pattern[-1]])


def bridge(make: Maker, resource: str) -> str:
    """A star inside a field that would have to cross a colon, beside one that may (R4)."""
    parts = resource.split(":")
    if len(parts) < 7 or not parts[3]:
        return crossing(make, resource)
    return ":".join([*parts[:2], f"{parts[2][0]}{make.pick('*', '*', '?')}{parts[3][-1]}", "*", *parts[-2:]])


def short_crossing(make: Maker, resource: str) -> str:
    """Fewer than six fields, of which one may cross colons before another (R5, R6)."""
    parts = resource.split(":")
    last = make.rng.randint(3, max(3, min(len(parts) - 1, 6)))
    return ":".join([*parts[:2], "*", parts[last] + make.pick("*", "*", "" if make.lenient else "*")])


def inside(make: Maker, resource: str) -> str:
    """A wildcard somewhere in field 6."""
    head, tail = resource.rsplit(":", 1)
    at = make.rng.randint(0, len(tail))
    return f"{head}:{tail[:at]}" + make.pick(
        "*", "*" + tail[at:], "?" + tail[at + 1 :], "*" + tail[at + 2 :], "*" + tail[max(0, at - 1) :]
    )


def between(make: Maker, resource: str) -> str:
    """A piece of field 6 between two stars, and mostly another one behind."""
    head, tail = resource.rsplit(":", 1)
    first, start, end, last = sorted(make.rng.randint(0, len(tail)) for _ in range(4))
    return f"{head}:{tail[:first]}*{tail[start:end]}*{tail[last:] if make.chance(0.6) else ''}"


def variable(make: Maker, resource: str) -> str:
    """Pieces of field 6 that a key may hold become variables (VR1 to VR11)."""
    head, tail = resource.rsplit(":", 1)
    for key, value in make.given.items():
        one = value[0] if isinstance(value, list) and value else value
        if one == "" and tail[:1].isalpha() and make.chance(0.7):  # VR7
            return f"{head}:${{{key}, '{tail[0]}'}}{tail[1:]}"
        if isinstance(one, str) and one and one in tail and make.chance(0.7):
            return f"{head}:{tail.replace(one, f'${{{key}}}', 1)}"
    for piece, names in _PIECES.items():
        if piece in tail and make.chance(0.6):
            return f"{head}:{tail.replace(piece, make.pick(*names), 1)}"
    return f"{head}:{tail}" if make.chance(0.3) else f"{head}:{tail[:1]}${{*}}{tail[2:]}"


_PIECES = {
    "user/": ("${aws:PrincipalTag/no, 'us'}*/", "${aws:PrincipalTag/no, 'user'}/"),  # R9
    "role/": ("${aws:PrincipalTag/no, 'role'}*/", "r${aws:PrincipalTag/no, 'ol'}?/"),
    "ana": ("${aws:TagKeys, 'ana'}", "${aws:username}", "${AWS:UserName}", "${aws:PrincipalTag/no, 'ana'}", "${aws:username}*"),
    "red": ("${aws:PrincipalTag/team}", "${aws:PrincipalTag/no, 'red'}", "${aws:TagKeys, 'red'}", "${app:list}"),
    "us": ("${aws:PrincipalTag/team}*", "${app:str}*"),
    "*": ("${*}", "${?}", "*"),
    "bkt": ("${app:str, 'bkt'}", "b${?}t", "bkt"),
    "x": ("${app:str}", "${aws:PrincipalTag/team, 'x'}"),
}

USUAL: tuple[Callable[[Maker, str], str], ...] = (
    lambda make, resource: resource,
    lambda make, resource: resource[: max(14, len(resource) - make.rng.randint(0, 8))] + "*",
    star_field, inside, between, variable, lambda make, resource: star_field(make, variable(make, resource)),
)  # fmt: skip

ALL: tuple[Callable[[Maker, str], str], ...] = (
    lambda make, resource: resource,
    lambda make, resource: "*",
    lambda make, resource: resource[: max(14, len(resource) - make.rng.randint(0, 3))] + "*",
    cut_field, star_field, crossing, bridge, short_crossing, inside, between, variable, variable, variable,
)  # fmt: skip
