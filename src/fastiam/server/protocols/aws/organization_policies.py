"""Organizations: SCPs and RCPs, and what they are attached to. Only the management account changes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from fastiam.directory.organization import RCP_TYPE, ControlPolicy, Organization
from fastiam.errors import DirectoryError, PolicyError
from fastiam.model.arn import is_account
from fastiam.server.protocols.aws.aws_errors import ApiError, api_error
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import document, without_nones
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.organization_details import add_tags, create_permissions
from fastiam.server.protocols.aws.organizations import (
    ACCOUNT,
    AWS_MANAGED,
    RCP_FULL_ACCESS_ID,
    UNIT,
    arn_of,
    as_manager,
    as_reader,
    check_policy_type,
    new_arn,
    on,
    policy_key,
)
from fastiam.server.protocols.aws.pages import organization_page, same
from fastiam.sts import signed_calls as p
from fastiam.sts.signed_calls import Permission

_CODES: Final = {
    "DIR-EXISTS": "DuplicatePolicyException",
    "DIR-QUOTA": "ConstraintViolationException",
    "1.7": "ConstraintViolationException",
}
_REASONS: Final = {"DIR-QUOTA": "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED", "1.7": "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"}
_RCP_FULL_ACCESS: Final = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'


# -- what a call names ------------------------------------------------------------------------------------------------------


def _policy(call: Call, organization: Organization) -> ControlPolicy:
    """The policy of `PolicyId`, except `RCPFullAWSAccess`, which has no record."""
    policy = organization.control_policies().get(call.parameters["PolicyId"])
    if policy is None:
        raise ApiError("PolicyNotFoundException", "We can't find a policy with the PolicyId that you specified.")
    return policy


def _own_policy(call: Call, organization: Organization) -> ControlPolicy:
    """The same for a change: policies of AWS are not changed."""
    if call.parameters["PolicyId"] in AWS_MANAGED:
        raise ApiError("InvalidInputException", "You can't change a policy that AWS manages.")
    return _policy(call, organization)


def _target(call: Call, organization: Organization) -> str:
    """The root, unit or account of `TargetId`."""
    target: str = call.parameters["TargetId"]
    if target != organization.root and target not in organization.parents:
        raise ApiError("TargetNotFoundException", "We can't find a root, OU, or account with the TargetId that you specified.")
    return target


def _given_key(call: Call, _: str) -> Mapping[str, Any]:
    return {"organizations:PolicyType": call.parameters.get("Type") or call.parameters.get("Filter")}


@contextmanager
def _as_refusals() -> Iterator[None]:
    """What the directory refuses, with the codes of Organizations."""
    try:
        yield
    except ApiError as error:
        if error.code == "MalformedPolicyDocument":  # the code of IAM
            raise ApiError("MalformedPolicyDocumentException", error.message) from None
        raise
    except PolicyError as error:
        raise ApiError("MalformedPolicyDocumentException", api_error(error).message) from None
    except DirectoryError as error:
        code = _CODES.get(error.rule)
        if code is None:
            raise
        raise ApiError(code, error.message, _REASONS.get(error.rule, "")) from None


# -- policies ---------------------------------------------------------------------------------------------------------------


def create_policy(call: Call) -> Result:
    """CreatePolicy, attached nowhere."""
    as_manager(call)
    given, type_ = call.parameters, check_policy_type(call, "Type")
    with _as_refusals():
        text = document(call, "Content")
        id_ = call.directory.create_control_policy(given["Name"], text, type_, description=given["Description"])
    add_tags(call, id_)
    organization = as_manager(call)
    return {"Policy": _policy_of(call, organization, organization.policies[id_])}


def describe_policy(call: Call) -> Result:
    """DescribePolicy."""
    organization = as_reader(call)
    if call.parameters["PolicyId"] == RCP_FULL_ACCESS_ID:
        return {"Policy": {"PolicySummary": _rcp_full_access(), "Content": _RCP_FULL_ACCESS}}
    return {"Policy": _policy_of(call, organization, _policy(call, organization))}


def update_policy(call: Call) -> Result:
    """UpdatePolicy, wherever it is attached."""
    given, policy = call.parameters, _own_policy(call, as_manager(call))
    with _as_refusals():
        call.directory.update_control_policy(
            policy.id,
            name=given.get("Name"),
            document=document(call, "Content") if "Content" in given else None,
            description=given.get("Description"),
        )
    organization = as_manager(call)
    return {"Policy": _policy_of(call, organization, organization.policies[policy.id])}


def delete_policy(call: Call) -> Result:
    """DeletePolicy, of one that is attached nowhere."""
    organization = as_manager(call)
    policy = _own_policy(call, organization)
    if any(True for _ in organization.targets(policy)):
        raise ApiError("PolicyInUseException", "The policy is attached. Detach it from all entities first.")
    call.directory.delete_control_policy(policy.id)
    return NOTHING


def list_policies(call: Call) -> Result:
    """ListPolicies of a type."""
    organization, type_ = as_reader(call), check_policy_type(call, "Filter")
    found = [_summary(call, organization, each) for each in organization.control_policies().values() if each.type == type_]
    return _summaries(call, found + ([_rcp_full_access()] if type_ == RCP_TYPE else []))


# -- attachments ------------------------------------------------------------------------------------------------------------


def attach_policy(call: Call) -> Result:
    """AttachPolicy."""
    organization = as_manager(call)
    if call.parameters["PolicyId"] == RCP_FULL_ACCESS_ID:
        raise _attached_already()
    policy, target = _policy(call, organization), _target(call, organization)
    if policy.type not in organization.policy_types:
        raise ApiError("PolicyTypeNotEnabledException", "The specified policy type isn't currently enabled in this root.")
    if policy.document in organization.attached(policy.type, target):
        raise _attached_already()
    with _as_refusals():
        call.directory.attach_control_policy(target, policy.id)
    return NOTHING


def detach_policy(call: Call) -> Result:
    """DetachPolicy. The last SCP of an element stays, and so does `RCPFullAWSAccess`."""
    organization = as_manager(call)
    if call.parameters["PolicyId"] == RCP_FULL_ACCESS_ID:
        raise ApiError("ConstraintViolationException", "You can't detach RCPFullAWSAccess.")
    policy, target = _policy(call, organization), _target(call, organization)
    is_enabled = policy.type in organization.policy_types
    if not is_enabled or policy.document not in organization.attached(policy.type, target):
        raise ApiError("PolicyNotAttachedException", "The policy isn't attached to the specified target in the specified root.")
    with _as_refusals():
        call.directory.detach_control_policy(target, policy.id)
    return NOTHING


def list_policies_for_target(call: Call) -> Result:
    """ListPoliciesForTarget: those that are attached to it directly."""
    organization, type_ = as_reader(call), check_policy_type(call, "Filter")
    target = _target(call, organization)
    if type_ not in organization.policy_types:
        return _summaries(call, [])
    ids = {policy.document: policy for policy in organization.control_policies().values()}
    found = [_summary(call, organization, ids[each]) for each in organization.attached(type_, target)]
    return _summaries(call, found + ([_rcp_full_access()] if type_ == RCP_TYPE else []))


def list_targets_for_policy(call: Call) -> Result:
    """ListTargetsForPolicy."""
    organization = as_reader(call)
    if call.parameters["PolicyId"] == RCP_FULL_ACCESS_ID:
        targets = [organization.root, *organization.parents] if RCP_TYPE in organization.policy_types else []
    else:
        policy = _policy(call, organization)
        targets = list(organization.targets(policy)) if policy.type in organization.policy_types else []
    return organization_page(call, "Targets", targets, same, lambda id_: _target_of(call, organization, id_))


def _attached_already() -> ApiError:
    return ApiError("DuplicatePolicyAttachmentException", "A policy with the specified name and type is already attached.")


# -- members of the output shapes -------------------------------------------------------------------------------------------


def _policy_of(call: Call, organization: Organization, policy: ControlPolicy) -> dict[str, Any]:
    return {"PolicySummary": _summary(call, organization, policy), "Content": policy.document.text}


def _summary(call: Call, organization: Organization, policy: ControlPolicy) -> dict[str, Any]:
    return {
        "Id": policy.id,
        "Arn": arn_of(call, organization, policy.id),
        "Name": policy.document.name,
        "Description": policy.description,
        "Type": policy.type,
        "AwsManaged": policy.id in AWS_MANAGED,
    }


def _rcp_full_access() -> dict[str, Any]:
    members = {"Id": RCP_FULL_ACCESS_ID, "Arn": AWS_MANAGED[RCP_FULL_ACCESS_ID], "Name": "RCPFullAWSAccess"}
    return {**members, "Description": "Allows access to every resource", "Type": RCP_TYPE, "AwsManaged": True}


def _summaries(call: Call, found: list[dict[str, Any]]) -> Result:
    return organization_page(call, "Policies", found, lambda each: str(each["Id"]), same)


def _target_of(call: Call, organization: Organization, id_: str) -> dict[str, Any]:
    record = call.tables.accounts.get(id_)
    name = "Root" if id_ == organization.root else organization.names.get(id_) if record is None else record.name
    type_ = "ROOT" if id_ == organization.root else ACCOUNT if is_account(id_) else UNIT
    return without_nones({"TargetId": id_, "Arn": arn_of(call, organization, id_), "Name": name, "Type": type_})


# -- the table --------------------------------------------------------------------------------------------------------------


def _new(call: Call) -> str:
    return new_arn(call, "policy", f"{call.parameters['Type'].lower()}/p-*")


_POLICY = on("PolicyId", keys=(policy_key("PolicyId"),))
_BOTH = on("PolicyId", "TargetId", keys=(policy_key("PolicyId"),))

OPERATIONS = {
    "CreatePolicy": Operation(create_policy, create_permissions(_new, (_given_key,)), writes=True),
    "DescribePolicy": Operation(describe_policy, _POLICY),
    "UpdatePolicy": Operation(update_policy, _POLICY, writes=True),
    "DeletePolicy": Operation(delete_policy, _POLICY, writes=True),
    "ListPolicies": Operation(list_policies, (Permission(p.everything, (_given_key,)),)),
    "AttachPolicy": Operation(attach_policy, _BOTH, writes=True),
    "DetachPolicy": Operation(detach_policy, _BOTH, writes=True),
    "ListPoliciesForTarget": Operation(list_policies_for_target, on("TargetId", keys=(_given_key,))),
    "ListTargetsForPolicy": Operation(list_targets_for_policy, _POLICY),
}
