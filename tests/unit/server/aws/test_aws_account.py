"""The account through boto3: aliases, summary, and details that load back as the same directory."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, A, AwsWorld, refused
from sts_fixture import ALL, document, trusting

import fastiam

POLICY, AWS = f"arn:aws:iam::{A}:policy/team/p", "arn:aws:iam::aws:policy/ReadOnlyAccess"
ROLE = f"arn:aws:iam::{A}:role/ops/dep"


@pytest.fixture
def iam(world):
    return world.client("iam")


def test_alias_of_an_account_is_one_and_its_own(world, iam):
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="main")
    iam.create_account_alias(AccountAlias="other")
    assert iam.list_account_aliases()["AccountAliases"] == ["other"]
    assert refused(iam.delete_account_alias, AccountAlias="main")["Code"] == "NoSuchEntity"
    world.directory.add_account("222222222222", alias="main")
    assert refused(iam.create_account_alias, AccountAlias="main")["Code"] == "EntityAlreadyExists"
    assert refused(iam.create_account_alias, AccountAlias="a--b")["Code"] == "ValidationError"
    iam.delete_account_alias(AccountAlias="other")
    assert iam.list_account_aliases()["AccountAliases"] == []


def full_account(world: AwsWorld) -> None:
    """One record of each kind, without dates, tags of policies and session durations: the answer or a load has none."""
    add = world.directory
    add.add_managed_policy(POLICY, versions={"v1": document(ALL), "v3": document(ALL | {"Sid": "three"})}, default_version="v3")
    add.add_managed_policy(AWS, document(ALL))
    add.add_managed_policy("arn:aws:iam::aws:policy/Unused", document(ALL))
    add.add_group("devs", [("inline", document(ALL)), POLICY], account=A)
    add.add_principal(f"arn:aws:iam::{A}:user/x/eve", identity_policies=[("own", document(ALL)), AWS], groups=["devs"],
                      permissions_boundary=POLICY, tags={"Team": "blé"})  # fmt: skip
    add.add_principal(ROLE, trust_policy=trusting(BO), identity_policies=[("own", document(ALL))])
    add.create_instance_profile(f"arn:aws:iam::{A}:instance-profile/web", role=ROLE, tags={"of": "i"})
    add.add_principal("arn:aws:iam::222222222222:user/foreign")


def test_summary_counts_what_the_account_has(world, iam):
    full_account(world)
    world.sts.mfa.create(BO, "phone")
    found = iam.get_account_summary()["SummaryMap"]
    expected = {
        "Users": 3,
        "Groups": 1,
        "Roles": 1,
        "Policies": 1,
        "PolicyVersionsInUse": 2,
        "InstanceProfiles": 1,
        "Providers": 0,
        "MFADevices": 1,
        "MFADevicesInUse": 0,
        "AccountAccessKeysPresent": 0,
        "GroupsPerUserQuota": 10,
        "PolicySizeQuota": 6_144,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "UsersQuota" not in found  # the directory keeps none


def test_details_load_as_the_same_directory(world, iam, tmp_path):
    """GC204."""
    full_account(world)
    iam.create_user(UserName="dated")
    iam.create_group(GroupName="dated")
    iam.create_role(RoleName="dated", AssumeRolePolicyDocument=json.dumps(trusting(BO)))
    iam.create_instance_profile(InstanceProfileName="dated")
    iam.add_role_to_instance_profile(InstanceProfileName="dated", RoleName="dated")
    made = iam.create_policy(PolicyName="dated", PolicyDocument=json.dumps(document(ALL)), Description="of all")["Policy"]
    world.clock.tick(60)
    iam.create_policy_version(PolicyArn=made["Arn"], PolicyDocument=json.dumps(document(ALL)), SetAsDefault=True)
    merged: dict[str, list] = {}
    for page in iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 2}):
        for name in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"):
            merged.setdefault(name, []).extend(page[name])
    file = tmp_path / "account.json"
    file.write_text(json.dumps(merged, default=str))
    loaded = fastiam.load(file)
    assert loaded.findings == ()
    for name, records in summary(world.directory).items():
        assert summary(loaded)[name] == records


@pytest.mark.parametrize("boundary", [document(ALL), [], [POLICY, document(ALL)]])
def test_details_without_a_boundary_are_refused(boundary):
    """Loaded without it, the user would be allowed more."""
    world = AwsWorld(fastiam.Directory("lenient"))
    world.directory.add_managed_policy(POLICY, document(ALL))
    world.directory.set_permissions_boundary(BO, boundary)
    error = refused(world.client("iam").get_account_authorization_details)
    assert error["Status"] == 501 and BO in error["Message"]
    assert world.client("iam").get_account_authorization_details(Filter=["Group"])["GroupDetailList"] == []


def summary(directory: fastiam.Directory) -> dict:
    """The records of the account in the directory format, without the foreign account and what nothing uses."""
    whole = json.loads(directory.to_json())
    for name, records in list(whole.items()):
        if isinstance(records, list):
            kept = [r for r in records if "222222222222" not in json.dumps(r) and not r.get("arn", "").endswith("/Unused")]
            for record in kept:
                record.pop("made_id", None)
            whole[name] = sorted(kept, key=json.dumps)
    return whole


def test_details_have_the_requested_kinds_and_no_secret(world, iam):
    full_account(world)
    found = iam.get_account_authorization_details(Filter=["Role", "AWSManagedPolicy"])
    assert [role["RoleName"] for role in found["RoleDetailList"]] == ["dep"] and found["UserDetailList"] == []
    assert [policy["Arn"] for policy in found["Policies"]] == [AWS]
    iam.get_account_authorization_details()
    assert world.bo.access_key_id.encode() not in world.responses[-1].body  # G145


@pytest.mark.parametrize(
    ("operation", "member"),
    [
        ("list_ssh_public_keys", "SSHPublicKeys"),
        ("list_signing_certificates", "Certificates"),
        ("list_service_specific_credentials", "ServiceSpecificCredentials"),
    ],
)
def test_credentials_that_cannot_be_made_are_listed_as_none(iam, operation, member):
    """G124: programs that delete users ask for them."""
    assert getattr(iam, operation)(UserName="bo")[member] == []
    assert refused(getattr(iam, operation), UserName="none")["Code"] == "NoSuchEntity"


def test_server_certificates_are_listed_as_none(iam):
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []
    assert iam.list_service_specific_credentials(AllUsers=True)["ServiceSpecificCredentials"] == []
