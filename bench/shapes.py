"""Random shapes of a batch: `python bench/shapes.py --count 60 --rows 100000`.

Each seed draws the columns of a batch over one organization: given and derived keys, lists, nulls, numbers and times, tags of
principals and resources, sessions, endpoints, accounts of others, services, long resources. A shape that takes many times as long
as the median one is a cliff. Some rows of each are compared with single calls before it is measured; CPU time, best of three.

Beside the whole batch it reports batches of 1,000, 100 and 10 of its rows, and `unseen`: the batch with dictionaries that the
engine never saw and, where sessions are used once, with sessions that it never saw.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import fastiam

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = [f"{100 + i:012d}" for i in range(20)]
FOREIGN = "999999999999"
TEAMS, STAGES = ["red", "blue", "green", "grey"], ["dev", "test", "prod"]
ROLES_EACH = 25
SMALL = 1_000, 100, 10  # rows of small batches
MAX_SMALL = 20_000  # rows that are decided in small batches
REPEATS = 3
Values = Callable[[random.Random, "Rows"], list[Any]]


@dataclass(frozen=True)
class Rows:
    """What was drawn for each row, before its context."""

    role: list[int]
    bucket: list[int]
    principals: list[str]
    endpoints: list[int]


def role_arn(i: int) -> str:
    return f"arn:aws:iam::{ACCOUNTS[i % len(ACCOUNTS)]}:role/team/r{i}"


def session_arn(i: int, name: str) -> str:
    return f"arn:aws:sts::{ACCOUNTS[i % len(ACCOUNTS)]}:assumed-role/r{i}/{name}"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def world() -> fastiam.Engine:
    """An organization of 20 accounts with 500 roles, 200 buckets with tags and policies, and endpoints."""
    directory = fastiam.Directory(quotas=None)
    directory.set_organization(
        "o-1", management_account=ACCOUNTS[0], accounts={account: f"ou-{i % 4}" for i, account in enumerate(ACCOUNTS)}
    )
    deny = {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    for i in range(ROLES_EACH * len(ACCOUNTS)):
        own = {
            "Effect": "Allow",
            "Action": ["s3:Get*", "s3:List*"],
            "Resource": [f"arn:aws:s3:::b{i % 200}*", f"arn:aws:s3:::*/r{i}/*"],
        }
        tagged = {
            "Effect": "Allow",
            "Action": "s3:Put*",
            "Resource": "arn:aws:s3:::*/${aws:PrincipalTag/team}/*",
            "Condition": {
                "StringEquals": {"aws:ResourceTag/stage": TEAMS[:2] + STAGES[:2]},
                "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
            },
        }
        directory.add_principal(role_arn(i), tags={"team": TEAMS[i % 4]}, identity_policies=[policy(own, tagged, deny)])
    for i in range(200):
        bucket = f"arn:aws:s3:::b{i}"
        granted = {"Effect": "Allow", "Principal": {"AWS": FOREIGN}, "Action": "s3:GetObject", "Resource": f"{bucket}/*"}
        directory.add_resource(
            bucket, account=ACCOUNTS[i % 20], tags={"stage": STAGES[i % 3]}, policy=policy(granted) if i % 3 == 0 else None
        )
    for i in range(4):
        directory.add_endpoint(f"vpce-{i}", account=ACCOUNTS[i])
    return directory.compile()


def _per_row(value: Callable[[random.Random, Rows, int], Any], nulls: float = 0.0) -> Values:
    def values(rng: random.Random, rows: Rows) -> list[Any]:
        n = len(rows.role)
        return [None if nulls and rng.random() < nulls else value(rng, rows, i) for i in range(n)]

    return values


def _org_path(rows: Rows, i: int) -> list[str]:
    return [f"o-1/r-1/ou-{rows.bucket[i] % 20 % 4}/"]


# key -> how its values are drawn; those that the directory knows agree with it (K1)
KEYS: dict[str, Values] = {
    "aws:SourceIp": _per_row(lambda rng, rows, i: f"10.{rng.randrange(4)}.{rng.randrange(200)}.7"),
    "aws:SecureTransport": _per_row(lambda rng, rows, i: rng.random() < 0.9, nulls=0.1),
    "aws:UserAgent": _per_row(lambda rng, rows, i: f"aws-cli/2.{rng.randrange(3000)} Python/3.11 with a longer text behind it"),
    "aws:CurrentTime": _per_row(lambda rng, rows, i: NOW + timedelta(seconds=rng.randrange(10**6))),
    "s3:max-keys": _per_row(lambda rng, rows, i: rng.randrange(1000)),
    "s3:prefix": _per_row(lambda rng, rows, i: f"home/{rng.randrange(500)}/"),
    "aws:TagKeys": _per_row(lambda rng, rows, i: rng.sample(TEAMS, rng.randrange(1, 3))),
    "aws:RequestTag/team": _per_row(lambda rng, rows, i: rng.choice(TEAMS), nulls=0.5),
    "aws:PrincipalTag/team": _per_row(lambda rng, rows, i: TEAMS[rows.role[i] % 4]),
    "aws:PrincipalOrgID": _per_row(lambda rng, rows, i: "o-1"),
    "aws:PrincipalAccount": _per_row(lambda rng, rows, i: ACCOUNTS[rows.role[i] % 20]),
    "aws:ResourceTag/stage": _per_row(lambda rng, rows, i: STAGES[rows.bucket[i] % 3]),
    "aws:ResourceAccount": _per_row(lambda rng, rows, i: ACCOUNTS[rows.bucket[i] % 20]),
    "aws:ResourceOrgID": _per_row(lambda rng, rows, i: "o-1"),
    "aws:SourceVpce": _per_row(lambda rng, rows, i: f"vpce-{rows.endpoints[i]}"),
    "app:tenant": _per_row(lambda rng, rows, i: f"t{rng.randrange(2000)}", nulls=0.2),
}
ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging"]


@dataclass(frozen=True)
class Shape:
    """One drawn batch: its words for the table, and the arguments of `decide_many`."""

    words: str
    columns: tuple[Any, Any, Any, dict[str, Any]]

    @property
    def size(self) -> int:
        return len(self.columns[0])

    @property
    def uses_sessions_once(self) -> bool:
        return self.words.startswith("session once")

    def mapped(self, change: Callable[[Any], Any]) -> Shape:
        """The same with each column changed."""
        *names, context = self.columns
        principals, actions, resources = map(change, names)
        return Shape(self.words, (principals, actions, resources, {key: change(column) for key, column in context.items()}))

    def unseen(self, number: int) -> Shape:
        """The same in new memory; sessions that are used once have other names for each number."""
        new = self.mapped(_copied)
        if not self.uses_sessions_once:
            return new
        coded = pa.types.is_dictionary(new.columns[0].type)
        names = pc.binary_join_element_wise(new.columns[0].cast(pa.string()), f"again{number}", "-")
        return Shape(self.words, (names.dictionary_encode() if coded else names, *new.columns[1:]))


def draw(seed: int, n: int) -> Shape:
    rng = random.Random(seed)
    kind = rng.choice(["role", "role", "session", "session once", "service", "foreign"])
    is_coded, is_long = rng.random() < 0.6, rng.random() < 0.15
    role = [rng.randrange(500) for _ in range(n)]
    bucket = [rng.randrange(200) for _ in range(n)]
    name = {
        "role": lambda i: role_arn(role[i]),
        "session": lambda i: session_arn(role[i], f"s{rng.randrange(4)}"),
        "session once": lambda i: session_arn(role[i], f"run-{seed}-{i}"),
        "service": lambda i: rng.choice(["ec2.amazonaws.com", "s3.amazonaws.com"]),
        "foreign": lambda i: f"arn:aws:iam::{FOREIGN}:role/x{rng.randrange(50)}",
    }[kind]
    rows = Rows(role, bucket, [name(i) for i in range(n)], [rng.randrange(4) for _ in range(n)])
    known = kind in ("role", "session", "session once")
    keys = rng.sample(
        [key for key in KEYS if known or not key.startswith("aws:Principal")], rng.choice([0, 0, 1, 2, 3, 5, 7, 9, 12])
    )
    tail = "/" + "deep/" * 40 if is_long else "/"
    resources = [f"arn:aws:s3:::b{b}{tail}{TEAMS[r % 4]}/k{rng.randrange(3000)}" for b, r in zip(bucket, role, strict=True)]
    actions = [rng.choice(ACTIONS) for _ in range(n)]
    context = {key: _column(KEYS[key](rng, rows), is_coded) for key in keys}
    columns = _column(rows.principals, is_coded), _column(actions, is_coded), _column(resources, is_coded), context
    words = f"{kind}, {'coded' if is_coded else 'text'}{', long' if is_long else ''}: {' '.join(sorted(keys)) or 'no keys'}"
    return Shape(words, columns)


def _column(values: list[Any], is_coded: bool) -> pa.Array:
    array = pa.array(values)
    return array.dictionary_encode() if is_coded and pa.types.is_string(array.type) else array


def _copied(column: pa.Array) -> pa.Array:
    """An equal column that shares no memory with it."""
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(_copied(column.indices), _copied(column.dictionary))
    return pa.concat_arrays([column.slice(0, 0), column])


def check(engine: fastiam.Engine, shape: Shape, outcomes: np.ndarray) -> None:
    """Compare some rows with single calls."""
    principals, actions, resources, context = shape.columns
    for i in range(0, shape.size, max(1, shape.size // 50)):
        given = {key: column[i].as_py() for key, column in context.items() if column[i].as_py() is not None}
        one = engine.decide(principals[i].as_py(), actions[i].as_py(), resources[i].as_py(), given, now=NOW)
        if one.outcome != outcomes[i]:
            raise SystemExit(f"row {i} of `{shape.words}`: {one.outcome!r}, in the batch {outcomes[i]}")


def measure(engine: fastiam.Engine, runs: Iterable[Sequence[Shape]]) -> float:
    """Nanoseconds of CPU time a row, the best of some runs, each of some batches."""
    best = float("inf")
    for run in runs:
        began = time.process_time_ns()
        for shape in run:
            engine.decide_many(*shape.columns, now=NOW)
        best = min(best, (time.process_time_ns() - began) / sum(shape.size for shape in run))
    return best


def small(shape: Shape, n: int) -> list[Shape]:
    """Its first rows in batches of `n`."""
    starts = range(0, min(shape.size, MAX_SMALL, 100 * n) - n + 1, n)
    return [shape.mapped(methodcaller("slice", at, n)) for at in starts]


def times(engine: fastiam.Engine, shape: Shape) -> list[float]:
    """The time of a row in the whole batch, in small ones, and in one that the engine never saw."""
    found = [measure(engine, itertools.repeat([shape], REPEATS))]
    found += [measure(engine, itertools.repeat(small(shape, n), REPEATS)) for n in SMALL]
    return [*found, measure(engine, ([shape.unseen(number)] for number in range(REPEATS)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="how many shapes")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of each")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--markdown", action="store_true", help="print a table for the documentation")
    options = parser.parse_args()
    engine = world()
    found = []
    for seed in range(options.seed, options.seed + options.count):
        shape = draw(seed, options.rows)
        check(engine, shape, engine.decide_many(*shape.columns, now=NOW).outcome)
        found.append((times(engine, shape), seed, shape.words))
    heads = [f"{options.rows:,}", *(f"{n:,}" for n in SMALL), "unseen"]
    (print_markdown if options.markdown else print_text)(heads, sorted(found))


Found = Sequence[tuple[Sequence[float], int, str]]


def print_text(heads: Sequence[str], found: Found) -> None:
    """A line for each shape, nanoseconds a row by the size of batches, and a summary."""
    print("".join(f"{head:>9}" for head in heads), " ns a row in batches of so many rows")
    for values, seed, words in found:
        print("".join(f"{ns:9,.0f}" for ns in values), f" seed {seed:3}  {words}")
    for head, values in zip(heads, zip(*(values for values, _, _ in found), strict=True), strict=True):
        median = statistics.median(values)
        print(f"{head}: median {median:,.0f} ns, slowest {max(values) / median:.1f} times that")


def print_markdown(heads: Sequence[str], found: Found) -> None:
    """The same as a table."""
    print(f"| seed | shape | {' | '.join(heads)} |")
    print(f"|---:|---|{'---:|' * len(heads)}")
    for values, seed, words in found:
        print(f"| {seed} | {words} | {' | '.join(f'{ns:,.0f}' for ns in values)} |")


if __name__ == "__main__":
    main()
