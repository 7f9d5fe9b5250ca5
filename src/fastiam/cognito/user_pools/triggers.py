"""Triggers: Python callables that take part in sign-up and sign-in (4.12). They run outside any transaction (UP72)."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.state import Json, PoolState, Trigger
from fastiam.directory.user_pool_records import Pool, User

TRIGGERS = (
    "PreSignUp PostConfirmation PreAuthentication PostAuthentication DefineAuthChallenge CreateAuthChallenge "
    "VerifyAuthChallengeResponse PreTokenGeneration UserMigration CustomMessage"
).split()
PRE_SIGN_UP = {"autoConfirmUser": False, "autoVerifyEmail": False, "autoVerifyPhone": False}  # its empty response
_RULE = "UP71"


class _Run(threading.Thread):
    """One try of a trigger, in a thread that is left behind if it takes too long.

    The thread has no context of the call, so that calls which the trigger makes have events of their own.
    """

    def __init__(self, trigger: Trigger, event: Json) -> None:
        super().__init__(daemon=True, name="fastiam-trigger")
        self._trigger, self._event = trigger, event
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._trigger(self._event)
        except BaseException as error:  # noqa: B036  (raised again by the caller)
            self.error = error


def attributes_of(user: User) -> Json:
    """The attributes of a user as an event has them."""
    return {"sub": user.sub, **user.attributes, "cognito:user_status": user.status}


def run_trigger(
    state: PoolState,
    pool: Pool,
    trigger: str,
    source: str,
    *,
    username: str,
    client_id: str = "CLIENT_ID_NOT_APPLICABLE",
    request: Mapping[str, Any],
    response: Mapping[str, Any] = {},
    version: str = "1",
) -> Json | None:
    """Run the trigger of a pool; None if the pool has none.

    Parameters
    ----------
    source
        the part of `triggerSource` behind the name of the trigger.
    request, response
        of the event; the response is that with empty values.

    Returns
    -------
    Json | None
        The `response` of the event that the trigger returns.

    Raises
    ------
    CognitoError
        UserLambdaValidationException: it raised; UnexpectedLambdaException: it took too long, or there is none of that name;
        InvalidLambdaResponseException: its result is not an event.
    """
    name = pool.triggers.get(trigger)
    if name is None:
        return None
    called = state.triggers.get(name)
    if called is None:
        raise CognitoError(f"the trigger {trigger} is not available", code="UnexpectedLambdaException", rule=_RULE)
    prefix = "TokenGeneration" if trigger == "PreTokenGeneration" else trigger
    event = {
        "version": version,
        "triggerSource": f"{prefix}_{source}",
        "region": pool.region,
        "userPoolId": pool.id,
        "userName": username,
        "callerContext": {"awsSdkVersion": "fastiam", "clientId": client_id},
        "request": {"userAttributes": {}, **request},
        "response": dict(response),
    }
    for _ in range(state.settings.trigger_tries):
        run = _Run(called, copy.deepcopy(event))
        run.start()
        run.join(state.settings.trigger_seconds)
        if not run.is_alive():
            break
    else:
        raise CognitoError(f"{trigger} took too long", code="UnexpectedLambdaException", rule=_RULE)
    if isinstance(run.error, Exception):
        message = f"{trigger} failed with error {run.error}."
        raise CognitoError(message, code="UserLambdaValidationException", rule=_RULE)
    if run.error is not None:
        raise CognitoError(f"{trigger} ended", code="UnexpectedLambdaException", rule=_RULE)
    result = run.result.get("response") if isinstance(run.result, Mapping) else None
    if not isinstance(result, Mapping):
        raise invalid_response(trigger, "the result is not an event")
    return dict(result)


def invalid_response(trigger: str, why: str) -> CognitoError:
    """The error of a trigger whose result cannot be used."""
    return CognitoError(f"{trigger} invocation failed: {why}", code="InvalidLambdaResponseException", rule=_RULE)


def flag(response: Mapping[str, Any], name: str, trigger: str) -> bool:
    """A boolean of a response; absent and None are false (UP62).

    Raises
    ------
    CognitoError
        InvalidLambdaResponseException: another type.
    """
    value = response.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid_response(trigger, f"`{name}` is not a boolean")
    return bool(value)
