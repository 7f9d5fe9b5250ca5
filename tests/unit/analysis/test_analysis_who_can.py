"""`who_can`: the outcome of each principal equals its single decision, and external principals are included."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import policy_generators as strategies
import pytest
from differential import World
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all
from specification import decisions_only

import fastiam
from fastiam.analysis.access.who_can import _reads_user_id
from fastiam.errors import DirectoryError, PolicyError, RequestValueError
from fastiam.model.decision import Outcome
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import Request, absent_keys, read_context
from fastiam.spec import decide

A, B, X = "111111111111", "222222222222", "333333333333"
ANA, BO = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{B}:user/bo"
APP = f"arn:aws:iam::{A}:role/app"
BUCKET, KEY = "arn:aws:s3:::reports", "arn:aws:s3:::reports/may"
CAN = (Outcome.ALLOW, Outcome.DEPENDS)


def allow(action: str = "s3:*", resource: str | None = "*", **more: Any) -> dict[str, Any]:
    elements = {"Effect": "Allow", "Action": action, **({} if resource is None else {"Resource": resource}), **more}
    return {"Version": "2012-10-17", "Statement": elements}


def directory(policy: dict[str, Any] | None = None, **role: Any) -> fastiam.Directory:
    out = fastiam.Directory()
    out.add_principal(ANA, identity_policies=[allow()])
    out.add_principal(APP, **role)
    out.add_principal(BO, identity_policies=[allow("s3:Get*")])
    out.add_resource(BUCKET, account=A, policy=policy)
    return out


def outcomes_of(callers: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {caller.principal: (caller.outcome.name, caller.depends_on) for caller in callers}


def reference(snapshot: Any, name: str, action: str, resource: str, context: Mapping[str, Any], unknown: frozenset[str]) -> Any:
    """What the reference says, None where there can be no such request."""
    given = read_context(context)
    request = Request(action, given, 0, unknown, absent_keys(context))
    try:
        who, what, endpoint = snapshot.profiles(
            name, action, resource, given, endpoint_unknown="aws:SourceVpce" not in context and bool(unknown)
        )
    except RequestValueError:
        return None
    with decisions_only():
        return decide(who, what, request, endpoint=endpoint, sources=snapshot.account_facts)


# -- exact ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=few_or_all(8, 15), deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_who_can_equals_the_specification_for_each_principal(seed: int, everything_unknown: bool) -> None:
    case = strategies.directory(seed, 8)
    try:
        world = World({**case, "unknown_owner": "principal"})
    except (PolicyError, DirectoryError):
        return  # the generator wrote what a strict directory does not take
    engine, snapshot = world.directory.compile(), world.snapshot
    unknown = frozenset({"*"} if everything_unknown else ())
    for row in world.rows[:4]:
        context = {key: value for key, value in world.context(row).items() if value is not None}
        asked = row["action"], row["resource"], context
        try:
            found = engine.who_can(*asked, unknown=unknown, now=None if everything_unknown else world.now)
        except RequestValueError:
            continue
        stored = {name for name, _ in snapshot.names()}
        got = {c.principal: c for c in found if c.principal in stored and c.kind is not None}
        for name in stored:
            if everything_unknown:
                expected = reference(snapshot, name, *asked, unknown)
            else:
                expected = _single(engine, name, *asked, world.now)
            expected = _as_session(engine, snapshot, expected, name, asked, unknown)
            outcome = None if expected is None else expected.decision.outcome
            assert (got[name].outcome if name in got else None) == (outcome if outcome in CAN else None), name
            if name in got:
                assert got[name].depends_on == expected.decision.depends_on
                assert got[name].conditions == expected.residual_statements


def _as_session(engine: Any, snapshot: Any, expected: Any, name: str, asked: Any, unknown: frozenset[str]) -> Any:
    """Decide a role that depends on the name of its session for a session with a name in no policy (N30, K1)."""
    if expected is None or ":role/" not in name or "aws:userid" not in expected.decision.depends_on:
        return expected
    session = f"arn:aws:sts::{name.split(':')[4]}:assumed-role/{name.rpartition('/')[2]}/zq0"
    expected_of_session = reference(snapshot, session, *asked, unknown)
    if expected_of_session is None or "aws:userid" in expected_of_session.decision.depends_on:
        return expected
    is_read = any(map(_reads_user_id, snapshot.policies()))
    return expected_of_session if expected_of_session.decision.outcome in CAN or not is_read else expected


def _single(engine: Any, name: str, action: str, resource: str, context: Mapping[str, Any], now: Any) -> Any:
    try:
        with decisions_only():
            return engine.explain(name, action, resource, context, now=now)
    except RequestValueError:
        return None


def test_who_can_equals_the_specification_in_an_organization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "bench"))
    from organization import Organization

    Organization(2, seed=3).write(tmp_path)
    loaded = fastiam.load(tmp_path)
    engine, snapshot = loaded.compile(), loaded.snapshot()
    names = [name for name, _ in snapshot.names()]
    assert len(names) > 500
    asked = [
        ("s3:GetObject", "arn:aws:s3:::acme-team1-prod/x", {}),
        ("s3:GetObject", "arn:aws:s3:::acme-team1-prod/x", {"aws:SecureTransport": True}),
        ("sqs:SendMessage", "arn:aws:sqs:us-east-1:100000000000:team0-prod-0", {"aws:SecureTransport": True}),
        ("sts:AssumeRole", next(name for name in names if ":role/" in name), {}),
        ("ec2:DescribeInstances", "*", {"aws:RequestedRegion": "eu-west-1"}),
    ]
    n_can = 0
    for action, resource, context in asked:
        found = engine.who_can(action, resource, context, unknown=["*"])
        can = {caller.principal: caller for caller in found if caller.kind is not None}
        n_can += len(can)
        for name in names[::7]:
            expected = reference(snapshot, name, action, resource, context, frozenset({"*"})).decision
            assert (can[name].outcome if name in can else None) == (expected.outcome if expected.outcome in CAN else None), name
            assert name not in can or can[name].depends_on == expected.depends_on
    assert n_can > 400


# -- results ---------------------------------------------------------------------------------------------------------------


def test_who_can_lists_conditions_by_statement() -> None:
    office = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
    engine = directory(identity_policies=[("Office", allow(Condition=office))]).compile()
    (app,) = (caller for caller in engine.who_can("s3:GetObject", KEY, unknown=["*"]) if caller.principal == APP)
    assert (app.outcome, app.depends_on) == (Outcome.DEPENDS, ("aws:sourceip",))
    (one,) = app.conditions
    assert (one.ref.policy, one.conditions[0].values) == ("Office", ("198.51.100.0/24",))


@pytest.mark.parametrize(
    ("context", "unknown", "expected"),
    [
        ({}, ("*",), "DEPENDS"),
        ({"aws:SourceIp": "198.51.100.7"}, ("*",), "ALLOW"),
        ({"aws:SourceIp": "203.0.113.9"}, ("*",), None),
        ({"aws:SourceIp": None}, ("*",), None),
        ({}, (), None),
        ({}, ("aws:SourceIp",), "DEPENDS"),
    ],
)
def test_who_can_treats_missing_keys_as_unknown_or_absent(context: Any, unknown: Any, expected: str | None) -> None:
    office = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
    engine = directory(identity_policies=[allow(Condition=office)]).compile()
    assert outcomes_of(engine.who_can("s3:GetObject", KEY, context, unknown=unknown)).get(APP, (None,))[0] == expected


def test_who_can_uses_defaults_of_the_engine() -> None:
    built = directory(identity_policies=[allow(Condition={"Bool": {"aws:SecureTransport": "true"}})])
    engine = built.compile(context_defaults={"aws:SecureTransport": True})
    assert outcomes_of(engine.who_can("s3:GetObject", KEY, unknown=["*"]))[APP][0] == "ALLOW"
    assert outcomes_of(engine.who_can("s3:GetObject", KEY, unknown=["aws:SecureTransport"]))[APP][0] == "DEPENDS"  # D71
    assert engine.what_can(APP, KEY, unknown=["aws:SecureTransport"])[0].outcome.name == "DEPENDS"


def test_who_can_default_in_two_spellings_is_one_key() -> None:
    built = directory(identity_policies=[allow(Condition={"StringEquals": {"s3:prefix": "a"}})])
    engine = built.compile(context_defaults={"s3:prefix": "a", "S3:PREFIX": "a"})
    assert outcomes_of(engine.who_can("s3:GetObject", KEY, unknown=["*"]))[APP][0] == "ALLOW"
    assert engine.what_can(APP, KEY, unknown=["*"])[0].outcome.name == "ALLOW"


@pytest.mark.parametrize("year", [2025, 2027])
def test_who_can_default_of_the_clock_precedes_now(year: int) -> None:
    from datetime import UTC, datetime

    until = {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}
    now = datetime(year, 1, 1, tzinfo=UTC)
    engine = directory(identity_policies=[allow(Condition=until)]).compile(
        context_defaults={"aws:CurrentTime": "2025-06-01T00:00:00Z"}
    )
    assert engine.is_allowed(APP, "s3:GetObject", KEY, now=now)
    assert outcomes_of(engine.who_can("s3:GetObject", KEY, now=now, unknown=["*"]))[APP][0] == "ALLOW"


def test_who_can_without_now_has_an_unknown_clock() -> None:
    from datetime import UTC, datetime

    until = {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}
    engine = directory(identity_policies=[allow(Condition=until)]).compile()
    in_2025, in_2027 = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert outcomes_of(engine.who_can("s3:GetObject", KEY, unknown=["*"]))[APP] == ("DEPENDS", ("aws:currenttime",))
    assert outcomes_of(engine.who_can("s3:GetObject", KEY, now=in_2025, unknown=["*"]))[APP][0] == "ALLOW"
    assert APP not in outcomes_of(engine.who_can("s3:GetObject", KEY, now=in_2027, unknown=["*"]))


def test_who_can_omits_principals_that_contradict_the_context() -> None:  # K1
    found = outcomes_of(directory().compile().who_can("s3:GetObject", KEY, {"aws:username": "ana"}, unknown=["*"]))
    assert ANA in found and f"arn:aws:iam::{A}:root" not in found


def test_who_can_across_accounts_needs_both_sides() -> None:
    engine = directory(allow("s3:GetObject", f"{BUCKET}/*", Principal={"AWS": B})).compile()
    found = outcomes_of(engine.who_can("s3:GetObject", KEY, unknown=["*"]))
    assert found[BO] == found[f"arn:aws:iam::{B}:root"] == ("ALLOW", ())
    assert BO not in outcomes_of(engine.who_can("s3:PutObject", KEY, unknown=["*"]))


# -- from outside ---------------------------------------------------------------------------------------------------------

ALL_ACCOUNTS, SERVICES = "arn:aws:iam::*:root", "*.amazonaws.com"


@pytest.mark.parametrize(
    ("principal", "condition", "expected"),
    [
        ({"AWS": X}, {}, {f"arn:aws:iam::{X}:root": "ALLOW"}),
        ({"AWS": f"arn:aws:iam::{X}:root"}, {}, {f"arn:aws:iam::{X}:root": "ALLOW"}),
        ({"AWS": f"arn:aws:iam::{X}:role/r"}, {}, {f"arn:aws:iam::{X}:role/r": "ALLOW"}),
        ({"Service": "config.amazonaws.com"}, {}, {"config.amazonaws.com": "ALLOW"}),
        ({"CanonicalUser": "cafe"}, {}, {"cafe": "ALLOW"}),
        ("*", {}, {"*": "ALLOW", ALL_ACCOUNTS: "ALLOW", SERVICES: "ALLOW"}),
        ({"AWS": "*"}, {}, {"*": "ALLOW", ALL_ACCOUNTS: "ALLOW"}),  # N10
        ("*", {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {ALL_ACCOUNTS: "DEPENDS"}),
        ("*", {"StringEquals": {"aws:PrincipalAccount": X}}, {ALL_ACCOUNTS: "DEPENDS"}),
        ("*", {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{X}:role/*"}}, {ALL_ACCOUNTS: "DEPENDS"}),
        ("*", {"StringEquals": {"aws:PrincipalServiceName": "x.amazonaws.com"}}, {SERVICES: "DEPENDS"}),
        ({"AWS": X}, {"Bool": {"aws:SecureTransport": "true"}}, {f"arn:aws:iam::{X}:root": "DEPENDS"}),
    ],
)
def test_who_can_lists_external_principals(principal: Any, condition: Any, expected: dict[str, str]) -> None:
    policy = allow("s3:GetObject", f"{BUCKET}/*", Principal=principal, **({"Condition": condition} if condition else {}))
    found = directory(policy).compile().who_can("s3:GetObject", KEY, unknown=["*"])
    assert {caller.principal: caller.outcome.name for caller in found if caller.is_outside} == expected


def test_external_principals_do_not_own_an_unowned_resource() -> None:  # D23
    built = directory()
    built.add_resource("arn:aws:s3:::stray", policy=allow("s3:GetObject", "arn:aws:s3:::stray/*", Principal={"AWS": X}))
    engine = built.compile()
    assert f"arn:aws:iam::{X}:root" in outcomes_of(engine.who_can("s3:GetObject", "arn:aws:s3:::stray/x", unknown=["*"]))
    assert f"arn:aws:iam::{X}:root" not in outcomes_of(engine.who_can("s3:PutObject", "arn:aws:s3:::stray/x", unknown=["*"]))
    assert not any(caller.is_outside for caller in engine.who_can("s3:GetObject", "arn:aws:s3:::nobody-told/x", unknown=["*"]))


def test_deny_applies_to_external_principals() -> None:
    policy = allow("s3:GetObject", f"{BUCKET}/*", Principal="*")
    policy["Statement"] = [policy["Statement"], {**policy["Statement"], "Effect": "Deny", "Principal": {"AWS": X}}]
    assert ALL_ACCOUNTS in outcomes_of(directory(policy).compile().who_can("s3:GetObject", KEY, unknown=["*"]))
    assert f"arn:aws:iam::{X}:root" not in outcomes_of(directory(policy).compile().who_can("s3:GetObject", KEY, unknown=["*"]))


def trust(principal: Any, action: str = "sts:AssumeRole") -> dict[str, Any]:
    return allow(action, None, Principal=principal)


def test_who_can_assume_a_role_from_another_account() -> None:
    engine = directory(trust_policy=trust({"AWS": X})).compile()
    (found,) = engine.who_can("sts:AssumeRole", APP, unknown=["*"])
    assert (found.principal, found.kind, found.is_outside) == (f"arn:aws:iam::{X}:root", None, True)


def test_who_can_distinguishes_a_role_named_by_its_id() -> None:  # N30, K1
    built = directory(unique_id="AROAAPP", identity_policies=[allow("sts:AssumeRole")])
    built.add_principal(f"arn:aws:iam::{A}:role/other", unique_id="AROAOTHER")
    built.add_principal(f"arn:aws:iam::{A}:role/target", trust_policy=trust({"AWS": f"arn:aws:iam::{A}:role/other"}))
    target = f"arn:aws:iam::{A}:role/target"
    assert outcomes_of(built.compile().who_can("sts:AssumeRole", target, unknown=["*"])) == {
        f"arn:aws:iam::{A}:role/other": ("ALLOW", ())
    }
    ours = {"StringLike": {"aws:userid": "AROAAPP:ci"}}
    built.put_inline_policy(APP, "ci", allow("s3:Get*", Condition=ours))
    found = outcomes_of(built.compile().who_can("s3:GetObject", KEY, unknown=["*"]))
    assert found[APP] == ("DEPENDS", ("aws:userid",))


def test_who_can_lists_providers_for_their_call_only() -> None:  # N3
    provider = f"arn:aws:iam::{A}:oidc-provider/id.example"
    engine = directory(trust_policy=trust({"Federated": provider}, "sts:AssumeRoleWithWebIdentity")).compile()
    (found,) = engine.who_can("sts:AssumeRoleWithWebIdentity", APP, unknown=["*"])
    assert (found.principal, found.kind) == (provider, PrincipalKind.OIDC)
    assert not engine.who_can("sts:AssumeRole", APP, unknown=["*"])


def test_who_can_omits_providers_for_other_calls() -> None:
    """V36: even if a second statement allows every principal."""
    web, saml = f"arn:aws:iam::{A}:oidc-provider/id.example", f"arn:aws:iam::{A}:saml-provider/idp"
    named = {"Effect": "Allow", "Principal": {"Federated": [web, saml, "accounts.google.com"]}, "Action": "sts:*"}
    calls = {"sts:AssumeRoleWithSAML": {saml}, "sts:AssumeRoleWithWebIdentity": {web, "accounts.google.com"}}
    for statements in ([named], [named, {"Effect": "Allow", "Principal": "*", "Action": "sts:*"}]):
        engine = directory(trust_policy={"Version": "2012-10-17", "Statement": statements}).compile()
        for call, own in calls.items():
            found = {caller.principal for caller in engine.who_can(call, APP, unknown=["*"])}
            assert found & {web, saml, "accounts.google.com"} == own


def test_what_can_of_a_provider_lists_only_its_own_call() -> None:
    """V36."""
    for kind, call in (("oidc-provider", "sts:AssumeRoleWithWebIdentity"), ("saml-provider", "sts:AssumeRoleWithSAML")):
        provider = f"arn:aws:iam::{A}:{kind}/idp"
        engine = directory(trust_policy=trust({"Federated": provider}, "sts:*")).compile()
        assert {action for grant in engine.what_can(provider) for action in grant.actions} == {
            call,
            "sts:TagSession",
            "sts:SetSourceIdentity",
        }


def test_who_can_lists_a_named_session_and_its_role() -> None:  # N5, 6.5
    session = f"arn:aws:sts::{A}:assumed-role/app/run-1"
    engine = directory(allow("s3:GetObject", f"{BUCKET}/*", Principal={"AWS": session})).compile()
    (found,) = (caller for caller in engine.who_can("s3:GetObject", KEY, unknown=["*"]) if "app" in caller.principal)
    assert (found.principal, found.kind, found.is_outside) == (session, PrincipalKind.ROLE, False)


# -- errors and use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "column"),
    [
        (("s3:*", KEY), "action"),
        (("s3:GetObject", "reports"), "resource"),
        (("s3:GetObject", KEY, {"aws:SourceIp": object()}), "aws:SourceIp"),
    ],
)
def test_who_can_refuses_an_invalid_request(given: Any, column: str) -> None:
    with pytest.raises(RequestValueError) as caught:
        directory().compile().who_can(*given)
    assert caught.value.column == column


def test_who_can_refuses_a_contradicting_owner() -> None:  # D23
    with pytest.raises(RequestValueError, match="belongs to account"):
        directory().compile().who_can("s3:GetObject", KEY, resource_account=B, unknown=["*"])


def test_who_can_of_an_updated_engine_uses_its_directory() -> None:
    built = directory()
    before = built.compile()
    assert APP not in outcomes_of(before.who_can("s3:GetObject", KEY, unknown=["*"]))
    built.put_inline_policy(APP, "more", allow("s3:Get*"))
    built.add_principal(f"arn:aws:iam::{A}:user/new", identity_policies=[allow()])
    after = before.updated(built)
    assert {APP, f"arn:aws:iam::{A}:user/new"} <= outcomes_of(after.who_can("s3:GetObject", KEY, unknown=["*"])).keys()
    assert APP not in outcomes_of(before.who_can("s3:GetObject", KEY, unknown=["*"]))


def test_who_can_result_is_a_sequence() -> None:
    found = directory().compile().who_can("s3:GetObject", KEY, unknown=["*"])
    assert [caller.principal for caller in found] == found.principals == [found[i].principal for i in range(len(found))]
    assert found[-1] == found[len(found) - 1] and found[:1] == [found[0]]
    assert repr(found) == f"<WhoCanResult: {len(found)} can, 0 if conditions hold>"
    assert len(fastiam.Directory().compile().who_can("s3:GetObject", KEY, unknown=["*"])) == 0
