"""Organizations: new units and accounts, names, tags, and services that may act in the accounts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from fastiam.directory.account_records import Account
from fastiam.directory.organization import FailedAccount, Organization
from fastiam.directory.unique_ids import new_account_request_id, new_unit_id
from fastiam.errors import DirectoryError
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import tag_list
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.organizations import (
    as_manager,
    as_reader,
    is_parent,
    new_arn,
    on,
    policy_key,
    service_key,
    stored_tags,
    unit_of,
)
from fastiam.server.protocols.aws.pages import organization_page, same, tag_key
from fastiam.sts.signed_calls import Keys, Permission, Resources, everything

_DEPTH: Final = 5  # levels of units below the root
_ROLE: Final = "OrganizationAccountAccessRole"
_EVERYTHING: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


# -- tags -------------------------------------------------------------------------------------------------------------------


def add_tags(call: Call, id_: str) -> None:
    """Add the tags of `Tags` to the root, a unit, an account or a policy."""
    tags = p.tags_of(call)
    if tags:
        try:
            call.directory.tag_in_organization(id_, tags)
        except DirectoryError as error:
            raise ApiError("ConstraintViolationException", error.message) from None


def _tagged(call: Call, organization: Organization) -> str:
    """The root, unit, account or policy of `ResourceId`."""
    id_: str = call.parameters["ResourceId"]
    if id_ != organization.root and id_ not in organization.parents and id_ not in organization.control_policies():
        raise ApiError("TargetNotFoundException", "We can't find a root, OU, account or policy with this id.")
    return id_


def tag_resource(call: Call) -> Result:
    """TagResource."""
    add_tags(call, _tagged(call, as_manager(call)))
    return NOTHING


def untag_resource(call: Call) -> Result:
    """UntagResource."""
    call.directory.untag_in_organization(_tagged(call, as_manager(call)), call.parameters["TagKeys"])
    return NOTHING


def list_tags_for_resource(call: Call) -> Result:
    """ListTagsForResource."""
    organization = as_reader(call)
    tags = organization.tags.get(_tagged(call, organization), {})
    return organization_page(call, "Tags", tag_list(tags), tag_key, same)


# -- units ------------------------------------------------------------------------------------------------------------------


def create_organizational_unit(call: Call) -> Result:
    """CreateOrganizationalUnit."""
    organization, parent, name = as_manager(call), call.parameters["ParentId"], call.parameters["Name"]
    if not is_parent(organization, parent):
        raise ApiError("ParentNotFoundException", "You specified a parent that doesn't exist.")
    _refuse_name(organization, parent, name)
    depth, at = 1, parent
    while at != organization.root:
        depth, at = depth + 1, organization.parents[at]
    if depth > _DEPTH:
        raise ApiError("ConstraintViolationException", "You have reached the limit on the depth of OUs.")
    id_ = new_unit_id(organization.root)
    call.directory.create_organizational_unit(id_, parent, name=name)
    add_tags(call, id_)
    return {"OrganizationalUnit": unit_of(call, as_manager(call), id_)}


def update_organizational_unit(call: Call) -> Result:
    """UpdateOrganizationalUnit: another name."""
    organization, unit = as_manager(call), call.parameters["OrganizationalUnitId"]
    if unit not in organization.parents:
        raise ApiError("OrganizationalUnitNotFoundException", "You specified an organizational unit that doesn't exist.")
    name = call.parameters.get("Name")
    if name is not None and organization.names.get(unit) != name:
        _refuse_name(organization, organization.parents[unit], name)
        call.directory.rename_organizational_unit(unit, name)
    return {"OrganizationalUnit": unit_of(call, as_manager(call), unit)}


def _refuse_name(organization: Organization, parent: str, name: str) -> None:
    if any(organization.names.get(unit) == name for unit, above in organization.parents.items() if above == parent):
        raise ApiError("DuplicateOrganizationalUnitException", "An OU with the same name already exists.")


# -- accounts ---------------------------------------------------------------------------------------------------------------


def create_account(call: Call) -> Result:
    """CreateAccount, which is done at once: below the root, with a role for the management account, as AWS makes it."""
    as_manager(call)
    given, request = call.parameters, new_account_request_id()
    if any(each.email.lower() == given["Email"].lower() for each in call.tables.accounts.values()):
        failed = FailedAccount(given["AccountName"], "EMAIL_ALREADY_EXISTS", call.now)
        call.directory.record_failed_account(request, failed)
        return {"CreateAccountStatus": _failure_of(request, failed)}
    id_ = _new_account(call)
    call.directory.add_account(
        id_, name=given["AccountName"], partition=call.partition, email=given["Email"], joined=call.now, request=request
    )
    call.directory.move(id_)
    manager = f"arn:{call.partition}:iam::{call.account}:root"
    trust = {"Effect": "Allow", "Principal": {"AWS": manager}, "Action": "sts:AssumeRole"}
    call.directory.add_principal(
        f"arn:{call.partition}:iam::{id_}:role/{given.get('RoleName', _ROLE)}",
        identity_policies=[("AdministratorAccess", _EVERYTHING)],
        trust_policy={"Version": "2012-10-17", "Statement": [trust]},
        created=call.now,
    )
    add_tags(call, id_)
    return {"CreateAccountStatus": _status_of(call.tables.accounts[id_])}


def _new_account(call: Call) -> str:
    """An account id that occurs nowhere in the directory."""
    while True:
        id_ = f"{secrets.randbelow(9 * 10**11) + 10**11}"
        if id_ not in call.tables.accounts and not call.directory.principals(id_):
            return id_


def describe_create_account_status(call: Call) -> Result:
    """DescribeCreateAccountStatus."""
    for status in _statuses(call):
        if status["Id"] == call.parameters["CreateAccountRequestId"]:
            return {"CreateAccountStatus": status}
    raise ApiError("CreateAccountStatusNotFoundException", "We can't find a request with this id.")


def list_create_account_status(call: Call) -> Result:
    """ListCreateAccountStatus."""
    states = call.parameters.get("States")
    found = [status for status in _statuses(call) if not states or status["State"] in states]
    return organization_page(call, "CreateAccountStatuses", found, lambda status: str(status["Id"]), same)


def _statuses(call: Call) -> list[dict[str, Any]]:
    """The state of each request for an account that is kept."""
    organization = as_reader(call)
    records = (call.tables.accounts.get(id_) for id_ in organization.accounts())
    made = [_status_of(each) for each in records if each is not None and each.request]
    return made + [_failure_of(request, failed) for request, failed in organization.failed_accounts.items()]


def _status_of(account: Account) -> dict[str, Any]:
    members = {"Id": account.request, "AccountName": account.name, "AccountId": account.id, "State": "SUCCEEDED"}
    return {**members, "RequestedTimestamp": account.joined, "CompletedTimestamp": account.joined}


def _failure_of(request: str, failed: FailedAccount) -> dict[str, Any]:
    members = {"Id": request, "AccountName": failed.name, "State": "FAILED", "FailureReason": failed.reason}
    return {**members, "RequestedTimestamp": failed.at, "CompletedTimestamp": failed.at}


# -- services ---------------------------------------------------------------------------------------------------------------


def enable_aws_service_access(call: Call) -> Result:
    """EnableAWSServiceAccess."""
    as_manager(call)
    call.directory.enable_service_access(call.parameters["ServicePrincipal"], call.now)
    return NOTHING


def disable_aws_service_access(call: Call) -> Result:
    """DisableAWSServiceAccess, of a service without delegated administrators."""
    organization, service = as_manager(call), call.parameters["ServicePrincipal"]
    if any(service in services for services in organization.delegated.values()):
        raise ApiError("ConstraintViolationException", "The service has delegated administrators. Deregister them first.")
    call.directory.disable_service_access(service)
    return NOTHING


def list_aws_service_access_for_organization(call: Call) -> Result:
    """ListAWSServiceAccessForOrganization."""
    services = as_reader(call).services
    return organization_page(
        call,
        "EnabledServicePrincipals",
        services,
        same,
        lambda name: {"ServicePrincipal": name, "DateEnabled": services[name]},
    )


# -- the table --------------------------------------------------------------------------------------------------------------


def create_permissions(
    resource: Resources, keys: Sequence[Keys] = (), *, made: Resources | None = None
) -> tuple[Permission, ...]:
    """The permissions of a call that creates something, and of its tags (G143).

    `made` is what gets the tags, if the call is decided on something else, such as its parent.
    """
    both = (stored_tags, *keys, p.request_tags)
    tag = Permission(made or resource, both, "organizations:TagResource", only_with="Tags", is_own=True)
    return Permission(resource, both, is_own=True), tag


def _new_unit(call: Call) -> str:
    return new_arn(call, "ou", "ou-*")


def _new_account_arn(call: Call) -> str:
    return new_arn(call, "account", "*")


_ALL = (Permission(everything),)
_PARENT = on("ParentId")[0].resource
_TAGGED = policy_key("ResourceId")
_TAGS = on("ResourceId", keys=(_TAGGED, p.request_tags))
_SERVICE = (Permission(everything, (service_key,)),)

OPERATIONS = {
    "CreateOrganizationalUnit": Operation(create_organizational_unit, create_permissions(_PARENT, made=_new_unit), writes=True),
    "UpdateOrganizationalUnit": Operation(update_organizational_unit, on("OrganizationalUnitId"), writes=True),
    "CreateAccount": Operation(create_account, create_permissions(everything, made=_new_account_arn), writes=True),
    "DescribeCreateAccountStatus": Operation(describe_create_account_status, _ALL),
    "ListCreateAccountStatus": Operation(list_create_account_status, _ALL),
    "TagResource": Operation(tag_resource, _TAGS, writes=True),
    "UntagResource": Operation(untag_resource, _TAGS, writes=True),
    "ListTagsForResource": Operation(list_tags_for_resource, on("ResourceId", keys=(_TAGGED,))),
    "EnableAWSServiceAccess": Operation(enable_aws_service_access, _SERVICE, writes=True),
    "DisableAWSServiceAccess": Operation(disable_aws_service_access, _SERVICE, writes=True),
    "ListAWSServiceAccessForOrganization": Operation(list_aws_service_access_for_organization, _ALL),
}
