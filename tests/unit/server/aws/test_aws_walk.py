"""Each IAM operation is decided: who has all other permissions, and not the one that it needs, is denied (G144)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_world import BO, A, AwsWorld, refused
from botocore import xform_name
from botocore.exceptions import ClientError
from saml_world import metadata
from sts_fixture import ALL, document, trusting

from fastiam.server.protocols.aws.operations import operations

CALLS = json.loads((Path(__file__).parents[3] / "cases/aws_calls.json").read_text())
for given in CALLS.values():
    if given.get("SAMLMetadataDocument") == "METADATA":
        given["SAMLMetadataDocument"] = metadata()
PERMISSIONS = sorted(
    {(name, permission.action or f"iam:{name}") for name, op in operations("iam").items() for permission in op.permissions}
)


def call(world: AwsWorld, name: str):
    client = world.client("iam", world.bo)
    return getattr(client, xform_name(name))


@pytest.fixture
def everyone(world):
    """What the calls name exists, so that a denial is not taken for an absence."""
    add = world.directory
    add.add_managed_policy(f"arn:aws:iam::{A}:policy/p", document(ALL))
    add.add_principal(f"arn:aws:iam::{A}:user/eve", tags={"k": "v"})
    add.add_principal(f"arn:aws:iam::{A}:role/dep", trust_policy=trusting(BO), tags={"k": "v"})
    add.add_group("devs", account=A)
    add.add_user_to_group(f"arn:aws:iam::{A}:user/eve", f"arn:aws:iam::{A}:group/devs")
    add.create_instance_profile(f"arn:aws:iam::{A}:instance-profile/web")
    add.create_saml_provider(f"arn:aws:iam::{A}:saml-provider/Corp", metadata=metadata(), tags={"k": "v"})
    add.create_oidc_provider(f"arn:aws:iam::{A}:oidc-provider/idp.example/x", client_ids=["app1"], tags={"k": "v"})
    return world


def test_every_operation_has_a_call():
    assert CALLS.keys() == operations("iam").keys()


def test_every_operation_needs_a_permission():
    assert [name for name, operation in operations("iam").items() if not operation.permissions] == []


@pytest.mark.parametrize(("name", "action"), PERMISSIONS)
def test_caller_with_all_other_permissions_is_denied(everyone, name, action):
    allow = {"Effect": "Allow", "NotAction": action, "Resource": "*"}
    everyone.directory.put_inline_policy(BO, "test", document(allow))
    before = everyone.directory.to_json()
    error = refused(call(everyone, name), **CALLS[name])
    assert error["Code"] == "AccessDenied" and f"perform: {action} on resource" in error["Message"], error
    assert everyone.directory.to_json() == before


@pytest.mark.parametrize("name", sorted(operations("iam")))
def test_caller_with_the_permissions_is_not_denied(everyone, name):
    actions = [action for operation, action in PERMISSIONS if operation == name]
    everyone.allow(*actions)
    try:
        call(everyone, name)(**CALLS[name])
    except ClientError as error:
        assert error.response["Error"]["Code"] != "ServiceFailure", error.response
        assert "is not authorized" not in error.response["Error"]["Message"]
