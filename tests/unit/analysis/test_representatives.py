"""Representatives of patterns: equal to a comparison of each pattern with each literal, without that many comparisons."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastiam
from fastiam.analysis import representatives
from fastiam.analysis.representatives import Patterns, may_match

ANA = "arn:aws:iam::111111111111:user/ana"
TEXTS = (
    st.text("abAB*?:é$", max_size=9)
    | st.text("ab:", min_size=3, max_size=12)
    | st.sampled_from(["s3:${aws:username}/x", "${*}abc"])
)


@given(st.lists(TEXTS, max_size=12), st.lists(TEXTS, max_size=4))
def test_representatives_are_all_literals_that_match(literals: list[str], patterns: list[str]) -> None:
    found = Patterns(literals)
    distinct = list(dict.fromkeys(literals))
    for pattern in patterns:
        assert list(found.representatives(pattern)) == [text for text in distinct if may_match(pattern)(text)]
    tests = list(map(may_match, patterns))
    assert list(found.unmatched(patterns)) == [text for text in distinct if not any(matches(text) for matches in tests)]


def engine(actions: list[str], **more: Any) -> fastiam.Engine:
    directory = fastiam.Directory(quotas=None)
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"} | more
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    return directory.compile()


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the comparisons of patterns with literals."""
    counts = [0]

    def counting(pattern: str) -> Any:
        matches = may_match(pattern)

        def test(text: str) -> object:
            counts[0] += 1
            return matches(text)

        return test

    monkeypatch.setattr(representatives, "may_match", counting)
    return counts


@pytest.mark.parametrize("form", ["s3:Get{:04}*", "s3:*{:04}x", "s3:G*{:04}*"])
def test_diff_compares_a_pattern_with_few_literals(form: str, comparisons: list[int]) -> None:
    n = 2000
    found = fastiam.diff(engine(["s3:X"]), engine([form.format(i) for i in range(n)]))
    assert found.counts[fastiam.Change.GAINED] >= n and not found.unseen
    assert comparisons[0] < 60 * n


def test_diff_reports_names_that_were_not_compared(comparisons: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(representatives, "MAX_COMPARISONS", 50_000)
    n = 1000
    patterns = [f"s3:*{a}*{b}*{c}*" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyzabcd"]
    found = fastiam.diff(engine(["s3:X"]), engine(patterns))
    assert found.counts[fastiam.Change.GAINED] == n  # each pattern has a request of its own
    assert found.unseen == ("names that 951 more patterns share with other patterns",)
    assert comparisons[0] <= 50_000 + n * 100
