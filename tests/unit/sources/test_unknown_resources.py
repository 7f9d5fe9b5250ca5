"""Calls whose resource has an id that only the service knows, decided for all resources that it may be (T109)."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

import fastiam
import fastiam.boto3
from fastiam.analysis.access.resource_forms import representatives

A = "111111111111"
USER, ROLE = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
STACK = f"arn:aws:cloudformation:eu-west-1:{A}:stack"
SESSION = botocore.session.Session()
SESSION.set_credentials("AKIAEXAMPLE", "secret")


def statement(resource: Any, effect: str = "Allow", action: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def directory(*statements: dict[str, Any]) -> fastiam.Directory:
    made = fastiam.Directory()
    made.add_account(A)
    made.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": list(statements)}])
    return made


def outcome(
    policies: Any, service: str, operation: str, parameters: dict[str, Any], **options: Any
) -> tuple[str, tuple[str, ...]]:
    client = SESSION.create_client(service, region_name="eu-west-1")
    with Stubber(client) as stubber, fastiam.boto3.enforce(policies, depends="deny", **{"principal": USER} | options) as calls:
        stubber.add_response(operation, {})
        try:
            getattr(client, operation)(**parameters)
        except ClientError:
            pass
    (request,) = calls.requests
    assert request.resource is None and request.decision is not None
    return request.decision.outcome.name, request.decision.depends_on


ALLOW, DENY, OPEN = ("ALLOW", ()), ("IMPLICIT_DENY", ()), ("DEPENDS", ("resource",))
DELETE = ("cloudformation", "delete_stack", {"StackName": "app"})
CASES = [
    ([statement("*")], ALLOW),
    ([statement(f"{STACK}/app/*")], ALLOW),
    ([statement(f"{STACK}/a*")], ALLOW),
    ([statement(f"{STACK}/web/*")], DENY),
    ([statement("*", action="s3:*")], DENY),
    ([statement(f"{STACK}/app/1a")], OPEN),
    ([statement(f"{STACK}/*/1a*")], OPEN),
    ([statement(f"{STACK}/*"), statement(f"{STACK}/app/1a", "Deny")], OPEN),
    ([statement(f"{STACK}/*"), statement(f"{STACK}/app/*", "Deny")], ("EXPLICIT_DENY", ())),
    ([statement(f"{STACK}/*"), statement(f"{STACK}/app/1a", "Deny", "s3:*")], ALLOW),
    ([{"Effect": "Allow", "Action": "*", "NotResource": f"{STACK}/app/1a"}], OPEN),
    ([{"Effect": "Allow", "Action": "*", "NotResource": f"{STACK}/web/*"}], ALLOW),
    ([statement(f"{STACK}/${{aws:username}}/*")], OPEN),
    ([statement("*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], ("DEPENDS", ("aws:sourceip",))),
    ([statement("*", Condition={"StringEquals": {"aws:ResourceTag/a": "b"}})], ("DEPENDS", ("aws:resourcetag/a",))),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "expected"), CASES, ids=range(len(CASES)))
def test_stack_is_decided_for_each_id(statements: list[dict[str, Any]], expected: tuple[str, tuple[str, ...]]) -> None:
    found = outcome(directory(*statements), *DELETE)
    assert (found[0], tuple(key.lower() for key in found[1])) == expected


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "resource"),
    [
        ("eks", "delete_nodegroup", {"clusterName": "c", "nodegroupName": "n"}, f"arn:aws:eks:eu-west-1:{A}:nodegroup/c/n/*"),
        ("athena", "get_query_results", {"QueryExecutionId": "q"}, f"arn:aws:athena:eu-west-1:{A}:workgroup/*"),
    ],
)  # fmt: skip
def test_pattern_that_covers_each_id_allows(service: str, operation: str, parameters: dict[str, Any], resource: str) -> None:
    assert outcome(directory(statement(resource)), service, operation, parameters) == ALLOW
    assert outcome(directory(statement(f"{resource[:-1]}x")), service, operation, parameters) in (OPEN, DENY)


def test_metrics_have_no_resource_or_a_dataset() -> None:
    put = "cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m"}]}
    assert outcome(directory(statement("*")), *put) == ALLOW
    assert outcome(directory(statement("*", action="s3:*")), *put) == DENY
    assert outcome(directory(statement(f"arn:aws:cloudwatch:eu-west-1:{A}:dataset/*")), *put) == OPEN


def test_session_policies_leave_the_resource_open() -> None:
    made = directory(statement("*"))
    made.add_principal(ROLE, identity_policies=[{"Version": "2012-10-17", "Statement": [statement("*")]}])
    narrow = {"Version": "2012-10-17", "Statement": [statement(f"{STACK}/app/1a")]}
    session = f"arn:aws:sts::{A}:assumed-role/app/run"
    assert outcome(made, *DELETE, principal=fastiam.Session(session, kind="ROLE", issuer=ROLE)) == ALLOW
    assert outcome(made, *DELETE, principal=fastiam.Session(session, kind="ROLE", issuer=ROLE, policies=[narrow])) == OPEN


def test_key_of_an_alias_may_be_of_another_account() -> None:
    found = outcome(directory(statement("*")), "kms", "decrypt", {"KeyId": "alias/a", "CiphertextBlob": b"x"})
    assert found == OPEN


PARTS = st.sampled_from(["app", "a", "1a", "*", "?", "a*", "*a", "web"])
PATTERNS = st.builds(lambda *parts: f"{STACK}/{'/'.join(parts)}", PARTS, PARTS) | st.just("*")
STATEMENTS = st.lists(
    st.builds(
        lambda resource, effect, key: {"Effect": effect, "Action": "cloudformation:*", key: resource},
        PATTERNS, st.sampled_from(["Allow", "Deny"]), st.sampled_from(["Resource", "NotResource"]),
    ), min_size=1, max_size=4,
)  # fmt: skip


@given(STATEMENTS, st.sampled_from(["app", "a", "web"]))
def test_representative_has_the_decision_of_each_id(statements: list[dict[str, Any]], name: str) -> None:
    engine = directory(*statements).compile()
    found = representatives(engine.snapshot, "cloudformation:DeleteStack", f"{STACK}/{name}/*")
    if found is not None:
        ids = [*found, *(f"{STACK}/{name}/{id_}" for id_ in ("1a", "a", "web", "app", "x", "1b2c"))]
        outcomes = {engine.decide(USER, "cloudformation:DeleteStack", one).outcome for one in ids}
        assert len(outcomes) == 1
