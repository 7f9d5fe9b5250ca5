# ruff: noqa: F811  (`call` is a fixture)
"""`fastiam unused` and `fastiam suggest`: rows, files and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_analysis_directory import ANA, APP, A, Run, call, directory, statement  # noqa: F401  (a fixture)
from cloudtrail_records import record, write_log

POLICIES = "--policies", "d.json"


@pytest.fixture
def log(call: Run) -> str:
    write_log(Path("log.json"), record("s3:GetObject", None, {"bucketName": "reports", "key": "may"}))
    return "log.json"


def test_unused_prints_a_row_for_each_user_and_role(call: Run, log: str) -> None:
    code, out, err = call("unused", *POLICIES, log, "--format", "jsonl")
    rows = {row["principal"]: row for row in map(json.loads, out.splitlines())}
    assert code == 2 and set(rows) == {ANA, APP} and rows[ANA]["used"] == ["s3:GetObject"]
    assert "s3:GetBucketPolicy" in rows[ANA]["unused"] and "s3:GetObjectAcl" in rows[ANA]["not_visible"]
    assert "1 of 2 users and roles have unused actions; 1 made no call" in err


def test_unused_exits_by_what_the_log_shows(call: Run, log: str) -> None:
    code, _, err = call("unused", *POLICIES, log, "--principal", APP)
    assert code == 4 and "not checked: 1 granted actions that a trail writes only as data events\n" in err
    recorded = directory(statement("Allow", "s3:ListAllMyBuckets"))
    recorded.dump("recorded.json")
    identity = {
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::{A}:assumed-role/app/s",
        "sessionContext": {"sessionIssuer": {"arn": APP}},
    }
    write_log(Path("all.json"), record("s3:ListBuckets", identity))
    code, _, err = call("unused", "--policies", "recorded.json", "all.json", "--principal", APP)
    assert code == 0 and "not checked" not in err
    assert call("unused", *POLICIES, log, "--exit-zero")[0] == 0
    assert call("unused", *POLICIES, log, "--principal", APP, "--exit-zero")[0] == 0
    assert call("unused", *POLICIES, log, "--principal", APP, "--data-events", "s3")[0] == 2


def test_log_of_another_account_is_reported(call: Run, log: str) -> None:
    other = {"type": "IAMUser", "arn": "arn:aws:iam::999999999999:user/eve"}
    write_log(Path("other.json"), record("s3:GetObject", other, {"bucketName": "reports", "key": "may"}))
    for verb, message in (
        ("unused", "no user or role of the policies made a call"),
        ("replay", "no principal of the log is in the"),
    ):
        assert message in call(verb, *POLICIES, "other.json")[2] and message not in call(verb, *POLICIES, log)[2]
    assert "in the log since 2027-01-01T00:00:00+00:00\n" in call("unused", *POLICIES, log, "--since", "2027-01-01T00:00:00Z")[2]


def test_unused_table_shortens_long_cells(call: Run, log: str) -> None:
    out = call("unused", *POLICIES, log, "--format", "text", "--principal", ANA)[1]
    assert " more" in out and "s3:GetLifecycleConfiguration" not in "".join(out.split())


def test_suggest_writes_the_policy_to_a_file(call: Run, log: str) -> None:
    code, out, err = call("suggest", *POLICIES, "--principal", ANA, log, "--out", "ana.json")
    (found,) = json.loads(Path("ana.json").read_text())["Statement"]
    assert (code, out, found["Action"]) == (0, "", ["s3:GetObject"])
    assert f"1 allowed calls of `{ANA}`; the policy denies 0 that the old policies allow" in err
    assert "no new access: proved" in err
    assert "removed actions whose use the log does not show" in err


def test_suggest_writes_no_policy_without_statements(call: Run, log: str) -> None:
    code, out, err = call("suggest", *POLICIES, "--principal", APP, log, "--out", "app.json")
    assert (code, out) == (4, "") and not Path("app.json").exists()
    assert f"no policy is written: the log has no call of `{APP}` that its identity policies allow" in err
    assert call("suggest", *POLICIES, "--principal", APP, log)[:2] == (4, "")


def test_suggest_refuses_to_replace_what_it_reads(call: Run, log: str) -> None:
    assert call("suggest", *POLICIES, "--principal", ANA, log, "--out", log)[0] == 1
    assert call("suggest", *POLICIES, "--principal", f"{ANA}x", log)[0] == 1


def test_replay_names_the_option_for_session_policies(call: Run) -> None:
    identity = {
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::{A}:assumed-role/app/s",
        "sessionContext": {"sessionIssuer": {"arn": APP}},
    }
    write_log(Path("sessions.json"), record("s3:GetObject", identity, {"bucketName": "reports", "key": "may"}))
    allowed = directory(statement("Allow", "s3:*"))
    allowed.dump("allowed.json")
    _, _, err = call("replay", "--policies", "allowed.json", "sessions.json")
    assert "1 calls depend on session policies" in err and "help: `--no-session-policies` assumes" in err
    assert "session policies" not in call("replay", "--policies", "allowed.json", "sessions.json", "--no-session-policies")[2]
