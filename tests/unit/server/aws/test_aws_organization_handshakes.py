"""Invitations, and the ways out of an organization, through boto3: what `terraform apply` and `destroy` need."""

from __future__ import annotations

import pytest
from aws_world import A, AwsWorld, refused
from sts_fixture import ALL, document

B, OUTSIDE = "222222222222", "444444444444"
ORG, ROOT, UNIT = "o-a1b2c3d4e5", "r-ab12", "ou-ab12-12345678"
TARGET = {"Type": "ACCOUNT", "Id": OUTSIDE}


@pytest.fixture
def managed(world: AwsWorld):
    """The client of the management account of an organization with one more account."""
    world.directory.set_organization(ORG, management_account=A, root=ROOT, organizational_units={UNIT: ROOT}, accounts={B: UNIT})
    world.directory.add_account(OUTSIDE, email="out@acme.test")
    return world.client("organizations")


def client_of(world: AwsWorld, account: str, service: str = "organizations"):
    """The client of an administrator of another account."""
    arn = f"arn:aws:iam::{account}:user/admin"
    if arn not in world.directory.tables.entities:
        world.directory.add_principal(arn, identity_policies=[("all", document(ALL))])
    return world.client(service, world.sts.keys.create(arn))


@pytest.mark.parametrize("target", [TARGET, {"Type": "EMAIL", "Id": "OUT@acme.test"}], ids=["account", "address"])
def test_account_joins_by_an_invitation(world, managed, target):
    made = managed.invite_account_to_organization(Target=target, Notes="join us", Tags=[{"Key": "k", "Value": "v"}])["Handshake"]
    assert (made["State"], made["Action"]) == ("OPEN", "INVITE")
    assert made["Arn"] == f"arn:aws:organizations::{A}:handshake/{ORG}/invite/{made['Id']}"
    assert made["Parties"] == [{"Type": "ORGANIZATION", "Id": ORG}, {"Type": "ACCOUNT", "Id": OUTSIDE}]
    assert {"Type": "NOTES", "Value": "join us"} in made["Resources"]
    invited = client_of(world, OUTSIDE)
    assert invited.list_handshakes_for_account()["Handshakes"] == [made]
    assert managed.list_handshakes_for_organization()["Handshakes"] == [made]
    assert refused(managed.accept_handshake, HandshakeId=made["Id"])["Code"] == "AccessDeniedException"
    accepted = invited.accept_handshake(HandshakeId=made["Id"])["Handshake"]
    assert accepted == made | {"State": "ACCEPTED"}
    assert world.directory.tables.organization.parents[OUTSIDE] == ROOT
    account = managed.describe_account(AccountId=OUTSIDE)["Account"]
    assert account["JoinedMethod"] == "INVITED" and account["JoinedTimestamp"] == world.clock()
    assert managed.list_tags_for_resource(ResourceId=OUTSIDE)["Tags"] == [{"Key": "k", "Value": "v"}]
    assert refused(invited.accept_handshake, HandshakeId=made["Id"])["Code"] == "HandshakeAlreadyInStateException"
    assert refused(invited.decline_handshake, HandshakeId=made["Id"])["Code"] == "InvalidHandshakeTransitionException"


def test_invitation_that_has_ended_admits_no_account(world, managed):
    invited = client_of(world, OUTSIDE)

    def invite() -> str:
        return managed.invite_account_to_organization(Target=TARGET)["Handshake"]["Id"]

    first = invite()
    assert refused(managed.invite_account_to_organization, Target=TARGET)["Code"] == "DuplicateHandshakeException"
    assert invited.decline_handshake(HandshakeId=first)["Handshake"]["State"] == "DECLINED"
    second = invite()
    assert managed.cancel_handshake(HandshakeId=second)["Handshake"]["State"] == "CANCELED"
    third = invite()
    world.clock.tick(15 * 86_400)
    assert managed.describe_handshake(HandshakeId=third)["Handshake"]["State"] == "EXPIRED"
    for handshake in (first, second, third):
        assert refused(invited.accept_handshake, HandshakeId=handshake)["Code"] == "InvalidHandshakeTransitionException"
    assert OUTSIDE not in world.directory.tables.organization.parents


def test_invitation_is_seen_by_both_accounts_alone(world, managed):
    made = managed.invite_account_to_organization(Target=TARGET)["Handshake"]
    other = client_of(world, "555555555555")
    for call in (other.describe_handshake, other.accept_handshake, other.cancel_handshake):
        error = refused(call, HandshakeId=made["Id"])
        assert error["Code"] == "HandshakeNotFoundException" and ORG not in error["Message"]
    assert other.list_handshakes_for_account()["Handshakes"] == []
    assert refused(other.list_handshakes_for_organization)["Code"] == "AWSOrganizationsNotInUseException"
    assert refused(client_of(world, B).list_handshakes_for_organization)["Code"] == "AccessDeniedException"
    assert refused(client_of(world, B).invite_account_to_organization, Target=TARGET)["Code"] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"Type": "ACCOUNT", "Id": B}, "ALREADY_IN_AN_ORGANIZATION"),
        ({"Type": "ORGANIZATION", "Id": ORG}, "INVALID_PARTY_TYPE_TARGET"),
        ({"Type": "ACCOUNT", "Id": "x"}, "INVALID_PARTY_TYPE_TARGET"),
    ],
)
def test_target_that_cannot_be_invited_is_refused(managed, target, reason):
    with pytest.raises(managed.exceptions.ClientError) as caught:
        managed.invite_account_to_organization(Target=target)
    assert caught.value.response["Reason"] == reason


def test_invitation_needs_its_permission(world, managed):
    bo = world.client("organizations", world.bo)
    world.allow("organizations:InviteAccountToOrganization", resource=f"arn:aws:organizations::{A}:account/{ORG}/{OUTSIDE}")
    bo.invite_account_to_organization(Target=TARGET)
    error = refused(bo.invite_account_to_organization, Target={"Type": "ACCOUNT", "Id": "555555555555"})
    assert error["Code"] == "AccessDeniedException"


def test_member_leaves(world, managed):
    member = client_of(world, B)
    assert refused(managed.leave_organization)["Code"] == "MasterCannotLeaveOrganizationException"
    managed.register_delegated_administrator(AccountId=B, ServicePrincipal="iam.amazonaws.com")
    assert refused(member.leave_organization)["Code"] == "ConstraintViolationException"
    managed.deregister_delegated_administrator(AccountId=B, ServicePrincipal="iam.amazonaws.com")
    member.leave_organization()
    assert B not in world.directory.tables.organization.parents


def test_closed_account_has_no_credentials_any_more(world, managed):
    member, role = client_of(world, B), f"arn:aws:iam::{B}:role/r"
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{A}:root"}, "Action": "sts:AssumeRole"}
    world.directory.add_principal(role, trust_policy=document(trust))
    keys = world.client("sts").assume_role(RoleArn=role, RoleSessionName="before")["Credentials"]
    assert world.sts.secret_of(keys["AccessKeyId"], keys["SessionToken"])
    managed.close_account(AccountId=B)
    account = managed.describe_account(AccountId=B)["Account"]
    assert (account["Status"], account["State"]) == ("SUSPENDED", "CLOSED")
    assert refused(member.describe_organization)["Code"] == "UnrecognizedClientException"
    after = world.client("sts").assume_role(RoleArn=role, RoleSessionName="after")["Credentials"]
    for each in (keys, after):
        with pytest.raises(Exception, match="is closed"):
            world.sts.secret_of(each["AccessKeyId"], each["SessionToken"])
    assert refused(managed.close_account, AccountId=B)["Code"] == "AccountAlreadyClosedException"
    error = refused(managed.close_account, AccountId=A)
    assert error["Code"] == "ConstraintViolationException"


def test_organization_is_destroyed_as_terraform_does_it(world):
    client = world.client("organizations")
    client.create_organization(FeatureSet="ALL")
    root = client.list_roots()["Roots"][0]["Id"]
    unit = client.create_organizational_unit(ParentId=root, Name="u")["OrganizationalUnit"]["Id"]
    kept = client.create_account(AccountName="kept", Email="kept@acme.test")["CreateAccountStatus"]["AccountId"]
    closed = client.create_account(AccountName="closed", Email="closed@acme.test")["CreateAccountStatus"]["AccountId"]
    client.move_account(AccountId=kept, SourceParentId=root, DestinationParentId=unit)
    assert refused(client.delete_organization)["Code"] == "OrganizationNotEmptyException"
    client.close_account(AccountId=closed)
    client.remove_account_from_organization(AccountId=kept)
    client.delete_organizational_unit(OrganizationalUnitId=unit)
    client.delete_organization()
    assert refused(client.describe_organization)["Code"] == "AWSOrganizationsNotInUseException"
    assert world.directory.tables.organization is None and kept in world.directory.tables.accounts
    client.create_organization(FeatureSet="ALL")


def test_features_are_enabled_already(managed):
    error = refused(managed.enable_all_features)
    assert error["Code"] == "HandshakeConstraintViolationException"
