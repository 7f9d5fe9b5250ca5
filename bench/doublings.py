"""Requests and policies made to be slow, in three sizes each: `make gates` counts their instructions by callgrind.

Per doubling of the size these may grow by a factor of 2.2. What is doubled is policy and request together, unless the name says
which. A pattern piece with `?` costs text x piece / 64 (`kernel/eval/search.pyx`): it grows with each of the two alone. Unlike
the counts of `instruction_gates.py`, these need no record: they are compared with each other.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import instruction_gates as gates

import fastiam

MAX_GROWTH = 2.2
DOUBLINGS = 3
ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
BUCKET = "arn:aws:s3:::b"
Context = Mapping[str, Any]


def one_value(operator: str, pattern: str | list[str], text: str) -> Callable[[], Any]:
    """A call whose context has one value."""
    return _call({"Resource": "*", "Condition": {operator: {"app:key": pattern}}}, BUCKET, {"app:key": text})


def value_lists(operator: str, patterns: list[str], texts: list[str], **further: str) -> Callable[[], Any]:
    """A call whose context has many, none of which is one of the policy's."""
    condition = {f"ForAnyValue:{operator}": {"app:key": patterns}}
    return _call({"Resource": "*", "Condition": condition}, BUCKET, {"app:key": texts, **further})


def resource(patterns: list[str], arn: str) -> Callable[[], Any]:
    """A call for a long resource, in which a deny has both readings of its pattern (R5)."""
    return _call({"Resource": patterns, "Effect": "Deny"}, arn, {})


def _call(statement: Mapping[str, Any], arn: str, context: Context) -> Callable[[], Any]:
    directory = fastiam.Directory(quotas=None)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", **statement}]}
    directory.add_principal(ROLE, identity_policies=[("Work", document)])
    directory.add_resource(BUCKET, account=ACCOUNT)
    return partial(directory.compile().is_allowed, ROLE, "s3:GetObject", arn, context)


def _numbered(form: str, n: int, first: int = 0) -> list[str]:
    return [form.format(i) for i in range(first, first + n)]


def _base64(texts: list[str]) -> list[str]:
    return [b64encode(text.encode()).decode() for text in texts]


SHAPES: Mapping[
    str, tuple[int, Callable[[int], Callable[[], Any]]]
] = {  # by name: the first size, and what makes a call of a size
    "piece with `?`: text": (10_000, lambda n: one_value("StringLike", "*" + "a?" * 500 + "b*", "a" * n)),
    "piece with `?`: pattern": (1_000, lambda n: one_value("StringLike", "*" + "a?" * (n // 2) + "b*", "a" * 20_000)),
    "pieces with `?`": (2_000, lambda n: one_value("StringLike", "*a?b" * (n // 4) + "*c*", "aab" * n)),
    "literal piece": (4_000, lambda n: one_value("StringLike", "*" + "a" * (n // 2) + "b*", "a" * n)),
    "stars": (4_000, lambda n: one_value("StringLike", "*a" * (n // 4) + "*b*", "a" * n)),
    "resource, literal piece": (4_000, lambda n: resource([f"{BUCKET}/*{'a' * (n // 2)}b*"], f"{BUCKET}/{'a' * n}")),
    "resource, piece with `?`: text": (4_000, lambda n: resource([f"{BUCKET}/*{'a?' * 200}b*"], f"{BUCKET}/{'a' * n}")),
    "resource, crossing: text": (4_000, lambda n: resource([f"arn:aws:s3*:::c/*{'a?' * 100}b"], f"{BUCKET}/x:::c/{'a' * n}b")),
    "many patterns, one text": (250, lambda n: one_value("StringLike", _numbered("*a{}*", n), "a" * (100 * n))),
    "many ARNs with stars, one text": (
        250,
        lambda n: one_value("ArnLike", _numbered(BUCKET + "*a{}*", n), BUCKET + "a" * (100 * n)),
    ),
    "many patterns, many texts": (1_000, lambda n: value_lists("StringLike", _numbered("x{}*", n), _numbered("v{}", n))),
    "many texts with variables": (
        1_000,
        lambda n: value_lists("StringEquals", _numbered("${{app:name}}{}", n), _numbered("v{}", n), **{"app:name": "ann"}),
    ),
    "case folded": (1_000, lambda n: value_lists("StringEqualsIgnoreCase", _numbered("X{}", n), _numbered("V{}", n))),
    "case folded, with variables": (
        1_000,
        lambda n: value_lists(
            "StringEqualsIgnoreCase", _numbered("${{app:name}}{}", n), _numbered("V{}", n), **{"app:name": "Ann"}
        ),
    ),
    "many ARNs, many ARNs": (500, lambda n: value_lists("ArnEquals", _numbered(BUCKET + "x{}", n), _numbered(BUCKET + "v{}", n))),
    "numbers": (2_000, lambda n: value_lists("NumericEquals", _numbered("{}", n), _numbered("{}.5", n))),
    "dates": (1_000, lambda n: value_lists("DateEquals", _numbered("{}", n, 20_000), _numbered("{}", n, 50_000))),
    "base64": (1_000, lambda n: value_lists("BinaryEquals", _base64(_numbered("x{}", n)), _base64(_numbered("v{}", n)))),
    "networks": (1_000, lambda n: value_lists("IpAddress", ["::/0", *_networks(10, n)], _networks(11, n))),
}


def _networks(first: int, n: int) -> list[str]:
    return [f"{first}.0.{i // 250}.{i % 250}" for i in range(n)]


def jobs() -> gates.Jobs:
    """Each call once: of the same name, in ascending sizes."""
    made = {}
    for name, (size, shape) in SHAPES.items():
        for i in range(DOUBLINGS):
            call = shape(size << i)
            made[f"{name}|{size << i}"] = call, call, 1
    return {name.replace("|", " / "): job for name, job in made.items()}


def compare(counted: gates.Counts) -> tuple[list[str], bool]:
    """Lines on every shape, and whether all stay within the gate."""
    lines, is_good = [f"{'thousand instructions a call':34s} {'size':>8s} {'counted':>10s} {'growth':>7s}"], True
    for name, (first, _) in SHAPES.items():
        before = None
        for size in (first << i for i in range(DOUBLINGS)):
            found = counted.get(f"{name} / {size}")
            growth = found / before if found and before else None
            within = found is not None and (growth is None or growth <= MAX_GROWTH)
            is_good = is_good and within
            lines.append(
                f"{name:34s} {size:8,} {'-' if found is None else f'{found / 1e6:,.0f}':>10s} "
                f"{'' if growth is None else f'{growth:.2f}':>7s}{'' if within else '  FAILED'}"
            )
            before = found
    return lines, is_good


def main() -> int:
    """Counts and compares."""
    if what := gates.missing():
        print(f"{what} is not here: instruction counts are not checked")
        return 0
    lines, is_good = compare(gates.count(__file__))
    print("\n".join(lines))
    return 0 if is_good else 1


if __name__ == "__main__":
    if "--inside" in sys.argv:
        gates.inside(jobs())
    else:
        sys.exit(main())
