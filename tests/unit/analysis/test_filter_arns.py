"""Cases of the ARN: the profile of a case is that of each of its ARNs (H48), whatever the rows of 6.10 say of its service."""

from __future__ import annotations

import itertools

import pytest
from filter_records import ENDS, OTHERS, RECORDS
from generator_names import A, B

import fastiam
from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.cases import all_below, recorded_arns
from fastiam.analysis.filter.governed_arns import ArnCase
from fastiam.analysis.filter.patterns import Symbol

POLICY = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
}


@pytest.fixture(scope="module")
def snapshot() -> fastiam.resolve.snapshot.Snapshot:
    directory = fastiam.Directory(mode="lenient")
    for at, arn in enumerate(RECORDS):
        account = B if at % 3 == 0 else None if at % 3 == 1 else A
        directory.add_resource(arn, account=account, policy=POLICY, tags={"n": str(at)})
    return directory.snapshot()


def case_of(snapshot: fastiam.resolve.snapshot.Snapshot, arn: str) -> ArnCase | None:
    """The case of an ARN: its record, or the longest start that contains it."""
    if arn in set(recorded_arns(snapshot)):
        return ArnCase(arn)
    below = [case for case in all_below(snapshot) if patterns.matches(case.pattern or (case.start, Symbol.ANY), arn)]
    return below[-1] if below else None


@pytest.mark.parametrize("record", RECORDS)
def test_arns_below_a_record_have_the_facts_of_their_case(snapshot: fastiam.resolve.snapshot.Snapshot, record: str) -> None:
    for arn in (record + end for end in ENDS):
        check(snapshot, arn)


def test_arns_of_other_forms_have_the_facts_of_their_case(snapshot: fastiam.resolve.snapshot.Snapshot) -> None:
    for arn in OTHERS:
        check(snapshot, arn)


def check(snapshot: fastiam.resolve.snapshot.Snapshot, arn: str) -> None:
    facts, case = snapshot.facts(arn), case_of(snapshot, arn)
    if case is None:
        assert (facts.policies, facts.account, dict(facts.keys), facts.arn) == (None, None, {}, arn)
        return
    expected = snapshot.facts(case.sample)
    same = [(one.policies, one.account, dict(one.keys), one.governs, one.blocks_public) for one in (facts, expected)]
    assert same[0] == same[1], (arn, case)


def test_samples_have_no_record_of_their_own(snapshot: fastiam.resolve.snapshot.Snapshot) -> None:
    """A record with the name of a sample would give its tags to all ARNs of the case."""
    directory = fastiam.Directory()
    for arn in ("arn:aws:s3:::data", "arn:aws:s3:::data/zq0", f"arn:aws:sns:us-east-1:{A}:zq00"):
        directory.add_resource(arn, account=A, tags={"x": "y"})
    found = directory.snapshot()
    assert not any(found.has_record(case.sample) for case in all_below(found))


def test_cases_of_one_start_are_disjoint(snapshot: fastiam.resolve.snapshot.Snapshot) -> None:
    arns = [record + end for record, end in itertools.product(RECORDS, ENDS)] + list(OTHERS)
    for one, other in itertools.combinations(all_below(snapshot), 2):
        if one.start == other.start:
            both = [arn for arn in arns if all(patterns.matches(case.pattern, arn) for case in (one, other))]
            assert both == []
