"""Rows of many statements answer alike with an index, without one, and in the reference.

An index leaves out statements that cannot apply (docs/design.md, "Resources"), so what is compared is the statement that is
reported, too. Statements come from few words, so that they resemble each other and often match.
"""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from seeds import seeds
from specification import decision

import fastiam
from fastiam import Outcome
from fastiam.model.request import Request, read_context

ANA = "arn:aws:iam::111111111111:user/ana"
ACTION = "logs:GetLogEvents"
NEVER = 10**9
THRESHOLDS = (1, 2, 6, 12)
HEADS = ("arn:aws:logs:eu-west-1:111111111111", "arn:aws:logs:eu-west-2:111111111111", "arn:aws:logs:eu-west-1:222222222222")
HEAD_PATTERNS = (
    *HEADS * 3,
    "arn:aws:logs:*:111111111111",
    "arn:aws:logs:eu-*:111111111111",
    "arn:aws:logs:*:*",
    "arn:*:logs:eu-west-1:*",
    "arn:aws:l*:*:1*",
)
WORDS = ("app", "tenant-0001", "tenant-0002", "tenant-00021", "a", "ab", "ana", "report.csv", "log-stream:s", "x", "ä", "0" * 70)
HOLES = ("*", "*", "?", "${aws:username}", "${aws:PrincipalTag/no, 'ana'}", "${aws:PrincipalTag/no}", "${*}")
JOINTS = ("/", "/", "-", ":")
TEAMS = ("red", "blue", "green", "")
OPERATORS = ("StringEquals", "StringEquals", "ForAnyValue:StringEquals", "StringLike", "StringNotEquals", "StringEqualsIfExists")
KEYS = ("app:team", "app:list", "aws:RequestTag/team", "aws:PrincipalTag/team")


def tail(rng: random.Random, *, holes: float) -> str:
    out = ""
    for _ in range(rng.randint(1, 4)):
        word = rng.choice(WORDS)
        if rng.random() < holes:
            cut = rng.randint(0, len(word))
            word = rng.choice((rng.choice(HOLES), word[:cut] + "*", "*" + word[cut:], word[:cut] + "?" + word[cut + 1 :]))
        out += rng.choice(JOINTS) * (out != "") + word
    return out


def pattern(rng: random.Random) -> str:
    if rng.random() < 0.03:
        return rng.choice(("*", "arn:aws:logs:*", "arn:aws:logs:*:tenant*"))
    return f"{rng.choice(HEAD_PATTERNS)}:{tail(rng, holes=0.3)}"


def statement(rng: random.Random, common: list[str]) -> dict[str, object]:
    """A statement; a share of them is about one of a few patterns, so that conditions distinguish them."""
    patterns = [rng.choice(common) if rng.random() < 0.4 else pattern(rng) for _ in range(rng.choice((1, 1, 1, 2, 5)))]
    element = "NotResource" if rng.random() < 0.05 else "Resource"
    effect = "Deny" if rng.random() < 0.3 else "Allow"
    out: dict[str, object] = {"Effect": effect, "Action": ACTION, element: patterns}
    if rng.random() < 0.6:
        out["Condition"] = {
            rng.choice(OPERATORS): {key: rng.sample(TEAMS, rng.choice((1, 1, 2)))}
            for key in rng.sample(KEYS, rng.choice((1, 1, 2)))
        }
    return out


def world(seed: int) -> tuple[fastiam.Directory, list[str], dict[str, pa.Array]]:
    """A user with many statements, resources that they are about, and a context that leaves keys out and gives others twice."""
    rng = random.Random(seed)
    common = [pattern(rng), pattern(rng), "*"]
    statements = [statement(rng, common) for _ in range(rng.choice((14, 40, 120)))]
    directory = fastiam.Directory(quotas=None)
    tags = rng.choice(({}, {"team": "red"}))
    directory.add_principal(ANA, tags=tags, identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    rows = 80
    texts = [f"{rng.choice(HEADS)}:{tail(rng, holes=0.05)}" if rng.random() < 0.97 else "*" for _ in range(rows)]
    context = {
        "app:team": pa.array([rng.choice((None, *TEAMS)) for _ in range(rows)], pa.string()),
        "app:list": pa.array([rng.sample(TEAMS, rng.randint(0, 3)) for _ in range(rows)], pa.list_(pa.string())),
        "aws:RequestTag/team": pa.array([rng.choice(TEAMS) for _ in range(rows)]).dictionary_encode(),
    }
    for key in rng.sample(sorted(context), rng.choice((0, 1))):
        del context[key]
    return directory, texts, context


@pytest.mark.parametrize("seed", seeds(8, 60))
def test_statement_index_keeps_every_decision(seed: int) -> None:
    directory, texts, context = world(seed)
    engines = {n: fastiam.Engine.from_snapshot(directory.snapshot(), index_from=n) for n in (NEVER, *THRESHOLDS)}
    plain = {n: engine.decide_many(ANA, ACTION, texts, context) for n, engine in engines.items()}
    explained = {n: engine.decide_many(ANA, ACTION, texts, context, reasons=True) for n, engine in engines.items()}
    snapshot, counted = directory.snapshot(), 0
    for row, resource in enumerate(texts):
        expected = explained[NEVER][row]
        for n in engines:
            assert plain[n].outcome[row] == expected.outcome, (n, resource)
            assert (explained[n][row].outcome, explained[n][row].statement) == (expected.outcome, expected.statement), (
                n,
                resource,
            )
        given = {key: column[row].as_py() for key, column in context.items()}
        given = {key: value for key, value in given.items() if value not in (None, [])}
        read = read_context(given)
        subject, target, endpoint = snapshot.profiles(ANA, ACTION, resource, read)
        found = decision(subject, target, Request(ACTION, read, 0), endpoint=endpoint, sources=snapshot.account_facts)
        assert (found.outcome, found.statement) == (expected.outcome, expected.statement), resource
        one = engines[1].decide(ANA, ACTION, resource, given)
        assert (one.outcome, one.statement, one.indeterminate) == (found.outcome, found.statement, found.indeterminate), resource
        counted += found.outcome is Outcome.ALLOW
    assert counted < len(texts)


@pytest.mark.parametrize("seed", seeds(3, 20))
def test_statement_index_unknown_keys_keep_decision(seed: int) -> None:
    directory, texts, context = world(1_000 + seed)
    context.pop("app:team", None)
    off, on = (fastiam.Engine.from_snapshot(directory.snapshot(), index_from=n) for n in (NEVER, 1))
    for resource in texts[:30]:
        one, two = (engine.decide(ANA, ACTION, resource, {}, unknown=["app:team", "app:list"]) for engine in (off, on))
        assert (one.outcome, one.statement, one.depends_on) == (two.outcome, two.statement, two.depends_on), resource


def test_statement_index_finds_statements_by_condition_text() -> None:
    """A row with a missing key is counted, whether an index excludes it or not (D75)."""
    statements = [
        {
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::b/*",
            "Condition": {"StringEquals": {"app:team": f"t{i}"}},
        }
        for i in range(300)
    ]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statements}])
    for n in (NEVER, *THRESHOLDS):
        engine = fastiam.Engine.from_snapshot(directory.snapshot(), index_from=n)
        teams = [f"t{i}" for i in range(310)]
        found = engine.decide_many(ANA, "s3:GetObject", "arn:aws:s3:::b/x", {"app:team": teams}, reasons=True)
        assert [d.statement.index if d.statement else None for d in found] == [*range(300), *[None] * 10]
        for resource in ("arn:aws:s3:::b/x", "arn:aws:s3:::c/x"):
            silent = engine.decide_many(ANA, "s3:GetObject", [resource] * 4)
            assert (set(silent.outcome), silent.missing_keys) == ({Outcome.IMPLICIT_DENY}, {"app:team": 4})
