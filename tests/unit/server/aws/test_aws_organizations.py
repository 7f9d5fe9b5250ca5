"""Organizations through boto3."""

from __future__ import annotations

import pytest
from aws_world import A, refused
from sts_fixture import ALL, document

B, C, OUTSIDE = "222222222222", "333333333333", "444444444444"
ORG, ROOT, UNIT, INNER = "o-a1b2c3d4e5", "r-ab12", "ou-ab12-12345678", "ou-ab12-87654321"
ARN = f"arn:aws:organizations::{A}"
SCP, RCP, IAM = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY", "iam.amazonaws.com"


@pytest.fixture
def managed(world):
    """The client of the management account of an organization with two units and two more accounts."""
    units = {UNIT: ROOT, INNER: UNIT}
    world.directory.set_organization(
        ORG, management_account=A, root=ROOT, organizational_units=units, accounts={B: UNIT, C: None}, policy_types=(SCP,)
    )
    return world.client("organizations")


def client_of(world, account: str, partition: str = "aws"):
    """The client of an administrator of another account."""
    arn = f"arn:{partition}:iam::{account}:user/admin"
    world.directory.add_principal(arn, identity_policies=[("all", document(ALL))])
    return world.client("organizations", world.sts.keys.create(arn))


def test_organization_is_created_by_its_management_account(world):
    client = world.client("organizations")
    assert refused(client.describe_organization)["Code"] == "AWSOrganizationsNotInUseException"
    made = client.create_organization(FeatureSet="ALL")["Organization"]
    id_ = made["Id"]
    assert made == {
        "Id": id_,
        "Arn": f"{ARN}:organization/{id_}",
        "FeatureSet": "ALL",
        "MasterAccountArn": f"{ARN}:account/{id_}/{A}",
        "MasterAccountId": A,
        "MasterAccountEmail": f"{A}@account.invalid",
        "AvailablePolicyTypes": [],
    }
    assert client.describe_organization()["Organization"] == made
    (root,) = client.list_roots()["Roots"]
    assert root["Arn"] == f"{ARN}:root/{id_}/{root['Id']}"
    (account,) = client.list_accounts()["Accounts"]
    assert (account["Id"], account["Name"], account["Email"]) == (A, A, f"{A}@account.invalid")
    assert account["JoinedMethod"] == "INVITED" and account["JoinedTimestamp"] == world.clock()
    assert client.enable_policy_type(RootId=root["Id"], PolicyType=SCP)["Root"]["PolicyTypes"] == [
        {"Type": SCP, "Status": "ENABLED"}
    ]
    assert refused(client.create_organization)["Code"] == "AlreadyInOrganizationException"


def test_account_outside_cannot_replace_the_organization(world, managed):
    before = world.directory.tables.organization
    error = refused(client_of(world, OUTSIDE).create_organization)
    assert (error["Code"], error["Status"]) == ("ConstraintViolationException", 400)
    assert world.directory.tables.organization == before


def test_only_all_features_are_served(world):
    error = refused(world.client("organizations").create_organization, FeatureSet="CONSOLIDATED_BILLING")
    assert error["Code"] == "InvalidInputException" and world.directory.tables.organization is None


def test_tree_is_described_and_listed(world, managed):
    world.directory.add_account(B, name="prod", email="prod@acme.test", joined=world.clock())
    account = {
        "Id": B,
        "Arn": f"{ARN}:account/{ORG}/{B}",
        "Name": "prod",
        "Email": "prod@acme.test",
        "Status": "ACTIVE",
        "State": "ACTIVE",
        "JoinedMethod": "INVITED",
        "JoinedTimestamp": world.clock(),
    }
    assert managed.describe_account(AccountId=B)["Account"] == account
    unit = {"Id": INNER, "Arn": f"{ARN}:ou/{ORG}/{INNER}"}
    assert managed.describe_organizational_unit(OrganizationalUnitId=INNER)["OrganizationalUnit"] == unit
    assert managed.list_organizational_units_for_parent(ParentId=UNIT)["OrganizationalUnits"] == [unit]
    assert managed.list_accounts_for_parent(ParentId=UNIT)["Accounts"] == [account]
    assert [each["Id"] for each in managed.list_accounts_for_parent(ParentId=ROOT)["Accounts"]] == [A, C]
    children = managed.list_children(ParentId=UNIT, ChildType="ORGANIZATIONAL_UNIT")["Children"]
    assert children == [{"Id": INNER, "Type": "ORGANIZATIONAL_UNIT"}]
    assert managed.list_children(ParentId=UNIT, ChildType="ACCOUNT")["Children"] == [{"Id": B, "Type": "ACCOUNT"}]
    assert managed.list_parents(ChildId=INNER)["Parents"] == [{"Id": UNIT, "Type": "ORGANIZATIONAL_UNIT"}]
    assert managed.list_parents(ChildId=C)["Parents"] == [{"Id": ROOT, "Type": "ROOT"}]


def test_accounts_are_listed_in_pages(managed):
    pages = list(managed.get_paginator("list_accounts").paginate(PaginationConfig={"PageSize": 2}))
    assert [[account["Id"] for account in page["Accounts"]] for page in pages] == [[A, B], [C]]
    assert refused(managed.list_accounts, NextToken="x")["Code"] == "InvalidInputException"
    assert refused(managed.list_accounts, MaxResults=21)["Code"] == "InvalidInputException"
    token = managed.list_accounts(MaxResults=1)["NextToken"]
    assert refused(managed.list_delegated_administrators, NextToken=token)["Code"] == "InvalidInputException"


def test_account_moves_and_leaves(world, managed):
    managed.move_account(AccountId=C, SourceParentId=ROOT, DestinationParentId=INNER)
    assert managed.list_parents(ChildId=C)["Parents"][0]["Id"] == INNER
    managed.remove_account_from_organization(AccountId=C)
    assert C not in world.directory.tables.organization.parents
    managed.delete_organizational_unit(OrganizationalUnitId=INNER)
    assert INNER not in world.directory.tables.organization.parents


def test_policy_types_are_enabled_and_disabled(managed):
    assert managed.enable_policy_type(RootId=ROOT, PolicyType=RCP)["Root"]["PolicyTypes"] == [
        {"Type": RCP, "Status": "ENABLED"},
        {"Type": SCP, "Status": "ENABLED"},
    ]
    left = managed.disable_policy_type(RootId=ROOT, PolicyType=SCP)["Root"]["PolicyTypes"]
    assert left == [{"Type": RCP, "Status": "ENABLED"}]


def test_administrator_is_registered_and_deregistered(managed):
    managed.register_delegated_administrator(AccountId=B, ServicePrincipal=IAM)
    (found,) = managed.list_delegated_administrators(ServicePrincipal=IAM)["DelegatedAdministrators"]
    assert found["Id"] == B
    assert managed.list_delegated_administrators(ServicePrincipal="sso.amazonaws.com")["DelegatedAdministrators"] == []
    assert managed.list_delegated_services_for_account(AccountId=B)["DelegatedServices"] == [{"ServicePrincipal": IAM}]
    again = refused(managed.register_delegated_administrator, AccountId=B, ServicePrincipal=IAM)
    assert again["Code"] == "AccountAlreadyRegisteredException"
    assert refused(managed.remove_account_from_organization, AccountId=B)["Code"] == "ConstraintViolationException"
    managed.deregister_delegated_administrator(AccountId=B, ServicePrincipal=IAM)
    assert managed.list_delegated_administrators()["DelegatedAdministrators"] == []


MOVE = {"AccountId": B, "SourceParentId": UNIT, "DestinationParentId": ROOT}
NEW = {"AccountId": B, "ServicePrincipal": IAM}


@pytest.mark.parametrize(
    ("call", "given", "code"),
    [
        ("describe_account", {"AccountId": OUTSIDE}, "AccountNotFoundException"),
        ("describe_organizational_unit", {"OrganizationalUnitId": "ou-ab12-00000000"}, "OrganizationalUnitNotFoundException"),
        ("delete_organizational_unit", {"OrganizationalUnitId": "ou-ab12-00000000"}, "OrganizationalUnitNotFoundException"),
        ("delete_organizational_unit", {"OrganizationalUnitId": UNIT}, "OrganizationalUnitNotEmptyException"),
        ("list_accounts_for_parent", {"ParentId": "ou-ab12-00000000"}, "ParentNotFoundException"),
        ("list_parents", {"ChildId": OUTSIDE}, "ChildNotFoundException"),
        ("move_account", MOVE | {"AccountId": OUTSIDE}, "AccountNotFoundException"),
        ("move_account", MOVE | {"SourceParentId": ROOT}, "SourceParentNotFoundException"),
        ("move_account", MOVE | {"DestinationParentId": "ou-ab12-00000000"}, "DestinationParentNotFoundException"),
        ("move_account", MOVE | {"DestinationParentId": UNIT}, "DuplicateAccountException"),
        ("remove_account_from_organization", {"AccountId": A}, "MasterCannotLeaveOrganizationException"),
        ("remove_account_from_organization", {"AccountId": OUTSIDE}, "AccountNotFoundException"),
        ("register_delegated_administrator", NEW | {"AccountId": A}, "ConstraintViolationException"),
        ("register_delegated_administrator", NEW | {"AccountId": OUTSIDE}, "AccountNotFoundException"),
        ("register_delegated_administrator", NEW | {"ServicePrincipal": "iam"}, "InvalidInputException"),
        ("deregister_delegated_administrator", NEW, "AccountNotRegisteredException"),
        ("list_delegated_services_for_account", {"AccountId": B}, "AccountNotRegisteredException"),
        ("enable_policy_type", {"RootId": ROOT, "PolicyType": SCP}, "PolicyTypeAlreadyEnabledException"),
        ("enable_policy_type", {"RootId": ROOT, "PolicyType": "TAG_POLICY"}, "InvalidInputException"),
        ("enable_policy_type", {"RootId": "r-0000", "PolicyType": RCP}, "RootNotFoundException"),
        ("disable_policy_type", {"RootId": ROOT, "PolicyType": RCP}, "PolicyTypeNotEnabledException"),
        ("disable_policy_type", {"RootId": "r-0000", "PolicyType": SCP}, "RootNotFoundException"),
    ],
)
def test_call_that_cannot_be_done_changes_nothing(world, managed, call, given, code):
    before = world.directory.tables.organization
    error = refused(getattr(managed, call), **given)
    assert (error["Code"], error["Status"]) == (code, 400)
    assert world.directory.tables.organization == before


def test_member_account_only_describes_the_organization(world, managed):
    member = client_of(world, B)
    assert member.describe_organization()["Organization"]["MasterAccountId"] == A
    assert refused(member.list_accounts)["Code"] == "AccessDeniedException"
    assert refused(member.move_account, **MOVE)["Code"] == "AccessDeniedException"
    assert world.directory.tables.organization.parents[B] == UNIT


def test_delegated_administrator_reads_and_does_not_write(world, managed):
    managed.register_delegated_administrator(AccountId=B, ServicePrincipal=IAM)
    delegate = client_of(world, B)
    assert [account["Id"] for account in delegate.list_accounts()["Accounts"]] == [A, B, C]
    assert delegate.describe_account(AccountId=C)["Account"]["Id"] == C
    before = world.directory.tables.organization
    for call, given in (
        (delegate.move_account, MOVE),
        (delegate.remove_account_from_organization, {"AccountId": C}),
        (delegate.register_delegated_administrator, {"AccountId": C, "ServicePrincipal": IAM}),
        (delegate.disable_policy_type, {"RootId": ROOT, "PolicyType": SCP}),
    ):
        error = refused(call, **given)
        assert error["Code"] == "AccessDeniedException" and "You don't have permissions" in error["Message"]
    assert world.directory.tables.organization == before


def test_delegated_administrator_needs_its_own_permission(world, managed):
    managed.register_delegated_administrator(AccountId=B, ServicePrincipal=IAM)
    reader = f"arn:aws:iam::{B}:user/reader"
    world.directory.add_principal(reader)
    client = world.client("organizations", world.sts.keys.create(reader))
    world.allow("organizations:DescribeAccount", resource=f"{ARN}:account/{ORG}/{B}", principal=reader)
    assert client.describe_account(AccountId=B)["Account"]["Id"] == B
    assert "is not authorized to perform" in refused(client.describe_account, AccountId=C)["Message"]


def test_owner_of_the_organization_is_its_management_account(world, managed):
    """5.4: also for a delegated administrator, whose own policies are enough."""
    managed.register_delegated_administrator(AccountId=B, ServicePrincipal=IAM)
    client = client_of(world, B)
    for owner, is_allowed in ((B, True), (A, False)):
        deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceAccount": owner}}}
        world.directory.put_inline_policy(f"arn:aws:iam::{B}:user/admin", "all", document(ALL, deny))
        if is_allowed:
            assert client.describe_account(AccountId=C)["Account"]["Id"] == C
        else:
            assert "explicit deny" in refused(client.describe_account, AccountId=C)["Message"]


def test_account_outside_learns_nothing_of_the_organization(world, managed):
    outside = client_of(world, OUTSIDE)
    assert refused(outside.describe_organization)["Code"] == "AWSOrganizationsNotInUseException"
    error = refused(outside.describe_account, AccountId=B)
    assert error["Code"] == "AWSOrganizationsNotInUseException" and ORG not in error["Message"]


def test_account_of_another_partition_is_another_account(world, managed):
    error = refused(client_of(world, A, "aws-cn").list_accounts)
    assert error["Code"] == "AWSOrganizationsNotInUseException"


def test_calls_are_decided_on_what_they_name(world, managed):
    bo = world.client("organizations", world.bo)
    names = [f"{ARN}:account/{ORG}/{B}", f"{ARN}:ou/{ORG}/{UNIT}", f"{ARN}:root/{ORG}/{ROOT}"]
    for missing in names:
        world.allow("organizations:MoveAccount", resource=[name for name in names if name != missing])
        error = refused(bo.move_account, **MOVE)
        assert error["Code"] == "AccessDeniedException" and f"on resource: {missing} " in error["Message"]
    world.allow("organizations:MoveAccount", resource=names)
    bo.move_account(**MOVE)
    assert world.directory.tables.organization.parents[B] == ROOT


def test_conditions_see_policy_type_and_service(world, managed):
    bo = world.client("organizations", world.bo)
    world.allow("organizations:EnablePolicyType", StringEquals={"organizations:PolicyType": SCP})
    assert refused(bo.enable_policy_type, RootId=ROOT, PolicyType=RCP)["Code"] == "AccessDeniedException"
    world.allow("organizations:EnablePolicyType", StringEquals={"organizations:PolicyType": RCP})
    bo.enable_policy_type(RootId=ROOT, PolicyType=RCP)
    world.allow("organizations:Register*", StringEquals={"organizations:ServicePrincipal": "sso.amazonaws.com"})
    assert refused(bo.register_delegated_administrator, **NEW)["Code"] == "AccessDeniedException"
    bo.register_delegated_administrator(AccountId=B, ServicePrincipal="sso.amazonaws.com")
    assert world.directory.tables.organization.delegated == {B: frozenset({"sso.amazonaws.com"})}


def test_scp_limits_calls_of_a_delegated_administrator(world, managed):
    managed.register_delegated_administrator(AccountId=B, ServicePrincipal=IAM)
    deny = {"Effect": "Deny", "Action": "organizations:ListAccounts", "Resource": "*"}
    world.directory.attach_scp(UNIT, ("no-lists", document(deny)))
    error = refused(client_of(world, B).list_accounts)
    assert error["Code"] == "AccessDeniedException" and "service control policy" in error["Message"]


@pytest.mark.parametrize("kind", ["scps", "rcps"])
def test_creation_does_not_free_an_account_of_its_policies(world, kind):
    """Control policies do not apply to a management account."""
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    if kind == "scps":
        world.directory.set_scps(A, [[document(ALL)], [document(ALL, {k: v for k, v in denied.items() if k != "Principal"})]])
    else:
        world.directory.set_rcps(A, [[document(denied)]])
    error = refused(world.client("organizations").create_organization)
    assert error["Code"] == "ConstraintViolationException" and "control policies" in error["Message"]
    assert world.directory.tables.organization is None


def test_other_partition_creates_no_organization(world):
    error = refused(client_of(world, A, "aws-cn").create_organization)
    assert error["Code"] == "ConstraintViolationException" and world.directory.tables.organization is None


def test_organization_without_a_management_account_is_not_used(world):
    world.directory.set_organization(ORG, root=ROOT, accounts={A: None}, delegated_administrators=[A])
    client = world.client("organizations")
    assert refused(client.describe_organization)["Code"] == "AWSOrganizationsNotInUseException"
    assert refused(client.describe_account, AccountId=A)["Code"] == "AWSOrganizationsNotInUseException"
