"""Wildcards and action patterns: the functions of `fastiam.policy` give what the specification evaluator gives."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastiam.policy.action_patterns import action_syntax_error, split_action_pattern
from fastiam.policy.wildcards import glob, matches_everything
from fastiam.spec.wildcards import ascii_lower, glob_matches, read_glob

PATTERNS = st.text("aAbB*?.\n\u212a", max_size=12)
TEXTS = st.text("aAbB*?.\n\u212a", max_size=12)


@given(PATTERNS, TEXTS)
@example("*a*a*b", "aab")  # the first position of each literal
@example("a\u212a", "ak")  # the Kelvin sign is not the letter k
def test_glob_equals_the_specification(pattern: str, text: str) -> None:
    expected = glob_matches(read_glob(ascii_lower(pattern)), ascii_lower(text))
    assert (glob(pattern).fullmatch(text) is not None) is expected


@pytest.mark.parametrize("count", [10, 60])
def test_glob_with_many_stars_ends_on_a_mismatch(count: int) -> None:
    assert glob("*a" * count + "*c").fullmatch("ab" * 2_000) is None


@pytest.mark.parametrize(("pattern", "expected"), [("*", True), ("***", True), ("", False), ("*:*", False), ("?", False)])
def test_matches_everything_is_true_for_stars_only(pattern: str, expected: bool) -> None:
    assert matches_everything(pattern) is expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3:GetObject", ("s3", "GetObject")),
        ("s*:*", ("s*", "*")),
        ("s3", None),
        (":Get", None),
        ("s3:", None),
        ("s3:a:b", None),
        ("s3:a,s3:b", None),
        ("s3:Get Object", None),
        ("s3:\u00a0", None),
    ],
)
def test_split_action_pattern_refuses_malformed_entries(text: str, parts: tuple[str, str] | None) -> None:
    assert split_action_pattern(text) == parts
    assert bool(action_syntax_error(text)) is (parts is None)
