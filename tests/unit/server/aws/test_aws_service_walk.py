"""Each operation of the other services is decided, as `test_aws_walk` tests it for IAM (G144)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_world import BO, A, AwsWorld, refused
from botocore import xform_name
from botocore.exceptions import ClientError
from sts_fixture import document

from fastiam.aws_data.service_models import service
from fastiam.server.protocols.aws.operations import operations

CALLS = json.loads((Path(__file__).parents[3] / "cases/aws_service_calls.json").read_text())
PERMISSIONS = sorted(
    {
        (name, operation, permission.action or f"{name}:{operation}")
        for name in CALLS
        for operation, described in operations(name).items()
        for permission in described.permissions
    }
)
SIGNED = sorted({(name, operation) for name, operation, _ in PERMISSIONS})


def call(world: AwsWorld, name: str, operation: str):
    if name == "organizations":
        world.directory.set_organization("o-1", management_account=A, root="r-ab12", accounts={"222222222222": None})
    return getattr(world.client(name, world.bo), xform_name(operation))


@pytest.mark.parametrize("name", CALLS)
def test_every_signed_operation_has_a_call_and_a_permission(name):
    signed = {each for each in operations(name) if not service(name).operations[each].is_unsigned}
    assert signed == CALLS[name].keys() == {operation for other, operation in SIGNED if other == name}


@pytest.mark.parametrize(("name", "operation", "action"), PERMISSIONS)
def test_caller_with_all_other_permissions_is_denied(world, name, operation, action):
    allow = {"Effect": "Allow", "NotAction": action, "Resource": "*"}
    world.directory.put_inline_policy(BO, "test", document(allow))
    method = call(world, name, operation)
    before = world.directory.to_json()
    error = refused(method, **CALLS[name][operation])
    assert error["Code"] == "AccessDeniedException" and f"perform: {action} on resource" in error["Message"], error
    assert f":{A}:" in error["Message"].partition("on resource: ")[2] or "resource: *" in error["Message"]
    assert world.directory.to_json() == before


@pytest.mark.parametrize(("name", "operation"), SIGNED)
def test_caller_with_the_permissions_is_not_denied(world, name, operation):
    world.allow(*(action for other, each, action in PERMISSIONS if (other, each) == (name, operation)))
    try:
        call(world, name, operation)(**CALLS[name][operation])
    except ClientError as error:
        assert error.response["Error"]["Code"] in service(name).errors, error.response
        assert "is not authorized" not in error.response["Error"]["Message"]
