"""Policies, units, accounts, tags and services of an organization, through boto3."""

from __future__ import annotations

import json

import pytest
from aws_world import BO, A, AwsWorld, refused
from sts_fixture import ALL, document

from fastiam.server.protocols.aws.section import Quotas, Section

B, C, NEW = "222222222222", "333333333333", "555555555555"
ORG, ROOT, UNIT = "o-a1b2c3d4e5", "r-ab12", "ou-ab12-12345678"
ARN = f"arn:aws:organizations::{A}"
SCP, RCP, FULL = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY", "p-FullAWSAccess"
USER_OF_B = f"arn:aws:iam::{B}:user/u"
NO_S3 = json.dumps(document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}))
NO_EC2 = json.dumps(document({"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}))
TAGS = [{"Key": "k", "Value": "v"}]


@pytest.fixture
def managed(world):
    """The client of the management account of an organization with a unit and two more accounts."""
    world.directory.set_organization(
        ORG, management_account=A, root=ROOT, organizational_units={UNIT: ROOT}, accounts={B: UNIT, C: None}
    )
    world.directory.add_principal(USER_OF_B, identity_policies=[("all", document(ALL))])
    return world.client("organizations")


def allows(world: AwsWorld, action: str) -> bool:
    return world.directory.compile().is_allowed(USER_OF_B, action, "*")


def create(client, name="no-s3", content=NO_S3, **more):
    return client.create_policy(Name=name, Content=content, Type=SCP, Description="d", **more)["Policy"]["PolicySummary"]["Id"]


def client_of(world, account: str):
    arn = f"arn:aws:iam::{account}:user/admin"
    world.directory.add_principal(arn, identity_policies=[("all", document(ALL))])
    return world.client("organizations", world.sts.keys.create(arn))


def test_policy_has_the_life_of_its_attachments(world, managed):
    made = managed.create_policy(Name="no-s3", Content=NO_S3, Type=SCP, Description="d", Tags=TAGS)["Policy"]
    id_ = made["PolicySummary"]["Id"]
    assert made["PolicySummary"] == {
        "Id": id_,
        "Arn": f"{ARN}:policy/{ORG}/service_control_policy/{id_}",
        "Name": "no-s3",
        "Description": "d",
        "Type": SCP,
        "AwsManaged": False,
    }
    assert json.loads(made["Content"]) == json.loads(NO_S3) and managed.describe_policy(PolicyId=id_)["Policy"] == made
    assert managed.list_tags_for_resource(ResourceId=id_)["Tags"] == TAGS
    managed.attach_policy(PolicyId=id_, TargetId=UNIT)
    assert not allows(world, "s3:ListAllMyBuckets") and allows(world, "ec2:DescribeInstances")
    assert refused(managed.attach_policy, PolicyId=id_, TargetId=UNIT)["Code"] == "DuplicatePolicyAttachmentException"
    assert refused(managed.delete_policy, PolicyId=id_)["Code"] == "PolicyInUseException"
    [target] = managed.list_targets_for_policy(PolicyId=id_)["Targets"]
    assert target == {"TargetId": UNIT, "Arn": f"{ARN}:ou/{ORG}/{UNIT}", "Type": "ORGANIZATIONAL_UNIT"}
    found = managed.list_policies_for_target(TargetId=UNIT, Filter=SCP)["Policies"]
    assert {each["Id"] for each in found} == {FULL, id_}
    changed = managed.update_policy(PolicyId=id_, Content=NO_EC2, Name="no-ec2")["Policy"]["PolicySummary"]
    assert (changed["Name"], changed["Description"]) == ("no-ec2", "d")
    assert allows(world, "s3:ListAllMyBuckets") and not allows(world, "ec2:DescribeInstances")
    managed.detach_policy(PolicyId=id_, TargetId=UNIT)
    assert refused(managed.detach_policy, PolicyId=id_, TargetId=UNIT)["Code"] == "PolicyNotAttachedException"
    assert {each["Id"] for each in managed.list_policies(Filter=SCP)["Policies"]} == {FULL, id_}
    managed.delete_policy(PolicyId=id_)
    assert refused(managed.describe_policy, PolicyId=id_)["Code"] == "PolicyNotFoundException"


def test_policy_attached_by_the_library_is_listed(world, managed):
    world.directory.attach_scp(UNIT, ("no-s3", json.loads(NO_S3)))
    found = managed.list_policies_for_target(TargetId=UNIT, Filter=SCP)["Policies"]
    [id_] = [each["Id"] for each in found if not each["AwsManaged"]]
    managed.detach_policy(PolicyId=id_, TargetId=UNIT)
    assert allows(world, "s3:ListAllMyBuckets")
    managed.delete_policy(PolicyId=id_)


@pytest.mark.parametrize(
    ("operation", "parameters", "element"),
    [
        ("delete_organizational_unit", {"OrganizationalUnitId": UNIT}, UNIT),
        ("remove_account_from_organization", {"AccountId": C}, C),
        ("disable_policy_type", {"RootId": ROOT, "PolicyType": SCP}, B),
    ],
)
def test_policy_without_an_id_outlives_its_target(world, managed, operation, parameters, element):
    managed.move_account(AccountId=B, SourceParentId=UNIT, DestinationParentId=ROOT)
    world.directory.attach_scp(element, ("no-s3", json.loads(NO_S3)))
    before = managed.list_policies(Filter=SCP)["Policies"]
    [id_] = [each["Id"] for each in before if not each["AwsManaged"]]
    getattr(managed, operation)(**parameters)
    assert managed.list_policies(Filter=SCP)["Policies"] == before
    assert managed.list_targets_for_policy(PolicyId=id_)["Targets"] == []
    managed.delete_policy(PolicyId=id_)
    assert [each["Id"] for each in managed.list_policies(Filter=SCP)["Policies"]] == [FULL]


@pytest.mark.parametrize(("id_", "type_"), [(FULL, SCP), ("p-RCPFullAWSAccess", RCP)])
def test_policies_of_aws_cannot_be_changed_or_left(managed, id_, type_):
    described = managed.describe_policy(PolicyId=id_)["Policy"]
    assert described["PolicySummary"]["AwsManaged"] and "Allow" in described["Content"]
    assert described["PolicySummary"]["Arn"] == f"arn:aws:organizations::aws:policy/{type_.lower()}/{id_}"
    assert {each["TargetId"] for each in managed.list_targets_for_policy(PolicyId=id_)["Targets"]} == {ROOT, UNIT, A, B, C}
    assert id_ in [each["Id"] for each in managed.list_policies_for_target(TargetId=C, Filter=type_)["Policies"]]
    for call, more in ((managed.update_policy, {"Name": "x"}), (managed.delete_policy, {})):
        assert refused(call, PolicyId=id_, **more)["Code"] == "InvalidInputException"
    assert refused(managed.detach_policy, PolicyId=id_, TargetId=C)["Code"] == "ConstraintViolationException"
    assert refused(managed.attach_policy, PolicyId=id_, TargetId=C)["Code"] == "DuplicatePolicyAttachmentException"


MALFORMED = "MalformedPolicyDocumentException"
NEW_POLICY = {"Name": "x", "Content": NO_S3, "Type": SCP, "Description": ""}


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("create_policy", NEW_POLICY | {"Name": "taken"}, "DuplicatePolicyException"),
        ("create_policy", NEW_POLICY | {"Content": "{"}, MALFORMED),
        ("create_policy", NEW_POLICY | {"Content": '{"Version": "1"}', "Type": RCP}, MALFORMED),
        ("create_policy", NEW_POLICY | {"Type": "TAG_POLICY"}, "InvalidInputException"),
        ("list_policies", {"Filter": "TAG_POLICY"}, "InvalidInputException"),
        ("attach_policy", {"PolicyId": "p-00000000", "TargetId": UNIT}, "PolicyNotFoundException"),
        ("attach_policy", {"PolicyId": "TAKEN", "TargetId": "ou-ab12-99999999"}, "TargetNotFoundException"),
        ("attach_policy", {"PolicyId": "TAKEN", "TargetId": "999999999999"}, "TargetNotFoundException"),
        ("create_organizational_unit", {"ParentId": "ou-ab12-99999999", "Name": "x"}, "ParentNotFoundException"),
        ("create_organizational_unit", {"ParentId": ROOT, "Name": "Lab"}, "DuplicateOrganizationalUnitException"),
        ("update_organizational_unit", {"OrganizationalUnitId": UNIT, "Name": "Lab"}, "DuplicateOrganizationalUnitException"),
        ("tag_resource", {"ResourceId": "p-00000000", "Tags": TAGS}, "TargetNotFoundException"),
        ("describe_create_account_status", {"CreateAccountRequestId": "car-00000000"}, "CreateAccountStatusNotFoundException"),
    ],
)
def test_call_that_cannot_be_done_changes_nothing(world, managed, operation, parameters, code):
    taken = create(managed, "taken")
    managed.create_organizational_unit(ParentId=ROOT, Name="Lab")
    before = world.directory.to_json()
    given = {name: taken if value == "TAKEN" else value for name, value in parameters.items()}
    assert refused(getattr(managed, operation), **given)["Code"] == code
    assert world.directory.to_json() == before


def test_policy_of_a_disabled_type_is_not_attached(managed):
    id_ = create(managed)
    managed.disable_policy_type(RootId=ROOT, PolicyType=SCP)
    assert refused(managed.attach_policy, PolicyId=id_, TargetId=B)["Code"] == "PolicyTypeNotEnabledException"
    assert managed.list_policies_for_target(TargetId=B, Filter=SCP)["Policies"] == []
    assert managed.list_targets_for_policy(PolicyId=FULL)["Targets"] == []


def test_eleventh_scp_of_an_element_is_refused(managed):
    for n in range(9):
        managed.attach_policy(PolicyId=create(managed, f"p{n}"), TargetId=UNIT)
    last = create(managed, "last")
    assert refused(managed.attach_policy, PolicyId=last, TargetId=UNIT)["Code"] == "ConstraintViolationException"


def test_quotas_of_scps_are_settings():
    """AWS's own pages differ: its quota page has five, and 5,120 characters."""
    world = AwsWorld(section=Section(quotas=Quotas(scp_size=5_120, scps_per_element=5)))
    client = world.client("organizations")
    client.create_organization()
    root = client.list_roots()["Roots"][0]["Id"]
    client.enable_policy_type(RootId=root, PolicyType=SCP)
    for n in range(4):
        client.attach_policy(PolicyId=create(client, f"p{n}"), TargetId=root)
    with pytest.raises(client.exceptions.ConstraintViolationException) as caught:
        client.attach_policy(PolicyId=create(client, "last"), TargetId=root)
    assert caught.value.response["Reason"] == "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"
    long = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:" + "a" * 5_200, "Resource": "*"}})
    given = NEW_POLICY | {"Name": "long", "Content": long}
    assert refused(client.create_policy, **given)["Code"] == "ConstraintViolationException"


@pytest.mark.parametrize("content", ["foobar", '{"Statement": []', "[]"])
def test_text_that_is_not_a_document_is_malformed(managed, content):
    with pytest.raises(managed.exceptions.MalformedPolicyDocumentException):
        managed.create_policy(**NEW_POLICY | {"Name": "other", "Content": content})
    with pytest.raises(managed.exceptions.MalformedPolicyDocumentException):
        managed.update_policy(PolicyId=create(managed), Content=content)


WRITES = {
    "create_policy": NEW_POLICY,
    "update_policy": {"PolicyId": "POLICY", "Name": "x"},
    "delete_policy": {"PolicyId": "POLICY"},
    "attach_policy": {"PolicyId": "POLICY", "TargetId": C},
    "detach_policy": {"PolicyId": "POLICY", "TargetId": UNIT},
    "create_organizational_unit": {"ParentId": ROOT, "Name": "x"},
    "update_organizational_unit": {"OrganizationalUnitId": UNIT, "Name": "x"},
    "create_account": {"AccountName": "x", "Email": "x@acme.test"},
    "tag_resource": {"ResourceId": B, "Tags": TAGS},
    "untag_resource": {"ResourceId": B, "TagKeys": ["k"]},
    "enable_aws_service_access": {"ServicePrincipal": "sso.amazonaws.com"},
    "disable_aws_service_access": {"ServicePrincipal": "sso.amazonaws.com"},
}


@pytest.mark.parametrize("operation", WRITES)
def test_only_the_management_account_changes_an_organization(world, managed, operation):
    """GC199. Else a member could leave its control policies; a delegated administrator only reads."""
    id_ = create(managed)
    managed.attach_policy(PolicyId=id_, TargetId=UNIT)
    member, outside = client_of(world, B), client_of(world, NEW)
    given = {name: id_ if value == "POLICY" else value for name, value in WRITES[operation].items()}
    before = world.directory.to_json()
    assert refused(getattr(member, operation), **given)["Code"] == "AccessDeniedException"
    assert refused(getattr(outside, operation), **given)["Code"] == "AWSOrganizationsNotInUseException"
    assert world.directory.to_json() == before
    world.directory.register_delegated_administrator(B, "sso.amazonaws.com")
    delegated = world.directory.to_json()
    assert refused(getattr(member, operation), **given)["Code"] == "AccessDeniedException"
    assert world.directory.to_json() == delegated
    assert id_ in [each["Id"] for each in member.list_policies_for_target(TargetId=UNIT, Filter=SCP)["Policies"]]


def test_call_is_decided_on_policy_and_target(world, managed):
    id_ = create(managed)
    bo = world.client("organizations", world.bo)
    policy, target = f"{ARN}:policy/{ORG}/service_control_policy/{id_}", f"{ARN}:ou/{ORG}/{UNIT}"
    for resource in (policy, target):
        world.allow("organizations:AttachPolicy", resource=resource)
        assert refused(bo.attach_policy, PolicyId=id_, TargetId=UNIT)["Code"] == "AccessDeniedException"
    world.allow("organizations:AttachPolicy", resource=[policy, target], StringEquals={"organizations:PolicyType": RCP})
    assert refused(bo.attach_policy, PolicyId=id_, TargetId=UNIT)["Code"] == "AccessDeniedException"
    world.allow("organizations:AttachPolicy", resource=[policy, target], StringEquals={"organizations:PolicyType": SCP})
    bo.attach_policy(PolicyId=id_, TargetId=UNIT)
    world.allow("organizations:CreatePolicy")
    error = refused(bo.create_policy, **NEW_POLICY, Tags=TAGS)
    assert "organizations:TagResource" in error["Message"]


def test_unit_has_a_name_that_its_parent_gives_once(managed):
    unit = managed.create_organizational_unit(ParentId=UNIT, Name="Lab", Tags=TAGS)["OrganizationalUnit"]
    assert unit["Id"].startswith("ou-ab12-") and unit["Arn"] == f"{ARN}:ou/{ORG}/{unit['Id']}" and unit["Name"] == "Lab"
    renamed = managed.update_organizational_unit(OrganizationalUnitId=unit["Id"], Name="Works")["OrganizationalUnit"]
    assert renamed == {**unit, "Name": "Works"}
    assert managed.list_organizational_units_for_parent(ParentId=UNIT)["OrganizationalUnits"] == [renamed]
    assert managed.list_tags_for_resource(ResourceId=unit["Id"])["Tags"] == TAGS


def test_created_account_has_a_role_of_the_management_account(world, managed):
    status = managed.create_account(AccountName="lab", Email="lab@acme.test")["CreateAccountStatus"]
    account = status["AccountId"]
    assert status["State"] == "SUCCEEDED"
    assert managed.describe_create_account_status(CreateAccountRequestId=status["Id"])["CreateAccountStatus"] == status
    assert managed.list_create_account_status(States=["SUCCEEDED"])["CreateAccountStatuses"] == [status]
    described = managed.describe_account(AccountId=account)["Account"]
    assert described["Email"] == "lab@acme.test" and described["JoinedMethod"] == "CREATED"
    assert managed.list_parents(ChildId=account)["Parents"] == [{"Id": ROOT, "Type": "ROOT"}]
    again = managed.create_account(AccountName="other", Email="LAB@acme.test")["CreateAccountStatus"]
    assert (again["State"], again["FailureReason"]) == ("FAILED", "EMAIL_ALREADY_EXISTS")
    assert managed.describe_create_account_status(CreateAccountRequestId=again["Id"])["CreateAccountStatus"] == again
    assert managed.list_create_account_status(States=["FAILED"])["CreateAccountStatuses"] == [again]
    assert managed.list_create_account_status(States=["SUCCEEDED"])["CreateAccountStatuses"] == [status]
    assert len(managed.list_create_account_status()["CreateAccountStatuses"]) == 2
    role = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
    session = world.client("sts").assume_role(RoleArn=role, RoleSessionName="admin")["AssumedRoleUser"]
    assert account in session["Arn"]


def test_units_are_five_levels_deep_at_most(managed):
    parent = ROOT
    for n in range(5):
        parent = managed.create_organizational_unit(ParentId=parent, Name=f"u{n}")["OrganizationalUnit"]["Id"]
    error = refused(managed.create_organizational_unit, ParentId=parent, Name="deep")
    assert error["Code"] == "ConstraintViolationException"


def test_tags_of_an_element_are_decided_on(world, managed):
    managed.tag_resource(ResourceId=B, Tags=[{"Key": "team", "Value": "red"}, {"Key": "x", "Value": "y"}])
    bo = world.client("organizations", world.bo)
    world.allow("organizations:UntagResource", StringEquals={"aws:ResourceTag/team": "red"})
    bo.untag_resource(ResourceId=B, TagKeys=["team"])
    assert refused(bo.untag_resource, ResourceId=B, TagKeys=["x"])["Code"] == "AccessDeniedException"
    assert managed.list_tags_for_resource(ResourceId=B)["Tags"] == [{"Key": "x", "Value": "y"}]


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("move_account", {"AccountId": B, "SourceParentId": UNIT, "DestinationParentId": ROOT}),
        ("remove_account_from_organization", {"AccountId": B}),
        ("describe_account", {"AccountId": B}),
        ("register_delegated_administrator", {"AccountId": B, "ServicePrincipal": "sso.amazonaws.com"}),
        ("attach_policy", {"PolicyId": "POLICY", "TargetId": B}),
        ("list_policies_for_target", {"TargetId": B, "Filter": SCP}),
        ("create_organizational_unit", {"ParentId": UNIT, "Name": "x"}),
        ("delete_organizational_unit", {"OrganizationalUnitId": UNIT}),
        ("update_policy", {"PolicyId": "POLICY", "Name": "x"}),
    ],
)
def test_denial_by_a_tag_applies_to_every_call(world, managed, operation, parameters):
    id_ = create(managed)
    for element in (B, UNIT, id_):
        managed.tag_resource(ResourceId=element, Tags=[{"Key": "locked", "Value": "yes"}])
    allow = {"Effect": "Allow", "Action": "organizations:*", "Resource": "*"}
    deny = {**allow, "Effect": "Deny", "Condition": {"StringEquals": {"aws:ResourceTag/locked": "yes"}}}
    world.directory.put_inline_policy(BO, "test", document(allow, deny))
    before = world.directory.to_json()
    given = {name: id_ if value == "POLICY" else value for name, value in parameters.items()}
    error = refused(getattr(world.client("organizations", world.bo), operation), **given)
    assert error["Code"] == "AccessDeniedException" and "explicit deny" in error["Message"]
    assert world.directory.to_json() == before


def test_service_access_is_enabled_and_disabled(world, managed):
    service = "sso.amazonaws.com"
    managed.enable_aws_service_access(ServicePrincipal=service)
    found = managed.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert found == [{"ServicePrincipal": service, "DateEnabled": world.clock()}]
    managed.register_delegated_administrator(AccountId=B, ServicePrincipal=service)
    error = refused(managed.disable_aws_service_access, ServicePrincipal=service)
    assert error["Code"] == "ConstraintViolationException"
    managed.deregister_delegated_administrator(AccountId=B, ServicePrincipal=service)
    managed.disable_aws_service_access(ServicePrincipal=service)
    assert managed.list_aws_service_access_for_organization()["EnabledServicePrincipals"] == []
