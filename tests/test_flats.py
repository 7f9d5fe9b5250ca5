"""Patterns in batches are compared 16 bytes at a time; where their pieces end, or are longer than that is made for, matters not.

Each pattern has an action of its own, so that it is a row of its own, and is asked about resources that match, and about the same
ones with a byte changed, left out or put in.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest

import fastiam
from fastiam import Outcome
from fastiam.reference import decide
from fastiam.request import Request, read_context

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SIZES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 34, 47, 48, 49, 50, 63, 64, 65, 66, 80, 100, 130)
HEADS = (
    "arn:aws:s3:::",
    f"arn:aws:logs:eu-west-1:{ACCOUNT}:",
    "arn:aws:logs:*:*:",
    f"arn:aws:sqs:*:{ACCOUNT}:",
    "arn:aws:sqs:eu-west-1:*:",
)
SHAPES = ("{0}", "{0}*", "{0}*{1}", "{0}*{1}*", "{0}*{1}*{2}", "{0}*{1}*{2}*", "{0}?{1}*", "*{1}", "*{0}*{2}*", "{0}**{1}")
LETTERS = "ab-/"  # few, so that pieces are met in more than one place


def piece(rng: random.Random, size: int) -> str:
    return "".join(rng.choices(LETTERS, k=size))


REGIONS, CROSSING = ("eu-west-1", "ap-southeast-2"), ("eu-west-1:b", "a:", f"eu-west-1:{ACCOUNT}:a/b-a")


def resource(rng: random.Random, pattern: str, regions: tuple[str, ...] = REGIONS) -> str:
    """One that a pattern matches."""
    fields = pattern.split(":", 5)
    fields[3] = fields[3].replace("*", rng.choice(regions))
    fields[4] = fields[4].replace("*", ACCOUNT)
    tail = fields[5].replace("?", rng.choice(LETTERS))
    while "*" in tail:
        tail = tail.replace("*", piece(rng, rng.choice((0, 1, 3, 16, 40))), 1)
    return ":".join((*fields[:5], tail))


def changed(rng: random.Random, text: str) -> str:
    """The text with a byte of its last field changed, left out or put in."""
    first = [at for at, letter in enumerate(text) if letter == ":"][4] + 1
    if first == len(text):
        return text + "x"
    at = rng.randrange(first, len(text))
    return text[:at] + rng.choice(("", "x", "x" + text[at])) + text[at + 1 :]


def world(seed: int) -> tuple[fastiam.Directory, list[tuple[str, str]]]:
    """A role with a statement for each of many patterns, and requests."""
    rng = random.Random(seed)
    statements, asked = [], []
    for i in range(400):
        pieces = (piece(rng, size) for size in rng.choices(SIZES, k=3))
        pattern = rng.choice(HEADS) + rng.choice(SHAPES).format(*pieces)
        action = f"{pattern.split(':')[2]}:Act{i}"
        effect = rng.choice(("Allow", "Allow", "Deny"))
        statements.append({"Effect": effect, "Action": action, "Resource": pattern})
        for _ in range(3):
            text = resource(rng, pattern)
            asked += [(action, text), (action, changed(rng, text))]
        asked += [(action, text) for text in [resource(rng, pattern, CROSSING)] for text in (text, changed(rng, text))]  # R5
        asked.append((action, "*"))
    directory = fastiam.Directory(quotas=None)
    policies = [{"Version": "2012-10-17", "Statement": statements[at : at + 20]} for at in range(0, len(statements), 20)]
    directory.add_principal(ROLE, identity_policies=policies)
    return directory, asked


@pytest.mark.parametrize("seed", range(12))
def test_pieces_of_every_length_are_compared_to_their_last_byte(seed: int) -> None:
    directory, asked = world(seed)
    engine, snapshot = directory.compile(), directory.snapshot()
    actions, texts = map(list, zip(*asked, strict=True))
    forms = pa.array(texts), pa.array(texts, pa.string_view()), pa.array(texts).dictionary_encode()
    outcomes = [engine.decide_many(ROLE, actions, form).outcome.tolist() for form in forms for _ in range(2)]
    met = set()
    for row, (action, text) in enumerate(asked):
        subject, holder, endpoint = snapshot.profiles(ROLE, action, text, read_context({}))
        request = Request(action, read_context({}), 0)
        expected = decide(subject, holder, request, endpoint=endpoint, sources=snapshot.account_facts).decision.outcome
        assert {int(expected)} == {found[row] for found in outcomes}, (action, text)
        assert engine.is_allowed(ROLE, action, text) == (expected is Outcome.ALLOW), (action, text)
        met.add(expected)
    assert met == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}


ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"
TEAMS = {ANN: "ab-", ROLE: "b" * 20}
VARIABLES = (
    "${aws:username}",
    "${aws:PrincipalTag/team}",
    "${aws:PrincipalTag/other, 'ab'}",
    "${aws:PrincipalTag/other}",
    "${app:key}",
)
OPEN_HEADS = ("arn:aws:s3*:::", "arn:aws:s3:*:*:", "arn:aws:s3:eu-*:*:")


def filled(pattern: str, who: str) -> str:
    """With what its variables stand for."""
    for variable, text in zip(VARIABLES, ("ann", TEAMS[who], "ab", "none", "key"), strict=True):
        pattern = pattern.replace(variable, text)
    return pattern


def alike(rng: random.Random, n: int) -> list[str]:
    """Patterns of one service that begin alike, some of which have a variable."""
    start, patterns = piece(rng, rng.choice((0, 2, 3, 7, 8, 9, 30))), []
    for _ in range(n):
        pieces = [start + piece(rng, rng.choice((0, 1, 2, 5))), *(piece(rng, rng.choice((1, 2, 20))) for _ in range(2))]
        pieces[rng.randrange(3)] += rng.choice(VARIABLES) * (rng.random() < 0.2)
        patterns.append(rng.choice(("arn:aws:s3:::",) * 3 + OPEN_HEADS) + rng.choice(SHAPES[:8]).format(*pieces))
    return patterns


def likes(seed: int) -> tuple[fastiam.Directory, list[tuple[str, str, str]]]:
    """Two principals with the same statements, of which many are about one action, and requests."""
    rng = random.Random(seed)
    statements, asked = [], []
    for i, n in enumerate((1, 2, 3, 4, 8, 15, 16, 17, 18, 20, 33, 40, 70)):
        patterns = alike(rng, n)
        at = 0
        while at < n:
            few = patterns[at : at + rng.choice((1, 2, 4, 8, 20))]
            at += len(few)
            made = {"Effect": rng.choice(("Allow", "Allow", "Deny")), "Action": f"s3:Act{i}", "Resource": few}
            if rng.random() < 0.2:
                made["Condition"] = {"StringEquals": {"aws:username": "ann"}}
            statements.append(made)
        for pattern in rng.choices(patterns, k=30):
            for who in TEAMS:
                text = filled(pattern, who).replace("s3*:", "s3:").replace("eu-*", "eu-west-1")
                texts = [resource(rng, text), resource(rng, text, CROSSING)]
                asked += [
                    (who, f"s3:Act{i}", text) for text in (*texts, *(changed(rng, text) for text in texts), "*", "arn:aws:s3:::a")
                ]
    directory = fastiam.Directory(quotas=None)
    policies = [{"Version": "2012-10-17", "Statement": statements[at : at + 7]} for at in range(0, len(statements), 7)]
    for who, team in TEAMS.items():
        directory.add_principal(who, identity_policies=policies, tags={"team": team})
    return directory, asked


@pytest.mark.parametrize("index_from", [12, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_patterns_that_begin_alike_are_passed_over_where_none_matches(seed: int, index_from: int) -> None:
    """R5, VR5 to VR8, D51: outcome and statement are those of the reference."""
    directory, asked = likes(seed)
    snapshot = directory.snapshot()
    engine = fastiam.Engine.from_snapshot(snapshot, index_from=index_from)
    principals, actions, texts = map(list, zip(*asked, strict=True))
    forms = pa.array(texts), pa.array(texts).dictionary_encode()
    plain = [engine.decide_many(principals, actions, form).outcome.tolist() for form in forms for _ in range(2)]
    told = [list(engine.decide_many(principals, actions, form, reasons=True)) for form in forms]
    met = set()
    for row, (who, action, text) in enumerate(asked):
        subject, holder, endpoint = snapshot.profiles(who, action, text, read_context({}))
        request = Request(action, read_context({}), 0)
        expected = decide(subject, holder, request, endpoint=endpoint, sources=snapshot.account_facts).decision
        single = engine.decide(who, action, text)
        assert {int(expected.outcome)} == {found[row] for found in plain} == {int(single.outcome)}, (who, action, text)
        assert all((found[row].outcome, found[row].statement) == (expected.outcome, expected.statement) for found in told)
        assert single.statement == expected.statement
        met.add(expected.outcome)
    assert met == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}


NO_ACCESS = 0  # PROT_NONE
SHORT = (
    "arn:aws:s3:::bucket",
    "arn:aws:s3:::bucket/a",
    "arn:aws:sqs::111111111111:q",
    "arn:aws:events:::*",
    "arn:aws-cn:s3:::abc",
)


@pytest.mark.parametrize("account", [ACCOUNT, "222222222222"], ids=["own", "another's"])
@pytest.mark.parametrize("reasons", [False, True])
def test_a_deny_of_no_resource_denies_none_and_lets_nothing_through(account: str, reasons: bool) -> None:
    """V11: it stands before the allows of its row, and has no pattern. Of another account, policies must allow it (6.4)."""
    asked = f"arn:aws:sqs:eu-west-1:{account}:q"
    for allowed in ("*", asked, f"{asked}2"):
        directory = fastiam.Directory(quotas=None)
        made = [{"Effect": effect, "Action": "sqs:*", "Resource": on} for effect, on in (("Deny", []), ("Allow", allowed))]
        directory.add_principal(ROLE, identity_policies=[{"Version": "2012-10-17", "Statement": made}])
        engine = directory.compile()
        expected = engine.explain(ROLE, "sqs:SendMessage", asked).decision
        assert (expected.outcome == Outcome.ALLOW) is (account == ACCOUNT and allowed != f"{asked}2")
        for _ in range(3):
            found = engine.decide_many([ROLE] * 9, ["sqs:SendMessage"] * 9, [asked] * 9, reasons=reasons)
            assert set(found.outcome.tolist()) == {int(expected.outcome)}
            assert not reasons or {one.layer for one in found} == {expected.layer}


@contextmanager
def alone_in_memory(text: bytes, at_the_end: bool) -> Iterator[pa.Buffer]:
    """A buffer that holds a text, and nothing but it may be read on one side: pages that cannot be lie before and behind."""
    pages = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    held = ctypes.c_char.from_buffer(pages)
    address = ctypes.addressof(held)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    at = (2 * mmap.PAGESIZE - len(text)) if at_the_end else mmap.PAGESIZE
    pages[at : at + len(text)] = text
    for page in (0, 2):
        assert protect(ctypes.c_void_p(address + page * mmap.PAGESIZE), mmap.PAGESIZE, NO_ACCESS) == 0
    try:
        yield pa.foreign_buffer(address + at, len(text), pages)
    finally:  # they go with the last buffer that holds them
        for page in (0, 2):
            protect(ctypes.c_void_p(address + page * mmap.PAGESIZE), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for pages that cannot be read")
@pytest.mark.parametrize("at_the_end", [True, False], ids=["nothing behind", "nothing before"])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_read_beyond_the_text_of_a_resource(seed: int, at_the_end: bool) -> None:
    directory, asked = world(seed)
    engine = directory.compile()
    actions = sorted({action for action, _ in asked})
    for text in (*SHORT, *[text for _, text in asked[::40] if len(text) < 1000]):
        plain = engine.decide_many(ROLE, actions, text).outcome.tolist()
        with alone_in_memory(text.encode(), at_the_end) as buffer:
            offsets = pa.py_buffer(np.array([0, buffer.size], np.int32))
            value = pa.Array.from_buffers(pa.string(), 1, [None, offsets, buffer])
            column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(actions), np.int32)), value)
            assert engine.decide_many(ROLE, actions, column).outcome.tolist() == plain, text
            del value, column, buffer
