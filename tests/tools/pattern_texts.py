"""Patterns of resources, ARNs that they match, and ARNs that differ from these by a byte."""

from __future__ import annotations

import random

ACCOUNT = "111111111111"
HEADS = (
    "arn:aws:s3:::",
    f"arn:aws:logs:eu-west-1:{ACCOUNT}:",
    "arn:aws:logs:*:*:",
    f"arn:aws:sqs:*:{ACCOUNT}:",
    "arn:aws:sqs:eu-west-1:*:",
)
SHAPES = ("{0}", "{0}*", "{0}*{1}", "{0}*{1}*", "{0}*{1}*{2}", "{0}*{1}*{2}*", "{0}?{1}*", "*{1}", "*{0}*{2}*", "{0}**{1}")
WORDS = (
    "a",
    "b7",
    "data",
    "team-00012",
    "team-00013",
    "Data",
    "x" * 8,
    "x" * 9,
    "é",
    "${aws:username}",
    "${aws:PrincipalTag/team}",
)
JOINTS = ("/", "-", ".", "", "*", "?", "/*/", "-*", "*-", "//", ":")  # between words
LETTERS = "ab-/"  # few, so that pieces occur in more than one place


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
