"""`UserPools.call`: a call by the name that AWS gives it, as a server gets it, with the decision about its caller (UP1)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fastiam.cognito.errors import CognitoError
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.operations import OPERATIONS, Json, check, hide, model
from fastiam.credentials.errors import AccessDeniedError
from fastiam.model.arn import split_arn
from fastiam.model.session import Session

_OF_RESOURCE = {"UserPoolId", "ResourceArn", "Domain"}
_OF_ACCOUNT = ("CreateUserPool", "ListUserPools")


class Dispatch(Calls):
    """Calls by their name."""

    @classmethod
    @cache
    def _accepted(cls, operation: str) -> dict[str, str]:
        """The parameters that the method of a call takes, by AWS's name."""
        described = OPERATIONS[operation]
        accepted = inspect.signature(getattr(cls, described.method)).parameters
        return {member: name for name, member in described.parameters.items() if name in accepted}

    def call(self, operation: str, parameters: Mapping[str, Any], *, caller: str | Session | None = None) -> Json:
        """Run a call with AWS's names.

        Parameters
        ----------
        operation
            `InitiateAuth` and others.
        parameters
            the JSON object of the request.
        caller
            principal that signed the request. For a call that is not public the engine decides whether it may make the call:
            `cognito-idp:<operation>` on the ARN of the pool.

        Returns
        -------
        Json
            The JSON object of the answer. Times are `datetime`, and secrets are `Secret`.

        Raises
        ------
        CognitoError
            the call or a parameter is unknown or not supported: `OperationNotEnabledException` or `InvalidParameterException`; or
            what the method raises.
        AccessDeniedError
            there is no caller, or a policy does not allow the call.
        """
        parameters = _hidden(operation, parameters)
        return self._run(operation, parameters, lambda kwargs: self._authorize(operation, kwargs, caller))

    def run(self, operation: str, parameters: Mapping[str, Any], *, account: str, region: str) -> Json:
        """As `call`, for a server that has decided about the caller itself.

        Parameters
        ----------
        account, region
            where the call creates and lists pools.
        """
        parameters = _hidden(operation, parameters)
        scope = {"account": account, "region": region} if operation in _OF_ACCOUNT else {}
        return self._run(operation, parameters, lambda _: scope)

    def _run(self, operation: str, parameters: Mapping[str, Any], authorize: Callable[[Json], Json]) -> Json:
        """Check the form of a call, authorize it, and run it. The secrets of the parameters are hidden."""
        described = OPERATIONS.get(operation)
        if described is None:
            known, refused = model().operations.get(operation), "OperationNotEnabledException"
            code = refused if known is None or refused in known.errors else "InvalidParameterException"
            raise CognitoError(f"`{operation[:64]}` is not supported", code=code, rule="4.1")
        if not isinstance(parameters, Mapping):
            raise CognitoError("the parameters must be an object", rule="FD3")
        names, kwargs = self._accepted(operation), {}
        for member, value in parameters.items():
            if value is None or (value is False and member in described.input.members and member not in names):
                continue  # an unsupported setting that is off
            if member not in names:
                raise CognitoError(f"the parameter `{str(member)[:64]}` is not supported", rule="4.1")
            kwargs[names[member]] = value
        with self._state.event(operation):
            for member in _OF_RESOURCE & parameters.keys():  # the decision is about the resource that they name
                check(parameters[member], described.input.members[member].shape, member)
            if not described.is_public:
                kwargs |= authorize(kwargs)
            result: Json = getattr(self, described.method)(**kwargs)
        return result

    def _authorize(self, operation: str, kwargs: Json, caller: str | Session | None) -> Json:
        """Decide a call that is not public. The result is the account in which it creates or lists pools."""
        action = f"cognito-idp:{operation}"
        arn = caller.arn if isinstance(caller, Session) else caller
        parts = None if arn is None else split_arn(arn)
        if caller is None or arn is None or parts is None:
            raise AccessDeniedError(
                f"`{action}` needs a caller", principal="*", action=action, resource="*", layer="credential", rule="UP1"
            )
        resource, owner = self._resource(operation, kwargs, parts.partition, parts.account)
        self._state.note(principal=arn)
        decision = self._state.base.engine().decide(caller, action, resource, resource_account=owner, now=self._state.now())
        if not decision.allowed:
            raise AccessDeniedError(
                f"User: {arn} is not authorized to perform: {action} on resource: {resource}",
                principal=arn,
                action=action,
                resource=resource,
                layer=str(decision.layer),
                decision=decision,
                rule="UP1",
                code="AccessDeniedException",
            )
        return {"account": parts.account} if operation in _OF_ACCOUNT else {}

    def _resource(self, operation: str, kwargs: Json, partition: str, account: str) -> tuple[str, str]:
        """The resource that a call is decided on, and its account."""
        if operation in _OF_ACCOUNT:
            return "*", account
        if "resource_arn" in kwargs:
            arn = str(kwargs["resource_arn"])
            read = split_arn(arn)
            return arn, account if read is None else read.account
        domain = self._state.tables.domains.get(kwargs.get("domain", "")) if "user_pool_id" not in kwargs else None
        pool = self._state.tables.pools.get(domain.pool if domain is not None else kwargs.get("user_pool_id", ""))
        if pool is not None:
            return pool.arn, pool.account
        region = str(kwargs.get("user_pool_id", "")).partition("_")[0]
        return f"arn:{partition}:cognito-idp:{region}:{account}:userpool/{kwargs.get('user_pool_id', '')}", account


def _hidden(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with hidden secrets. The caller rebinds its own name, so that no frame of a traceback shows them."""
    described = OPERATIONS.get(operation)
    if described is None or not isinstance(parameters, Mapping):
        return parameters  # the call is refused
    hidden: Mapping[str, Any] = hide(parameters, described.input)
    return hidden
