"""Organizations: the organization of the store, its tree, its policy types and its delegated administrators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastiam.directory.account_records import Account
from fastiam.directory.organization import FULL_ACCESS_ID, POLICY_TYPES, RCP_TYPE, Organization
from fastiam.directory.stored_policies import FULL_ACCESS_ARN
from fastiam.directory.unique_ids import new_organization_id, new_root_id
from fastiam.model.arn import is_account
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import UNKNOWN_DATE, without_nones
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import organization_page, same
from fastiam.sts import signed_calls as p
from fastiam.sts.signed_calls import Permission

UNIT, ACCOUNT = "ORGANIZATIONAL_UNIT", "ACCOUNT"
RCP_FULL_ACCESS_ID = "p-RCPFullAWSAccess"
_SERVICE_NAME = "organizations.amazonaws.com"
AWS_MANAGED = {
    FULL_ACCESS_ID: FULL_ACCESS_ARN,
    RCP_FULL_ACCESS_ID: f"arn:aws:organizations::aws:policy/resource_control_policy/{RCP_FULL_ACCESS_ID}",
}
"""The ARNs of the policies of AWS by their ids."""


# -- who may call -----------------------------------------------------------------------------------------------------------


def joined(call: Call) -> Organization | None:
    """The organization that the caller's account belongs to; one without a management account cannot be called."""
    organization, record = call.tables.organization, call.tables.accounts.get(call.account)
    if organization is None or organization.management_account is None or call.account not in organization.parents:
        return None
    # An id of an account in another partition is another account.
    return None if record is None or record.partition != call.partition else organization


def as_member(call: Call) -> Organization:
    """The organization, for a call of any of its accounts."""
    organization = joined(call)
    if organization is None:
        raise ApiError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    return organization


def as_reader(call: Call) -> Organization:
    """The organization, for a call of the management account or of a delegated administrator."""
    organization = as_member(call)
    if call.account != organization.management_account and call.account not in organization.delegated:
        raise _no_permission()
    return organization


def as_manager(call: Call) -> Organization:
    """The organization, for a call of the management account."""
    organization = as_member(call)
    if call.account != organization.management_account:
        raise _no_permission()
    return organization


def _no_permission() -> ApiError:
    return ApiError("AccessDenied", "You don't have permissions to access this resource.")


# -- what a call names ------------------------------------------------------------------------------------------------------


def arn_of(call: Call, organization: Organization, id_: str) -> str:
    """The ARN of an organization, root, unit, account or policy by its id."""
    start = f"arn:{call.partition}:organizations::{organization.management_account}"
    if id_ == organization.id:
        return f"{start}:organization/{id_}"
    if id_.startswith("p-"):
        policy = organization.control_policies().get(id_)
        kind = "service_control_policy" if policy is None else policy.type.lower()
        return f"{start}:policy/{organization.id}/{kind}/{id_}" if id_ not in AWS_MANAGED else AWS_MANAGED[id_]
    type_ = "account" if is_account(id_) else "root" if id_.startswith("r-") else "ou"
    return f"{start}:{type_}/{organization.id}/{id_}"


def stored_tags(call: Call, resource: str) -> Mapping[str, Any]:
    """`aws:ResourceTag/KEY`, of what an ARN ends with."""
    organization = joined(call)
    tags = {} if organization is None else organization.tags.get(resource.rpartition("/")[2], {})
    return p.stored_tag_keys(tags)


def on(*parameters: str, keys: Sequence[p.Keys] = (), action: str = "", only_with: str = "") -> tuple[Permission]:
    """The permission on what parameters name.

    The ARNs have the management account, and delegated administrators, which have no part in its policies, need permission of
    their own account only. For accounts outside there are no ARNs, and the id of the organization is not shown.
    """

    def resources(call: Call) -> str | tuple[str, ...]:
        organization = joined(call)
        if organization is None:
            return "*"
        return tuple(arn_of(call, organization, call.parameters[parameter]) for parameter in parameters)

    return (Permission(resources, (stored_tags, *keys), action, only_with, is_own=True),)


def new_arn(call: Call, type_: str, rest: str) -> str:
    """The ARN of what a call creates, before its id is known: `rest` has a star in its place."""
    organization = joined(call)
    if organization is None:
        return "*"
    return f"arn:{call.partition}:organizations::{organization.management_account}:{type_}/{organization.id}/{rest}"


def _linked_role(call: Call) -> str:
    return f"arn:{call.partition}:iam::{call.account}:role/aws-service-role/{_SERVICE_NAME}/AWSServiceRoleForOrganizations"


def _linked_service(_call: Call, _resource: str) -> Mapping[str, Any]:
    return {"iam:AWSServiceName": _SERVICE_NAME}


def named_account(call: Call, organization: Organization) -> str:
    """The account of `AccountId`."""
    account: str = call.parameters["AccountId"]
    if account not in organization.parents:
        raise ApiError("AccountNotFoundException", "You specified an account that doesn't exist.")
    return account


def is_parent(organization: Organization, id_: str) -> bool:
    """Whether an id is that of the root or of a unit."""
    return id_ == organization.root or (id_ in organization.parents and not is_account(id_))


def _unit(call: Call, organization: Organization) -> str:
    """The unit of `OrganizationalUnitId`."""
    unit: str = call.parameters["OrganizationalUnitId"]
    if unit not in organization.parents:
        raise ApiError("OrganizationalUnitNotFoundException", "You specified an organizational unit that doesn't exist.")
    return unit


def _check_root(call: Call, organization: Organization) -> None:
    if call.parameters["RootId"] != organization.root:
        raise ApiError("RootNotFoundException", "You specified a root that doesn't exist.")


def check_policy_type(call: Call, parameter: str = "PolicyType") -> str:
    """The type of policies that a call names.

    Raises
    ------
    ApiError
        `InvalidInputException`: another type than the two that are served.
    """
    type_: str = call.parameters[parameter]
    if type_ not in POLICY_TYPES:
        raise ApiError("InvalidInputException", f"Policies of the type {type_} are not served.")
    return type_


# -- condition keys ---------------------------------------------------------------------------------------------------------


def policy_key(parameter: str) -> p.Keys:
    """`organizations:PolicyType` of the policy that a parameter names; absent if it names something else."""

    def keys(call: Call, _: str) -> Mapping[str, Any]:
        id_, organization = call.parameters[parameter], joined(call)
        if id_ == RCP_FULL_ACCESS_ID:
            return {"organizations:PolicyType": RCP_TYPE}
        policy = None if organization is None else organization.control_policies().get(id_)
        return {} if policy is None else {"organizations:PolicyType": policy.type}

    return keys


def type_key(call: Call, _: str) -> Mapping[str, Any]:
    """`organizations:PolicyType` as the call gives it."""
    return {"organizations:PolicyType": call.parameters["PolicyType"]}


def service_key(call: Call, _: str) -> Mapping[str, Any]:
    """`organizations:ServicePrincipal`, if the call names one."""
    service = call.parameters.get("ServicePrincipal")
    return {} if service is None else {"organizations:ServicePrincipal": service}


# -- the organization -------------------------------------------------------------------------------------------------------


def create_organization(call: Call) -> Result:
    """CreateOrganization, by the account that becomes its management account. A store keeps one organization."""
    if call.parameters.get("FeatureSet", "ALL") != "ALL":
        raise ApiError("InvalidInputException", "Only the feature set ALL is served.")
    if joined(call) is not None:
        raise ApiError("AlreadyInOrganizationException", "The AWS account is already a member of an organization.")
    record = call.tables.accounts.get(call.account)
    if call.tables.organization is not None or record is None or record.partition != call.partition:
        raise ApiError("ConstraintViolationException", "The store has no place for another organization.")
    if record.scps is not None or record.rcps is not None:  # they do not apply to a management account (D11, D14)
        raise ApiError("ConstraintViolationException", "The account has control policies of another organization.")
    id_ = new_organization_id()
    call.directory.set_organization(id_, management_account=call.account, root=new_root_id(), policy_types=())
    call.directory.add_account(call.account, joined=call.now)
    return {"Organization": _organization_of(call, as_manager(call))}


def describe_organization(call: Call) -> Result:
    """DescribeOrganization, by any of its accounts."""
    return {"Organization": _organization_of(call, as_member(call))}


def list_roots(call: Call) -> Result:
    """ListRoots: the one root."""
    return organization_page(call, "Roots", [_root_of(call, as_reader(call))], lambda root: root["Id"], same)


def enable_policy_type(call: Call) -> Result:
    """EnablePolicyType."""
    organization = as_manager(call)
    _check_root(call, organization)
    if check_policy_type(call) in organization.policy_types:
        raise ApiError("PolicyTypeAlreadyEnabledException", "The specified policy type is already enabled.")
    call.directory.enable_policy_type(check_policy_type(call))
    return {"Root": _root_of(call, as_manager(call))}


def disable_policy_type(call: Call) -> Result:
    """DisablePolicyType; policies of the type are detached."""
    organization = as_manager(call)
    _check_root(call, organization)
    if check_policy_type(call) not in organization.policy_types:
        raise ApiError("PolicyTypeNotEnabledException", "The specified policy type isn't currently enabled.")
    call.directory.disable_policy_type(check_policy_type(call))
    return {"Root": _root_of(call, as_manager(call))}


# -- the tree ---------------------------------------------------------------------------------------------------------------


def describe_account(call: Call) -> Result:
    """DescribeAccount."""
    organization = as_reader(call)
    return {"Account": account_of(call, organization, named_account(call, organization))}


def describe_organizational_unit(call: Call) -> Result:
    """DescribeOrganizationalUnit."""
    organization = as_reader(call)
    return {"OrganizationalUnit": unit_of(call, organization, _unit(call, organization))}


def delete_organizational_unit(call: Call) -> Result:
    """DeleteOrganizationalUnit, of one that is empty."""
    organization = as_manager(call)
    unit = _unit(call, organization)
    if unit in organization.parents.values():
        raise ApiError("OrganizationalUnitNotEmptyException", "The specified organizational unit is not empty.")
    call.directory.delete_organizational_unit(unit)
    return NOTHING


def list_accounts(call: Call) -> Result:
    """ListAccounts."""
    organization = as_reader(call)
    return _listed_accounts(call, organization, organization.accounts())


def list_accounts_for_parent(call: Call) -> Result:
    """ListAccountsForParent."""
    organization = as_reader(call)
    return _listed_accounts(call, organization, filter(is_account, _children(call, organization)))


def list_organizational_units_for_parent(call: Call) -> Result:
    """ListOrganizationalUnitsForParent."""
    organization = as_reader(call)
    units = (id_ for id_ in _children(call, organization) if not is_account(id_))
    return organization_page(call, "OrganizationalUnits", units, same, lambda unit: unit_of(call, organization, unit))


def list_children(call: Call) -> Result:
    """ListChildren: the accounts, or the units, directly below a root or unit."""
    type_ = call.parameters["ChildType"]
    children = (id_ for id_ in _children(call, as_reader(call)) if is_account(id_) is (type_ == ACCOUNT))
    return organization_page(call, "Children", children, same, lambda child: {"Id": child, "Type": type_})


def list_parents(call: Call) -> Result:
    """ListParents: the one parent of an account or unit."""
    organization = as_reader(call)
    parent = organization.parents.get(call.parameters["ChildId"])
    if parent is None:
        raise ApiError("ChildNotFoundException", "You specified a child that doesn't exist.")
    type_ = "ROOT" if parent == organization.root else UNIT
    return organization_page(call, "Parents", [parent], same, lambda id_: {"Id": id_, "Type": type_})


def move_account(call: Call) -> Result:
    """MoveAccount, of an account of the organization: the library would let others join."""
    organization, given = as_manager(call), call.parameters
    account, source, destination = named_account(call, organization), given["SourceParentId"], given["DestinationParentId"]
    if organization.parents[account] != source:
        raise ApiError("SourceParentNotFoundException", "The account is not in the specified source parent.")
    if not is_parent(organization, destination):
        raise ApiError("DestinationParentNotFoundException", "You specified a destination parent that doesn't exist.")
    if source == destination:
        raise ApiError("DuplicateAccountException", "The account is already in the specified destination.")
    call.directory.move(account, destination)
    return NOTHING


def remove_account_from_organization(call: Call) -> Result:
    """RemoveAccountFromOrganization, of one that administers nothing."""
    organization = as_manager(call)
    account = named_account(call, organization)
    if account == organization.management_account:
        raise ApiError("MasterCannotLeaveOrganizationException", "The management account cannot leave the organization.")
    if account in organization.delegated:
        raise ApiError("ConstraintViolationException", "The account is a delegated administrator. Deregister it first.")
    call.directory.remove_account_from_organization(account)
    return NOTHING


# -- delegated administrators -----------------------------------------------------------------------------------------------


def register_delegated_administrator(call: Call) -> Result:
    """RegisterDelegatedAdministrator."""
    organization, service = as_manager(call), call.parameters["ServicePrincipal"]
    account = named_account(call, organization)
    if account == organization.management_account:
        raise ApiError("ConstraintViolationException", "The management account cannot be a delegated administrator.")
    if service in organization.delegated.get(account, ()):
        raise ApiError("AccountAlreadyRegisteredException", "The account is already a delegated administrator of the service.")
    call.directory.register_delegated_administrator(account, service)
    return NOTHING


def deregister_delegated_administrator(call: Call) -> Result:
    """DeregisterDelegatedAdministrator."""
    organization, service = as_manager(call), call.parameters["ServicePrincipal"]
    account = named_account(call, organization)
    if service not in organization.delegated.get(account, ()):
        raise _not_registered()
    call.directory.deregister_delegated_administrator(account, service)
    return NOTHING


def list_delegated_administrators(call: Call) -> Result:
    """ListDelegatedAdministrators, of all services or of one."""
    organization, service = as_reader(call), call.parameters.get("ServicePrincipal")
    accounts = (account for account, services in organization.delegated.items() if service is None or service in services)
    return organization_page(
        call, "DelegatedAdministrators", accounts, same, lambda account: account_of(call, organization, account)
    )


def list_delegated_services_for_account(call: Call) -> Result:
    """ListDelegatedServicesForAccount."""
    organization = as_reader(call)
    services = organization.delegated.get(named_account(call, organization), frozenset())
    if not services:
        raise _not_registered()
    return organization_page(call, "DelegatedServices", services, same, lambda service: {"ServicePrincipal": service})


def _not_registered() -> ApiError:
    return ApiError("AccountNotRegisteredException", "The account is not a delegated administrator of the service.")


# -- members of the output shapes -------------------------------------------------------------------------------------------


def _children(call: Call, organization: Organization) -> list[str]:
    """The accounts and units directly below `ParentId`."""
    parent = call.parameters["ParentId"]
    if not is_parent(organization, parent):
        raise ApiError("ParentNotFoundException", "You specified a parent that doesn't exist.")
    return [id_ for id_, above in organization.parents.items() if above == parent]


def _types_of(organization: Organization) -> list[dict[str, str]]:
    return [{"Type": type_, "Status": "ENABLED"} for type_ in sorted(organization.policy_types)]


def _organization_of(call: Call, organization: Organization) -> dict[str, Any]:
    assert organization.management_account is not None
    record = call.tables.accounts.get(organization.management_account)
    members = {
        "Id": organization.id,
        "Arn": arn_of(call, organization, organization.id),
        "FeatureSet": "ALL",
        "MasterAccountArn": arn_of(call, organization, organization.management_account),
        "MasterAccountId": organization.management_account,
        "MasterAccountEmail": _email(record or Account(organization.management_account)),
        "AvailablePolicyTypes": _types_of(organization),
    }
    return without_nones(members)


def _root_of(call: Call, organization: Organization) -> dict[str, Any]:
    root = organization.root
    return {"Id": root, "Arn": arn_of(call, organization, root), "Name": "Root", "PolicyTypes": _types_of(organization)}


def unit_of(call: Call, organization: Organization, unit: str) -> dict[str, Any]:
    """A unit as the output shape."""
    return without_nones({"Id": unit, "Arn": arn_of(call, organization, unit), "Name": organization.names.get(unit)})


def account_of(call: Call, organization: Organization, account: str) -> dict[str, Any]:
    """An account as the output shape."""
    record = call.tables.accounts.get(account) or Account(account)
    return {
        "Id": account,
        "Arn": arn_of(call, organization, account),
        "Name": record.name or account,
        "Email": _email(record),
        "Status": "ACTIVE" if record.closed is None else "SUSPENDED",
        "State": "ACTIVE" if record.closed is None else "CLOSED",
        "JoinedMethod": "CREATED" if record.request else "INVITED",
        "JoinedTimestamp": record.joined or UNKNOWN_DATE,
    }


def _email(record: Account) -> str:
    """The address of an account. Clients require one: an account without has one that cannot exist."""
    return record.email or f"{record.id}@account.invalid"


def _listed_accounts(call: Call, organization: Organization, accounts: Iterable[str]) -> Result:
    return organization_page(call, "Accounts", accounts, same, lambda account: account_of(call, organization, account))


# -- the table --------------------------------------------------------------------------------------------------------------

_ALL = (Permission(p.everything),)
_ONE_ACCOUNT, _ONE_UNIT, _PARENT = on("AccountId"), on("OrganizationalUnitId"), on("ParentId")
_ROOT, _SERVICE = on("RootId", keys=(type_key,)), on("AccountId", keys=(service_key,))
LINK = Permission(_linked_role, (_linked_service,), "iam:CreateServiceLinkedRole")  # AWS makes the role of the service then
_MOVE = on("AccountId", "SourceParentId", "DestinationParentId")

OPERATIONS = {
    "CreateOrganization": Operation(create_organization, (*_ALL, LINK), writes=True),
    "DescribeOrganization": Operation(describe_organization, _ALL),
    "ListRoots": Operation(list_roots, _ALL),
    "EnablePolicyType": Operation(enable_policy_type, _ROOT, writes=True),
    "DisablePolicyType": Operation(disable_policy_type, _ROOT, writes=True),
    "DescribeAccount": Operation(describe_account, _ONE_ACCOUNT),
    "DescribeOrganizationalUnit": Operation(describe_organizational_unit, _ONE_UNIT),
    "DeleteOrganizationalUnit": Operation(delete_organizational_unit, _ONE_UNIT, writes=True),
    "ListAccounts": Operation(list_accounts, _ALL),
    "ListAccountsForParent": Operation(list_accounts_for_parent, _PARENT),
    "ListOrganizationalUnitsForParent": Operation(list_organizational_units_for_parent, _PARENT),
    "ListChildren": Operation(list_children, _PARENT),
    "ListParents": Operation(list_parents, on("ChildId")),
    "MoveAccount": Operation(move_account, _MOVE, writes=True),
    "RemoveAccountFromOrganization": Operation(remove_account_from_organization, _ONE_ACCOUNT, writes=True),
    "RegisterDelegatedAdministrator": Operation(register_delegated_administrator, _SERVICE, writes=True),
    "DeregisterDelegatedAdministrator": Operation(deregister_delegated_administrator, _SERVICE, writes=True),
    "ListDelegatedAdministrators": Operation(list_delegated_administrators, (Permission(p.everything, (service_key,)),)),
    "ListDelegatedServicesForAccount": Operation(list_delegated_services_for_account, _ONE_ACCOUNT),
}
