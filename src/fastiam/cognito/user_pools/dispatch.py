"""`UserPools.call`: a call by the name that AWS gives it, as a server gets it, with the decision about its caller (UP1)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pool_permissions import DECIDED_ON, check_own, permissions
from fastiam.cognito.user_pools.calls import Calls
from fastiam.cognito.user_pools.operations import OPERATIONS, Json, check, hide, model
from fastiam.credentials.results import Caller
from fastiam.credentials.sts_errors import AccessDeniedError
from fastiam.model.arn import split_arn
from fastiam.model.session import Session
from fastiam.sts.signed_calls import SignedCall, authorize

_OF_ACCOUNT = ("CreateUserPool", "ListUserPools")


class Dispatch(Calls):
    """Calls by their name."""

    _region: str  # of new pools

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
            `cognito-idp:<operation>` on the ARN of the pool, beside it `iam:PassRole` for the role of a group, and
            `cognito-idp:TagResource` for tags.

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
        return self._run(operation, parameters, lambda: self._authorize(operation, parameters, caller))

    def run(self, operation: str, parameters: Mapping[str, Any], *, account: str, region: str) -> Json:
        """As `call`, for a server that has decided about the caller itself.

        Parameters
        ----------
        account, region
            where the call creates and lists pools.
        """
        parameters = _hidden(operation, parameters)
        scope = {"account": account, "region": region} if operation in _OF_ACCOUNT else {}
        return self._run(operation, parameters, lambda: scope)

    def _run(self, operation: str, parameters: Mapping[str, Any], decide: Callable[[], Json]) -> Json:
        """Check the form of a call, decide it, and run it. The secrets of the parameters are hidden."""
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
            for member in DECIDED_ON & parameters.keys():  # the decision is about what they name
                check(parameters[member], described.input.members[member].shape, member)
            if not described.is_public:
                kwargs |= decide()
            result: Json = getattr(self, described.method)(**kwargs)
        return result

    def _authorize(self, operation: str, parameters: Mapping[str, Any], caller: str | Session | None) -> Json:
        """Decide a call that is not public. The result is the account in which it creates or lists pools."""
        action, arn = f"cognito-idp:{operation}", caller.arn if isinstance(caller, Session) else caller
        if caller is None or arn is None or split_arn(arn) is None:
            raise AccessDeniedError(
                f"`{action}` needs a caller", principal="*", action=action, resource="*", layer="credential", rule="UP1"
            )
        base = self._state.base
        region = str(parameters.get("UserPoolId", self._region)).partition("_")[0]
        call = SignedCall(
            action=action,
            parameters=parameters,
            caller=Caller(caller),
            context={"aws:RequestedRegion": region},
            now=self._state.now(),
            directory=base.directory,
            engine=base.engine(),
        )
        self._state.note(principal=arn)
        try:
            authorize(call, permissions(operation))
        except AccessDeniedError as error:
            error.code, error.rule = "AccessDeniedException", "UP1"
            raise
        check_own(call)
        return {"account": call.account} if operation in _OF_ACCOUNT else {}


def _hidden(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with hidden secrets. The caller rebinds its own name, so that no frame of a traceback shows them."""
    described = OPERATIONS.get(operation)
    if described is None or not isinstance(parameters, Mapping):
        return parameters  # the call is refused
    hidden: Mapping[str, Any] = hide(parameters, described.input)
    return hidden
