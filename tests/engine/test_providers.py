"""Resolution of names of federated providers, services and sessions of a batch, and texts that name no principal (spec N3).

A provider is resolved by name and action. Cached principals and the spelling of a name do not change which principal it is.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from engine_requests import ANA, APP, OK, A, allow, document, session

import fastiam
from fastiam import Session
from fastiam.errors import PolicyError, RequestValueError

FEDERATION = ("sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity")


@pytest.mark.parametrize("action", ["sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"])
@pytest.mark.parametrize("name", ["tok", "the principal", "accounts.google.com", "arn:x"])
@pytest.mark.parametrize("kind", ["USER", "FED", "ROLE"])
def test_session_name_takes_precedence_over_a_provider(action, name, kind):
    """N3, S10: no provider is looked for, and the session's own account may deny."""
    everything, assume = document(allow("*")), {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole*"}
    denied = {"Effect": "Deny", "Principal": {"AWS": A}, "Action": "sts:AssumeRoleWith*"}
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANA, identity_policies=[everything])
    directory.add_principal(APP, identity_policies=[everything], trust_policy=document(assume, denied))
    who = {
        "USER": Session(ANA, kind="USER", issuer=ANA),
        "FED": Session(f"arn:aws:sts::{A}:federated-user/bob", kind="FED", issuer=ANA, policies=[everything]),
        "ROLE": session(),
    }[kind]
    engine = directory.compile()
    outcome = engine.explain(who, action, APP).decision.outcome
    assert engine.decide(who, action, APP).outcome is outcome
    for rows in (1, 2, 600):
        assert engine.decide_many([name] * rows, action, APP, sessions={name: who}).outcome.tolist() == [outcome] * rows
    allowed = engine.what_can(who, APP, actions=[action], unknown=["*"])
    assert [found.outcome for found in allowed] == [OK] * (outcome is OK)
    engine.decide_many([name] * 2, action, APP, on_error="deny")  # from now on the engine knows the provider
    broken = engine.decide_many([name] * 2, action, APP, sessions={name: session(policies=["{"])}, on_error="deny")
    assert [type(error) for error in broken.errors.values()] == [PolicyError] * 2


def outcome_of(ask, *request):
    """The outcome, or None if the text names no principal for this action."""
    try:
        decision = ask(*request)
    except RequestValueError as error:
        assert error.column == "principal"
        return None
    return getattr(decision, "decision", decision).outcome


@pytest.mark.parametrize("name", ["idp.example:8443", "idp.example/x", "s3.amazonaws.com", "accounts.google.com", "ar:n:x", "*"])
@pytest.mark.parametrize(
    "condition", [{}, {"Bool": {"aws:PrincipalIsAWSService": "true"}}, {"Null": {"aws:FederatedProvider": "true"}}], ids=str
)
def test_name_is_a_provider_or_service_by_action(name, condition):
    """N3: independent of the actions that the name was resolved with before."""
    directory = fastiam.Directory(quotas=None)
    assume = {"Effect": "Allow", "Principal": "*", "Action": "sts:*", "Condition": condition}
    directory.add_principal(APP, trust_policy=document(assume))
    engine, actions = directory.compile(), ["s3:GetObject", *FEDERATION, "sts:AssumeRoleWithOther", "sts:TagSession"]
    outcomes = [outcome_of(directory.compile().explain, name, action, APP) for action in actions]
    in_batch = [fastiam.Outcome.ERROR if outcome is None else outcome for outcome in outcomes]
    for _ in range(2):
        assert [outcome_of(engine.decide, name, action, APP) for action in actions] == outcomes
        assert engine.decide_many([name] * 5, actions, APP, on_error="deny").outcome.tolist() == in_batch
    fresh = directory.compile().decide_many([name] * 1000, actions * 200, APP, on_error="deny")
    assert fresh.outcome.tolist() == in_batch * 200
    asked = [action for action, outcome in zip(actions, outcomes, strict=True) if outcome is not None]
    known = [outcome for outcome in outcomes if outcome is not None]
    assert [found.outcome for found in engine.decide_each([(name, action, APP) for action in asked])] == known
    if len(asked) == len(actions):
        allowed = engine.what_can(name, APP, actions=actions, unknown=["*"])
        assert {found.action for found in allowed} == {a for a, outcome in zip(actions, outcomes, strict=True) if outcome is OK}


NEAR_MISSES = [  # text, hint
    (f" {ANA}", "there is a blank before the ARN"),
    (f"{ANA} ", "there is a blank after the ARN"),
    (f"\u2003{ANA}\n", "there is a blank before the ARN"),
    ("s3.amazonaws.com ", "there is a blank after the name"),
    (f"ARN{ANA[3:]}", "an ARN begins with `arn:` in lower case"),
    ("S3.amazonaws.com", "the name of a service is in lower case, `s3.amazonaws.com`"),
    ("https://s3.amazonaws.com", "name an identity provider without `https://`"),
    ("s3.amazon.com", "the name of a service ends in `.amazonaws.com`"),
    (A, f"write the ARN of the account's root, `arn:aws:iam::{A}:root`"),
    ("ana", "name a root, user, role"),
    ("some garbage", "name a root, user, role"),
    ("", "name a root, user, role"),
]


@pytest.mark.parametrize(("text", "hint"), NEAR_MISSES)
def test_text_of_no_form_is_an_error_that_names_the_near_miss(text, hint):
    """It is not a service: as one it would escape the Deny of the user who is meant, and get what `*` is allowed."""
    bucket = "arn:aws:s3:::shared"
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANA, identity_policies=[document({"Effect": "Deny", "Action": "*", "Resource": "*"})])
    directory.add_resource(bucket, account=A, policy=document({**allow("s3:*"), "Principal": "*"}))
    engine = directory.compile()
    request = text, "s3:GetObject", f"{bucket}/x"
    engine.decide_many([f"arn:aws:iam::{A}:user/other", ANA], *request[1:])  # from now on names like these have a template
    asks = (
        engine.decide,
        engine.explain,
        fastiam.simulate,
        lambda *asked: engine.decide_each([asked]),
        lambda *asked: engine.decide_many(*[[one] for one in asked]),
        lambda *asked: engine.filter(asked[0], asked[1]),
        lambda *asked: engine.what_can(asked[0], asked[2]),
    )
    for _, ask in itertools.product(range(2), asks):
        with pytest.raises(RequestValueError) as raised:
            ask(*request)
        assert raised.value.column in ("principal", "principals") and (raised.value.hint or "").startswith(hint)
    rows = engine.decide_many([ANA, text] * 50, *request[1:], on_error="deny")
    assert rows.outcome.tolist() == [fastiam.Outcome.EXPLICIT_DENY, fastiam.Outcome.ERROR] * 50
    assert list(rows.errors) == list(range(1, 100, 2)) and {error.hint for error in rows.errors.values()} == {raised.value.hint}


def test_unprintable_provider_name_is_refused():
    """N3, N5: an unprintable name is not a principal, also after providers are cached."""
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(APP, trust_policy=document({"Effect": "Allow", "Principal": "*", "Action": "sts:*"}))
    engine = directory.compile()
    for action in FEDERATION:
        engine.is_allowed("accounts.google.com", action, APP)
        for between in "\0", "\xff", "\udcff":
            name = f"accounts.google.com{between}{action.lower()}"
            for ask in (engine.is_allowed, engine.decide, lambda *asked: engine.decide_many(*[[text] for text in asked])):
                with pytest.raises(RequestValueError):
                    ask(name, "sts:TagSession", APP)


def test_query_with_a_federation_action_pattern_is_answered():
    """An action that does not exist represents the pattern."""
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(
        APP, trust_policy=document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:Assume*"})
    )
    engine = directory.compile()
    assert engine.what_can("ec2.amazonaws.com", APP, unknown=["*"])
    assert engine.is_allowed("ec2.amazonaws.com", "sts:AssumeRoleWithXyz", APP)


@pytest.mark.parametrize("url", ["x.example", "x.example/", "x.example/a/", "x.example/a"])
def test_url_of_a_provider_is_compared_with_its_trailing_slash(url):
    """WI20 and 1.4 of the federation rules: in the ARN, and in the prefix of the condition keys."""
    call, arns = FEDERATION[1], {each: f"arn:aws:iam::{A}:oidc-provider/{each}" for each in (url, url.rstrip("/"), f"{url}/")}
    trust = {"Effect": "Allow", "Principal": {"Federated": arns[url]}, "Action": call}
    trust["Condition"] = {"StringEquals": {f"{url}:aud": "app"}}
    for (given, arn), key in itertools.product(arns.items(), arns):
        expected = given == url == key
        for engine in ("compiled", "reference"):
            asked = {"context": {f"{key}:aud": "app"}, "resource_policy": document(trust)}
            assert fastiam.simulate(arn, call, APP, engine=engine, **asked).allowed is expected, (given, key, engine)
        directory = fastiam.Directory(quotas=None)
        directory.add_principal(APP, trust_policy=document(trust))
        decisions = directory.compile().decide_many([arn] * 3, call, APP, {f"{key}:aud": "app"})
        assert decisions.allowed.tolist() == [expected] * 3


SHARED = [
    case
    for case in json.loads((Path(__file__).resolve().parents[1] / "cases/validation.json").read_text())
    if case["rule"] == "IP51"
]


@pytest.mark.parametrize("case", SHARED, ids=lambda case: case["id"])
def test_trust_in_a_shared_issuer_without_condition_is_refused(case):
    """IP51, IP52: a strict write is refused, a lenient one reports it."""
    is_refused = "IP51" in case["expect"]["warnings"]
    for mode in ("strict", "lenient"):
        directory = fastiam.Directory(mode=mode, quotas=None)
        directory.add_principal(APP)
        writes = (
            lambda d=directory: d.add_principal(f"{APP}2", trust_policy=document(case["statement"])),
            lambda d=directory: d.set_trust_policy(APP, document(case["statement"])),
        )
        for write in writes:
            if is_refused and mode == "strict":
                with pytest.raises(PolicyError, match="IP51"):
                    write()
            else:
                write()
                assert ("IP51" in {finding.code for finding in directory.findings}) is is_refused
