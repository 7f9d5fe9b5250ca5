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
from pattern_texts import ACCOUNT, CROSSING, HEADS, SHAPES, changed, piece, resource
from seeds import seeds
from specification import decision, explained_decision

import fastiam
from fastiam import Outcome
from fastiam.model.request import Request, read_context

ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SIZES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 34, 47, 48, 49, 50, 63, 64, 65, 66, 80, 100, 130)


def world(seed: int) -> tuple[fastiam.Directory, list[tuple[str, str, str]]]:
    """Statements for many patterns, twenty of them a role's, and requests."""
    rng = random.Random(seed)
    statements, asked = [], []
    for i in range(400):
        role = f"{ROLE}{i // 20}"
        pieces = (piece(rng, size) for size in rng.choices(SIZES, k=3))
        pattern = rng.choice(HEADS) + rng.choice(SHAPES).format(*pieces)
        action = f"{pattern.split(':')[2]}:Act{i}"
        effect = rng.choice(("Allow", "Allow", "Deny"))
        statements.append({"Effect": effect, "Action": action, "Resource": pattern})
        for _ in range(3):
            text = resource(rng, pattern)
            asked += [(role, action, text), (role, action, changed(rng, text))]
        crossing = resource(rng, pattern, CROSSING)
        asked += [(role, action, text) for text in (crossing, changed(rng, crossing), "*")]  # R5
    directory = fastiam.Directory(quotas=None)
    for i in range(20):
        policy = {"Version": "2012-10-17", "Statement": statements[20 * i : 20 * i + 20]}
        directory.add_principal(f"{ROLE}{i}", identity_policies=[policy])
    return directory, asked


@pytest.mark.parametrize("seed", seeds(1, 12))
def test_literals_of_every_length_compare_to_last_byte(seed: int) -> None:
    directory, asked = world(seed)
    engine, snapshot = directory.compile(), directory.snapshot()
    roles, actions, texts = map(list, zip(*asked, strict=True))
    forms = pa.array(texts), pa.array(texts, pa.string_view()), pa.array(texts).dictionary_encode()
    outcomes = [engine.decide_many(roles, actions, form).outcome.tolist() for form in forms for _ in range(2)]
    seen = set()
    for row, (role, action, text) in enumerate(asked):
        subject, target, endpoint = snapshot.profiles(role, action, text, read_context({}))
        request = Request(action, read_context({}), 0)
        expected = decision(subject, target, request, endpoint=endpoint, sources=snapshot.account_facts).outcome
        assert {int(expected)} == {found[row] for found in outcomes}, (action, text)
        assert engine.is_allowed(role, action, text) == (expected is Outcome.ALLOW), (action, text)
        seen.add(expected)
    assert seen == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}


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
def test_deny_of_no_resource_keeps_later_decisions(account: str, reasons: bool) -> None:
    """V11: it precedes the allows of its plan, and has no pattern. Of another account, policies must allow it (6.4)."""
    asked = f"arn:aws:sqs:eu-west-1:{account}:q"
    for allowed in ("*", asked, f"{asked}2"):
        directory = fastiam.Directory("lenient", quotas=None)
        made = [{"Effect": effect, "Action": "sqs:*", "Resource": on} for effect, on in (("Deny", []), ("Allow", allowed))]
        directory.add_principal(ROLE, identity_policies=[{"Version": "2012-10-17", "Statement": made}])
        engine = directory.compile()
        expected = explained_decision(engine, ROLE, "sqs:SendMessage", asked)
        assert (expected.outcome == Outcome.ALLOW) is (account == ACCOUNT and allowed != f"{asked}2")
        for _ in range(3):
            found = engine.decide_many([ROLE] * 9, ["sqs:SendMessage"] * 9, [asked] * 9, reasons=reasons)
            assert set(found.outcome.tolist()) == {int(expected.outcome)}
            assert not reasons or {one.layer for one in found} == {expected.layer}


@contextmanager
def alone_in_memory(text: bytes, at_the_end: bool) -> Iterator[pa.Buffer]:
    """A buffer that ends or begins with a text, between two unreadable pages."""
    pages = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    first_byte = ctypes.c_char.from_buffer(pages)
    address = ctypes.addressof(first_byte)
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
@pytest.mark.parametrize("seed", seeds(2, 4))
def test_literal_match_reads_only_the_resource_text(seed: int, at_the_end: bool) -> None:
    directory, asked = world(seed)
    engine = directory.compile()
    roles, actions = map(list, zip(*sorted({(role, action) for role, action, _ in asked}), strict=True))
    for text in (*SHORT, *[text for *_, text in asked[::40] if len(text) < 1000]):
        plain = engine.decide_many(roles, actions, text).outcome.tolist()
        with alone_in_memory(text.encode(), at_the_end) as buffer:
            offsets = pa.py_buffer(np.array([0, buffer.size], np.int32))
            value = pa.Array.from_buffers(pa.string(), 1, [None, offsets, buffer])
            column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(actions), np.int32)), value)
            assert engine.decide_many(roles, actions, column).outcome.tolist() == plain, text
            del value, column, buffer


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for pages that cannot be read")
@pytest.mark.parametrize("at_the_end", [True, False], ids=["nothing behind", "nothing before"])
@pytest.mark.parametrize("named", ["arn:aws:s3:::*", "arn:aws:s3:::b*t", "arn:aws:s3:::*b*", "arn:aws:sqs:*:*:*"])
def test_literal_match_of_endpoint_policy_stays_in_bounds(named: str, at_the_end: bool) -> None:
    directory = fastiam.Directory(quotas=None)
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    directory.add_principal(ROLE, identity_policies=[{"Version": "2012-10-17", "Statement": [allow]}])
    passes = [allow | {"Principal": "*", "Resource": named}]
    directory.add_endpoint("vpce-1", policy={"Version": "2012-10-17", "Statement": passes})
    engine = directory.compile()
    context = {"aws:SourceVpce": "vpce-1"}
    for text in (*SHORT, "arn:aws:s3:::b", "arn:aws:s3:::", "*", "arn:aws:s3:::bucket/deep/deep/deep/deep/deep/deep/deep/deep/b"):
        expected = int(engine.decide(ROLE, "s3:GetObject", text, context).outcome)
        with alone_in_memory(text.encode(), at_the_end) as buffer:
            offsets = pa.py_buffer(np.array([0, buffer.size], np.int32))
            column = pa.Array.from_buffers(pa.string(), 1, [None, offsets, buffer])
            for _ in range(3):  # the plans are not built at first
                assert engine.decide_many(ROLE, "s3:GetObject", column, context).outcome.tolist() == [expected], text
                coded = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2, np.int32)), column)
                assert engine.decide_many(ROLE, "s3:GetObject", coded, context).outcome.tolist() == [expected] * 2, text
            del column, coded, buffer
