"""Random shapes of a batch: `python bench/shapes.py --count 60 --rows 100000`.

Each seed draws the columns of a batch over one organization: given and derived keys, lists, nulls, numbers and times, tags of
principals and resources, sessions, endpoints, accounts of others, services, long resources. A shape that takes many times as long
as the median one is a cliff. Some rows of each are compared with single calls before it is measured; CPU time, best of three.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

import fastiam

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = [f"{100 + i:012d}" for i in range(20)]
FOREIGN = "999999999999"
TEAMS, STAGES = ["red", "blue", "green", "grey"], ["dev", "test", "prod"]
ROLES_EACH = 25
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


def check(engine: fastiam.Engine, shape: Shape, outcomes: np.ndarray) -> None:
    """Compare some rows with single calls."""
    principals, actions, resources, context = shape.columns
    for i in range(0, shape.size, max(1, shape.size // 50)):
        given = {key: column[i].as_py() for key, column in context.items() if column[i].as_py() is not None}
        one = engine.decide(principals[i].as_py(), actions[i].as_py(), resources[i].as_py(), given, now=NOW)
        if one.outcome != outcomes[i]:
            raise SystemExit(f"row {i} of `{shape.words}`: {one.outcome!r}, in the batch {outcomes[i]}")


def measure(engine: fastiam.Engine, shape: Shape, repeats: int = 3) -> float:
    """Nanoseconds of CPU time a row, the best of some runs."""
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time_ns()
        engine.decide_many(*shape.columns, now=NOW)
        best = min(best, (time.process_time_ns() - began) / shape.size)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="how many shapes")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of each")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    engine = world()
    found = []
    for seed in range(options.seed, options.seed + options.count):
        shape = draw(seed, options.rows)
        check(engine, shape, engine.decide_many(*shape.columns, now=NOW).outcome)
        found.append((measure(engine, shape), seed, shape.words))
    for ns, seed, words in sorted(found):
        print(f"{ns:10,.0f} ns  seed {seed:3}  {words}")
    median = statistics.median(ns for ns, _, _ in found)
    print(f"median {median:,.0f} ns, slowest {max(found)[0] / median:.1f} times that, {options.rows:,} rows")


if __name__ == "__main__":
    main()
