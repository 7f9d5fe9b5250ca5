"""Condition indexes distinguish statements by the values of one condition key; decisions equal the specification evaluator.

The index is by text, by prefix or suffix, by network, or by ARN. A value that is not an address or not an ARN is
`U` for each of them (C22, C51), and so are several values (C20); some ask for something else, or that a text is none of theirs.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from seeds import seeds
from specification import decision

import fastiam
from fastiam import Outcome
from fastiam.model.request import Request, read_context

A = "111111111111"
READ = "s3:GetObject"
INSIDE, OUTSIDE = "arn:aws:s3:::data/x", "arn:aws:s3:::other/x"
DEEP = "d/" * 40
PATHS = ("", f"{DEEP}x.gz", *"home/ home/ana/ home/ana/x home/anabel/x home/ana logs/2026/x.gz a/logs/x.gz ä/é/x".split())
LIKE_PATHS = f"{DEEP}* home/* home/ana/* home/a* home/ana*x *.gz */x.gz ?/x.gz *logs* d/*.gz ä/* ä*/x".split()
ADDRESSES = "10.0.0.1 10.0.1.1 10.128.0.1 11.0.0.1 2001:db8::1 2001:db8:0:1::1 ::ffff:10.0.0.1 10.0.0.01 none".split()
NETWORKS = "10.0.0.0/8 10.0.0.0/9 10.0.0.0/24 10.0.0.0/25 10.0.0.1/32 10.0.1.1 2001:db8::/32 2001:db8::/63 ::/0 0.0.0.0/0".split()
ROLES = [f"arn:aws:iam::{A}:role/{name}" for name in ("ana", "anabel", "ops/anna", "ops/bob")]
ARNS = (*ROLES, f"arn:aws:sns:eu-west-1:{A}:topic", "arn:aws:sns:eu-west-1:222222222222:topic/a", "topic")
LIKE_ARNS = (*ARNS[:-1], *f"arn:aws:iam::{A}:role/ops/* arn:aws:iam::*:role/an* arn:*:sns:*:*:* arn:aws:sns:*:{A}:topic".split())
FORMS = {  # operator, others, what policies ask for, what requests have
    "paths": ("StringLike", ("StringNotLike", "StringLikeIfExists", "StringEquals"), (*PATHS, *LIKE_PATHS), PATHS),
    "addresses": ("IpAddress", ("NotIpAddress", "IpAddressIfExists"), NETWORKS, ADDRESSES),
    "arns": ("ArnLike", ("ArnNotLike", "ArnEquals", "ArnLikeIfExists"), LIKE_ARNS, ARNS),
}


def asked_of(rng: random.Random, form: str, key: str, prefix: str) -> list[dict[str, Any]]:
    """Forty statements about one bucket, or all; a few ask for several texts, or in another way, or for something else, too."""
    operator, others, texts, _ = FORMS[form]
    statements = []
    for _ in range(40):
        effect = "Deny" if rng.random() < 0.25 else "Allow"
        name = operator if rng.random() < (0.98 if effect == "Deny" else 0.8) else rng.choice(others)
        condition: dict[str, Any] = {prefix + name: {key: rng.sample(texts, rng.choice((1, 1, 1, 2)))}}
        if rng.random() < 0.2:
            condition["Bool"] = {"aws:SecureTransport": "true"}
        resource = "arn:aws:s3:::data/*" if rng.random() < 0.8 else "*"
        statements.append({"Effect": effect, "Action": READ, "Resource": resource, "Condition": condition})
    return statements


def agree(directory: fastiam.Directory, rows: list[tuple[str, str, dict[str, Any]]], columns: dict[str, Any]) -> set[Outcome]:
    """What the reference says of each row, batches and single calls say, too: outcome and statement. Which outcomes there are."""
    snapshot, expected = directory.snapshot(), []
    for who, resource, given in rows:
        context = read_context(given)
        subject, target, endpoint = snapshot.profiles(who, READ, resource, context)
        request = Request(READ, context, 0)
        answer = decision(subject, target, request, endpoint=endpoint, sources=snapshot.account_facts)
        expected.append((answer.outcome, answer.statement))
    engine = directory.compile()
    times = 500 // len(rows) + 1  # so many that truths are kept
    principals, resources = [row[0] for row in rows] * times, [row[1] for row in rows] * times
    repeated = {key: pa.concat_arrays([column] * times) for key, column in columns.items()}
    for _ in range(3):  # the first time, rows are made and decided one by one
        counted: Counter[str] = Counter()
        for at in range(0, len(rows), 50):  # so few keep nothing
            some = slice(at, at + 50)
            few = {key: column[some] for key, column in columns.items()}
            counted.update(
                engine.decide_many(principals[: len(rows)][some], READ, resources[: len(rows)][some], few).missing_keys
            )
        plain = engine.decide_many(principals, READ, resources, repeated)
        assert plain.outcome.tolist() == [int(outcome) for outcome, _ in expected] * times
    assert plain.missing_keys == {key: n * times for key, n in counted.items()}
    explained = engine.decide_many(principals, READ, resources, repeated, reasons=True)
    assert [(one.outcome, one.statement) for one in explained] == expected * times
    for (principal, resource, given), wanted in zip(rows, expected, strict=True):
        found = engine.decide(principal, READ, resource, given)
        assert (found.outcome, found.statement) == wanted, (principal, resource, given)
    return {outcome for outcome, _ in expected}


@pytest.mark.parametrize("seed", seeds(1, 8))
@pytest.mark.parametrize("column", ["coded", "plain", "lists", "not given"])
@pytest.mark.parametrize("form", FORMS)
def test_condition_index_by_column_value_finds_statement(form: str, column: str, seed: int) -> None:
    rng = random.Random(seed)
    directory = fastiam.Directory(quotas=None)
    statements = asked_of(rng, form, "app:of", "ForAnyValue:" if column == "lists" else "")
    directory.add_principal(ROLES[0], identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    found: list[Any] = [*FORMS[form][3], None]
    if column == "lists":
        found = [[], *([one] for one in FORMS[form][3]), *(rng.choices(FORMS[form][3], k=n) for n in (2, 2, 2, 8, 9))]
    values = [value for value in found for _ in range(3)]
    secure = [rng.choice(("true", "false")) for _ in values]
    rows: list[tuple[str, str, dict[str, Any]]] = []
    for value, transport, resource in zip(values, secure, (INSIDE, OUTSIDE, "*") * len(found), strict=True):
        given = {"aws:SecureTransport": transport}
        given |= {} if value in (None, []) or column == "not given" else {"app:of": value}
        rows.append((ROLES[0], resource, given))
    columns = {"aws:SecureTransport": pa.array(secure)}
    if column != "not given":
        columns["app:of"] = pa.array(values).dictionary_encode() if column == "coded" else pa.array(values)
    assert len(agree(directory, rows, columns)) > 1 or column == "not given"


@pytest.mark.parametrize("seed", seeds(1, 8))
@pytest.mark.parametrize(("form", "key"), [("paths", "aws:PrincipalTag/path"), ("arns", "aws:PrincipalArn")])
@pytest.mark.parametrize("count", [40, 120])
def test_condition_index_by_principal_finds_statement(form: str, key: str, count: int, seed: int) -> None:
    """With fewer denies than a deny filter has bits, and with more; one role has no tag."""
    rng = random.Random(seed)
    directory = fastiam.Directory(quotas=None)
    statements = [one for _ in range(count // 40) for one in asked_of(rng, form, key, "")]
    denies = [one for one in statements if one["Effect"] == "Deny"]
    for i, one in enumerate(denies):  # each of these has conditions of its own
        one["Condition"]["StringEqualsIgnoreCase"] = {"app:of": f"x{i}"}
    for role, tag in zip(ROLES, ("home/ana/x", "a/logs/x.gz", "", None), strict=True):
        policy = {"Version": "2012-10-17", "Statement": statements}
        directory.add_principal(role, tags={} if tag is None else {"path": tag}, identity_policies=[policy])
    rows = [
        (role, resource, {"app:of": of})
        for role in ROLES
        for resource in (INSIDE, OUTSIDE, "*")
        for of in ("y", *(f"X{i}" for i in range(len(denies))))
    ]
    assert len(agree(directory, rows, {"app:of": pa.array([given["app:of"] for *_, given in rows]).dictionary_encode()})) > 1


@pytest.mark.parametrize("pattern", ["{}{}/*", "*/{}{}"])
def test_condition_index_text_longer_than_hash_is_found(pattern: str) -> None:
    """Some 64 KiB of them, where no quota refuses that."""
    texts = [pattern.format("p" * 66_000, i) for i in range(40)]
    statements = [
        {"Effect": "Allow", "Action": READ, "Resource": "*", "Condition": {"StringLike": {"app:of": one}}} for one in texts
    ]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLES[0], identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    engine = directory.compile()
    for i in (0, 7, 39, 40):
        given = pattern.format("p" * 66_000, i).replace("*", "x")
        assert engine.is_allowed(ROLES[0], READ, INSIDE, {"app:of": given}) is (i < 40)
        assert engine.decide_many([ROLES[0]] * 3, READ, INSIDE, {"app:of": [given] * 3}).allowed.tolist() == [i < 40] * 3


def test_index_thousand_prefixes_of_one_bucket_all_found() -> None:
    """As of a role that lists the homes of all users (AWS's guide of S3 has one for each)."""
    statements = [
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::b",
            "Condition": {"StringLike": {"s3:prefix": ["", f"home/u{i}/{DEEP * (i % 2)}*"]}},
        }
        for i in range(1_000)
    ]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLES[0], identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    prefixes = ["", "home/", *(f"home/u{i}/{DEEP * (i % 2)}x/" for i in range(1_010))]
    engine = directory.compile()
    found = engine.decide_many(ROLES[0], "s3:ListBucket", "arn:aws:s3:::b", {"s3:prefix": prefixes}, reasons=True)
    expected = [0, None, *range(1_000), *[None] * 10]
    assert [one.statement.index if one.statement else None for one in found] == expected
    assert found.outcome.tolist() == [Outcome.IMPLICIT_DENY if i is None else Outcome.ALLOW for i in expected]
    for _ in range(2):
        silent = engine.decide_many([ROLES[0]] * 1_000, "s3:ListBucket", "arn:aws:s3:::b")
        assert not silent.allowed.any() and silent.missing_keys == {"s3:prefix": 1_000}
