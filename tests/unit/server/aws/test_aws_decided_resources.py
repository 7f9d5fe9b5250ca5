"""Which resource a call is decided on where AWS names it before it exists, and what a denial shows of stored ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from aws_world import ADMIN, BO, A, AwsWorld, refused, sign
from sts_fixture import ALL, document

B, ORG, ROOT = "222222222222", "o-a1b2c3d4e5", "r-ab12"
ORGANIZATIONS = f"arn:aws:organizations::{A}"
TAGS = [{"Key": "k", "Value": "v"}]
SCP = json.dumps(document(ALL))
POLICY = {"Name": "p", "Content": SCP, "Type": "SERVICE_CONTROL_POLICY", "Description": "", "Tags": TAGS}
UNIT = {"ParentId": ROOT, "Name": "u", "Tags": TAGS}
ACCOUNT = {"AccountName": "a", "Email": "a@acme.test", "Tags": TAGS}


@pytest.mark.parametrize(
    ("operation", "given", "action", "resource"),
    [
        ("create_policy", POLICY, "CreatePolicy", "policy/*/service_control_policy/*"),
        ("create_policy", POLICY, "TagResource", "policy/*/service_control_policy/p-*"),
        ("create_organizational_unit", UNIT, "CreateOrganizationalUnit", "root/*"),
        ("create_organizational_unit", UNIT, "TagResource", f"ou/{ORG}/ou-*"),
        ("create_account", ACCOUNT, "TagResource", f"account/{ORG}/*"),
    ],
)
def test_new_element_is_decided_on_an_arn_of_its_type(world, operation, given, action, resource):
    """G142, G143: a Deny on all elements of a type denies new ones, and tags of new ones are not tags of the parent."""
    world.directory.set_organization(ORG, management_account=A, root=ROOT, accounts={B: None})
    call = getattr(world.client("organizations", world.bo), operation)
    deny = {"Effect": "Deny", "Action": f"organizations:{action}", "Resource": f"{ORGANIZATIONS}:{resource}"}
    world.directory.put_inline_policy(BO, "test", document(ALL, deny))
    error = refused(call, **given)
    assert "explicit deny" in error["Message"] and f"perform: organizations:{action} on" in error["Message"]
    parent = deny | {"Resource": f"{ORGANIZATIONS}:{'ou' if action.startswith('Create') else 'root'}/*"}
    world.directory.put_inline_policy(BO, "test", document(ALL, parent))
    assert call(**given)


def test_denial_shows_no_path_of_what_is_named_by_its_name(world):
    """G140: who may not read a name does not learn whether it exists."""
    world.directory.add_principal(f"arn:aws:iam::{A}:user/secret/eve")
    bo = world.client("iam", world.bo)
    shown = [refused(bo.get_user, UserName=name)["Message"].replace(name, "NAME") for name in ("eve", "adam")]
    assert shown[0] == shown[1] and f"resource: arn:aws:iam::{A}:user/NAME because" in shown[0]


def test_denial_does_not_show_whose_an_access_key_is(world):
    key = world.admin.access_key_id
    for id_ in (key, key[:-1] + "A"):
        message = refused(world.client("iam", world.bo).get_access_key_last_used, AccessKeyId=id_)["Message"]
        assert f"on resource: access key {id_} because" in message and ADMIN not in message


def test_denial_does_not_show_whose_a_device_is(world):
    made = world.sts.mfa.create(ADMIN, "phone")
    message = refused(world.client("iam", world.bo).get_mfa_device, SerialNumber=made.serial)["Message"]
    assert f"on resource: {made.serial} because" in message and ADMIN not in message


def test_region_of_a_global_service_is_known_in_each_partition():
    """K6 gives it in partition `aws` alone."""
    world, user = AwsWorld(), f"arn:aws-cn:iam::{B}:user/li"
    world.directory.add_account(B, partition="aws-cn")
    here = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestedRegion": "cn-north-1"}},
    }
    world.directory.add_principal(user, identity_policies=[document(ALL, here)])
    keys = world.sts.keys.create(user)
    body = "Action=GetUser&Version=2010-05-08"
    assert world.clock() == datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
    assert world.handle(sign(world, body, keys=keys, region="cn-north-1")).status == 403
    assert world.handle(sign(world, body, keys=keys, region="cn-northwest-1")).status == 200
