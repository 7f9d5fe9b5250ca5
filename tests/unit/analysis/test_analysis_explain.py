"""The text of `explain` (spec 6.9): it contains the statement to change, its position, and the failed condition.

Each test has a policy with one error, and reads the text only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam.model.decision import Layer, Outcome
from fastiam.model.explanation_text import explanation_lines
from fastiam.model.policy import ConditionEntry, Effect
from fastiam.model.profile import PrincipalKind, PrincipalProfile, ResourceProfile
from fastiam.model.request import Request
from fastiam.spec import decide

ACCOUNT = "111111111111"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
KEY = "arn:aws:s3:::reports/may"


def directory(*statements: dict[str, Any], **more: Any) -> fastiam.Directory:
    out = fastiam.Directory()
    out.add_principal(
        ANA, identity_policies=[("Ana", json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=1))], **more
    )
    out.add_resource("arn:aws:s3:::reports", account=ACCOUNT)
    return out


def explained(*statements: dict[str, Any], action: str = "s3:GetObject", resource: str = KEY, **context: str) -> str:
    return str(
        directory(*statements).compile().explain(ANA, action, resource, {k.replace("_", ":"): v for k, v in context.items()})
    )


READ = {"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::reports/*"}


def test_explanation_begins_with_the_decision_and_request() -> None:
    lines = explained(READ).splitlines()
    assert lines[0] == "ALLOWED  layer identity"
    assert lines[1:3] == [f"  {ANA}", f"  s3:GetObject on {KEY}"]
    assert lines[3].startswith("  by Read  Ana:4:")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"Action": "s3:Put*"}, "Action wants s3:Put*; the request has s3:GetObject"),
        ({"Resource": "arn:aws:s3:::logs/*"}, f"Resource wants arn:aws:s3:::logs/*; the request has {KEY}"),
        (
            {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}},
            "Condition StringEquals aws:SourceVpc wants vpc-1; the request has no value",
        ),
        ({"Action": None, "NotAction": "s3:*"}, "NotAction excludes s3:*; the request has s3:GetObject"),
    ],
)
def test_near_miss_shows_expected_and_actual_values(change: dict[str, Any], wanted: str) -> None:
    text = explained({key: value for key, value in {**READ, **change}.items() if value is not None})
    assert "it would take an allow in\n  identity: an identity policy of the principal\n" in text
    near = text.partition("near misses")[2].splitlines()
    assert near[1].strip().startswith("Read")
    assert near[2].strip() == wanted


def test_explanation_counts_statements_of_other_services() -> None:
    sqs, ec2 = ({"Effect": "Allow", "Action": f"{service}:*", "Resource": "*"} for service in ("sqs", "ec2"))
    text = explained(sqs, ec2)
    assert "2 more that are about other actions or resources" in text
    assert "sqs" not in text


def test_explanation_of_a_deny_shows_its_condition() -> None:
    office = {
        "Sid": "Office",
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    }
    text = explained(READ, office, aws_SourceIp="203.0.113.1")
    assert text.startswith("DENIED by a statement  layer identity")
    assert "NotIpAddress aws:SourceIp 10.0.0.0/8; the request has 203.0.113.1" in text


def test_explanation_shows_the_file_position_of_a_statement(tmp_path: Path) -> None:
    file = tmp_path / "policies.json"
    directory({**READ, "Sid": "First"}, READ | {"Effect": "Deny", "Sid": "Second"}).dump(file)
    explanation = fastiam.load(file).compile().explain(ANA, "s3:GetObject", KEY)
    assert explanation.decision.statement is not None
    statement = explanation.decision.statement
    assert statement.position == f"{file}:{statement.line}:{statement.column}" and statement.position in str(explanation)
    assert '"Second"' in "".join(file.read_text().splitlines()[statement.line - 1 : statement.line + 8])


def test_explanation_names_each_scp_level_without_an_allow() -> None:
    tree = directory(READ)
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    only_sqs = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}}
    tree.set_scps(ACCOUNT, [[everything], [only_sqs]])
    text = str(tree.compile().explain(ANA, "s3:GetObject", KEY))
    assert "scp: an SCP of level 1 on the account's path (0 is the root)" in text
    assert "scp        does not allow it on level 1" in text


def test_explanation_of_depends_lists_statements_and_conditions() -> None:  # D74
    directory_ = directory(READ | {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}})
    snapshot = directory_.snapshot()
    who, what, endpoint = snapshot.profiles(ANA, "s3:GetObject", KEY, {})
    explanation = decide(who, what, Request("s3:GetObject", unknown=frozenset({"aws:sourcevpc"})), endpoint=endpoint)
    assert explanation.decision.outcome is Outcome.DEPENDS
    (one,) = explanation.residual_statements
    assert (one.ref.sid, one.effect, one.keys) == ("Read", Effect.ALLOW, ("aws:sourcevpc",))
    assert one.conditions == (ConditionEntry("StringEquals", "", False, "aws:SourceVpc", ("vpc-1",)),)
    assert "if StringEquals aws:SourceVpc vpc-1" in str(explanation)


def test_explanation_text_equals_its_lines_without_styles() -> None:
    explanation = directory(READ).compile().explain(ANA, "s3:PutObject", KEY)
    assert str(explanation) == "\n".join("".join(text for text, _ in line) for line in explanation_lines(explanation))


def test_explanation_built_from_parts_has_a_text() -> None:
    """Also where no policy was read at all: an early answer has empty lists."""
    unknown = PrincipalProfile(PrincipalKind.USER, ANA, "aws", ACCOUNT, known=False)
    explanation = decide(unknown, ResourceProfile(KEY, "aws", ACCOUNT), Request("s3:GetObject"))
    assert explanation.decision.layer is Layer.CREDENTIAL
    assert "the directory does not know the principal" in str(explanation)
