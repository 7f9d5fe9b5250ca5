"""Calls of AWS operations that the engine decides: what a call asks for, and the refusal of a caller who may not (G138 to G144).

A table of operations names the permissions of each call as data: `Permission(pool_arn, (stored_tags,))`. A server and the library
decide by the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastiam.credentials.results import Caller
from fastiam.credentials.sts_errors import AccessDeniedError
from fastiam.directory.account_records import Tables
from fastiam.model.arn import is_account, split_arn
from fastiam.model.decision import Decision, Layer, Outcome
from fastiam.model.session import Session
from fastiam.sts.authorization import AuthorizationRequest, decide_action

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine


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


@dataclass(slots=True, kw_only=True)
class SignedCall:
    """A call of one operation, verified and validated, and not yet decided.

    Attributes
    ----------
    action
        of the operation, such as `iam:GetUser`.
    parameters
        members of the input shape; members that were not sent are absent.
    caller
        None for an unsigned operation.
    context
        condition keys of every call: source address, user agent, transport, Region.
    engine
        decides over exactly the records of `tables`.
    """

    action: str
    parameters: Mapping[str, Any]
    caller: Caller | None
    context: Mapping[str, Any]
    now: datetime
    directory: Directory
    engine: Engine

    @property
    def tables(self) -> Tables:
        """The records that the call is decided over."""
        return self.directory.tables

    @property
    def principal(self) -> str | Session:
        """The principal of the verified credentials."""
        assert self.caller is not None, self.action
        return self.caller.principal

    @property
    def principal_arn(self) -> str:
        """Its ARN."""
        assert self.caller is not None, self.action
        return self.caller.arn

    @property
    def partition(self) -> str:
        """The partition of the caller."""
        return self.principal_arn.split(":")[1]

    @property
    def account(self) -> str:
        """The account of the caller, in which it acts."""
        return self.principal_arn.split(":")[4]

    @property
    def region(self) -> str:
        """The Region that a signed call is for, of a service that is not global."""
        region: str = self.context["aws:RequestedRegion"]
        return region

    def shown(self, resource: str) -> str:
        """A resource as a denial names it."""
        return resource


Resource = Callable[[Any], str]
Resources = Callable[[Any], str | Sequence[str]]
Keys = Callable[[Any, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of an operation.

    Attributes
    ----------
    resource
        the ARN, or `*`; or several ARNs, each of them decided.
    keys
        condition keys in addition to those of every call.
    action
        by default that of the operation.
    only_with
        a parameter without which it is not required, such as `Tags`.
    shown
        what a denial names in place of the resource. By default what the call names by its name has the path `/` there: the path
        of a stored ARN would show that it exists.
    is_own
        decided as a resource of the caller's account, whatever account the ARN names. The operation checks who may reach it.
    """

    resource: Resources
    keys: tuple[Keys, ...] = ()
    action: str = ""
    only_with: str = ""
    shown: Resource | None = None
    is_own: bool = False


def everything(_: SignedCall) -> str:
    """`*`: calls on the whole account."""
    return "*"


def given(parameter: str) -> Resource:
    """The ARN that a parameter holds."""
    return lambda call: str(call.parameters[parameter])


def passed_to(service: str) -> Keys:
    """`iam:PassedToService`: the service that gets the role."""
    return lambda _call, _resource: {"iam:PassedToService": service}


def stored_tag_keys(tags: Mapping[str, str]) -> dict[str, Any]:
    """`aws:ResourceTag/...` of the tags of a resource."""
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def sent_tag_keys(tags: Mapping[str, str], removed: Iterable[str] = ()) -> dict[str, Any]:
    """`aws:RequestTag/...` and `aws:TagKeys` of the tags, and of the keys of tags, that a call sends."""
    keys = [*tags, *removed]
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()} | ({"aws:TagKeys": keys} if keys else {})


# -- decisions ------------------------------------------------------------------------------------------------------------


class CallDeniedError(AccessDeniedError):
    """A permission of a call is not allowed. The message names the resource as a denial may show it."""


Granted = tuple[str, str, dict[str, Any], Decision]  # action, resource, condition keys, decision


def _asked(call: SignedCall, permissions: Iterable[Permission]) -> Iterator[tuple[Permission, str, str, dict[str, Any]]]:
    """The permissions of a call with action, resource and condition keys."""
    for permission in permissions:
        if permission.only_with and call.parameters.get(permission.only_with) in (None, []):  # an empty map removes all
            continue
        action, resources = permission.action or call.action, permission.resource(call)
        for resource in (resources,) if isinstance(resources, str) else resources:
            context = dict(call.context)
            for keys in permission.keys:
                context.update(keys(call, resource))
            yield permission, action, resource, context


def authorize(call: SignedCall, permissions: Iterable[Permission]) -> list[Granted]:
    """Decide every permission of a call. Return those that were required.

    Raises
    ------
    CallDeniedError
        the first permission that is not allowed.
    """
    granted = []
    for permission, action, resource, context in _asked(call, permissions):
        decision = _decide(call, permission, action, resource, context)
        if decision.outcome is not Outcome.ALLOW:
            shown = call.shown(resource) if permission.shown is None else permission.shown(call)
            error = CallDeniedError(
                denial_text(call.principal_arn, action, shown, decision),
                principal=call.principal_arn,
                action=action,
                resource=resource,
                layer=str(decision.layer),
                decision=decision,
            )
            error.context = context
            raise error
        granted.append((action, resource, context, decision))
    return granted


def _decide(call: SignedCall, permission: Permission, action: str, resource: str, context: Mapping[str, Any]) -> Decision:
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
