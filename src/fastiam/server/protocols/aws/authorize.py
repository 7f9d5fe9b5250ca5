"""Each call of an operation is itself decided by the engine, on the ARN that it names (G140 to G144)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastiam.credentials.errors import AccessDeniedError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.decision import Decision, Layer, Outcome
from fastiam.server.protocols.aws.calls import Call
from fastiam.server.protocols.aws.errors import ApiError
from fastiam.server.protocols.aws.permissions import Permission
from fastiam.sts.authorization import AuthorizationRequest, decide_action

_KINDS = {
    Layer.IDENTITY: "an identity-based policy",
    Layer.RESOURCE: "a resource-based policy",
    Layer.BOUNDARY: "a permissions boundary",
    Layer.SESSION: "a session policy",
    Layer.SCP: "a service control policy",
    Layer.RCP: "a resource control policy",
    Layer.VPCE: "a VPC endpoint policy",
}
_OF_AWS = "aws"  # the account field of AWS managed policies


class Denied(ApiError):
    """A permission of a call was not allowed."""

    def __init__(self, message: str, action: str, resource: str, context: Mapping[str, Any], decision: Decision) -> None:
        super().__init__("AccessDenied", message)
        self.action, self.resource, self.context, self.decision = action, resource, context, decision


Granted = tuple[str, str, dict[str, Any], Decision]  # action, resource, condition keys, decision


def permissions_of(call: Call, permissions: Iterable[Permission]) -> Iterator[tuple[Permission, str, str, dict[str, Any]]]:
    """The permissions of a call with action, resource and condition keys."""
    for permission in permissions:
        if permission.only_with and call.parameters.get(permission.only_with) in (None, []):  # an empty map removes all
            continue
        action, resources = permission.action or f"{call.service.name}:{call.operation.name}", permission.resource(call)
        for resource in (resources,) if isinstance(resources, str) else resources:
            context = dict(call.context)
            for keys in permission.keys:
                context.update(keys(call, resource))
            yield permission, action, resource, context


def authorize(call: Call, permissions: Iterable[Permission]) -> list[Granted]:
    """Decide every permission of a call. Return those that were required.

    Raises
    ------
    Denied
        the first permission that is not allowed.
    """
    granted = []
    for permission, action, resource, context in permissions_of(call, permissions):
        decision = _decide(call, permission, action, resource, context)
        if decision.outcome is not Outcome.ALLOW:
            shown = call.shown(resource) if permission.shown is None else permission.shown(call)
            raise Denied(denial_text(call.principal_arn, action, shown, decision), action, resource, context, decision)
        granted.append((action, resource, context, decision))
    return granted


def _decide(call: Call, permission: Permission, action: str, resource: str, context: Mapping[str, Any]) -> Decision:
    arn = split_arn(resource)
    if permission.is_own and arn is not None and is_account(arn.account) and arn.account != call.account:
        # `aws:ResourceAccount` is the account of the ARN, though policies of the caller's own account are enough
        request = AuthorizationRequest(
            principal=call.principal, actions=(action,), resource=resource, context=context, now=call.now, is_own_side=True
        )
        return decide_action(call.engine, request, action)
    owner = call.account if permission.is_own else None
    return call.engine.decide(call.principal, action, resource, context, resource_account=owner, now=call.now)


def denial_text(principal: str, action: str, resource: str, decision: Decision) -> str:
    """A denial in the words of AWS (G138). The ARN of the policy appears only if it is of AWS or of the principal's account."""
    start = f"User: {principal} is not authorized to perform: {action} on resource: {resource}"
    kind = _KINDS.get(decision.layer)
    if kind is None:
        what = "the credentials do" if decision.layer is Layer.CREDENTIAL else "the service does"
        return f"{start} because {what} not allow the {action} action"
    if decision.outcome is Outcome.EXPLICIT_DENY:
        arn = None if decision.statement is None else decision.statement.arn
        is_shown = arn is not None and arn.split(":")[4] in (principal.split(":")[4], _OF_AWS)
        return f"{start} with an explicit deny in {kind}{f': {arn}' if is_shown else ''}"
    return f"{start} because no {kind.partition(' ')[2]} allows the {action} action"


def denial_of(error: AccessDeniedError) -> ApiError:
    """The denial of a call that the library has decided."""
    if error.decision is None:
        return ApiError("AccessDenied", error.message)
    return ApiError("AccessDenied", denial_text(error.principal, error.action, error.resource, error.decision))
