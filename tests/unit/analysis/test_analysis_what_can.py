"""`what_can`: it decides each action on one resource, or returns grants that contain each allowed request."""

from __future__ import annotations

from typing import Any

import policy_generators as strategies
import pytest
from differential import World
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import few_or_all
from specification import decisions_only

import fastiam
from fastiam.analysis.access.grants import Grant
from fastiam.analysis.pattern_sets import action_pattern_set, resource_pattern_set
from fastiam.analysis.representatives import action_of, may_match, resource_of
from fastiam.errors import DirectoryError, FastiamError, PolicyError, RequestValueError
from fastiam.model.decision import Layer, Outcome

A, B = "111111111111", "222222222222"
ANA, APP, BO = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app", f"arn:aws:iam::{B}:user/bo"
BUCKET, KEY = "arn:aws:s3:::reports", "arn:aws:s3:::reports/may"
CAN = (Outcome.ALLOW, Outcome.DEPENDS)


def statement(effect: str, action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def directory(*statements: dict[str, Any], policy: Any = None, **more: Any) -> fastiam.Directory:
    out = fastiam.Directory()
    out.add_principal(ANA, identity_policies=[("Ana", document(*statements))] if statements else [], **more)
    out.add_principal(BO, identity_policies=[("Bo", document(statement("Allow", "s3:Get*")))])
    out.add_resource(BUCKET, account=A, policy=None if policy is None else ("Bucket", document(policy)))
    return out


# -- exact ----------------------------------------------------------------------------------------------------------------


def worlds(seed: int) -> Any:
    try:
        world = World({**strategies.directory(seed, 25), "unknown_owner": "principal"})
    except (PolicyError, DirectoryError):
        return None, None  # the generator wrote what a strict directory does not take
    return world, world.directory.compile()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_what_can_on_a_resource_equals_the_specification(seed: int) -> None:
    world, engine = worlds(seed)
    for row in world.rows[:4] if world else ():
        principal, resource = world.subject(row), row["resource"]
        actions = sorted({each["action"] for each in world.rows})[:8]
        try:
            found = {one.action: one for one in engine.what_can(principal, resource, actions=actions, unknown=["*"])}
        except FastiamError:
            continue
        for action in actions:
            with decisions_only():
                expected = engine.explain(principal, action, resource, unknown=["*"])
            outcome = expected.decision.outcome
            assert (found[action].outcome if action in found else None) == (outcome if outcome in CAN else None)
            if action in found:
                assert found[action].depends_on == expected.decision.depends_on
                assert found[action].conditions == expected.residual_statements


def covers(grant: Grant, action: str, resource: str) -> bool:
    by_action = any(may_match(pattern)(action) for pattern in grant.actions) is not grant.not_actions
    if grant.not_resources:  # left out is what surely matches, field by field
        literal = resource_pattern_set(resource, False, {}, frozenset())
        pattern_sets = [resource_pattern_set(pattern, True, {}, frozenset()) for pattern in grant.resources]
        return by_action and not any(
            literal and pattern_set and literal.is_subset_of(pattern_set) for pattern_set in pattern_sets
        )
    return by_action and any(may_match(pattern)(resource) for pattern in grant.resources)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_each_allowed_request_is_in_a_grant(seed: int) -> None:
    world, engine = worlds(seed)
    for row in world.rows if world else ():
        principal, action, resource = world.subject(row), row["action"], row["resource"]
        try:
            decision = engine.decide(principal, action, resource, world.context(row), now=world.now)
        except FastiamError:
            continue
        if decision.outcome is not Outcome.ALLOW or decision.layer is Layer.SERVICE:
            continue
        if action.lower().startswith("sts:assumerolewith") and isinstance(principal, str) and not principal.startswith("arn:"):
            continue  # a provider in this call alone (N3)
        resource = resource if resource == "*" else world.snapshot.facts(resource).arn  # a partial ARN of a secret
        grants = engine.what_can(principal)
        assert any(covers(grant, action, resource) for grant in grants), (principal, action, resource, decision)
        # the context of the request can only narrow the grants
        given = {key: value for key, value in world.context(row).items() if value is not None}
        assert any(covers(grant, action, resource) for grant in engine.what_can(principal, context=given))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_request_in_an_unlimited_grant_is_allowed(seed: int) -> None:
    world, engine = worlds(seed)
    if world is None:
        return
    snapshot = world.snapshot
    for name in [name for name, _ in snapshot.names()][:8]:
        account = name.split(":")[4]
        for grant in engine.what_can(name):
            if grant.conditions or grant.limited_by or grant.denied_by or grant.needs_resource_policy or grant.not_actions:
                continue
            pattern_sets = [resource_pattern_set(pattern, True, {}, frozenset()) for pattern in grant.resources]
            if not all(pattern_set is not None and pattern_set.is_exact for pattern_set in pattern_sets):
                continue  # unknown variables; wildcards in service and type of a resource are undetermined where it is IAM (R9)
            pairs = {(action_of(a), resource_of(r)) for a in grant.actions for r in grant.resources}
            pairs |= {(row["action"], row["resource"]) for row in world.rows if covers_exactly(grant, row)}
            for action, resource in pairs:
                if action is None or resource is None or grant.not_resources:
                    continue
                if (
                    action.lower() in ("iam:passrole", "sts:setsourceidentity")
                    or ":key/" in resource
                    and not action.startswith("kms:")
                ):
                    continue  # 6.3, D30: special rules; not an action on a key
                owner = resource.split(":", 5)[4] if resource != "*" else ""
                recorded = None if resource == "*" else snapshot.facts(resource).account
                if grant.layer is Layer.IDENTITY and account not in (recorded or owner or account,):
                    continue  # a grant of layer identity is for resources of the account
                facts = snapshot.facts(resource)
                if facts.arn != resource:
                    continue  # a partial ARN of a secret is decided as the full one (6.10)
                if grant.holder and facts.policies != snapshot.facts(grant.holder).policies:
                    continue  # a grant of a resource policy is for what it governs
                decision = engine.decide(name, action, resource, unknown=["*"], now=world.now)
                others = [key for key in decision.depends_on if not key.startswith("aws:principaltag/")]
                if others != list(decision.depends_on):  # a grant has the stored tags in its resources
                    decision = engine.decide(name, action, resource, unknown=others, now=world.now)
                # an endpoint is among no terms; an unknown `aws:userid` opens principal entries that name an id (D72)
                is_open = not {"aws:sourcevpce", "aws:userid"}.isdisjoint(decision.depends_on)
                is_rule = decision.layer in (Layer.SERVICE, Layer.CREDENTIAL) or is_open
                assert decision.outcome is Outcome.ALLOW or is_rule, (name, action, resource, grant, decision)


def governs(snapshot: Any, governing: str, resource: str) -> bool:
    return resource != "*" and snapshot.facts(resource).policies == snapshot.facts(governing).policies


def covers_exactly(grant: Grant, row: Any) -> bool:
    """Whether a literal request lies in the patterns of a grant."""
    action, resource = action_pattern_set(row["action"]), resource_pattern_set(row["resource"], False, {}, frozenset())
    pattern_sets = [resource_pattern_set(pattern, False, {}, frozenset()) for pattern in grant.resources]
    within = resource is not None and any(
        pattern_set is not None and resource.is_subset_of(pattern_set) for pattern_set in pattern_sets
    )
    actions = map(action_pattern_set, grant.actions)
    return (
        within
        and action is not None
        and any(pattern_set is not None and action.is_subset_of(pattern_set) for pattern_set in actions)
    )


# -- grants ---------------------------------------------------------------------------------------------------------------


def patterns_of(grants: list[Grant]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(grant.actions, grant.resources) for grant in grants]


READ = statement("Allow", ["s3:GetObject", "s3:GetBucket*"], f"{BUCKET}/*", Sid="Read")


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (directory(READ), [(("s3:GetObject", "s3:GetBucket*"), (f"{BUCKET}/*",))]),
        (directory(statement("Allow", "*"), permissions_boundary=document(READ)),
         [(("s3:GetObject", "s3:GetBucket*"), (f"{BUCKET}/*",))]),
        (directory(READ, permissions_boundary=document(statement("Allow", "s3:Get*"))),
         [(("s3:GetObject", "s3:GetBucket*"), (f"{BUCKET}/*",))]),
        (directory(READ, permissions_boundary=document(statement("Allow", "s3:GetObject"))),
         [(("s3:GetObject",), (f"{BUCKET}/*",))]),
        (directory(READ, permissions_boundary=document(statement("Allow", "sqs:*"))), []),
        (directory(READ, statement("Deny", "s3:GetObject")), [(("s3:GetBucket*",), (f"{BUCKET}/*",))]),
        (directory(READ, statement("Deny", "s3:*", f"{BUCKET}/*")), []),
        (directory(statement("Allow", "s3:*", "arn:aws:s3:::home-${aws:username}/*")),
         [(("s3:*",), ("arn:aws:s3:::home-ana/*",))]),
        (directory(statement("Allow", "s3:*", "arn:aws:s3:::${aws:PrincipalTag/team}/*")), []),
        (directory(statement("Allow", "s3:*", "arn:aws:s3:::${aws:PrincipalTag/team}/*"), tags={"Team": "blue"}),
         [(("s3:*",), ("arn:aws:s3:::blue/*",))]),
        (directory(statement("Allow", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}})), []),
    ],
)  # fmt: skip
def test_grants_show_the_intersection_of_layers(built: Any, expected: Any) -> None:
    assert patterns_of(built.compile().what_can(ANA)) == expected


def test_what_can_context_overrides_a_default_in_any_case() -> None:
    """K1: a key in the context, or an absent key, has no default."""
    built = directory(statement("Allow", "s3:*", Condition={"StringEquals": {"app:k": "a"}}))
    engine = built.compile(context_defaults={"app:k": "a"})
    assert patterns_of(engine.what_can(ANA)) == [(("s3:*",), ("*",))]
    for context in ({"APP:K": "b"}, {"App:K": None}):
        assert patterns_of(engine.what_can(ANA, context=context)) == []


def test_grant_is_limited_by_each_scp_level() -> None:
    built = directory(statement("Allow", "*"))
    built.set_scps(A, [[document(statement("Allow", ["s3:*", "sqs:*"]))], [document(statement("Allow", "s3:Get*"))]])
    assert patterns_of(built.compile().what_can(ANA)) == [(("s3:Get*",), ("*",))]


def test_grant_has_residual_conditions_only() -> None:
    conditions = {"StringEquals": {"aws:PrincipalTag/team": "blue"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    engine = directory(statement("Allow", Condition=conditions), tags={"team": "blue"}).compile()
    (grant,) = engine.what_can(ANA)
    assert [entry.key for entry in grant.conditions] == ["aws:SourceIp"]
    assert engine.what_can(ANA, context={"aws:SourceIp": "192.0.2.1"}) == []
    assert engine.what_can(ANA, context={"aws:SourceIp": None}) == []
    assert engine.what_can(ANA, context={"aws:SourceIp": "10.1.1.1"})[0].conditions == ()


def test_grant_keeps_literal_stars_distinct() -> None:  # VR4, VR5
    engine = directory(statement("Allow", "s3:*", "arn:aws:s3:::${aws:Referer}/${*}/*")).compile()
    (grant,) = engine.what_can(ANA, context={"aws:Referer": "a*"})
    assert grant.resources == ("arn:aws:s3:::a${*}/${*}/*",)


def test_grant_lists_an_intersecting_deny() -> None:
    (grant,) = directory(READ, statement("Deny", "s3:*", f"{BUCKET}/secret/*", Sid="Secret")).compile().what_can(ANA)
    (deny,) = grant.denied_by
    assert (deny.ref.sid, deny.actions, deny.resources) == ("Secret", ("s3:*",), (f"{BUCKET}/secret/*",))


def test_grant_lists_a_limit_with_overlapping_patterns() -> None:
    boundary = document(statement("Allow", "s3:*", "arn:aws:s3:::*-prod"))
    (grant,) = directory(statement("Allow", "s3:*", "arn:aws:s3:::team-*"), permissions_boundary=boundary).compile().what_can(ANA)
    assert grant.resources == ("arn:aws:s3:::team-*",)
    (limit,) = grant.limited_by
    assert (limit.layer, limit.statements[0].resources) == (Layer.BOUNDARY, ("arn:aws:s3:::*-prod",))


def test_grant_across_accounts_is_what_both_sides_allow() -> None:
    share = statement("Allow", "s3:*", f"{BUCKET}/*", Sid="Share", Principal={"AWS": BO})
    grants = directory(policy=share).compile().what_can(BO)
    assert [(grant.layer, grant.statement and grant.statement.sid) for grant in grants] == [
        (Layer.IDENTITY, None), (Layer.RESOURCE, "Share"),
    ]  # fmt: skip
    assert patterns_of(grants)[1] == (("s3:Get*",), (f"{BUCKET}/*",))


def test_grant_to_a_named_user_needs_no_identity_policy() -> None:
    share = statement("Allow", "s3:GetObject", f"{BUCKET}/*", Sid="Share", Principal={"AWS": ANA})
    (grant,) = directory(policy=share, permissions_boundary=document(statement("Allow", "sqs:*"))).compile().what_can(ANA)
    assert (grant.layer, grant.limited_by) == (Layer.RESOURCE, ())


def test_grant_of_a_root_user_needs_no_policy() -> None:
    (grant,) = directory().compile().what_can(f"arn:aws:iam::{A}:root")
    assert (grant.actions, grant.resources, grant.statement) == (("*",), ("*",), None)


def test_grant_of_not_action_lists_the_excluded_actions() -> None:
    (grant,) = directory({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}).compile().what_can(ANA)
    assert (grant.actions, grant.not_actions, grant.needs_resource_policy) == (("iam:*",), True, True)


def test_what_can_accepts_sessions_and_services() -> None:
    built = directory(policy=statement("Allow", "s3:PutObject", f"{BUCKET}/*", Principal={"Service": "logs.amazonaws.com"}))
    built.add_principal(APP, identity_policies=[document(statement("Allow"))])
    engine = built.compile()
    only = [document(statement("Allow", "s3:Get*"))]
    session = fastiam.Session(f"arn:aws:sts::{A}:assumed-role/app/x", kind="ROLE", issuer=APP, policies=only)
    assert patterns_of(engine.what_can(session)) == [(("s3:Get*",), ("*",))]
    assert patterns_of(engine.what_can("logs.amazonaws.com")) == [(("s3:PutObject",), (f"{BUCKET}/*",))]
    assert engine.what_can(f"arn:aws:iam::{A}:user/nobody") == []


# -- on one resource ------------------------------------------------------------------------------------------------------


def test_what_can_on_a_resource_shows_actions_as_written() -> None:
    engine = directory(READ, statement("Deny", "s3:GetBucketAcl"), statement("Allow", "sqs:*")).compile()
    found = {one.action: (one.outcome.name, one.is_pattern) for one in engine.what_can(ANA, KEY, unknown=["*"])}
    assert found == {"s3:GetObject": ("ALLOW", False), "s3:GetBucket*": ("ALLOW", True)}


def test_what_can_decides_given_actions() -> None:
    engine = directory(statement("Allow", Condition={"Bool": {"aws:SecureTransport": "true"}})).compile()
    (one,) = engine.what_can(ANA, KEY, actions=["s3:PutObject", "sqs:SendMessage"], unknown=["*"])
    assert (one.action, one.outcome, one.depends_on) == ("s3:PutObject", Outcome.DEPENDS, ("aws:securetransport",))
    assert one.conditions[0].conditions[0].key == "aws:SecureTransport"
    assert engine.what_can(ANA, KEY, unknown=()) == engine.what_can(ANA, KEY, actions=[], unknown=["*"]) == []


def test_what_can_refuses_invalid_arguments() -> None:
    engine = directory(READ).compile()
    for asked in ((ANA, "reports"), ("arn:aws:iam::1:user/x", KEY), (ANA, KEY, {"aws:SourceIp": object()})):
        with pytest.raises(RequestValueError):
            engine.what_can(*asked)
    with pytest.raises(RequestValueError, match="is not an action"):
        engine.what_can(ANA, KEY, actions=["s3:*"], unknown=["*"])


# -- patterns as sets -----------------------------------------------------------------------------------------------------

PATTERNS = st.text("ab*?", min_size=1, max_size=6)


@settings(max_examples=few_or_all(75, 300), deadline=None)
@given(PATTERNS, PATTERNS, st.text("ab", max_size=6))
def test_pattern_sets_are_compared_by_matching_texts(one: str, two: str, text: str) -> None:
    first, second = action_pattern_set(f"s:{one}"), action_pattern_set(f"s:{two}")
    assert first is not None and second is not None
    in_first, in_second = may_match(one)(text), may_match(two)(text)
    if in_first and in_second:
        assert first.intersects(second)
    if in_first and not in_second:
        assert not first.is_subset_of(second)
    assert first.is_subset_of(first) and first.intersects(first)


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("arn:aws:s3:::b/x", "arn:aws:s3:::b/*", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::*", True),
        ("arn:aws:s3:::b/*", "*", True),
        ("*", "arn:*", False),  # the resource `*` is matched by `*` alone (R2)
        ("arn:aws:sqs:eu-west-1:1:q", "arn:aws:sqs:*", True),
        ("arn:aws:sqs:*:1:q", "arn:aws:sqs:eu-west-1:1:q", False),
        ("arn:aws:iam::1:user/x", "arn:aws:iam::1:u*", False),  # R9: undetermined
        ("arn:aws:sns:eu-west-1:1:a-x", "arn:aws:sns:eu-west-1:1:a-*", True),  # R9 is about IAM
        ("arn:aws:iam::1:user/x", "arn:aws:i*::1:u*", False),
    ],
)
def test_resource_pattern_is_subset_of_another(inner: str, outer: str, expected: bool) -> None:
    one, two = (resource_pattern_set(text, True, {}, frozenset()) for text in (inner, outer))
    assert one is not None and two is not None and one.is_subset_of(two) is expected
