"""Cases of the ARN: the profile of a case is that of each of its ARNs (H48), whatever the rows of 6.10 say of its service."""

from __future__ import annotations

import itertools

import pytest

import fastiam
from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.cases import ArnCase, cases_below, recorded_arns
from fastiam.analysis.filter.patterns import Symbol

A, B = "111111111111", "222222222222"
POLICY = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
}
RECORDS = (
    "arn:aws:s3:::data",
    "arn:aws:s3:::data2",
    f"arn:aws:s3:us-east-1:{A}:accesspoint/ap",
    f"arn:aws:lambda:us-east-1:{A}:function:f",
    f"arn:aws:lambda:us-east-1:{A}:function:f:live",
    f"arn:aws:dynamodb:us-east-1:{A}:table/t",
    f"arn:aws:dynamodb:us-east-1:{A}:table/t/stream/s",
    f"arn:aws:kms:us-east-1:{A}:key/k",
    f"arn:aws:sns:us-east-1:{A}:topic",
    f"arn:aws:logs:us-east-1:{A}:*",
    f"arn:aws:logs:us-east-1:{A}:log-group:g",
    f"arn:aws:kinesis:us-east-1:{A}:stream/s",
    "arn:aws:apigateway:us-east-1::/restapis/api",
    f"arn:aws:es:us-east-1:{A}:domain/d",
    f"arn:aws:codeartifact:us-east-1:{A}:domain/d",
    f"arn:aws:codeartifact:us-east-1:{A}:repository/d/r",
    f"arn:aws:acm-pca:us-east-1:{A}:certificate-authority/c",
    f"arn:aws:glue:us-east-1:{A}:catalog",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:db-AbCdEf",
    f"arn:aws:sqs:us-east-1:{A}:q",
)
ENDS = (
    "",
    "/",
    ":",
    "/x",
    ":x",
    "/x/",
    "/x/y",
    ":*",
    "/index/i",
    "/index",
    "/export/e",
    "/stream/s",
    "/object/o",
    "/consumer/c",
    ":log-stream:s",
    ":log-stream",
    "/certificate/c",
    "x",
    "/object",
)
OTHERS = (
    f"arn:aws:execute-api:us-east-1:{A}:api",
    f"arn:aws:execute-api:us-east-1:{B}:api/prod/GET/x",
    "arn:aws:execute-api:us-east-1::api/",
    f"arn:aws:execute-api:us-east-1:{A}:apix/prod",
    f"arn:aws:execute-api:eu-west-1:{A}:api/prod",
    "arn:aws:s3:::data3/x",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d/r/npm/n/p",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d/other/npm/n/p",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d//x",
    f"arn:aws:codeartifact:us-east-1:{A}:package/d/r",
    f"arn:aws:codeartifact:us-east-1:{A}:package-group/d/x",
    f"arn:aws:codeartifact:us-east-1:{A}:package-group/d",
    f"arn:aws:glue:us-east-1:{A}:database/x",
    f"arn:aws:glue:us-east-1:{A}:table/d/t",
    f"arn:aws:glue:us-east-1:{A}:crawler/x",
    f"arn:aws:glue:us-east-1:{A}:userDefinedFunction/d/f",
    f"arn:aws:glue:us-east-1:{A}:connection/x",
    f"arn:aws:glue:us-east-1:{A}:database",
    f"arn:aws:logs:us-east-1:{A}:log-group:other",
    f"arn:aws:logs:us-east-1:{A}:log-group:other:*",
    f"arn:aws:logs:us-east-1:{A}:log-group:",
    f"arn:aws:logs:us-east-1:{A}:log-group:other:log-stream:s:t",
    f"arn:aws:logs:us-east-1:{A}:log-group:other:x",
    f"arn:aws:logs:eu-west-1:{A}:log-group:other",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:db",
    f"arn:aws:secretsmanager:us-east-1:{A}:secret:d",
    f"arn:aws:kms:us-east-1:{A}:alias/a",
    "arn:aws:s3:::",
    "arn:aws:sns:us-east-1::x",
)


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
    below = [case for case in cases_below(snapshot) if patterns.matches(case.pattern or (case.start, Symbol.ANY), arn)]
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
    assert not any(found.has_record(case.sample) for case in cases_below(found))


def test_cases_of_one_start_are_disjoint(snapshot: fastiam.resolve.snapshot.Snapshot) -> None:
    arns = [record + end for record, end in itertools.product(RECORDS, ENDS)] + list(OTHERS)
    for one, other in itertools.combinations(cases_below(snapshot), 2):
        if one.start == other.start:
            both = [arn for arn in arns if all(patterns.matches(case.pattern, arn) for case in (one, other))]
            assert both == []
