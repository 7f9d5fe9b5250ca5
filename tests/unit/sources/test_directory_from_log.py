"""The example that drafts a directory from a log: what it allows, and that it keeps the quotas."""

from __future__ import annotations

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cloudtrail_records import ACCOUNT, ANA, OPS, assume_role, record, session, user, write_log

import fastiam
from fastiam.analysis.access.replay import Replay, Verdict

ROOT = Path(__file__).resolve().parents[3]
LOG = ROOT.parent / "shared/data/cloudtrail-attack-simulation.json.gz"
needs_data = pytest.mark.skipif(not LOG.exists(), reason="no real data beside the project")
LISTED = [{"ARN": "arn:aws:s3:::b", "accountId": ACCOUNT}]


def drafted(tmp_path: Path, log: Path) -> tuple[fastiam.Directory, str]:
    """The directory that the example makes of a log, and what it says beside."""
    script, out, err = str(ROOT / "examples/directory_from_log.py"), io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", [script, str(log)]), redirect_stdout(out), redirect_stderr(err):
        runpy.run_path(script, run_name="__main__")
    (tmp_path / "made.json").write_text(out.getvalue())
    return fastiam.load(tmp_path / "made.json"), err.getvalue()


def replayed(directory: fastiam.Directory, log: Path) -> Replay:
    return directory.compile().replay(fastiam.read_cloudtrail(log, assume_no_session_policies=True))


def problems(directory: fastiam.Directory) -> list[str]:
    """The findings that are errors, or about a quota."""
    found = directory.findings
    return [str(one) for one in found if one.severity is fastiam.Severity.ERROR or one.code.startswith("DIR-")]


def get_object(key: str, bucket: str = "b", who: Any = None) -> dict[str, Any]:
    arn = f"arn:aws:s3:::{bucket}"
    listed = [{"ARN": f"{arn}/{key}"}, {"ARN": arn, "accountId": ACCOUNT}]
    return record("s3:GetObject", who, {"bucketName": bucket, "key": key}, resources=listed)


def test_draft_allows_the_calls_of_every_kind_of_caller(tmp_path):
    key = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/k"
    stranger = user("arn:aws:iam::222222222222:user/x") | {"accountId": "222222222222"}
    anonymous = {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
    google = {"type": "WebIdentityUser", "identityProvider": "accounts.google.com"}
    read = {"parameters": {"bucketName": "b", "key": "k"}, "resources": [{"ARN": "arn:aws:s3:::b/k"}, *LISTED]}
    log = write_log(
        tmp_path / "log.json",
        *(record("s3:GetObject", who, **read) for who in (anonymous, stranger, user())),
        record("sts:AssumeRoleWithWebIdentity", google, {"roleArn": OPS, "roleSessionName": "s"}),
        assume_role(),
        record("kms:Decrypt", session(), {}, resources=[{"ARN": key, "accountId": ACCOUNT}]),
    )
    directory, _ = drafted(tmp_path, log)
    assert problems(directory) == []
    assert directory.compile().replay(fastiam.read_cloudtrail(log)).verdicts == {Verdict.AGREES: 6}


def test_draft_allows_passing_the_roles_in_the_log(tmp_path):
    create = record("lambda:CreateFunction20150331", parameters={"functionName": "f", "role": OPS})
    log = write_log(tmp_path / "log.json", create)
    directory, _ = drafted(tmp_path, log)
    assert replayed(directory, log).verdicts == {Verdict.AGREES: 1}


def test_draft_omits_and_reports_roles_of_instance_profiles(tmp_path):
    parameters = {"IamInstanceProfile": {"Name": "p"}, "InstanceId": "i-1"}
    log = write_log(tmp_path / "log.json", record("ec2:AssociateIamInstanceProfile", parameters=parameters))
    directory, err = drafted(tmp_path, log)
    assert "1 requests name no resource" in err
    assert [(group.verdict, group.action) for group in replayed(directory, log).groups] == [(Verdict.DISAGREES, "iam:PassRole")]


def test_draft_with_many_resources_keeps_the_policy_quotas(tmp_path):
    """Of 3,000 objects by exact names ten policies could hold 600."""
    keys = [f"year=2026/month={i % 12:02}/day={i % 28:02}/part-{i:05}-{'x' * 40}.parquet" for i in range(3_000)]
    log = write_log(tmp_path / "log.json", *map(get_object, keys), record("kms:ListKeys"))
    directory, err = drafted(tmp_path, log)
    assert problems(directory) == []
    assert f"{ANA}: too many resources for 10 policies" in err
    assert replayed(directory, log).verdicts == {Verdict.AGREES: 3_001}
    other = write_log(tmp_path / "other.json", get_object("k", "other"), record("kms:CreateKey"))
    assert replayed(directory, other).verdicts == {Verdict.DISAGREES: 2}


def test_draft_with_few_resources_allows_no_others(tmp_path):
    log = write_log(tmp_path / "log.json", *(get_object(f"a/{i}") for i in range(100)))
    directory, err = drafted(tmp_path, log)
    assert "too many" not in err and problems(directory) == []
    assert replayed(directory, write_log(tmp_path / "new.json", get_object("a/new"))).verdicts == {Verdict.DISAGREES: 1}


def test_draft_with_long_names_splits_statements(tmp_path):
    log = write_log(tmp_path / "log.json", *(get_object(f"{i}/{'k' * 900}") for i in range(30)))
    directory, err = drafted(tmp_path, log)
    assert problems(directory) == [] and "too many" not in err
    assert replayed(directory, log).verdicts == {Verdict.AGREES: 30}


def test_draft_with_many_callers_keeps_the_trust_policy_quota(tmp_path):
    """The trust policy names the account, and the policies of its users decide."""
    users = [user(f"arn:aws:iam::{ACCOUNT}:user/people/{'n' * 20}-{i}") for i in range(60)]
    log = write_log(tmp_path / "log.json", *(assume_role(caller=who) for who in users))
    directory, err = drafted(tmp_path, log)
    assert problems(directory) == []
    assert f"{OPS}: too many principals for a trust policy" in err
    assert replayed(directory, log).verdicts == {Verdict.AGREES: 60}
    own = write_log(tmp_path / "own.json", *(assume_role(caller=who) for who in users), record("kms:ListKeys"))
    other = write_log(tmp_path / "other.json", record("kms:ListKeys"), assume_role(caller=user()))
    directory, _ = drafted(tmp_path, own)
    assert replayed(directory, other).verdicts == {Verdict.DISAGREES: 1, Verdict.AGREES: 1}


def test_draft_with_similar_names_has_separate_policies(tmp_path):
    similar = [user(f"arn:aws:iam::{ACCOUNT}:user/{name}") for name in ("a/b", "a-b")]
    events = ("kms:ListKeys", "s3:ListBuckets")
    log = write_log(tmp_path / "log.json", *(record(event, who) for event, who in zip(events, similar, strict=True)))
    directory, _ = drafted(tmp_path, log)
    crossed = write_log(tmp_path / "other.json", *(record(event, who) for event, who in zip(events, similar[::-1], strict=True)))
    assert replayed(directory, log).verdicts == {Verdict.AGREES: 2}
    assert replayed(directory, crossed).verdicts == {Verdict.DISAGREES: 2}


@needs_data
def test_draft_of_the_real_log_agrees_with_it(tmp_path):
    """What the draft leaves open depends. Two calls disagree: a role could not be assumed yet, and was seconds later."""
    directory, _ = drafted(tmp_path, LOG)
    assert problems(directory) == []
    found = directory.compile().replay(fastiam.read_cloudtrail(LOG))
    disagreeing = [(group.action, group.calls, group.time[11:19]) for group in found.groups if group.verdict is Verdict.DISAGREES]
    assert disagreeing == [("sts:AssumeRole", 2, "12:02:45")]
    assert found.verdicts[Verdict.AGREES] / found.calls > 0.95
