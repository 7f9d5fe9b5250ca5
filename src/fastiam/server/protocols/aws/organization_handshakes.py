"""Organizations: invitations and what follows from them, the ways out of an organization, and its end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from fastiam.directory.organization import Handshake, Organization
from fastiam.model.arn import is_account
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.organizations import (
    LINK,
    account_of,
    arn_of,
    as_manager,
    as_member,
    as_reader,
    named_account,
    on,
)
from fastiam.server.protocols.aws.pages import organization_page, same
from fastiam.sts.signed_calls import Permission, everything

_MAX_OPEN: Final = 20
_CONFLICT: Final = "HandshakeConstraintViolationException"
_ENDS: Final = {"AcceptHandshake": "ACCEPTED", "DeclineHandshake": "DECLINED", "CancelHandshake": "CANCELED"}


# -- what a call names ------------------------------------------------------------------------------------------------------


def _is_party(call: Call, organization: Organization, handshake: Handshake) -> bool:
    """Whether the caller's account has sent an invitation, or got it."""
    record = call.tables.accounts.get(call.account)
    if record is None or record.partition != call.partition:
        return False
    return call.account in (organization.management_account, handshake.account)


def _find(call: Call) -> tuple[Organization, Handshake]:
    """The invitation of `HandshakeId`; those of other accounts do not exist for the caller."""
    organization = call.tables.organization
    found = None if organization is None else organization.handshakes.get(call.parameters["HandshakeId"])
    if organization is None or found is None or not _is_party(call, organization, found):
        raise ApiError("HandshakeNotFoundException", "We can't find a handshake with the HandshakeId that you specified.")
    return organization, found


def _handshake_arn(call: Call) -> str:
    try:
        return _arn(call, *_find(call))
    except ApiError:
        return "*"  # the id of the organization is not shown


def _arn(call: Call, organization: Organization, handshake: Handshake) -> str:
    start = f"arn:{call.partition}:organizations::{organization.management_account}"
    return f"{start}:handshake/{organization.id}/invite/{handshake.id}"


def _invited_arn(call: Call) -> str:
    organization, target = call.tables.organization, call.parameters["Target"]
    if organization is None or organization.management_account != call.account or not is_account(target["Id"]):
        return "*"
    return arn_of(call, organization, target["Id"])


# -- invitations ------------------------------------------------------------------------------------------------------------


def invite_account(call: Call) -> Result:
    """InviteAccountToOrganization. Nothing is sent: the account finds the invitation by ListHandshakesForAccount."""
    organization, given = as_manager(call), call.parameters
    type_, target = given["Target"]["Type"], given["Target"]["Id"]
    if type_ not in ("ACCOUNT", "EMAIL") or (type_ == "ACCOUNT" and not is_account(target)):
        raise ApiError("InvalidInputException", "You provided a party that is not an account.", "INVALID_PARTY_TYPE_TARGET")
    accounts = call.tables.accounts
    known = (each.id for each in accounts.values() if each.email and each.email.lower() == target.lower())
    account = target if type_ == "ACCOUNT" else next(known, "")
    if account in organization.parents:
        raise ApiError(_CONFLICT, "The account is already in an organization.", "ALREADY_IN_AN_ORGANIZATION")
    is_open = [each for each in organization.handshakes.values() if each.state_at(call.now) == "OPEN"]
    if any((each.account, each.email) == (account, "" if account else target) for each in is_open):
        raise ApiError("DuplicateHandshakeException", "A handshake with the same action and target already exists.")
    if len(is_open) >= _MAX_OPEN:
        message = f"You have {_MAX_OPEN} open invitations. Cancel one first."
        raise ApiError(_CONFLICT, message, "HANDSHAKE_RATE_LIMIT_EXCEEDED")
    tags = p.tags_of(call)
    made = Handshake(f"h-{secrets.token_hex(16)}", account, call.now, "" if account else target, given.get("Notes", ""), tags)
    call.directory.record_handshake(made)
    return {"Handshake": _described(call, as_manager(call), made)}


def end_handshake(call: Call) -> Result:
    """AcceptHandshake and DeclineHandshake, by the invited account; CancelHandshake, by the one that has invited it."""
    organization, handshake = _find(call)
    state, known = _ENDS[call.operation.name], handshake.state_at(call.now)
    is_sender = call.account == organization.management_account
    if is_sender is not (state == "CANCELED"):
        raise ApiError("AccessDenied", "You don't have permissions to access this resource.")
    if known == state:
        raise ApiError("HandshakeAlreadyInStateException", "The specified handshake is already in the requested state.")
    if known != "OPEN":
        raise ApiError("InvalidHandshakeTransitionException", f"You can't perform the operation on a handshake that is {known}.")
    if state == "ACCEPTED":
        _join(call, organization, handshake)
    ended = replace(handshake, state=state)
    call.directory.record_handshake(ended)
    organization = call.tables.organization or organization
    return {"Handshake": _described(call, organization, ended)}


def _join(call: Call, organization: Organization, handshake: Handshake) -> None:
    """Let an invited account join, below the root."""
    record = call.tables.accounts[call.account]
    if call.account in organization.parents:
        raise ApiError(_CONFLICT, "The account is already in an organization.", "ALREADY_IN_AN_ORGANIZATION")
    if record.scps is not None or record.rcps is not None:  # those of an organization that the store does not have
        raise ApiError(_CONFLICT, "The account has control policies of another organization.", "ALREADY_IN_AN_ORGANIZATION")
    call.directory.add_account(call.account, joined=call.now)
    call.directory.move(call.account)
    if handshake.tags:
        call.directory.tag_in_organization(call.account, handshake.tags)


def describe_handshake(call: Call) -> Result:
    """DescribeHandshake, by either account."""
    return {"Handshake": _described(call, *_find(call))}


def list_handshakes_for_account(call: Call) -> Result:
    """ListHandshakesForAccount: the invitations that the caller's account has got."""
    organization = call.tables.organization
    found = [] if organization is None else [each for each in organization.handshakes.values() if each.account == call.account]
    return _listed(call, organization, (each for each in found if organization and _is_party(call, organization, each)))


def list_handshakes_for_organization(call: Call) -> Result:
    """ListHandshakesForOrganization: those that it has sent."""
    organization = as_reader(call)
    return _listed(call, organization, organization.handshakes.values())


def enable_all_features(call: Call) -> Result:
    """EnableAllFeatures: each organization of a store has them."""
    as_manager(call)
    raise ApiError(_CONFLICT, "The organization has all features enabled.", "ORGANIZATION_ALREADY_HAS_ALL_FEATURES")


def _listed(call: Call, organization: Organization | None, handshakes: Iterable[Handshake]) -> Result:
    wanted = call.parameters.get("Filter", {})
    shown = [each for each in handshakes if wanted.get("ActionType", "INVITE") == "INVITE" and "ParentHandshakeId" not in wanted]
    render: Callable[[Handshake], Any] = same if organization is None else lambda each: _described(call, organization, each)
    return organization_page(call, "Handshakes", shown, lambda each: each.id, render)


def _described(call: Call, organization: Organization, handshake: Handshake) -> dict[str, Any]:
    """An invitation as the output shape."""
    assert organization.management_account is not None
    manager = account_of(call, organization, organization.management_account)
    target = {"Type": "ACCOUNT", "Id": handshake.account} if handshake.account else {"Type": "EMAIL", "Id": handshake.email}
    sender = [
        {"Type": "MASTER_EMAIL", "Value": manager["Email"]},
        {"Type": "MASTER_NAME", "Value": manager["Name"]},
        {"Type": "ORGANIZATION_FEATURE_SET", "Value": "ALL"},
    ]
    notes = [{"Type": "NOTES", "Value": handshake.notes}] if handshake.notes else []
    return {
        "Id": handshake.id,
        "Arn": _arn(call, organization, handshake),
        "Parties": [{"Type": "ORGANIZATION", "Id": organization.id}, target],
        "State": handshake.state_at(call.now),
        "RequestedTimestamp": handshake.requested,
        "ExpirationTimestamp": handshake.expires,
        "Action": "INVITE",
        "Resources": [
            {"Type": "ORGANIZATION", "Value": organization.id, "Resources": sender},
            {"Type": target["Type"], "Value": target["Id"]},
            *notes,
        ],
    }


# -- ways out ---------------------------------------------------------------------------------------------------------------


def leave_organization(call: Call) -> Result:
    """LeaveOrganization, by a member account."""
    organization = as_member(call)
    if call.account == organization.management_account:
        raise ApiError("MasterCannotLeaveOrganizationException", "The management account cannot leave the organization.")
    if call.account in organization.delegated:
        raise ApiError(
            "ConstraintViolationException",
            "The account is a delegated administrator. Deregister it first.",
            "CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG",
        )
    call.directory.remove_account_from_organization(call.account)
    return NOTHING


def close_account(call: Call) -> Result:
    """CloseAccount, of a member account. Its credentials are refused from then on; its records stay."""
    organization = as_manager(call)
    account = named_account(call, organization)
    if account == organization.management_account:
        message = "You can't close the management account of an organization."
        raise ApiError("ConstraintViolationException", message, "CANNOT_CLOSE_MANAGEMENT_ACCOUNT")
    if call.tables.accounts[account].closed is not None:
        raise ApiError("AccountAlreadyClosedException", "You attempted to close an account that is already closed.")
    call.directory.add_account(account, closed=call.now)
    return NOTHING


def delete_organization(call: Call) -> Result:
    """DeleteOrganization, with its units and policies, once no account is in it but the management account and closed ones."""
    organization = as_manager(call)
    records = [call.tables.accounts[account] for account in organization.accounts()]
    if any(each.id != organization.management_account and each.closed is None for each in records):
        remedy = "To delete an organization, you must first remove all accounts except the management account."
        raise ApiError("OrganizationNotEmptyException", f"The organization isn't empty. {remedy}")
    call.directory.delete_organization()
    return NOTHING


_ALL = (Permission(everything),)
_ONE = (Permission(_handshake_arn, is_own=True),)

OPERATIONS = {
    "InviteAccountToOrganization": Operation(
        invite_account,
        (
            Permission(_invited_arn, (p.request_tags,), is_own=True),
            Permission(_invited_arn, (p.request_tags,), "organizations:TagResource", only_with="Tags", is_own=True),
        ),
        writes=True,
    ),
    "AcceptHandshake": Operation(end_handshake, (*_ONE, LINK), writes=True),
    "DeclineHandshake": Operation(end_handshake, _ONE, writes=True),
    "CancelHandshake": Operation(end_handshake, _ONE, writes=True),
    "DescribeHandshake": Operation(describe_handshake, _ONE),
    "ListHandshakesForAccount": Operation(list_handshakes_for_account, _ALL),
    "ListHandshakesForOrganization": Operation(list_handshakes_for_organization, _ALL),
    "EnableAllFeatures": Operation(enable_all_features, _ALL, writes=True),
    "LeaveOrganization": Operation(leave_organization, _ALL, writes=True),
    "CloseAccount": Operation(close_account, on("AccountId"), writes=True),
    "DeleteOrganization": Operation(delete_organization, _ALL, writes=True),
}
