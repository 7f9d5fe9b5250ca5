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
    policies: Any, service: str, operation: str, parameters: dict[str, Any], resource: str | None = None, **options: Any
) -> tuple[str, tuple[str, ...]]:
    client = SESSION.create_client(service, region_name="eu-west-1")
    with Stubber(client) as stubber, fastiam.boto3.enforce(policies, depends="deny", **{"principal": USER} | options) as calls:
        stubber.add_response(operation, {})
        try:
            getattr(client, operation)(**parameters)
        except ClientError:
            pass
    (request,) = calls.requests
    assert request.resource == resource and request.decision is not None
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


def test_session_policies_may_distinguish_resources_too() -> None:
    made = directory(statement("*"))
    made.add_principal(ROLE, identity_policies=[{"Version": "2012-10-17", "Statement": [statement("*")]}])
    session = f"arn:aws:sts::{A}:assumed-role/app/run"

    def of_session(*resources: str) -> tuple[str, tuple[str, ...]]:
        policies = [{"Version": "2012-10-17", "Statement": [statement(resource)]} for resource in resources] or None
        return outcome(made, *DELETE, principal=fastiam.Session(session, kind="ROLE", issuer=ROLE, policies=policies))

    assert of_session() == ALLOW
    assert of_session(f"{STACK}/app/1a") == OPEN
    assert of_session(f"{STACK}/app/*") == ALLOW
    assert of_session(f"{STACK}/web/*") == DENY


SECRET = f"arn:aws:secretsmanager:eu-west-1:{A}:secret:db"
GET = ("secretsmanager", "get_secret_value", {"SecretId": "db"})
SECRETS = [
    ([statement(f"{SECRET}-??????")], ALLOW),
    ([statement(f"{SECRET}-*")], ALLOW),
    ([statement(SECRET)], DENY),
    ([statement(f"{SECRET}-AbCdEf")], OPEN),
    ([statement("*"), statement(f"{SECRET}-??????", "Deny")], ("EXPLICIT_DENY", ())),
    ([statement("*"), statement(f"{SECRET}-AbCdEf", "Deny")], OPEN),
    ([statement("*"), statement(SECRET, "Deny")], ALLOW),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "expected"), SECRETS, ids=range(len(SECRETS)))
def test_secret_by_name_is_decided_for_each_suffix(
    statements: list[dict[str, Any]], expected: tuple[str, tuple[str, ...]]
) -> None:
    assert outcome(directory(*statements), *GET, resource=SECRET) == expected


def test_record_of_a_secret_determines_the_suffix_of_its_name() -> None:
    made = directory(statement(f"{SECRET}-AbCdEf"))
    made.add_resource(f"{SECRET}-AbCdEf")
    assert outcome(made, *GET, resource=SECRET) == ALLOW
    made.add_resource(f"{SECRET}-GhIjKl")
    assert outcome(made, *GET, resource=SECRET) == OPEN


def test_name_that_ends_like_a_suffix_has_one_too() -> None:
    named, full = f"{SECRET}-secret", f"{SECRET}-secret-AbCdEf"
    get = "secretsmanager", "get_secret_value"
    for_all = directory(statement(f"{named}-??????"))
    assert outcome(for_all, *get, {"SecretId": "db-secret"}, resource=named) == ALLOW
    assert outcome(for_all, *get, {"SecretId": full}, resource=full) == ALLOW
    assert outcome(directory(statement(f"{SECRET}-??????")), *get, {"SecretId": "db-secret"}, resource=named) == DENY
    assert outcome(directory(statement(f"{SECRET}-??????")), *get, {"SecretId": named}, resource=named) == ALLOW


def test_each_secret_of_a_batch_has_its_suffix() -> None:
    get = "secretsmanager", "batch_get_secret_value", {"SecretIdList": ["db"]}
    client = SESSION.create_client(get[0], region_name="eu-west-1")
    allowed = [statement("*", action="secretsmanager:BatchGetSecretValue"), statement(f"{SECRET}-??????")]
    with Stubber(client) as stubber, fastiam.boto3.enforce(directory(*allowed), principal=USER) as calls:
        stubber.add_response(get[1], {})
        client.batch_get_secret_value(**get[2])
    assert [(each.resource, each.forms) for each in calls.requests] == [("*", ()), (SECRET, (f"{SECRET}-??????",))]


def test_draft_names_secrets_and_log_groups_as_policies_do() -> None:
    secrets, logs = (SESSION.create_client(name, region_name="eu-west-1") for name in ("secretsmanager", "logs"))
    with Stubber(secrets) as one, Stubber(logs) as other, fastiam.boto3.record(account=A) as calls:
        one.add_response("get_secret_value", {})
        other.add_response("create_log_group", {})
        secrets.get_secret_value(SecretId="db")
        logs.create_log_group(logGroupName="/app")
    (group, secret) = sorted(each["Resource"][0] for each in calls.policy().document["Statement"])
    assert (secret, group) == (f"{SECRET}-??????", f"arn:aws:logs:eu-west-1:{A}:log-group:/app:*")


def test_deny_on_the_streams_of_a_group_is_one_on_the_group() -> None:
    group = f"arn:aws:logs:eu-west-1:{A}:log-group:/app"
    call = "logs", "put_retention_policy", {"logGroupName": "/app", "retentionInDays": 7}
    resource = f"{group}:log-stream:"
    assert outcome(directory(statement(f"{group}:*")), *call, resource=resource) == ALLOW
    assert outcome(directory(statement(group)), *call, resource=resource) == DENY
    denied = directory(statement("*"), statement(f"{group}:log-stream:*", "Deny"))
    assert outcome(denied, *call, resource=resource) == ("EXPLICIT_DENY", ())


def test_tags_of_a_group_are_decided_by_its_name() -> None:
    tag = {"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": "a"}
    place = f"arn:aws:autoscaling:eu-west-1:{A}:autoScalingGroup"
    call = "autoscaling", "create_or_update_tags", {"Tags": [tag]}
    assert outcome(directory(statement(f"{place}:*:autoScalingGroupName/g")), *call) == ALLOW
    assert outcome(directory(statement(f"{place}:*:autoScalingGroupName/h")), *call) == DENY


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
