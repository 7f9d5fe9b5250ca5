"""Invariants and templates in test files: what they may say, and what a run answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import fastiam
from fastiam.cli.main import run as command_line
from fastiam.testing import TestReport, run
from fastiam.testing.output import junit
from fastiam.testing.templates import find_template, template_names

A, M = "111111111111", "999999999999"
APP, ADMIN = f"arn:aws:iam::{A}:role/app", f"arn:aws:iam::{A}:role/break-glass"
TRAIL = ["cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail", "cloudtrail:PutEventSelectors"]
REGIONS = ["eu-west-1", "eu-central-1"]
GLOBAL = find_template("baseline/regions").defaults["global_actions"]  # type: ignore[union-attr]
FULL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
BUCKET = "arn:aws:s3:::data"
ACTIONS = ["s3:*"]


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def deny(action: Any, condition: Any = None, **more: Any) -> dict[str, Any]:
    found = {"Effect": "Deny", "Resource": "*", **more} | ({} if action is None else {"Action": action})
    return found | ({"Condition": condition} if condition else {})


EXCEPT_ADMIN = {"ArnNotLike": {"aws:PrincipalArn": ADMIN}}
OUTSIDE_REGIONS = {"StringNotEquals": {"aws:RequestedRegion": REGIONS}}
OF_ORGANIZATION = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
STRANGERS = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}
# SCPs of the root, and the policy of a bucket, with which each template holds; then the same with one statement weakened
HOLDS: dict[str, Any] = {
    "scps": [deny(TRAIL, EXCEPT_ADMIN), deny("organizations:LeaveOrganization"), deny(None, OUTSIDE_REGIONS, NotAction=GLOBAL)],
    "bucket": {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"{BUCKET}/*",
        "Condition": OF_ORGANIZATION,
    },
}
WEAKER: dict[str, dict[str, Any]] = {
    "baseline/trail": {"scps": [deny(TRAIL[:3], EXCEPT_ADMIN), *HOLDS["scps"][1:]]},
    "baseline/leave-organization": {"scps": [HOLDS["scps"][0], HOLDS["scps"][2]]},
    "baseline/regions": {
        "scps": [
            *HOLDS["scps"][:2],
            deny(None, {"StringNotEquals": {"aws:RequestedRegion": [*REGIONS, "us-east-1"]}}, NotAction=GLOBAL),
        ]
    },
    "baseline/no-public-buckets": {
        "bucket": {**HOLDS["bucket"], "Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}
    },
    "data-perimeter/trusted-identities-resources": {"bucket": {**HOLDS["bucket"], "Condition": {"Null": {"s3:prefix": "true"}}}},
}
WITH: dict[str, dict[str, Any]] = {
    "baseline/trail": {"break_glass": [ADMIN]},
    "baseline/regions": {"regions": REGIONS},
    "data-perimeter/trusted-identities-resources": {"actions": ACTIONS},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "organization.json").write_text(organization(**HOLDS))
    return tmp_path


def organization(*, scps: list[Any], bucket: dict[str, Any], has_organization: bool = True) -> str:
    """Return an organization of one member account as a file."""
    made = fastiam.Directory()
    if has_organization:
        made.set_organization("o-1", management_account=M, accounts={A: None}, scps={"r-1": [document(FULL, *scps)]})
    for arn in (APP, ADMIN):
        made.add_principal(arn, identity_policies=[document(FULL)])
    made.add_principal(f"arn:aws:iam::{M}:user/max")
    made.add_resource(BUCKET, account=A, policy=document(bucket))
    return made.to_json()


def write(**content: Any) -> None:
    Path("t.iamtest.yaml").write_text(yaml.safe_dump({"version": 1, "policies": "organization.json", **content}, sort_keys=False))


def use(name: str, **parameters: Any) -> None:
    write(use=[{"template": name, "with": parameters}] if parameters else [{"template": name}])


def statuses(report: TestReport) -> dict[str, str]:
    assert not report.broken, report.broken
    return {result.id.partition("::")[2]: result.status for result in report.results}


def message() -> str:
    report = run(".")
    assert report.broken
    return str(report.broken[0][1])


NEVER = {"principals": "everyone", "except": ["kind:SLR", f"account:{M}", "set:admins"], "actions": TRAIL}


def test_an_invariant_that_holds_passes() -> None:
    write(sets={"principals": {"admins": [ADMIN]}}, invariants=[{"name": "trail", "never": NEVER}])
    assert statuses(run(".")) == {"trail": "passed"}


def test_one_that_fails_shows_a_request_and_its_decision() -> None:
    write(invariants=[{"name": "objects", "never": {"principals": APP, "actions": "s3:GetObject"}}])
    report = run(".")
    (result,) = report.results
    assert (result.status, report.exit_code()) == ("failed", 2)
    assert result.request["action"] == "s3:GetObject"
    assert "ALLOW" in result.text
    assert result.statement is not None


def test_an_undecided_one_exits_with_4() -> None:
    write(invariants=[{"name": "objects", "never": {"principals": "everyone", "actions": "*"}, "limit": 1}])
    report = run(".")
    assert statuses(report) == {"objects": "undecided"}
    assert report.exit_code() == 4
    assert 'errors="1"' in junit(report)


def test_documents_have_invariants_about_everyone() -> None:
    never = {"principals": "everyone", "actions": "s3:PutObject"}
    for documents, expected in (({"identity": document(FULL)}, "failed"), ({"boundary": document(deny("s3:*"))}, "passed")):
        content = {"version": 1, "documents": documents, "invariants": [{"name": "no writes", "never": never}]}
        Path("t.iamtest.yaml").write_text(yaml.safe_dump(content))
        assert statuses(run(".")) == {"no writes": expected}


def test_a_warning_does_not_count() -> None:
    write(invariants=[{"name": "objects", "never": {"principals": APP, "actions": "s3:GetObject"}, "severity": "warning"}])
    report = run(".")
    assert report.exit_code() == 0
    assert any("objects fails" in warning for warning in report.warnings)


def test_an_assumption_is_a_warning() -> None:
    write(
        invariants=[{"name": "public", "never": {"principals": "anonymous", "actions": "s3:*", "except_resources": f"{BUCKET}*"}}]
    )
    report = run(".")
    assert report.exit_code() == 0
    assert report.exit_code(strict=True) == 4
    assert any("resources without a record" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("never", "expected"),
    [
        ({"principals": "everyone"}, "`never` needs `actions`"),
        ({"principals": "everyone", "actions": "s3:GetObejct"}, "did you mean `s3:GetObject`"),
        ({"principals": "evryone", "actions": "s3:*"}, "did you mean `everyone`"),
        ({"principals": f"{APP}x", "actions": "s3:*"}, "no principal has the ARN"),
        ({"principals": "everyone", "actions": "s3:*", "only_if": {"StringEqual": {"aws:SourceVpc": "v"}}}, "StringEquals"),
        ({"principals": "everyone", "action": "s3:*"}, "did you mean `actions`"),
        ({"principals": "set:admin", "actions": "s3:*"}, "set:admin"),
    ],
)
def test_a_mistake_is_an_error_at_its_place(never: dict[str, Any], expected: str) -> None:
    write(invariants=[{"name": "x", "never": never}])
    found = message()
    assert expected in found
    assert "t.iamtest.yaml:" in found


@pytest.mark.parametrize("name", template_names())
def test_a_template_holds_and_finds_a_weaker_world(name: str) -> None:
    use(name, **WITH.get(name, {}))
    assert set(statuses(run(".")).values()) == {"passed"}
    Path("organization.json").write_text(organization(**{**HOLDS, **WEAKER[name]}))
    assert "failed" in statuses(run(".")).values()


@pytest.mark.parametrize("name", [name for name in template_names() if "public" not in name])
def test_a_template_needs_an_organization(name: str) -> None:
    use(name, **WITH.get(name, {}))
    Path("organization.json").write_text(organization(**HOLDS, has_organization=False))
    assert "no organization" in message()


def test_a_template_has_its_parameters_alone() -> None:
    use("baseline/regions")
    assert "needs `regions`" in message()
    use("baseline/trail", break_glas=[ADMIN])
    assert "did you mean `break_glass`" in message()
    use("baseline/trial")
    assert "did you mean `baseline/trail`" in message()


def test_templates_are_listed_and_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert command_line(["test", "--templates"]) == 0
    listed = capfd.readouterr().out
    assert all(name in listed for name in template_names())
    assert command_line(["test", "--templates", "baseline/trail"]) == 0
    assert yaml.safe_load(capfd.readouterr().out)["invariants"][0]["never"]["actions"] == TRAIL


def test_the_result_has_a_JSON_form() -> None:
    engine = fastiam.load("organization.json").compile()
    found = fastiam.prove_invariant(engine, fastiam.Invariant(never={"principals": APP, "actions": "s3:GetObject"}))
    assert found.result is fastiam.InvariantOutcome.FAILS
    assert json.loads(json.dumps(found.to_dict()))["request"]["action"] == "s3:GetObject"
