"""Custom authentication: triggers decide which challenges come, and when the user is signed in (4.10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.user_pools.attempt import Attempt, next_challenge, srp_challenge
from fastiam.cognito.user_pools.calls import WRONG_PASSWORD, Calls, parameter
from fastiam.cognito.user_pools.operations import plain
from fastiam.cognito.user_pools.sign_in_grants import finish
from fastiam.cognito.user_pools.state import Json, PoolState, hidden_texts
from fastiam.cognito.user_pools.triggers import attributes_of, flag, invalid_response, run_trigger

MAX_STEPS = 20
DEFINE, CREATE, VERIFY = "DefineAuthChallenge", "CreateAuthChallenge", "VerifyAuthChallengeResponse"


def _texts(response: Mapping[str, Any], name: str) -> dict[str, str]:
    """An object of texts in a response; absent and None are empty."""
    value = response.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise invalid_response(CREATE, f"`{name}` is not an object of texts")
    return dict(value)


def _run(state: PoolState, attempt: Attempt, trigger: str, request: Json, response: Json) -> Json:
    request = {**request, "clientMetadata": dict(attempt.metadata)}
    if attempt.user is not None:
        request["userAttributes"] = attributes_of(attempt.user)
    if attempt.client.hides_existence:
        request["userNotFound"] = attempt.user is None
    answered = run_trigger(
        state,
        attempt.pool,
        trigger,
        "Authentication",
        username=attempt.username,
        client_id=attempt.client.id,
        request=request,
        response=response,
    )
    if answered is None:
        message = f"the user pool has no trigger {trigger}"
        raise CognitoError(message, code="InvalidLambdaResponseException", rule="4.10")
    return answered


def define(calls: Calls, attempt: Attempt) -> Json:
    """Ask DefineAuthChallenge what comes next.

    Raises
    ------
    NotAuthorizedError
        authentication failed, or the user is unknown.
    CognitoError
        InvalidLambdaResponseException.
    """
    assert attempt.custom is not None
    steps = attempt.custom["steps"]
    if len(steps) >= MAX_STEPS:
        raise NotAuthorizedError(WRONG_PASSWORD, reason="throttled", rule="UP61")
    empty = {"challengeName": None, "issueTokens": None, "failAuthentication": None}
    answered = _run(calls._state, attempt, DEFINE, {"session": steps}, empty)
    is_issued, is_failed = flag(answered, "issueTokens", DEFINE), flag(answered, "failAuthentication", DEFINE)
    if is_failed or (is_issued and attempt.user is None):
        if steps:
            calls._limits.failed(attempt.subject)
        raise NotAuthorizedError(WRONG_PASSWORD, reason="wrong_password", rule="UP60")
    if is_issued:
        if attempt.user is not None and attempt.user.status == "EXTERNAL_PROVIDER":
            raise NotAuthorizedError(WRONG_PASSWORD, reason="wrong_password", rule="4.4")
        return finish(calls, attempt)
    name = answered.get("challengeName")
    if name == "PASSWORD_VERIFIER" and steps and steps[-1]["challengeName"] == "SRP_A":
        return srp_challenge(calls, attempt, int(attempt.custom["A"], 16))
    if name != "CUSTOM_CHALLENGE":
        raise invalid_response(DEFINE, "it names no challenge that is possible here")
    return _create(calls._state, attempt)


def _create(state: PoolState, attempt: Attempt) -> Json:
    """Let CreateAuthChallenge make the next challenge."""
    assert attempt.custom is not None
    request = {"challengeName": "CUSTOM_CHALLENGE", "session": attempt.custom["steps"]}
    empty = {"publicChallengeParameters": None, "privateChallengeParameters": None, "challengeMetadata": None}
    answered = hidden_texts(_run(state, attempt, CREATE, request, empty))
    public = _texts(answered, "publicChallengeParameters")
    metadata = answered.get("challengeMetadata")
    if metadata is not None and not isinstance(metadata, str):
        raise invalid_response(CREATE, "`challengeMetadata` is not text")
    private = _texts(answered, "privateChallengeParameters")
    parameters = {"USERNAME": attempt.username, **{name: plain(value) for name, value in public.items()}}
    return next_challenge(state, attempt, "CUSTOM_CHALLENGE", parameters, private=private, meta=metadata)


def answer_custom(calls: Calls, attempt: Attempt, answers: Mapping[str, str], content: Json) -> Json:
    """Let VerifyAuthChallengeResponse judge an answer. A wrong one does not refuse by itself (UP61)."""
    assert attempt.custom is not None
    with calls._state.transaction():
        calls._limits.check_lock(attempt.subject)
        calls._state.spend(content)  # INVARIANT: a challenge takes one answer, or codes could be guessed
    request = {"privateChallengeParameters": content["private"], "challengeAnswer": parameter(answers, "ANSWER")}
    answered = _run(calls._state, attempt, VERIFY, request, {"answerCorrect": None})
    step: dict[str, Any] = {
        "challengeName": "CUSTOM_CHALLENGE",
        "challengeResult": flag(answered, "answerCorrect", VERIFY),
        "challengeMetadata": content["meta"],
    }
    return define(calls, with_step(attempt, step))


def with_step(attempt: Attempt, step: Json) -> Attempt:
    """The attempt after one more step of custom authentication."""
    assert attempt.custom is not None
    return replace(attempt, custom={**attempt.custom, "steps": [*attempt.custom["steps"], step]})
