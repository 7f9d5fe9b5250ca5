"""Replaying a log: answers beside what the log says, sound whatever the log leaves open."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudtrail_records import ACCOUNT, ANA, OPS, SESSION, assume_role, record, session, temporary, user, write_log
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all

import fastiam
from fastiam import Outcome
from fastiam.analysis.access.call_decisions import NO_CALLER, NO_RESOURCE, NOT_IN_DIRECTORY
from fastiam.analysis.access.replay import ReplayGroup, Verdict, verdict_of
from fastiam.cli.main import run
from fastiam.model.logged_calls import LoggedOutcome

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="no real data beside the project")
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
LIST = "s3:ListBuckets"


def statement(effect: str = "Allow", action: str = "*", resource: str = "*", **condition: Any) -> dict[str, Any]:
    found = {"Effect": effect, "Action": action, "Resource": resource}
    return found | {"Condition": condition} if condition else found


def engine_of(*statements: dict[str, Any], trust: str = ANA) -> fastiam.Engine:
    """Ana and the role ops have the same statements; the role trusts one principal."""
    directory = fastiam.Directory()
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    directory.add_principal(ANA, identity_policies=[("P", document)] if statements else [])
    directory.add_principal(OPS, identity_policies=[("P", document)] if statements else [])
    call = {"Effect": "Allow", "Principal": {"AWS": trust}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    directory.add_resource(OPS, account=ACCOUNT, policy={"Version": "2012-10-17", "Statement": call})
    return directory.compile()


def replayed(tmp_path: Path, engine: fastiam.Engine, *records: dict[str, Any], context: Any = None, **options: Any) -> Any:
    return engine.replay(fastiam.read_cloudtrail(write_log(tmp_path / "log.json", *records), **options), context=context)


def only(tmp_path: Path, engine: fastiam.Engine, *records: dict[str, Any], **options: Any) -> ReplayGroup:
    """The group of the last record."""
    groups = replayed(tmp_path, engine, *records, **options).groups
    return next(group for group in groups if group.number == len(records))


# -- one call ---------------------------------------------------------------------------------------------------------

DENIED = {"errorCode": "AccessDenied"}
THROTTLED = {"errorCode": "ThrottlingException"}
ALLOW, DENY, DEPENDS, NONE = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.DEPENDS, Outcome.ERROR
BUCKET = {"bucketName": "b"}
LISTED = [{"ARN": "arn:aws:s3:::b", "accountId": ACCOUNT}]
UNIDENTIFIED = {"type": "Unknown", "principalId": "x"}
STRANGER = user(f"arn:aws:iam::{ACCOUNT}:user/bob")
OFFICE = statement(IpAddress={"aws:SourceIp": "198.51.100.0/24"})
BEFORE = statement(DateLessThan={"aws:CurrentTime": "2026-03-02T00:00:00Z"})
AFTER = statement(DateGreaterThan={"aws:EpochTime": "1772409600"})
MFA = statement(Bool={"aws:MultiFactorAuthPresent": "true"})
VIA = {"sourceIPAddress": "athena.amazonaws.com", "userIdentity": user(invokedBy="athena.amazonaws.com")}
CASES = [
    # statements, the record, outcome, verdict, keys or note
    ("allowed", [EVERYTHING], record(LIST), ALLOW, Verdict.AGREES, ""),
    ("denied there", [EVERYTHING], record(LIST, **DENIED), ALLOW, Verdict.DISAGREES, ""),
    ("denied here", [], record(LIST), DENY, Verdict.DISAGREES, ""),
    ("denied in both", [], record(LIST, **DENIED), DENY, Verdict.AGREES, ""),
    ("throttled", [EVERYTHING], record(LIST, **THROTTLED), ALLOW, Verdict.INCONCLUSIVE, ""),
    ("failed later", [EVERYTHING], record(LIST, errorCode="NoSuchBucket"), ALLOW, Verdict.AGREES, ""),
    ("address", [OFFICE], record(LIST), ALLOW, Verdict.AGREES, ""),
    ("another address", [OFFICE], record(LIST, sourceIPAddress="203.0.113.9"), DENY, Verdict.DISAGREES, ""),
    ("no address", [OFFICE], record(LIST) | VIA, DEPENDS, Verdict.DEPENDS, "aws:sourceip"),
    ("its own time", [BEFORE], record(LIST), ALLOW, Verdict.AGREES, ""),
    ("its own time in seconds", [AFTER], record(LIST), DENY, Verdict.DISAGREES, ""),
    ("a key that no log has", [statement(StringEquals={"s3:prefix": "a"})], record(LIST), DEPENDS, Verdict.DEPENDS, "s3:prefix"),
    ("no MFA", [MFA], record(LIST), DENY, Verdict.DISAGREES, ""),
    ("MFA", [MFA], record(LIST, user(**temporary("true"))), ALLOW, Verdict.AGREES, ""),
    ("session policies", [EVERYTHING], record(LIST, session()), DEPENDS, Verdict.DEPENDS, "session policies"),
    ("nothing to narrow", [], record(LIST, session()), DENY, Verdict.DISAGREES, ""),
    ("kind of session", [EVERYTHING], record("iam:ListUsers", user(**temporary())), DEPENDS, Verdict.DEPENDS, "kind of session"),
    ("no resource", [EVERYTHING], record("s3:DeleteObjects", None, {"bucketName": "b"}), DEPENDS, Verdict.DEPENDS, "resource"),
    ("whose bucket", [EVERYTHING], record("s3:GetBucketAcl", None, BUCKET), DEPENDS, Verdict.DEPENDS, "resource owner"),
    ("own bucket", [EVERYTHING], record("s3:GetBucketAcl", None, BUCKET, resources=LISTED), ALLOW, Verdict.AGREES, ""),
    ("unidentified", [EVERYTHING], record(LIST, UNIDENTIFIED), NONE, Verdict.UNDECIDED, NO_CALLER),
    ("stranger", [EVERYTHING], record(LIST, STRANGER), NONE, Verdict.UNDECIDED, NOT_IN_DIRECTORY),
    ("stranger without resource", [], record("s3:DeleteObjects", STRANGER), NONE, Verdict.UNDECIDED, NOT_IN_DIRECTORY),
    ("service", [], record("s3:GetBucketAcl", {"type": "AWSService", "invokedBy": "x.amazonaws.com"}, {"bucketName": "b"}),
     NONE, Verdict.UNDECIDED, NO_RESOURCE),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "call", "outcome", "verdict", "why"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_replay_compares_each_decision_with_the_log(tmp_path, statements, call, outcome, verdict, why):
    group = only(tmp_path, engine_of(*statements), call)
    assert (group.outcome, group.verdict) == (outcome, verdict)
    assert why == (group.note or ", ".join(group.depends_on))


def test_replay_can_assume_no_session_policies(tmp_path):
    group = only(tmp_path, engine_of(EVERYTHING), record(LIST, session()), assume_no_session_policies=True)
    assert (group.outcome, group.principal) == (ALLOW, OPS)


@pytest.mark.parametrize(("policy", "outcome"), [(None, ALLOW), (EVERYTHING, ALLOW), (statement(action="ec2:*"), DENY)])
def test_replay_uses_session_policies_in_the_log(tmp_path, policy, outcome):
    passed = {} if policy is None else {"policy": json.dumps({"Version": "2012-10-17", "Statement": [policy]})}
    assert only(tmp_path, engine_of(EVERYTHING), assume_role(**passed), record(LIST, session())).outcome is outcome


def test_replay_of_a_broken_session_policy_is_undecided(tmp_path):
    group = only(tmp_path, engine_of(EVERYTHING), assume_role(policy="{"), record(LIST, session()))
    assert (group.outcome, group.verdict) == (NONE, Verdict.UNDECIDED) and group.note


def test_replay_allows_a_call_if_each_request_is_allowed(tmp_path):
    """R12: the first that is denied decides."""
    one = "arn:aws:ec2:eu-west-1:111111111111:instance/i-1"
    call = record(
        "ec2:TerminateInstances", parameters={"instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}}
    )
    group = only(tmp_path, engine_of(statement(resource=one)), call)
    assert (group.outcome, group.resource) == (DENY, one.replace("i-1", "i-2"))
    assert only(tmp_path, engine_of(statement(resource=one), statement(resource=one[:-1] + "2")), call).outcome is ALLOW


def test_replay_passes_call_parameters_to_the_trust_policy(tmp_path):
    directory = fastiam.Directory()
    directory.add_principal(ANA)
    directory.add_principal(OPS)
    trust = {"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "sts:AssumeRole"}
    trust["Condition"] = {"StringEquals": {"sts:ExternalId": "x"}}
    directory.add_resource(OPS, account=ACCOUNT, policy={"Version": "2012-10-17", "Statement": trust})
    engine = directory.compile()
    outcomes = [only(tmp_path, engine, assume_role(**p)).outcome for p in ({"externalId": "x"}, {"externalId": "y"}, {})]
    assert outcomes == [ALLOW, DENY, DENY]


def test_replay_uses_an_mfa_code_for_one_call_only(tmp_path):
    """What a session's MFA was stays open beside a call that passes a code."""
    others = record(LIST, session())
    alone = only(tmp_path, engine_of(MFA), others)
    beside = only(tmp_path, engine_of(MFA), assume_role("ASIA9", serialNumber="arn:aws:iam::1:mfa/ana"), others)
    assert (alone.outcome, alone.depends_on) == (beside.outcome, beside.depends_on)
    assert "aws:multifactorauthpresent" in beside.depends_on


def test_replay_finds_a_role_without_its_path(tmp_path):
    deep = f"arn:aws:iam::{ACCOUNT}:role/team/deep"
    directory = fastiam.Directory()
    directory.add_principal(deep)
    allow = {"Version": "2012-10-17", "Statement": statement(action="iam:GetRole", resource=deep)}
    directory.add_principal(ANA, identity_policies=[allow])
    group = only(tmp_path, directory.compile(), record("iam:GetRole", parameters={"roleName": "deep"}))
    assert (group.outcome, group.resource) == (ALLOW, deep)


def test_replay_of_a_contradicting_request_is_undecided(tmp_path):
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": EVERYTHING}])
    directory.add_resource("arn:aws:s3:::b", account="222222222222")
    listed = [{"ARN": "arn:aws:s3:::b", "accountId": ACCOUNT}]
    group = only(tmp_path, directory.compile(), record("s3:GetBucketAcl", parameters={"bucketName": "b"}, resources=listed))
    assert group.verdict is Verdict.UNDECIDED and "222222222222" in group.note


# -- many calls -------------------------------------------------------------------------------------------------------


def test_replay_groups_calls_by_decision_and_reason(tmp_path):
    log = [record(LIST), record(LIST, **DENIED), record(LIST), record("kms:ListKeys"), record("signin:ConsoleLogin")]
    found = replayed(tmp_path, engine_of(EVERYTHING), *log)
    assert [(g.verdict, g.calls, g.action, g.number) for g in found.groups] == [
        (Verdict.DISAGREES, 1, "s3:ListAllMyBuckets", 2),
        (Verdict.AGREES, 2, "s3:ListAllMyBuckets", 1),
        (Verdict.AGREES, 1, "kms:ListKeys", 4),
    ]
    assert found.verdicts == {Verdict.DISAGREES: 1, Verdict.AGREES: 3}
    assert (found.calls, found.records, found.unmapped) == (4, 5, {"signin.amazonaws.com:ConsoleLogin": 1})


def test_replay_does_not_depend_on_batch_size(tmp_path, monkeypatch):
    log = [record(LIST), record(LIST, session()), assume_role(), record(LIST, session()), record("kms:ListKeys", STRANGER)] * 5
    engine = engine_of(OFFICE, statement("Deny", "kms:*"))
    whole = replayed(tmp_path, engine, *log)
    monkeypatch.setattr("fastiam.sources.cloudtrail.reader._BATCH", 3)
    assert replayed(tmp_path, engine, *log) == whole
    monkeypatch.setattr("fastiam.sources.cloudtrail.reader._MAX_CACHED", 0)  # all caches are cleared, except issued sessions
    assert replayed(tmp_path, engine, *log) == whole


def test_replay_passes_each_value_to_the_engine_once(tmp_path, monkeypatch):
    """Calls with different known keys are decided separately, so that the work must not grow with the values of all calls."""
    calls: list[tuple[Any, ...]] = []
    decide_many = fastiam.Engine.decide_many
    monkeypatch.setattr(fastiam.Engine, "decide_many", lambda *args, **more: calls.append(args) or decide_many(*args, **more))
    times = [f"2026-03-01T09:00:{second:02}Z" for second in range(40)]
    of_services = [{"sourceIPAddress": "cloudformation.amazonaws.com"}, {"vpcEndpointId": "vpce-1"}]
    log = [record(LIST, eventTime=time, **more) for time, more in zip(times, [{}, {}, *of_services] * 10, strict=True)]
    assert replayed(tmp_path, engine_of(EVERYTHING), *log).verdicts == {Verdict.AGREES: 40}
    sent = [context["aws:CurrentTime"] for _, _, _, _, context in calls]
    assert len(calls) == 3 and sorted(value for column in sent for value in column.values) == times
    constant = [context["aws:RequestedRegion"] for _, _, _, _, context in calls]
    assert constant == ["eu-west-1"] * 3


def test_verdict_of_each_outcome_and_logged_outcome():
    expected = {
        (ALLOW, LoggedOutcome.ALLOWED): Verdict.AGREES,
        (ALLOW, LoggedOutcome.DENIED): Verdict.DISAGREES,
        (DENY, LoggedOutcome.ALLOWED): Verdict.DISAGREES,
        (DENY, LoggedOutcome.DENIED): Verdict.AGREES,
        (Outcome.EXPLICIT_DENY, LoggedOutcome.ALLOWED): Verdict.DISAGREES,
        (DENY, LoggedOutcome.UNKNOWN): Verdict.INCONCLUSIVE,
        (DEPENDS, LoggedOutcome.ALLOWED): Verdict.DEPENDS,
        (NONE, LoggedOutcome.DENIED): Verdict.UNDECIDED,
    }
    assert {pair: verdict_of(*pair) for pair in expected} == expected


# -- soundness --------------------------------------------------------------------------------------------------------

ADDRESSES, AGENTS, TEAMS = ("198.51.100.7", "203.0.113.9"), ("cli", "sdk"), ("red", "blue")
TESTS = [
    {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}},
    {"NotIpAddress": {"aws:SourceIp": "198.51.100.0/24"}},
    {"StringEquals": {"aws:UserAgent": "cli"}},
    {"Bool": {"aws:SecureTransport": "true"}},
    {"Bool": {"aws:ViaAWSService": "true"}},
    {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
    {"Null": {"aws:TokenIssueTime": "true"}},
    {"DateLessThan": {"aws:CurrentTime": "2026-03-01T12:00:00Z"}},
    {"StringEquals": {"aws:PrincipalTag/team": "red"}},
    {"StringNotEquals": {"s3:prefix": "red"}},
    {"StringEquals": {"aws:SourceIdentity": "ana"}},
    {"Null": {"aws:SourceVpce": "false"}},
]
statements_of_tests = st.builds(
    lambda effect, test: {"Effect": effect, "Action": "s3:*", "Resource": "*"} | ({"Condition": test} if test else {}),
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.sampled_from([None, *TESTS]),
)
truths = st.fixed_dictionaries(
    {
        "is_role": st.booleans(),
        "issue_shown": st.booleans(),
        "session_policy": st.none() | st.lists(statements_of_tests, min_size=1, max_size=2),
        "team": st.none() | st.sampled_from(TEAMS),
        "source_identity": st.none() | st.just("ana"),
        "mfa": st.booleans(),
        "via_service": st.booleans(),
        "endpoint": st.booleans(),
        "address": st.sampled_from(ADDRESSES),
        "agent": st.sampled_from(AGENTS),
        "tls": st.booleans(),
        "tls_shown": st.booleans(),
        "prefix": st.none() | st.sampled_from(TEAMS),
        "hour": st.sampled_from([9, 15]),
    }
)


def in_truth(truth: dict[str, Any]) -> tuple[str | fastiam.Session, dict[str, Any], datetime]:
    """The principal, the whole context, and the time."""
    via, at_endpoint = truth["via_service"], truth["endpoint"] and not truth["via_service"]
    context: dict[str, Any] = {"aws:SecureTransport": truth["tls"], "aws:UserAgent": truth["agent"]}
    context |= {"aws:VpcSourceIp" if at_endpoint else "aws:SourceIp": truth["address"]}
    context |= {"aws:SourceVpce": "vpce-1"} if at_endpoint else {}
    context |= {"aws:CalledVia": ["athena.amazonaws.com"]} if via else {}
    context |= {"s3:prefix": truth["prefix"]} if truth["prefix"] else {}
    began = datetime(2026, 3, 1, 8, tzinfo=UTC)
    policy = truth["session_policy"]
    who: str | fastiam.Session = ANA
    if truth["is_role"]:
        who = fastiam.Session(
            SESSION,
            kind="ROLE",
            issuer=OPS,
            policies=None if policy is None else [{"Version": "2012-10-17", "Statement": policy}],
            tags={"team": truth["team"]} if truth["team"] else {},
            issued_at=began,
            source_identity=truth["source_identity"],
        )
    elif truth["mfa"]:
        who = fastiam.Session(ANA, kind="USER", issuer=ANA, issued_at=began, mfa_at=began)
    return who, context, datetime(2026, 3, 1, truth["hour"], tzinfo=UTC)


def in_log(truth: dict[str, Any]) -> list[dict[str, Any]]:
    """The records that CloudTrail writes, without the values that it omits."""
    via, at_endpoint = truth["via_service"], truth["endpoint"] and not truth["via_service"]
    mfa = str(truth["mfa"] and not truth["is_role"]).lower()
    identity = session() if truth["is_role"] else user(**temporary(mfa) if truth["mfa"] else {})
    before = []
    if truth["is_role"]:
        identity["sessionContext"] |= {"sourceIdentity": truth["source_identity"]} if truth["source_identity"] else {}
        passed: dict[str, Any] = {"tags": [{"key": "team", "value": truth["team"]}]} if truth["team"] else {}
        passed |= {"sourceIdentity": truth["source_identity"]} if truth["source_identity"] else {}
        if truth["session_policy"] is not None:
            passed["policy"] = json.dumps({"Version": "2012-10-17", "Statement": truth["session_policy"]})
        before = [assume_role(**passed)] if truth["issue_shown"] else []
    identity |= {"invokedBy": "athena.amazonaws.com"} if via else {}
    call = record(LIST, identity, eventTime=f"2026-03-01T{truth['hour']:02}:00:00Z")
    call |= {"sourceIPAddress": "athena.amazonaws.com" if via else truth["address"]}
    call |= {"userAgent": "athena.amazonaws.com" if via else truth["agent"]}
    call |= {"vpcEndpointId": "vpce-1"} if at_endpoint else {}
    call |= {"tlsDetails": {"tlsVersion": "TLSv1.3"}} if truth["tls"] and truth["tls_shown"] else {}
    return [*before, call]


@settings(max_examples=few_or_all(50, 150), deadline=None)
@given(statements=st.lists(statements_of_tests, min_size=1, max_size=4), truth=truths)
def test_replay_decision_holds_for_all_unknown_values(tmp_path_factory, statements, truth):
    """6.11: decided with the whole truth, no plain answer of the replay is wrong."""
    engine = engine_of(*statements)
    group = only(tmp_path_factory.getbasetemp(), engine, *in_log(truth))
    who, context, now = in_truth(truth)
    decision = engine.decide(who, "s3:ListAllMyBuckets", "*", context, now=now)
    assert group.outcome is Outcome.DEPENDS or (group.outcome is Outcome.ALLOW) == decision.allowed


# -- two engines ------------------------------------------------------------------------------------------------------

DENY_KMS = statement("Deny", "kms:*")


def test_diff_with_a_log_shows_decision_changes(tmp_path):
    """Two lists of keys are lost to a Deny, a list of buckets is gained; whom neither knows is counted."""
    log = write_log(
        tmp_path / "log.json",
        *(record("kms:ListKeys"), record(LIST), record("kms:ListKeys"), record(LIST, session()), record(LIST, STRANGER)),
    )
    old, new = engine_of(statement(action="kms:*")), engine_of(EVERYTHING, DENY_KMS)
    found = fastiam.diff(old, new, log=fastiam.read_cloudtrail(log))
    assert [(g.change, g.rows, g.side, g.statement.index) for g in found.groups] == [
        ("gained", 1, "new", 0),
        ("may gain", 1, "new", 0),
        ("lost", 2, "new", 1),
    ]
    assert (found.n_rows, found.rows.tolist(), found.n_errors) == (5, [0, 1, 2, 3], 1)
    assert found.request(found.groups[0].example) == (ANA, "s3:ListAllMyBuckets", "*")
    assert found.request(found.groups[1].example)[0] == OPS
    assert found.is_gained and fastiam.diff(new, new, log=fastiam.read_cloudtrail(log)).groups == ()


@pytest.mark.parametrize(
    ("context", "outcome"),
    [
        ({}, DEPENDS),
        ({"aws:ResourceTag/stage": "live"}, ALLOW),
        ({"AWS:resourcetag/STAGE": "live"}, ALLOW),
        ({"aws:ResourceTag/stage": None}, DENY),
        ({"aws:ResourceTag/stage": "test"}, DENY),
        ({"aws:ResourceTag/stage": "live", "aws:RequestedRegion": "mars-1"}, ALLOW),
    ],
)
def test_context_of_a_replay_has_what_the_log_has_not(context, outcome, tmp_path):
    """A record has the Region of its call, which a constant does not replace, and no tags of resources."""
    tests = {"aws:ResourceTag/stage": "live", "aws:RequestedRegion": "eu-west-1"}
    engine = engine_of(statement(action="s3:*", StringEquals=tests))
    found = replayed(tmp_path, engine, record(LIST, awsRegion="eu-west-1"), context=context).groups
    assert [group.outcome for group in found] == [outcome]


def test_diff_with_a_log_takes_a_context(tmp_path):
    log = write_log(tmp_path / "log.json", record(LIST))
    old, new = engine_of(), engine_of(statement(action="s3:*", StringEquals={"aws:ResourceTag/stage": "live"}))
    for context, change in ((None, "may gain"), ({"aws:ResourceTag/stage": "live"}, "gained")):
        found = fastiam.diff(old, new, log=fastiam.read_cloudtrail(log), context=context)
        assert [group.change for group in found.groups] == [change]
        assert found.missing_keys == ({} if context else {"aws:ResourceTag/stage": 1})
        assert pickle.loads(pickle.dumps(found)).missing_keys == found.missing_keys


def test_diff_with_a_log_refuses_requests(tmp_path):
    log = fastiam.read_cloudtrail(write_log(tmp_path / "log.json", record(LIST)))
    with pytest.raises(fastiam.RequestValueError, match="a log contains the requests"):
        fastiam.diff(engine_of(), engine_of(), ANA, "s3:x", "*", log=log)


def test_cli_diff_compares_policies_over_a_log(tmp_path, capsys):
    log = str(write_log(tmp_path / "log.json", record(LIST), record("kms:ListKeys")))
    paths = []
    for name, statements in (("old", [DENY_KMS]), ("new", [EVERYTHING, DENY_KMS])):
        (tmp_path / name).mkdir()
        paths += [f"--{name}", policies_in(tmp_path / name, *statements)]
    assert run(["diff", *paths, "--log", log, "--format", "jsonl"]) == 2
    out, err = capsys.readouterr()
    (row,) = map(json.loads, out.splitlines())
    assert (row["change"], row["rows"], row["action"]) == ("gained", 1, "s3:ListAllMyBuckets")
    assert "2 requests compared" in err
    assert run(["diff", *paths, "--log", log, "--requests", log]) == 64


# -- whatever comes ---------------------------------------------------------------------------------------------------

texts = st.sampled_from(["", "arn:", "arn:aws:iam::1:role/x", "*", "x" * 300, "\x00", "é", "a:b", SESSION, "null"]) | st.text(
    max_size=8
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
BASES = [
    record(LIST),
    record("s3:GetObject", session(), {"bucketName": "b", "key": "k"}, resources=[{"ARN": "arn:aws:s3:::b/k"}]),
    assume_role(policy="{}", tags=[{"key": "a", "value": "b"}]),
    record("ec2:RunInstances", user(**temporary("true")), {"instancesSet": {"items": [{"imageId": "ami-1"}]}}),
    record("iam:CreateRole", parameters={"roleName": "r", "path": "/p/"}),
]
DEEP = ("userIdentity", "requestParameters", "responseElements")


@settings(max_examples=few_or_all(60, 200), deadline=None)
@given(base=st.sampled_from(BASES), changes=st.lists(st.tuples(st.sampled_from(sorted(BASES[1])), texts, values), max_size=3))
def test_replay_decides_counts_or_refuses_each_record(tmp_path_factory, base, changes):
    """No record is dropped, and none ends the replay but by an error that names it."""
    call = json.loads(json.dumps(base))
    for name, inner, value in changes:
        if name in DEEP and isinstance(call.get(name), dict):
            call[name][inner or next(iter(call[name]), "x")] = value
        else:
            call[name] = value
    log = fastiam.read_cloudtrail(write_log(tmp_path_factory.getbasetemp() / "fuzz.json", call, record(LIST)))
    try:
        found = engine_of(EVERYTHING).replay(log)
    except fastiam.SourceError as error:
        assert "Records[0]" in str(error)
    else:
        assert sum(group.calls for group in found.groups) + sum(found.unmapped.values()) == found.records == 2


# -- the command line -------------------------------------------------------------------------------------------------


def policies_in(tmp_path: Path, *statements: dict[str, Any]) -> str:
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[("P", {"Version": "2012-10-17", "Statement": list(statements)})])
    directory.dump(tmp_path / "policies.json")
    return str(tmp_path / "policies.json")


@pytest.mark.parametrize(
    ("call", "code"),
    [(record(LIST), 0), (record(LIST, **DENIED), 2), (record(LIST, STRANGER), 4), (record(LIST, **THROTTLED), 0)],
    ids=["agrees", "disagrees", "undecided", "inconclusive"],
)
def test_cli_replay_exit_code_shows_the_comparison(tmp_path, capsys, call, code):
    policies = policies_in(tmp_path, EVERYTHING)
    log = str(write_log(tmp_path / "log.json", call))
    assert run(["replay", "--policies", policies, log]) == code
    assert run(["replay", "--policies", policies, log, "--exit-zero"]) == 0


def test_cli_replay_writes_rows_and_summary_to_two_streams(tmp_path, capsys):
    log = str(write_log(tmp_path / "log.json", record(LIST, **DENIED), record(LIST), record("signin:ConsoleLogin")))
    assert run(["replay", "--policies", policies_in(tmp_path, EVERYTHING), log, "--format", "jsonl"]) == 2
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert (first["verdict"], first["outcome"], first["logged"]) == ("disagrees", "ALLOW", "DENIED")
    statement = first["statement"]
    assert (statement["policy"], statement["index"], first["number"]) == ("P", 0, 1) and statement["line"]
    assert second["verdict"] == "agrees"
    assert "3 records, 2 calls" in err and "signin.amazonaws.com:ConsoleLogin" in err


def test_cli_replay_selects_verdicts_and_limits_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    log = str(write_log(tmp_path / "log.json", record(LIST, **DENIED), record(LIST), record("kms:ListKeys")))
    command = ["replay", "--policies", policies_in(tmp_path, EVERYTHING), log, "--exit-zero"]
    run([*command, "--only", "agrees", "--format", "csv", "--quiet"])
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["verdict", "agrees", "agrees"]
    run([*command, "--format", "text", "--limit", "1"])
    out, err = capsys.readouterr()
    assert "disagrees" in out and "agrees" in out and "2 more rows" in err


def test_cli_replay_of_a_broken_log_fails(tmp_path, capsys):
    (path := tmp_path / "log.json").write_text("{")
    assert run(["replay", "--policies", policies_in(tmp_path, EVERYTHING), str(path)]) == 1
    assert str(path) in capsys.readouterr().err


# -- real parts -------------------------------------------------------------------------------------------------------


@needs_data
def test_replay_of_the_real_log_names_missing_entities():
    """No principal of the log is in that account, so that each call is undecided."""
    engine = fastiam.load(DATA / "gaad-lab-account.json.gz").compile()
    found = engine.replay(fastiam.read_cloudtrail(DATA / "cloudtrail-attack-simulation.json.gz"))
    assert found.verdicts == {Verdict.UNDECIDED: 1231}
