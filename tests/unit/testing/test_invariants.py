"""Invariants and templates in test files: what they may say, and what a run answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import fastiam
from fastiam.cli.main import run as command_line
from fastiam.errors import SourceError
from fastiam.testing import TestReport, run
from fastiam.testing.output import coverage_lines, junit
from fastiam.testing.templates import find_template, template_names

A, M, X = "111111111111", "999999999999", "333333333333"
APP, ADMIN = f"arn:aws:iam::{A}:role/app", f"arn:aws:iam::{A}:role/break-glass"
TRAIL = ["cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail", "cloudtrail:PutEventSelectors"]
REGIONS = ["eu-west-1", "eu-central-1"]
GLOBAL = find_template("baseline/regions").defaults["global_actions"]  # type: ignore[union-attr]
SELF_SERVICE = find_template("baseline/console-administrators-mfa").defaults["self_service"]  # type: ignore[union-attr]
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
OTHER_RESOURCES = {"StringNotEqualsIfExists": {"aws:ResourceOrgID": "o-1"}}
OTHER_NETWORKS = {
    "NotIpAddressIfExists": {"aws:SourceIp": "198.51.100.0/24"},
    "StringNotEqualsIfExists": {"aws:SourceVpc": "vpc-1"},
    "BoolIfExists": {"aws:ViaAWSService": "false"},
}
NOT_SERVICES = {**OTHER_NETWORKS, "BoolIfExists": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}
WITHOUT_MFA = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
ROOT_USERS = {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:root"}}
PERIMETER = ["s3:*", "kms:*", "sqs:*", "sns:*", "secretsmanager:*"]


def grant(action: str, resource: str, condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource, "Condition": condition}


# the policies with which each template holds; then the same with one statement weakened
SCPS = {
    "trail": deny(TRAIL, EXCEPT_ADMIN),
    "leave": deny("organizations:LeaveOrganization"),
    "regions": deny(None, OUTSIDE_REGIONS, NotAction=GLOBAL),
    "resources": deny(PERIMETER, OTHER_RESOURCES),
    "networks": deny(PERIMETER, OTHER_NETWORKS),
    "root": deny("*", ROOT_USERS),
    "pass": deny("iam:PassRole", EXCEPT_ADMIN, Resource=ADMIN),
}
HOLDS: dict[str, Any] = {
    "scps": SCPS,
    "rcps": [deny(["s3:*", "kms:*", "sqs:*", "secretsmanager:*"], NOT_SERVICES, Principal="*")],
    "bucket": grant("s3:GetObject", f"{BUCKET}/*", OF_ORGANIZATION),
    "key": grant("kms:Decrypt", "*", {"StringEquals": {"aws:PrincipalAccount": A}}),
    "endpoint": grant("*", "*", {"StringEquals": {"aws:PrincipalOrgID": "o-1", "aws:ResourceOrgID": "o-1"}}),
    "user": deny(None, WITHOUT_MFA, NotAction=SELF_SERVICE),
}
WEAKER: dict[str, dict[str, Any]] = {
    "baseline/trail": {"scps": {**SCPS, "trail": deny(TRAIL[:3], EXCEPT_ADMIN)}},
    "baseline/trail-works": {"scps": {**SCPS, "trail": deny(TRAIL)}},
    "baseline/leave-organization": {"scps": {**SCPS, "leave": FULL}},
    "baseline/regions": {
        "scps": {
            **SCPS,
            "regions": deny(None, {"StringNotEquals": {"aws:RequestedRegion": [*REGIONS, "us-east-1"]}}, NotAction=GLOBAL),
        }
    },
    "baseline/root-user": {"scps": {**SCPS, "root": deny("ec2:*", ROOT_USERS)}},
    "baseline/pass-admin-role": {"scps": {**SCPS, "pass": deny("iam:PassRole", EXCEPT_ADMIN, Resource=f"{ADMIN}s")}},
    "baseline/keys-in-organization": {"key": grant("kms:Decrypt", "*", {"StringEquals": {"aws:PrincipalAccount": [A, X]}})},
    "baseline/console-administrators-mfa": {
        "user": deny(None, {"Bool": {"aws:MultiFactorAuthPresent": "false"}}, NotAction=SELF_SERVICE)
    },
    "data-perimeter/trusted-identities-network": {
        "endpoint": grant("*", "*", {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}})
    },
    "data-perimeter/trusted-resources-network": {"endpoint": grant("*", "*", OF_ORGANIZATION)},
    "data-perimeter/trusted-resources-identities": {
        "scps": {**SCPS, "resources": deny(PERIMETER, {"StringNotEquals": {"aws:ResourceOrgID": ["o-1", "o-2"]}})}
    },
    "data-perimeter/expected-networks-identities": {"scps": {**SCPS, "networks": deny(PERIMETER[:3], OTHER_NETWORKS)}},
    "data-perimeter/expected-networks-resources": {"rcps": []},
    "baseline/no-public-buckets": {
        "bucket": {**HOLDS["bucket"], "Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}
    },
    "data-perimeter/trusted-identities-resources": {"bucket": {**HOLDS["bucket"], "Condition": {"Null": {"s3:prefix": "true"}}}},
}
WITH: dict[str, dict[str, Any]] = {
    "baseline/trail": {"break_glass": [ADMIN]},
    "baseline/regions": {"regions": REGIONS},
    "baseline/trail-works": {"break_glass": [ADMIN]},
    "baseline/pass-admin-role": {"admin_roles": [ADMIN], "administrators": [ADMIN]},
    "data-perimeter/trusted-identities-network": {"endpoints": ["vpce-1"]},
    "data-perimeter/trusted-resources-network": {"endpoints": ["vpce-1"]},
    "data-perimeter/expected-networks-identities": {"ranges": ["198.51.100.0/24"], "vpcs": ["vpc-1"]},
    "data-perimeter/expected-networks-resources": {"ranges": ["198.51.100.0/24"], "vpcs": ["vpc-1"]},
    "data-perimeter/trusted-identities-resources": {"actions": ACTIONS},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "organization.json").write_text(organization(**HOLDS))
    return tmp_path


def organization(has_organization: bool = True, **one: Any) -> str:
    """Return an organization of one member account as a file."""
    made = fastiam.Directory()
    if has_organization:
        scps, rcps = document(FULL, *one["scps"].values()), [document(*one["rcps"])] if one["rcps"] else []
        made.set_organization("o-1", management_account=M, accounts={A: None}, scps={"r-1": [scps]}, rcps={"r-1": rcps})
    made.add_principal(f"arn:aws:iam::{A}:user/ana", identity_policies=[document(FULL, one["user"])])
    made.add_endpoint("vpce-1", policy=document(one["endpoint"]))
    made.add_resource(f"arn:aws:kms:eu-west-1:{A}:key/1", account=A, policy=document(one["key"]))
    for arn in (APP, ADMIN):
        made.add_principal(arn, identity_policies=[document(FULL)])
    made.add_principal(f"arn:aws:iam::{M}:user/max")
    made.add_resource(BUCKET, account=A, policy=document(one["bucket"]))
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


def test_TA21_an_undecided_one_exits_with_4() -> None:
    write(invariants=[{"name": "objects", "never": {"principals": "everyone", "actions": "*"}, "limit": 1}])
    report = run(".")
    assert statuses(report) == {"objects": "undecided"}
    assert report.exit_code() == 4
    assert 'errors="1"' in junit(report)
    assert [command_line(["test", "."]), command_line(["test", ".", "--exit-zero"])] == [4, 0]


def test_documents_have_invariants_about_everyone() -> None:
    never = {"principals": "everyone", "actions": "s3:PutObject"}
    for documents, expected in (({"identity": document(FULL)}, "failed"), ({"boundary": document(deny("s3:*"))}, "passed")):
        content = {"version": 1, "documents": documents, "invariants": [{"name": "no writes", "never": never}]}
        Path("t.iamtest.yaml").write_text(yaml.safe_dump(content))
        assert statuses(run(".")) == {"no writes": expected}


def test_always_and_sometimes_are_about_allowed_requests() -> None:
    reads = {"principals": ADMIN, "actions": TRAIL[0]}
    write(
        invariants=[
            {"name": "stops", "sometimes": reads},
            {"name": "stops always", "always": {"principals": f"arn:aws:iam::{A}:user/ana", "actions": TRAIL[0]}},
            {"name": "leaves", "sometimes": {"principals": APP, "actions": "organizations:LeaveOrganization"}},
        ]
    )
    report = run(".")
    assert statuses(report) == {"stops": "passed", "stops always": "failed", "leaves": "failed"}
    denied, none = report.results[1:]
    assert (denied.expected, denied.actual) == ("always allowed", "a request is denied")
    assert '"expect": "denied"' in denied.paste
    assert none.actual == "no request is allowed"


def test_an_invariant_goes_through_roles() -> None:
    made = fastiam.Directory()
    ana, role = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/next"
    trust = {"Effect": "Allow", "Principal": {"AWS": ana}, "Action": "sts:AssumeRole"}
    made.add_principal(ana)
    made.add_principal(role, identity_policies=[document(FULL)], trust_policy=document(trust))
    Path("organization.json").write_text(made.to_json())
    scope = {"principals": ana, "actions": "s3:GetObject"}
    write(invariants=[{"name": "own", "never": scope}, {"name": "chain", "never": dict(scope), "through": "roles"}])
    report = run(".")
    assert statuses(report) == {"own": "passed", "chain": "failed"}
    assert f"{ana} sts:AssumeRole {role}" in report.results[1].text


@pytest.mark.parametrize(
    ("invariant", "expected"),
    [
        ({}, "one of `never`, `always` and `sometimes`"),
        ({"never": {"principals": APP, "actions": "s3:*"}, "always": {"principals": APP, "actions": "s3:*"}}, "one of `never`"),
        ({"always": {"principals": APP, "actions": "s3:*", "only_if": {"Null": {"aws:SourceVpc": "true"}}}}, "given"),
    ],
)
def test_an_invariant_has_one_quantifier(invariant: dict[str, Any], expected: str) -> None:
    write(invariants=[{"name": "x", **invariant}])
    assert expected in message()


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
        ({"principals": APP, "actions": "s3:*", "given": {"StringEquals": {"aws:SourceVpc": []}}}, "an empty list"),
        ({"principals": "everyone", "actions": "s3:GetObejct"}, "did you mean `s3:GetObject`"),
        ({"principals": "evryone", "actions": "s3:*"}, "did you mean `everyone`"),
        ({"principals": "role/app", "actions": "s3:*"}, "write `arn:aws:iam::*:role/app`"),
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


@pytest.mark.parametrize("name", template_names())
def test_a_template_needs_an_organization(name: str) -> None:
    use(name, **WITH.get(name, {}))
    Path("organization.json").write_text(organization(False, **HOLDS))
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


def several() -> None:
    """Write 30 invariants with each status, an assumption and a vacuous one."""
    kinds = [
        {"never": NEVER},
        {"never": {"principals": APP, "actions": "s3:GetObject"}},
        {"never": {"principals": "everyone", "actions": "*"}, "limit": 1},
        {"never": {"principals": "tag:team=none", "actions": "s3:GetObject"}},
        {"sometimes": {"principals": ADMIN, "actions": TRAIL[0]}},
    ]
    named = [{"name": f"{at}", **json.loads(json.dumps(kinds[at % len(kinds)]))} for at in range(30)]  # no aliases in YAML
    write(sets={"principals": {"admins": [ADMIN]}}, invariants=named)


def without_times(report: TestReport) -> dict[str, Any]:
    found = {**report.to_dict(), "seconds": 0}
    for result in found["files"][0]["results"]:
        result["seconds"] = 0
    return found


def test_processes_give_the_same_report() -> None:  # TA23
    several()
    one, two = run("."), run(".", jobs=2)
    assert not one.broken, one.broken
    assert {result.status for result in one.results} == {"passed", "failed", "undecided"} and one.warnings
    assert without_times(one) == without_times(two)
    assert [result.id for result in run(".", jobs=2, fail_fast=True).results] == ["t.iamtest.yaml::0", "t.iamtest.yaml::1"]


def test_a_mistake_in_a_process_is_the_error_of_the_file() -> None:
    write(invariants=[{"name": name, "never": {"principals": APP, "actions": "s3:GetObejct"}} for name in "ab"])
    (one,), (two,) = run(".").broken, run(".", jobs=2).broken
    assert str(one[1]) == str(two[1])


def test_examples_or_invariants_can_be_left_out() -> None:
    test = {"name": "reads", "principal": APP, "resource": f"{BUCKET}/k", "allowed": ["s3:GetObject"]}
    write(tests=[test], invariants=[{"name": "objects", "never": {"principals": APP, "actions": "sqs:SendMessage"}}])
    assert set(statuses(run(".", only="examples"))) == {"reads"}
    assert set(statuses(run(".", only="invariants"))) == {"objects"}
    write(tests=[test])
    with pytest.raises(SourceError, match="no test matches --only invariants"):
        run(".", only="invariants")


def test_statements_of_a_scope_are_covered_by_its_invariant() -> None:  # T33
    statements = [
        {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"},
        {"Sid": "Write", "Effect": "Allow", "Action": "s3:Put*", "Resource": f"{BUCKET}/*"},
        {"Sid": "Other", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::other/*"},
        {"Sid": "All", "Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Sid": "Iam", "Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
    ]
    made = fastiam.Directory()
    made.add_principal(APP, identity_policies=[document(*statements)])
    Path("organization.json").write_text(made.to_json())
    never = {"principals": APP, "actions": "s3:PutObject", "resources": [f"{BUCKET}/k*"]}
    write(invariants=[{"name": "writes", "never": never}])
    coverage = run(".", coverage="own").coverage
    assert coverage is not None and coverage.percent == 0.0
    states = {one.statement.sid: one.state for one in coverage.statements}
    in_scope = ("in scope", "not reached")
    assert states == dict(zip(["Read", "Write", "Other", "All", "Iam"], (in_scope[n] for n in (1, 0, 1, 0, 1)), strict=True))
    assert any("no request matches its action; in scope of an invariant" in line for line in coverage_lines(coverage))
