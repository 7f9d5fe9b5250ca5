"""`unknown` has one default, one spelling and one meaning in every call; what a call cannot use it refuses."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime

import pytest

import fastiam
from fastiam import Outcome, RequestValueError

DENIED = Outcome.IMPLICIT_DENY
CALLS = [
    *(getattr(fastiam.Engine, name) for name in ("is_allowed", "decide", "are_allowed", "decide_each", "decide_many")),
    *(getattr(fastiam.Engine, name) for name in ("explain", "who_can", "what_can")),
    fastiam.diff,
    fastiam.simulate,
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_unknown_has_one_default_in_every_call(call) -> None:
    parameter = inspect.signature(call).parameters["unknown"]
    assert parameter.default == () and parameter.kind is inspect.Parameter.KEYWORD_ONLY


def conditional() -> fastiam.Engine:
    directory = fastiam.Directory()
    tls = {"Bool": {"aws:SecureTransport": "true"}}
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", "Condition": tls}
    directory.add_principal(
        "arn:aws:iam::111111111111:user/ana", identity_policies={"Version": "2012-10-17", "Statement": statement}
    )
    return directory.compile()


@pytest.mark.parametrize("unknown", [["*"], ["aws:*"], ["AWS:SecureTransport"], ("aws:securetransport",)], ids=str)
def test_unknown_keys_are_read_equally_by_each_call(unknown) -> None:
    engine, ask = conditional(), ("arn:aws:iam::111111111111:user/ana", "s3:GetObject", "arn:aws:s3:::b/k")
    principal, action, resource = ask

    def answers(**given):
        yield engine.decide(*ask, **given).outcome
        yield engine.explain(*ask, **given).decision.outcome
        yield engine.decide_each([ask], **given)[0].outcome
        yield engine.decide_many([principal], action, resource, reasons=True, **given)[0].outcome
        yield next((c.outcome for c in engine.who_can(action, resource, **given) if c.principal == principal), DENIED)
        yield next((one.outcome for one in engine.what_can(principal, resource, actions=[action], **given)), DENIED)

    assert set(answers()) == {DENIED}
    assert set(answers(unknown=unknown)) == {Outcome.DEPENDS}


ABOUT_ONE = {
    "actions": ["s3:GetObject"],
    "unknown": ["*"],
    "resource_account": "111111111111",
    "now": datetime(2026, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("name", ABOUT_ONE)
def test_what_can_with_resource_keys_requires_a_resource(name) -> None:
    engine, principal = conditional(), "arn:aws:iam::111111111111:user/ana"
    with pytest.raises(RequestValueError, match=f"`{name}` is about one resource") as error:
        engine.what_can(principal, **{name: ABOUT_ONE[name]})
    assert error.value.column == name
    assert engine.what_can(principal, "arn:aws:s3:::b/k", unknown=["*"], **{k: v for k, v in ABOUT_ONE.items() if k != "unknown"})


def test_diff_without_requests_refuses_unknown_keys() -> None:
    none = fastiam.Directory()
    none.add_principal("arn:aws:iam::111111111111:user/ana")
    with pytest.raises(RequestValueError, match="`unknown` needs requests"):
        fastiam.diff(none.compile(), conditional(), unknown=["aws:SourceIp"])
    assert [group.change.value for group in fastiam.diff(none.compile(), conditional()).groups] == ["may gain"]
